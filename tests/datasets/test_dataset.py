"""Splits, datasets, and a few examples of each class (figure 9)."""

import dataclasses
import hashlib
import struct

import numpy as np
import pytest

from tf_transfer import datasets
from tf_transfer.datasets import dataset, splits
from tf_transfer.errors import InputError


def split(name, labels):
  contents = [f'{name} {i}'.encode() for i in range(len(labels))]
  return dataset.Split(
    name=name,
    labels=np.array(labels, np.int64),
    digests=splits.content_digests(contents),
    read=lambda i: np.zeros((1, 1, 3), np.uint8),
    describe=lambda i: f'{name} {i}',
  )


def complete(train, val, test):
  parts = [split('train', train), split('val', val), split('test', test)]
  return dataset.build_dataset('toy', ('cat', 'dog'), 'top1', parts, ['first'])


def test_split_hash_is_over_digests_and_labels_in_order():
  part = split('train', [1, 0])
  pairs = b''.join(
    hashlib.sha256(f'train {i}'.encode()).digest() + struct.pack('<i', label)
    for i, label in enumerate([1, 0])
  )
  assert part.hash == hashlib.sha256(pairs).hexdigest()
  assert part.hash != split('train', [0, 1]).hash
  assert len(part) == 2
  assert split('val', []).hash == hashlib.sha256(b'').hexdigest()


def test_split_is_fixed():
  part = split('train', [1, 0])
  assert part.labels.dtype == np.int32
  with pytest.raises(ValueError, match='read-only'):
    part.labels[0] = 5
  with pytest.raises(dataclasses.FrozenInstanceError):
    part.name = 'test'


def test_split_checks_shapes():
  with pytest.raises(ValueError, match=r'or \[N, C\], and \[N, 32\]'):
    dataset.Split('val', np.zeros(2), np.zeros((3, 32)), None, None)


def test_select_keeps_examples_and_groups():
  whole = dataclasses.replace(split('train', [1, 0, 1, 2]), groups=[5, 5, 7, 8])
  part = dataset.select(whole, [2, 0], 'val')
  assert part.name == 'val'
  assert part.labels.tolist() == [1, 1]
  assert part.describe(0) == 'train 2'
  assert part.groups.tolist() == [7, 5]
  np.testing.assert_array_equal(part.digests, whole.digests[[2, 0]])
  assert part.base is None


def test_select_of_a_selection_shares_the_features_of_the_first():
  whole = split('train', [1, 0, 1, 2])
  part = dataset.select(whole, [3, 1, 0], shares_features=True)
  smaller = dataset.select(part, [2, 0], shares_features=True)
  assert smaller.base[0] is whole
  assert smaller.base[1].tolist() == [0, 3]
  assert dataset.select(part, [2, 0]).base is None


def test_split_checks_the_number_of_groups():
  with pytest.raises(ValueError, match='2 labels and 1 groups'):
    dataclasses.replace(split('train', [1, 0]), groups=[1])


def test_complete_notes_classes_without_images():
  whole = complete([0, 1], [0], [1, 1])
  assert whole.notes == (
    'first',
    'val has no image of dog',
    'test has no image of cat',
  )
  assert list(whole.splits) == ['train', 'val', 'test']


@pytest.mark.parametrize(
  ('parts', 'message'),
  [
    (([0, 1], [], [0]), 'toy: no image is left for val, of 3 in all'),
    (([0, 1], [0], []), 'toy: no image is left for test'),
    (([0, 0], [1], [1]), 'toy: no training image is left of dog'),
  ],
)
def test_complete_refuses_what_cannot_be_used(parts, message):
  with pytest.raises(InputError, match=message):
    complete(*parts)


def test_listing_is_short():
  assert dataset.listing('ab') == 'a, b'
  assert dataset.listing('abcdefg') == 'a, b, c, d, e and 2 more'


