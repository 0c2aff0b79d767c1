"""Tests of the features of a function's network, and of those in files."""

import dataclasses

import numpy as np
import pytest
from flax import linen as nn

from tf_transfer import datasets, errors, networks
from tf_transfer.contract import Contract
from tf_transfer.networks import custom_flax, custom_function, feature_files
from tf_transfer.transfer.fixed_features import (
  corrupt_images,
  extractors,
  feature_cache,
  features,
)

CONTRACT = Contract(8, mean=(100,) * 3, std=(50,) * 3)


class Mean(nn.Module):
  """The mean of a few rows of pixels."""

  @nn.compact
  def __call__(self, x):
    bias = self.param('bias', nn.initializers.zeros, (3,))
    return x[:, :3].mean(axis=(1, 2)) + bias


def mean(x):
  return x[:, :3].mean(axis=(1, 2))


def functional(function=mean, **fields):
  own = networks.CustomNetwork(contract=CONTRACT, features=function, **fields)
  return custom_function.build(own, 'mine', 'a:mine')


@pytest.fixture
def cache(tmp_path):
  return feature_cache.FeatureCache(tmp_path / 'cache', 2**30)


@pytest.fixture(scope='module')
def digits():
  return datasets.open('digits')


def test_function_has_the_features_of_the_same_module(cache, digits):
  own = networks.CustomNetwork(
    contract=CONTRACT,
    module=Mean(),
    variables={'params': {'bias': np.zeros(3, np.float32)}},
  )
  compiled = extractors.build(custom_flax.build(own, 'flax', 'a:b'), cache)
  assert type(compiled) is features.Extractor
  called = extractors.build(functional(), cache)
  test = digits.splits['test']
  wanted = compiled(test, 'test')
  found = called(test, 'test')
  np.testing.assert_allclose(found.values, wanted.values, rtol=1e-5, atol=1e-6)
  assert (found.labels == test.labels).all()
  assert found.num_computed == len(test)
  assert called(test, 'test').num_computed == 0


def test_networks_of_both_kinds_share_images(cache, digits):
  own = networks.CustomNetwork(
    contract=CONTRACT,
    module=Mean(),
    variables={'params': {'bias': np.ones(3, np.float32)}},
  )
  both = [
    extractors.build(custom_flax.build(own, 'flax', 'a:b'), cache),
    extractors.build(functional(), cache),
  ]
  val = digits.splits['val']
  for order in (both, both[::-1]):
    features.prefetch(order, val, 'val')
  one, two = (extract(val, 'val') for extract in both)
  assert one.num_computed == two.num_computed == 0
  np.testing.assert_allclose(one.values, two.values + 1, rtol=1e-5, atol=1e-6)


def test_other_weights_of_one_identity_are_computed_again(cache, digits):
  """The cache never has features of other weights."""
  val = digits.splits['val']
  first = extractors.build(functional(identity='v1'), cache)(val, 'val')
  changed = functional(lambda x: 2 * mean(x), identity='v1')
  other = extractors.build(changed, cache)(val, 'val')
  assert other.num_computed == len(val)
  np.testing.assert_allclose(other.values, 2 * first.values, rtol=1e-6)


def test_features_that_are_not_finite_name_the_image(cache, digits):
  def fails_on_gray(x):
    is_gray = (x[..., :1] == x[..., 1:2]).all(axis=(1, 2))
    return np.where(is_gray, np.nan, 1)

  net = functional(fails_on_gray)
  with pytest.raises(errors.InputError, match='NaN or infinity, of .* images'):
    extractors.build(net, cache)(digits.splits['val'], 'val')


def write(directory, dataset, order=None, *, names=True, labels=True):
  """Writes features that are the first four digits of an example's digest."""
  directory.mkdir(exist_ok=True)
  for split, examples in dataset.splits.items():
    rows = np.arange(len(examples))
    rows = rows if order is None else order(rows)
    np.save(directory / f'{split}.npy', wanted(examples)[rows])
    if labels:
      np.save(directory / f'{split}_labels.npy', examples.labels[rows])
    if names:
      text = '\n'.join(examples.describe(int(row)) for row in rows)
      (directory / f'{split}_names.txt').write_text(text)
  return directory


def wanted(split):
  return split.digests[:, :4].astype(np.float16)


def stored(directory, cache, **options):
  return extractors.build(feature_files.load(directory), cache, **options)


def test_rows_are_found_by_name(tmp_path, cache, digits):
  extract = stored(write(tmp_path / 'a', digits, np.flip), cache)
  test = digits.splits['test']
  out = np.full((len(test) + 2, 4), -1, np.float32)
  found = extract(test, 'digits test', out=out[: len(test)])
  np.testing.assert_array_equal(found.values, wanted(test))
  assert np.shares_memory(found.values, out)
  assert (found.labels == test.labels).all()
  assert (found.indices == np.arange(len(test))).all()
  assert (found.skipped, found.num_computed) == ((), 0)
  # An image that cannot be decoded is no concern.
  corrupt_images.check_test(extract, digits, 'error')


