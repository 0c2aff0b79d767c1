"""Tests of features that were computed elsewhere."""

import json

import numpy as np
import pytest

from tf_transfer import errors, networks
from tf_transfer.networks import feature_files
from tf_transfer.runtime import array_files

SIZES = {'train': 5, 'val': 3, 'test': 4}


@pytest.fixture
def directory(tmp_path):
  """Features of three splits with labels and names."""
  path = tmp_path / 'mine'
  path.mkdir()
  for split, size in SIZES.items():
    rows = np.arange(size * 2, dtype=np.float32).reshape(size, 2) / 3
    np.save(path / f'{split}.npy', rows)
    np.save(path / f'{split}_labels.npy', np.arange(size) % 2)
    names = [f'{split}/{i}.png' for i in range(size)]
    (path / f'{split}_names.txt').write_text('\n'.join(names))
  return path


def change(path, function):
  np.save(path, function(np.load(path)))


def test_a_network_without_weights(directory):
  net = feature_files.load(directory)
  assert (net.name, net.feature_dim, net.layers(8)) == ('mine', 2, {})
  assert not net.sees_images
  assert len(net.sha256) == 64
  assert 'cannot be trained' in net.fixed_reason
  with pytest.raises(errors.InputError, match='cannot be trained'):
    networks.rebuild(net, num_classes=2)
  with pytest.raises(errors.InputError, match='no network to show'):
    net.features(np.zeros((1, 8, 8, 3)))
  with pytest.raises(errors.InputError, match='no network to show'):
    _ = net.features_of_pixels


def test_identity_is_that_of_values_and_names(directory):
  first = feature_files.load(directory).sha256
  path = directory / 'val.npy'
  change(path, np.asfortranarray)
  assert feature_files.load(directory).sha256 == first
  change(path, lambda x: x.astype(np.float64))
  assert feature_files.load(directory).sha256 == first
  (directory / 'about.json').write_text('{"name": "Other"}')
  (directory / 'val_labels.npy').unlink()
  assert feature_files.load(directory).sha256 == first
  change(path, lambda x: x + 1e-6)
  other = feature_files.load(directory).sha256
  change(path, lambda x: x.astype(np.float16))
  half = feature_files.load(directory).sha256
  (directory / 'test_names.txt').write_text('a\nb\nc\nd')
  named = feature_files.load(directory).sha256
  assert len({first, other, half, named}) == 4


def test_large_files_are_read_in_blocks(directory, monkeypatch):
  wanted = feature_files.load(directory).sha256
  monkeypatch.setattr(feature_files, '_BLOCK', 2)
  net = feature_files.load(directory)
  assert net.sha256 == wanted
  assert isinstance(net.arrays['train'].values, np.memmap)


def test_what_is_stated_of_it(directory):
  about = {
    'name': 'Mine v2',
    'family': 'Own',
    'imagenet_top1': 0.8,
    'imagenet_top1_source': 'me',
    'imagenet_measure': 'linear_probe',
  }
  (directory / 'about.json').write_text(json.dumps(about))
  net = feature_files.load(directory)
  assert (net.name, net.family) == ('Mine v2', 'Own')
  assert net.header.imagenet_top1 == 0.8
  assert net.header.imagenet_top1_source == 'me'
  assert net.header.imagenet_measure == 'linear_probe'


@pytest.mark.parametrize(
  ('about', 'message'),
  [
    ('{', 'cannot be read'),
    ('[]', 'expected an object'),
    ('{"nane": "a"}', 'did you mean name'),
    ('{"name": 3}', 'name: 3: expected up to 60'),
    ('{"name": "resnet50"}', 'a network of the table'),
    ('{"imagenet_top1": 76.1}', 'imagenet_top1: expected'),
    ('{"imagenet_top1": 76}', 'between 0 and 1, not 76'),
    ('{"imagenet_top1": NaN}', 'imagenet_top1: expected'),
    ('{"family": 3}', 'family: expected a str'),
    ('{"imagenet_measure": "probe"}', 'imagenet_measure'),
  ],
)
def test_statements_that_are_wrong(directory, about, message):
  (directory / 'about.json').write_text(about)
  with pytest.raises(errors.InputError, match=message):
    feature_files.load(directory)


@pytest.mark.parametrize(
  ('values', 'message'),
  [
    (np.ones((3, 2), int), 'expected float16, float32 or float64'),
    (np.ones(3), r'found float64 \[3\]'),
    (np.ones((3, 0)), r'found float64 \[3, 0\]'),
    (np.ones((3, 2), complex), 'found complex128'),
    (np.array([[1, 2], [3, np.nan], [4, 5]]), 'NaN or infinity in row 1'),
    (np.full((3, 2), 1e300), 'NaN or infinity in row 0'),
    (np.ones((3, 4)), 'different widths: train 2, val 4, test 2'),
    (np.ones((2, 2)), r'val_names.txt: 3 of them, .* have 2'),
    (np.array([[1], [None], [2]], object), 'holds Python objects'),
  ],
)
def test_arrays_that_are_wrong(directory, values, message):
  np.save(directory / 'val.npy', values, allow_pickle=True)
  with pytest.raises(errors.InputError, match=message):
    feature_files.load(directory)


def test_labels_of_another_length(directory):
  np.save(directory / 'val_labels.npy', np.zeros(2, int))
  with pytest.raises(errors.InputError, match='val_labels: 2 of them'):
    feature_files.load(directory)


def test_directory_without_features(tmp_path):
  with pytest.raises(errors.InputError, match='no such directory'):
    feature_files.check(tmp_path / 'none')
  with pytest.raises(errors.InputError, match=r'expected train\.npy'):
    feature_files.check(tmp_path)
  for split in array_files.SPLITS:
    np.save(tmp_path / f'{split}.npy', np.ones((1, 1)))
  renamed = tmp_path.rename(tmp_path.with_name('a, b'))
  with pytest.raises(errors.InputError, match='Rename the directory, or'):
    feature_files.load(renamed)