def test_gray_split_selects_orders_and_names():
  images = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
  labels = np.array([1, 0, 0])
  part = dataset.gray_split(
    'val', images, labels, 'toy image', np.array([0, 2])
  )
  assert part.labels.tolist() == [0, 1]
  assert [part.describe(i) for i in range(2)] == ['toy image 2', 'toy image 0']
  assert part.read(0).shape == (2, 2, 3)
  np.testing.assert_array_equal(part.read(0)[..., 1], images[2])
  assert (
    part.digests[1].tobytes() == hashlib.sha256(images[0].tobytes()).digest()
  )


def test_several_labels():
  labels = np.array([[1, 0, -1], [0, 1, 0]])
  part = dataclasses.replace(split('train', [0, 0]), labels=labels)
  pairs = b''.join(
    hashlib.sha256(f'train {i}'.encode()).digest() + struct.pack('<3i', *row)
    for i, row in enumerate(labels.tolist())
  )
  assert part.hash == hashlib.sha256(pairs).hexdigest()
  # The third class is there as a difficult object only.
  assert dataset.missing_classes(('a', 'b', 'c'), part) == ['c']
  with pytest.raises(ValueError, match=r'labels \(2, 3, 1\)'):
    dataclasses.replace(part, labels=labels[..., None])


@pytest.mark.parametrize('name', ['train', 'val'])
def test_selection_on_test_is_refused(name):
  test = split('test', [0, 1])
  parts = {'train': split('train', [0, 1]), 'val': split('val', [0, 1])}
  dataset.Dataset('toy', ('cat', 'dog'), 'top1', {**parts, 'test': test})
  for disguised in (test, dataclasses.replace(test, name=name)):
    with pytest.raises(InputError, match=f'toy: {name} is the test split'):
      dataset.Dataset(
        'toy',
        ('cat', 'dog'),
        'top1',
        {**parts, 'test': test, name: disguised},
      )


def test_joined_splits():
  parts = datasets.open('digits').splits
  train, val = parts['train'], parts['val']
  both = dataset.concatenate('trainval', train, val)
  assert (both.name, len(both)) == ('trainval', len(train) + len(val))
  for i, (split, j) in {
    0: (train, 0),
    len(train) - 1: (train, len(train) - 1),
    len(train): (val, 0),
    len(both) - 1: (val, len(val) - 1),
  }.items():
    np.testing.assert_array_equal(both.read(i), split.read(j))
    assert both.describe(i) == split.describe(j)
    assert both.labels[i] == split.labels[j]
    np.testing.assert_array_equal(both.digests[i], split.digests[j])


@pytest.fixture(scope='module')
def digits():
  return datasets.open('digits')


def digests(split):
  return {row.tobytes() for row in split.digests}


def test_so_many_of_each_class(digits):
  few = datasets.few_examples(digits, 3, seed=0)
  train = few.splits['train']
  np.testing.assert_array_equal(np.bincount(train.labels), [3] * 10)
  assert digests(train) < digests(digits.splits['train'])
  assert few.splits['val'] is digits.splits['val']
  assert few.splits['test'] is digits.splits['test']
  # The last fit sees no more of them.
  assert few.trainval.hash == train.hash
  assert digits.trainval.hash not in (train.hash, digits.splits['train'].hash)
  assert few.notes[-1] == '3 training images of each class, drawn with seed 0'
  # Images go with their labels.
  whole = digits.splits['train']
  position = {row.tobytes(): i for i, row in enumerate(whole.digests)}
  for i in (0, 7, 29):
    original = position[train.digests[i].tobytes()]
    np.testing.assert_array_equal(train.read(i), whole.read(original))
    assert train.labels[i] == whole.labels[original]
    assert train.describe(i) == whole.describe(original)


def test_draws_are_nested_and_differ_by_seed(digits):
  draws = [
    digests(datasets.few_examples(digits, n, seed=1).splits['train'])
    for n in (1, 2, 8)
  ]
  assert draws[0] < draws[1] < draws[2]
  other = digests(datasets.few_examples(digits, 8, seed=2).splits['train'])
  assert len(other & draws[2]) < 20


def test_more_than_a_class_has(digits):
  with pytest.raises(InputError, match='expected at least examples_per'):
    datasets.few_examples(digits, 1000, seed=0)
