"""Tests which images are in two splits or two classes."""

import numpy as np

from tf_transfer import datasets
from tf_transfer.datasets import splits
from tf_transfer.study.choice import duplicates
from tf_transfer.study.choice.duplicates import Pair, Place


def split(name, contents, labels=None, groups=None):
  return datasets.Split(
    name=name,
    labels=np.array(labels or [0] * len(contents), int),
    digests=splits.content_digests(c.encode() for c in contents),
    read=lambda i: np.zeros((2, 2, 3), np.uint8),
    describe=str,
    groups=None if groups is None else np.array(groups),
  )


def find(*parts):
  return duplicates.find({part.name: part for part in parts})


def test_the_same_content_in_two_splits():
  found = find(split('train', 'abc'), split('val', 'xb'), split('test', 'cy'))
  assert found.between_splits == [
    Pair(Place('train', 1), Place('val', 1), True),
    Pair(Place('train', 2), Place('test', 0), True),
  ]
  assert found.between_classes == []
  assert not found.have_groups


def test_one_group_in_two_splits():
  found = find(
    split('train', 'abc', groups=[0, 1, 1]), split('test', 'xy', groups=[1, 2])
  )
  # One pair for the group, not one for each two images.
  assert found.between_splits == [
    Pair(Place('train', 1), Place('test', 0), False)
  ]
  assert found.have_groups


def test_identical_images_of_a_group_are_one_pair():
  found = find(
    split('train', 'ab', groups=[5, 6]), split('test', 'xa', groups=[7, 5])
  )
  assert found.between_splits == [
    Pair(Place('train', 0), Place('test', 1), True)
  ]


def test_all_pairs_of_three_splits():
  found = find(split('train', 'a'), split('val', 'a'), split('test', 'a'))
  assert len(found.between_splits) == 3


def test_two_labels_in_one_split():
  found = find(
    split('train', 'aabc', labels=[0, 1, 2, 2], groups=[0, 0, 1, 1]),
    split('test', ''),
  )
  assert found.between_splits == []
  assert found.between_classes == [
    Pair(Place('train', 0), Place('train', 1), True)
  ]


def test_none():
  found = find(
    split('train', 'ab', groups=[0, 0]), split('test', 'cd', groups=[1, 1])
  )
  assert found.between_splits == []
  assert found.between_classes == []