def test_rows_of_folds_and_of_few_examples_are_found_by_name(
  tmp_path, cache, digits
):
  """Another division than that of the files."""
  extract = stored(write(tmp_path / 'a', digits), cache)
  folds = datasets.open('digits', folds=3)
  for part in folds.folds[1].splits.values():
    np.testing.assert_array_equal(extract(part, 'x').values, wanted(part))


def test_rows_are_in_the_order_of_the_dataset(tmp_path, cache, digits):
  directory = write(tmp_path / 'a', digits, names=False)
  val = digits.splits['val']
  found = stored(directory, cache)(val, 'digits val')
  np.testing.assert_array_equal(found.values, wanted(val))
  write(directory, digits, np.flip, names=False)
  with pytest.raises(errors.InputError, match='are not those beside val.npy'):
    stored(directory, cache)(val, 'digits val')


def test_rows_that_nothing_tells_apart(tmp_path, cache, digits):
  directory = write(tmp_path / 'a', digits, names=False, labels=False)
  with pytest.raises(errors.InputError, match='nothing tells which example'):
    stored(directory, cache)(digits.splits['val'], 'digits val')
  write(directory, digits, lambda rows: rows[1:], names=False)
  message = r'digits val has 384 examples, and val\.npy 383 rows\. Give val_na'
  with pytest.raises(errors.InputError, match=message):
    stored(directory, cache)(digits.splits['val'], 'digits val')
  (directory / 'val.npy').unlink()
  with pytest.raises(errors.InputError, match=r'val\.npy no rows'):
    stored(directory, cache)(digits.splits['val'], 'digits val')


def test_classes_may_be_called_otherwise(tmp_path, cache, digits):
  directory = write(tmp_path / 'a', digits)
  val = digits.splits['val']
  for split, examples in digits.splits.items():
    np.save(directory / f'{split}_labels.npy', 19 - examples.labels)
  assert len(stored(directory, cache)(val, 'val')) == len(val)
  (directory / 'val_labels.npy').unlink()
  words = '\n'.join(f'digit {label}' for label in val.labels)
  (directory / 'val_labels.txt').write_text(words)
  assert len(stored(directory, cache)(val, 'val')) == len(val)
  swapped = words.replace('digit 3', 'digit 4')
  (directory / 'val_labels.txt').write_text(swapped)
  with pytest.raises(errors.InputError, match='are not those beside'):
    stored(directory, cache)(val, 'val')


def test_missing_rows(tmp_path, cache, digits):
  directory = write(tmp_path / 'a', digits, lambda rows: rows[2:])
  val = digits.splits['val']
  message = f'no features of 2 of 384 examples.* first is {val.describe(0)}'
  with pytest.raises(errors.InputError, match=message):
    stored(directory, cache)(val, 'digits val')
  found = stored(directory, cache, corrupt='skip')(val, 'digits val')
  assert found.skipped == (val.describe(0), val.describe(1))
  np.testing.assert_array_equal(found.values, wanted(val)[2:])
  assert (found.labels == val.labels[2:]).all()
  assert (found.indices == np.arange(2, len(val))).all()
  (directory / 'val_names.txt').write_text('x\n' * 382)
  (directory / 'test_names.txt').write_text('x\n' * 365)
  (directory / 'train_names.txt').write_text('x\n' * 1044)
  with pytest.raises(errors.InputError, match='no features of 384 of 384'):
    stored(directory, cache, corrupt='skip')(val, 'digits val')


def test_names_without_folders_and_names_that_are_there_twice(
  tmp_path, cache, digits
):
  directory = write(tmp_path / 'a', digits)
  val = digits.splits['val']
  in_folder = dataclasses.replace(
    val, describe=lambda i: f'folder/{val.describe(i)}'
  )
  found = stored(directory, cache)(in_folder, 'val')
  np.testing.assert_array_equal(found.values, wanted(val))
  path = directory / 'val_names.txt'
  lines = path.read_text().split('\n')
  path.write_text('\n'.join([*lines[:-1], lines[0]]))
  with pytest.raises(errors.InputError, match='is the name of 2 rows'):
    stored(directory, cache)(val, 'val')


def test_layers_are_not_there(tmp_path, cache, digits):
  net = feature_files.load(write(tmp_path / 'a', digits))
  with pytest.raises(errors.InputError, match='unknown layer of a'):
    extractors.build(net, cache, features.Options(layer='stem'))
