import pytest

from tf_transfer.convert_weights import listing, sources


def test_every_source_has_a_line():
  lines = listing.render().splitlines()
  block = []
  for network, found in sources.SOURCES.items():
    block.append(network)
    block += [source.name for source in found]
  assert [line.split()[0] for line in lines[1:]] == block


def test_a_line():
  lines = listing.render().splitlines()
  start = lines.index('resnet50')
  assert lines[start + 1].split(maxsplit=3) == [
    'slim',
    '1000',
    '75.2%',
    'resnet_v1_50_2016_08_28.tar.gz -> resnet_v1_50.ckpt',
  ]
  column = lines[0].index('file')
  for line, source in zip(
    lines[start + 1 :], sources.SOURCES['resnet50'], strict=False
  ):
    assert line[column:] == source.file


@pytest.mark.parametrize('size', ['mobile', 'large'])
def test_a_file_that_is_kept_under_another_name(size):
  lines = listing.render().splitlines()
  start = lines.index(f'nasnet_{size}')
  wanted = f'  nasnet_{size}.h5, published as NASNet-{size}.h5'
  assert lines[start + 2].endswith(wanted)


def test_files_are_named_once():
  files = [s.file for found in sources.SOURCES.values() for s in found]
  assert all(files)
  # Both NASNets of TF-Slim have archives of their own.
  assert len(set(files)) == len(files)
