"""Tests how the images of a dataset are divided for a choice."""

import dataclasses

import numpy as np
import pytest

from tf_transfer import datasets, errors
from tf_transfer.configs import choose
from tf_transfer.jobs.choose import _study_config
from tf_transfer.study.choice import tasks


@pytest.fixture(scope='module')
def digits():
  return datasets.open('digits')


def task_of(dataset, num_folds=5, tmp_path=None):
  study = _study_config(choose.get_config('digits'))
  return tasks.make(dataset, num_folds, study, 'logistic_regression', tmp_path)


def test_images_of_test_are_never_used(digits):
  task = task_of(digits)
  assert len(task.images) == 1430
  used = {row.tobytes() for row in task.images.digests}
  tested = {row.tobytes() for row in digits.splits['test'].digests}
  assert not used & tested
  assert set(task.folds.tolist()) == set(range(5))


def test_a_large_val_is_compared_alone(digits, monkeypatch):
  monkeypatch.setattr(tasks, 'LARGE_VAL', 300)
  task = task_of(digits)
  assert not task.folds.any()
  assert len(task.division.fits) == 1
  num_train = len(digits.splits['train'])
  np.testing.assert_array_equal(
    np.flatnonzero(task.division.predicted), np.arange(num_train, 1430)
  )


def small_dataset(digits, counts):
  """Digits with so many images of each class in train; val has one."""
  train, val = digits.splits['train'], digits.splits['val']
  positions = np.concatenate(
    [np.flatnonzero(train.labels == c)[:n] for c, n in enumerate(counts)]
  )
  return dataclasses.replace(
    digits,
    splits={
      **digits.splits,
      'train': datasets.select(train, positions),
      'val': datasets.select(val, np.flatnonzero(val.labels == 0)[:1]),
    },
  )


def test_classes_of_one_image_are_noted(digits):
  task = task_of(small_dataset(digits, [5, 5, 1]), 3)
  assert tasks.notes(task) == [
    '1 image counts as wrong, since no image of the class was left to fit the '
    'classifier on: 2; add images of this class'
  ]


def test_classes_in_one_fold_alone_are_noted(digits):
  """As where all images of a class are near-duplicates."""
  dataset = small_dataset(digits, [5, 5, 3, 3])
  train = dataset.splits['train']
  groups = np.arange(len(train))
  groups[train.labels >= 2] = train.labels[train.labels >= 2] + 100
  val = dataclasses.replace(dataset.splits['val'], groups=np.array([1000]))
  splits = {
    **dataset.splits,
    'train': dataclasses.replace(train, groups=groups),
    'val': val,
  }
  task = task_of(dataclasses.replace(dataset, splits=splits), 3)
  (note,) = tasks.notes(task)
  assert note.startswith('6 images count as wrong, since no image')
  assert note.endswith(': 2, 3; add images of these classes')


def test_classes_of_val_that_train_has_not_are_noted(digits, monkeypatch):
  monkeypatch.setattr(tasks, 'LARGE_VAL', 300)
  train = digits.splits['train']
  rest = datasets.select(train, np.flatnonzero(train.labels != 7))
  splits = {**digits.splits, 'train': rest}
  task = task_of(dataclasses.replace(digits, splits=splits))
  (note,) = tasks.notes(task)
  count = (digits.splits['val'].labels == 7).sum()
  assert note.startswith(f'{count} images count as wrong')


def test_too_few_images_are_an_error(digits):
  with pytest.raises(errors.InputError, match='fewer than two classes'):
    task_of(small_dataset(digits, [5, 1, 1]), 3)


def test_several_labels_are_an_error(digits):
  train = digits.splits['train']
  labels = np.zeros((len(train), 10), int)
  split = dataclasses.replace(train, labels=labels)
  dataset = dataclasses.replace(
    digits, splits={**digits.splits, 'train': split}
  )
  with pytest.raises(errors.InputError, match='several classes'):
    task_of(dataset)
