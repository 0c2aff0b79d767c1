"""Tests of fetching weights; functions that use the network are replaced."""

import sys
import urllib.error

import pytest
from huggingface_hub import constants

from tests.golden import rule
from tests.tools import checkpoint_files, hub_server
from tf_transfer import convert_weights, errors
from tf_transfer.convert_weights import (
  downloads,
  sources,
  table,
)

NETWORK = 'mobilenet_v1'


@pytest.fixture
def keras_cache(monkeypatch, tmp_path):
  """An empty cache, and what replaces Keras's access to the network."""
  pytest.importorskip('keras')
  file_utils = sys.modules['keras.src.utils.file_utils']
  monkeypatch.setattr(file_utils.config, 'keras_home', lambda: str(tmp_path))

  def replace(retrieve):
    monkeypatch.setattr(file_utils, 'urlretrieve', retrieve)

  return replace


def test_keras_fetches_into_its_cache(keras_cache, tmp_path):
  def retrieve(url, target, *_):
    assert url.endswith('/mobilenet_1_0_224_tf.h5')
    tensors = rule.checkpoint('keras', NETWORK, 2.0)
    layers = checkpoint_files.layers_of(tensors)
    checkpoint_files.write_keras(target, layers)

  keras_cache(retrieve)
  path = downloads.fetch(NETWORK, 'keras').path
  assert path == tmp_path / 'models' / 'mobilenet_1_0_224_tf.h5'
  header = convert_weights.convert(NETWORK, path, tmp_path / 'a.safetensors')
  assert header.source == 'mobilenet_1_0_224_tf.h5'


def test_keras_without_network(keras_cache):
  def retrieve(*_):
    raise urllib.error.URLError('no route to host')

  keras_cache(retrieve)
  with pytest.raises(errors.InputError) as caught:
    downloads.fetch(NETWORK, 'keras')
  message = str(caught.value)
  assert 'mobilenet_1_0_224_tf.h5 could not be fetched' in message
  assert 'no route to host' in message
  assert 'give it with --input' in message


def test_keras_finds_another_hash(keras_cache):
  def retrieve(url, target, *_):
    with open(target, 'wb') as file:
      file.write(b'not what was asked for')

  keras_cache(retrieve)
  with pytest.raises(errors.InputError, match='file hash does not match'):
    downloads.fetch('resnet50', 'keras')


@pytest.mark.parametrize(
  ('network', 'source', 'repository'),
  [
    ('resnet50', 'timm', 'timm/resnet50.a1_in1k'),
    ('inception_v3', 'timm_gluon', 'timm/inception_v3.gluon_in1k'),
    ('resnet50', 'timm/resnet50.a2_in1k', 'timm/resnet50.a2_in1k'),
  ],
)
def test_hub_fetches_into_its_cache(empty_hub, network, source, repository):
  config = hub_server.config(network, mean=[0.5, 0.5, 0.5])
  content = {'config.json': config, 'model.safetensors': b'weights'}
  empty_hub.files[repository] = content
  download = downloads.fetch(network, source)
  assert download.path.read_bytes() == b'weights'
  assert download.source.file == repository
  # Images are prepared as the repository says.
  assert download.source.contract.mean == (127.5, 127.5, 127.5)


def test_repository_of_another_network(empty_hub):
  empty_hub.files['timm/resnet50.a2_in1k'] = {
    'config.json': hub_server.config('resnet50'),
    'model.safetensors': b'weights',
  }
  with pytest.raises(errors.InputError, match='--network=resnet50'):
    downloads.fetch('resnet101', 'timm/resnet50.a2_in1k')


def test_hub_without_network(empty_hub, monkeypatch):
  monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
  with pytest.raises(errors.InputError) as caught:
    downloads.fetch('resnet50', 'timm')
  message = str(caught.value)
  assert message.startswith('timm/resnet50.a1_in1k is not on this machine')
  assert 'give it with --input if --list has it' in message
  assert 'put both into WEIGHTS/timm/resnet50.a1_in1k/' in message


def test_hub_without_its_client(monkeypatch):
  monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
  with pytest.raises(errors.InputError, match='pip install huggingface_hub'):
    downloads.fetch('resnet50', 'timm')


@pytest.mark.parametrize('source', ['slim', 'torchvision'])
def test_source_without_a_downloader_says_what_to_look_for(source):
  with pytest.raises(errors.InputError) as caught:
    downloads.fetch('resnet50', source)
  message = str(caught.value)
  assert sources.get_source('resnet50', source).file in message
  assert ('torch.hub' in message) == (source == 'torchvision')


def test_source_has_to_be_said():
  with pytest.raises(errors.InputError) as caught:
    downloads.fetch('resnet50', None)
  message = str(caught.value)
  assert '--source=keras or --source=timm fetches them' in message
  for source in table.SOURCES['resnet50']:
    assert source.file in message
  with pytest.raises(errors.InputError, match='Give the file with --input'):
    downloads.fetch('inception_v1', None)


def test_package_needs_no_source():
  path = downloads.fetch('efficientnet_lite0', None).path
  assert path.name == sources.get_source('efficientnet_lite0').file
