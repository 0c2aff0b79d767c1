"""Datasets that are divided for cross-validation."""

import numpy as np
import pytest

from tf_transfer import datasets
from tf_transfer.datasets import dataset as dataset_lib
from tf_transfer.datasets import folds, splits
from tf_transfer.errors import InputError


def everything(count, labels=None, groups=None):
  """A split of gray images, 1 x 1, that differ."""
  digests = splits.content_digests([str(i).encode() for i in range(count)])
  return dataset_lib.Split(
    'all',
    np.arange(count) % 2 if labels is None else labels,
    digests,
    lambda i: np.zeros((1, 1, 3), np.uint8),
    str,
    groups=groups,
  )


def build(split, num_folds):
  return folds.build_folds(
    'few', ('a', 'b'), 'top1', split, num_folds, splits.RandomSplit()
  )


def contents(split):
  return {row.tobytes() for row in split.digests}


def test_each_digit_is_tested_once_and_never_trained_on_in_its_fold():
  digits = datasets.open('digits', folds=5)
  whole = digits.splits['test']
  assert len(whole) == 1797
  assert len(digits.folds) == 5
  tested = np.concatenate(
    [fold.splits['test'].base[1] for fold in digits.folds]
  )
  assert sorted(tested.tolist()) == list(range(1797))
  for fold in digits.folds:
    train, val, test = (fold.splits[each] for each in ('train', 'val', 'test'))
    assert len(train) + len(val) + len(test) == 1797
    assert not contents(train) & contents(val)
    assert not (contents(train) | contents(val)) & contents(test)
    assert abs(len(val) / (len(train) + len(val)) - 0.2) < 0.01
    for part in (train, val, test):
      assert part.base[0] is whole
      assert np.array_equal(whole.digests[part.base[1]], part.digests)
    share = np.bincount(test.labels) / np.bincount(whole.labels)
    assert np.all(np.abs(share - 0.2) < 0.005)
  assert digits.splits['train'].hash == digits.folds[0].splits['train'].hash
  assert digits.splits['val'].hash == digits.folds[0].splits['val'].hash


def test_the_canonical_order_is_that_of_any_split():
  whole = datasets.open('digits', folds=3).splits['test']
  order = splits.sort_order(whole.labels, whole.digests)
  assert np.array_equal(order, np.arange(len(whole)))


def test_a_dataset_of_folds_has_no_trainval():
  with pytest.raises(InputError, match='divided into 3 folds'):
    _ = datasets.open('digits', folds=3).trainval
  assert len(datasets.open('digits', folds=3).folds[0].trainval) == 1198


def test_groups_stay_in_one_split_of_each_fold():
  groups = np.repeat(np.arange(20), 3)
  labels = np.repeat([0, 1], 30)
  for fold in build(everything(60, labels, groups), 4).folds:
    parts = [set(split.groups.tolist()) for split in fold.splits.values()]
    assert sum(map(len, parts)) == 20


def test_few_examples_are_drawn_in_each_fold():
  few = dataset_lib.few_examples(datasets.open('digits', folds=3), 5, 0)
  assert not few.val_is_trained_on
  for fold in few.folds:
    assert np.bincount(fold.splits['train'].labels).tolist() == [5] * 10
    assert not fold.val_is_trained_on
    assert fold.splits['train'].base is not None


def test_more_folds_than_images_are_an_error():
  with pytest.raises(InputError, match=r'4 images .* fewer than data\.folds=5'):
    build(everything(4), 5)


def test_a_class_of_one_image_is_an_error():
  with pytest.raises(InputError, match='all images of b stay in one fold'):
    build(everything(5, [0, 0, 0, 0, 1]), 2)


def test_a_dataset_with_a_test_split_has_no_folds():
  with pytest.raises(InputError, match='flowers has a test split of its own'):
    datasets.open('flowers', folds=5)
