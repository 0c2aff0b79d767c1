"""Tests of the table that --list prints."""

import pytest

from tf_transfer.convert_weights import listing, table


def lines_of(network):
  """Splits the lines of a network into cells, the file's name last."""
  lines = [line.split(maxsplit=4) for line in listing.render().splitlines()]
  return [line for line in lines if line[0] == network]


def test_every_source_has_a_line():
  lines = listing.render().splitlines()
  assert [line.split()[:2] for line in lines[1:]] == [
    [network, source.name]
    for network, sources in table.SOURCES.items()
    for source in sources
  ]


def test_a_line():
  assert lines_of('resnet50')[0] == [
    'resnet50',
    'slim',
    '1000',
    '75.2%',
    'resnet_v1_50_2016_08_28.tar.gz -> resnet_v1_50.ckpt',
  ]
  lines = listing.render().splitlines()
  start = next(
    i for i, line in enumerate(lines) if line.startswith('resnet50 ')
  )
  column = lines[0].index('file')
  for line, source in zip(
    lines[start:], table.SOURCES['resnet50'], strict=False
  ):
    assert line[column:] == source.file


@pytest.mark.parametrize('size', ['mobile', 'large'])
def test_a_file_that_is_kept_under_another_name(size):
  file = lines_of(f'nasnet_{size}')[1][-1]
  assert file == f'nasnet_{size}.h5, published as NASNet-{size}.h5'
