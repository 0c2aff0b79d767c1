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


@pytest.mark.parametrize(
  ('name', 'is_path'),
  [('resnet50', False), ('mine.safetensors', True), ('folder/mine', True)],
)
def test_paths(name, is_path):
  assert weights_files.is_path(name) == is_path


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
  with pytest.raises(errors.InputError, match='not of resnet50'):
    load('resnet50', config, tmp_path)


def test_names_and_files_that_do_not_exist():
  with pytest.raises(errors.InputError, match='did you mean resnet50'):
    weights_files.locate('resnet5')
  with pytest.raises(errors.InputError, match='no weights file'):
    weights_files.locate('none.safetensors')
