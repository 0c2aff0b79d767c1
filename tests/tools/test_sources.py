"""Tests of looking sources up, by name and by a file's variables."""

import pathlib

import pytest

from tests.golden import rule
from tf_transfer import errors
from tf_transfer.convert_weights import sources, table


def test_list_sources():
  assert sources.list_sources('resnet50') == table.SOURCES['resnet50']
  with pytest.raises(errors.InputError, match='did you mean resnet50'):
    sources.list_sources('resnet5')
  with pytest.raises(errors.InputError, match='no public weights of incept'):
    sources.list_sources('inception_small')


def test_get_source():
  first, second = table.SOURCES['resnet50'][:2]
  assert sources.get_source('resnet50') is first
  assert sources.get_source('resnet50', second.name) is second
  with pytest.raises(errors.InputError, match='unknown source of resnet50'):
    sources.get_source('resnet50', 'caffe')


def test_keras_application():
  assert sources.keras_application('resnet50').name == 'ResNet50'
  assert sources.keras_application('inception_v4') is None


def test_recognize_without_a_known_name_takes_the_first_of_the_best(tmp_path):
  """None of the names fits: an error about the variables is the better one."""
  source = sources.recognize(
    'resnet50', ['a', 'b'], tmp_path / 'a.pth', '', 'torch'
  )
  assert source.name == 'torchvision'


FORMATS = {
  'timm': 'safetensors',
  'timm_tf': 'safetensors',
  'keras': 'keras',
  'slim': 'tensorflow',
}


@pytest.mark.parametrize(('source', 'network'), rule.pairs())
def test_source_is_told_by_its_variables(source, network):
  """Or, where those are of two sources, by the published name and hash."""
  row = sources.get_source(network, source)
  path = pathlib.Path('file')
  sha256 = ''
  if row.file.startswith('timm/'):
    path = pathlib.Path(row.file) / path
  elif source == 'torchvision':
    sha256 = row.file.removesuffix('.pth').rpartition('-')[2]
  names = rule.shapes(source, network)
  file_format = FORMATS.get(source, 'torch')
  found = sources.recognize(network, names, path, sha256, file_format)
  assert found.name == source


@pytest.mark.parametrize('network', ['resnet50', 'resnet101', 'resnet152'])
def test_versions_of_torchvision_are_told_by_the_hash(network):
  """And a file that neither is remains one of which nothing tells."""
  names = rule.shapes('torchvision', network)
  for name in ('torchvision', 'torchvision_v2'):
    row = sources.get_source(network, name)
    sha256 = row.file.removesuffix('.pth').rpartition('-')[2]
    found = sources.recognize(
      network, names, pathlib.Path('file'), sha256, 'torch'
    )
    assert found.name == name
  with pytest.raises(errors.InputError, match='--source=torchvision_v2'):
    sources.recognize(network, names, pathlib.Path('file'), 'f' * 64, 'torch')
