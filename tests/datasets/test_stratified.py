"""Tests that examples are divided class by class, and groups stay whole."""

import hashlib

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from tf_transfer.datasets import splits, stratified


def make_digests(count, salt=''):
  contents = [f'{salt}{i}'.encode() for i in range(count)]
  return np.array(
    [list(hashlib.sha256(content).digest()) for content in contents], np.uint8
  ).reshape(-1, 32)


@st.composite
def examples(draw):
  """Digests, labels, and groups or None, of some dozens of examples."""
  count = draw(st.integers(1, 60))
  labels = draw(st.lists(st.integers(0, 4), min_size=count, max_size=count))
  groups = draw(
    st.none() | st.lists(st.integers(0, 40), min_size=count, max_size=count)
  )
  digests = make_digests(count, str(draw(st.integers(0, 99))))
  return digests, np.array(labels), groups and np.array(groups)


@hypothesis.given(examples(), st.integers(-5, 5))
def test_each_example_is_in_one_split_and_groups_are_whole(drawn, seed):
  digests, labels, groups = drawn
  parts = stratified.train_val_test(
    digests, labels, groups, splits.RandomSplit(seed)
  )
  together = np.concatenate(list(parts.values()))
  assert sorted(together.tolist()) == list(range(len(labels)))
  if groups is not None:
    where = {name: set(groups[parts[name]].tolist()) for name in parts}
    assert not where['train'] & where['val']
    assert not where['train'] & where['test']
    assert not where['val'] & where['test']


@hypothesis.given(examples(), st.integers(2, 7))
def test_folds_of_any_examples(drawn, num_folds):
  digests, labels, groups = drawn
  folds = stratified.assign_folds(digests, labels, groups, num_folds, 0)
  assert folds.shape == labels.shape
  assert set(folds.tolist()) <= set(range(num_folds))
  if groups is not None:
    for group in np.unique(groups):
      assert len(set(folds[groups == group].tolist())) == 1
  else:
    for label in np.unique(labels):
      counts = np.bincount(folds[labels == label], minlength=num_folds)
      assert counts.max() - counts.min() <= 1
    counts = np.bincount(folds, minlength=num_folds)
    assert counts.max() - counts.min() <= 1


@hypothesis.given(examples(), st.randoms())
def test_order_and_names_of_classes_have_no_influence(drawn, random):
  digests, labels, groups = drawn
  order = list(range(len(labels)))
  random.shuffle(order)
  names = list(range(5))
  random.shuffle(names)
  renamed = np.array(names)[labels][order]
  shuffled = (
    digests[order],
    renamed,
    groups if groups is None else groups[order],
  )
  parts = stratified.train_val_test(
    digests, labels, groups, splits.RandomSplit()
  )
  other = stratified.train_val_test(*shuffled, splits.RandomSplit())
  for name, positions in parts.items():
    assert sorted(np.array(order)[other[name]].tolist()) == positions.tolist()
  folds = stratified.assign_folds(digests, labels, groups, 3, 1)
  np.testing.assert_array_equal(
    stratified.assign_folds(*shuffled, 3, 1), folds[order]
  )


@pytest.mark.parametrize('seed', range(20))
def test_classes_of_twenty_have_four_test_images(seed):
  labels = np.repeat(np.arange(50), 20)
  parts = stratified.train_val_test(
    make_digests(1000), labels, None, splits.RandomSplit(seed)
  )
  for name, count in (('test', 4), ('val', 4), ('train', 12)):
    assert (np.bincount(labels[parts[name]], minlength=50) == count).all()


@pytest.mark.parametrize('seed', range(20))
def test_classes_of_twenty_in_bursts_of_three(seed):
  labels = np.repeat(np.arange(50), 20)
  groups = np.arange(1000) // 20 * 100 + np.arange(1000) % 20 // 3
  parts = stratified.train_val_test(
    make_digests(1000), labels, groups, splits.RandomSplit(seed)
  )
  counts = np.bincount(labels[parts['test']], minlength=50)
  assert counts.min() >= 3
  assert counts.max() <= 6


@pytest.mark.parametrize(
  ('count', 'expected'),
  [(1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (5, (3, 1, 1))],
)
def test_smallest_classes(count, expected):
  parts = stratified.train_val_test(
    make_digests(count), np.zeros(count, int), None, splits.RandomSplit()
  )
  assert tuple(len(parts[n]) for n in ('train', 'val', 'test')) == expected


def test_a_group_that_is_most_of_its_class_is_left_to_train():
  groups = np.array([0] * 15 + [1, 2, 3, 4, 5])
  for seed in range(10):
    parts = stratified.train_val_test(
      make_digests(20), np.zeros(20, int), groups, splits.RandomSplit(seed)
    )
    assert set(range(15)) <= set(parts['train'].tolist())
    assert len(parts['test']) >= 2


def test_copies_stay_together_without_groups():
  digests = np.repeat(make_digests(10), 2, axis=0)
  parts = stratified.train_val_test(
    digests, np.zeros(20, int), None, splits.RandomSplit()
  )
  for positions in parts.values():
    assert len(positions) % 2 == 0


def test_test_does_not_depend_on_the_val_fraction():
  labels = np.arange(100) % 3
  first, second = (
    stratified.train_val_test(
      make_digests(100), labels, None, splits.RandomSplit(3, fraction)
    )
    for fraction in (0.1, 0.4)
  )
  np.testing.assert_array_equal(first['test'], second['test'])
  assert len(first['val']) < len(second['val'])


def test_train_and_val():
  labels = np.repeat([0, 1, 2], [1, 2, 10])
  parts = stratified.train_val(make_digests(13), labels, None, 0, 0.2)
  assert np.bincount(labels[parts['val']], minlength=3).tolist() == [0, 1, 2]
  assert np.bincount(labels[parts['train']], minlength=3).tolist() == [1, 1, 8]
