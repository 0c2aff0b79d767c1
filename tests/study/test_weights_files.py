"""Finding and loading the weights of networks that a config names."""

import dataclasses

import ml_collections
import pytest

from tf_transfer import errors, networks
from tf_transfer.networks import weights
from tf_transfer.study import weights_files


@pytest.fixture
def config(tmp_path, small_weights):
  """A weights_dir with one file that goes by a name, and one that does not."""
  directory = tmp_path / 'weights'
  directory.mkdir()
  for name in ('efficientnet_lite0', 'mine'):
    (directory / f'{name}.safetensors').symlink_to(small_weights)
  return ml_collections.ConfigDict(
    {'weights_dir': str(directory), 'image_size': 0}
  )


def load(name, config, workdir, **options):
  source = weights_files.locate(name)
  return weights_files.load(source, config, workdir, **options)


def test_files_and_packages_are_available(config, tmp_path):
  available = weights_files.available(config, tmp_path)
  assert available[:2] == (
    'efficientnet_lite0',
    f'{config.weights_dir}/mine.safetensors',
  )
  # Once each, though the first has a package too.
  assert available.count('efficientnet_lite0') == 1
  assert 'efficientnet_lite1' in available


def test_loads_at_the_image_size_of_the_config(config, tmp_path):
  assert load('efficientnet_lite0', config, tmp_path).contract.image_size == 64
  config.image_size = 96
  net = load('efficientnet_lite0', config, tmp_path)
  assert net.contract.image_size == 96
  config.image_size = -1
  with pytest.raises(errors.InputError, match='expected pixels'):
    load('efficientnet_lite0', config, tmp_path)


def test_without_weights_nothing_is_read_from_the_file(config, tmp_path):
  path = f'{config.weights_dir}/mine.safetensors'
  net = load(path, config, tmp_path, with_weights=False)
  untrained = networks.untrained('efficientnet_lite0')
  assert (net.header, net.sha256) == (untrained.header, '')
  assert not net.variables
  config.image_size = 96
  net = load('resnet50', config, tmp_path, with_weights=False)
  assert net.contract == dataclasses.replace(
    networks.untrained('resnet50').contract, image_size=96
  )


def test_no_weights_says_how_to_make_them(config, tmp_path):
  with pytest.raises(errors.InputError, match='tf-transfer-convert'):
    load('resnet50', config, tmp_path)


def test_the_file_of_another_network_is_refused(config, tmp_path, small_lite0):
  path = tmp_path / 'weights' / 'resnet50.safetensors'
  weights.save(path, small_lite0.header, small_lite0.variables)
  for name in ('resnet50', str(path)):
    with pytest.raises(errors.InputError, match='not of resnet50'):
      load(name, config, tmp_path)


@pytest.mark.parametrize('content', [b'', b'garbage' * 100, None])
def test_garbage_in_the_place_of_a_file_is_not_converted_over(
  config, tmp_path, content
):
  """Of efficientnet_lite1 there is a package with weights."""
  path = tmp_path / 'weights' / 'efficientnet_lite1.safetensors'
  if content is None:
    path.mkdir()
  else:
    path.write_bytes(content)
  with pytest.raises(errors.InputError) as caught:
    load('efficientnet_lite1', config, tmp_path)
  assert str(path) in str(caught.value)
  assert '\n' not in str(caught.value)
  assert path.is_dir() if content is None else path.read_bytes() == content


def test_images_that_are_too_small(config, tmp_path):
  config.image_size = 32
  with pytest.raises(errors.InputError) as caught:
    load('inception_v3', config, tmp_path, with_weights=False)
  assert str(caught.value) == (
    'config.image_size: inception_v3 works on images of at least 75 px, not 32'
  )


def test_stores_are_no_directories(config, tmp_path):
  with pytest.raises(errors.InputError, match=r'config\.networks: gs://'):
    weights_files.locate('gs://bucket/a.safetensors')
  config.weights_dir = 's3://bucket/weights'
  with pytest.raises(errors.InputError, match=r'config\.weights_dir: s3://'):
    load('resnet50', config, tmp_path)


def test_names_and_files_that_do_not_exist():
  with pytest.raises(errors.InputError, match='did you mean resnet50'):
    weights_files.locate('resnet5')
  with pytest.raises(errors.InputError, match='no weights file') as caught:
    weights_files.locate('none.safetensors')
  assert 'hub' not in str(caught.value)
  with pytest.raises(errors.InputError, match='no weights file') as caught:
    weights_files.locate('facebook/dinov2-small')
  assert 'only those named timm/NAME' in str(caught.value)
