"""Which networks are tried, on which images."""

import dataclasses

import numpy as np
import pytest

from tf_transfer import datasets, errors
from tf_transfer.configs import choose
from tf_transfer.jobs.choose import _study_config
from tf_transfer.study.choice import candidates, selection, types
from tf_transfer.transfer import metrics


@pytest.fixture(scope='module')
def digits():
  return datasets.open('digits')


def task_of(dataset, num_folds=5, tmp_path=None):
  study = _study_config(choose.get_config('digits'))
  return selection.make_task(
    dataset, num_folds, study, 'logistic_regression', tmp_path
  )


def test_images_of_test_are_never_used(digits):
  task = task_of(digits)
  assert len(task.images) == 1430
  used = {row.tobytes() for row in task.images.digests}
  tested = {row.tobytes() for row in digits.splits['test'].digests}
  assert not used & tested
  assert set(task.folds.tolist()) == set(range(5))


def test_a_large_val_is_compared_alone(digits, monkeypatch):
  monkeypatch.setattr(selection, 'LARGE_VAL', 300)
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
  (note,) = selection.notes(task)
  assert '2' in note
  assert 'counts as wrong' in note


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


def source(name, image_size, digits_contract):
  header = dataclasses.make_dataclass('Header', ['network'])(name)
  contract = dataclasses.replace(digits_contract, image_size=image_size)
  return candidates.Source(name, name, None, header, name, contract, 1000)


def test_a_network_is_skipped_if_it_is_estimated_to_end_too_late(lite0):
  """At twice the width and height it takes four times as long."""
  first = source('efficientnet_lite0', 100, lite0.contract)
  second = dataclasses.replace(
    source('efficientnet_lite0', 200, lite0.contract), network='second'
  )
  candidate = types.Candidate(
    network='efficientnet_lite0',
    title='',
    weights='',
    weights_sha256='',
    accuracy=metrics.Measurement(1, 1, 1, 1),
    predictions=np.zeros(0),
    scores=np.zeros(0),
    chosen={},
    converged=True,
    cost=types.Cost(1, 1, {}, 1, seconds=20.0),
    estimates={},
  )
  kept = [candidates.Kept(candidate, np.zeros(0, int), ())]
  config = choose.get_config('digits')
  now = selection.time.monotonic()

  def reason(budget, kept=kept):
    config.budget = budget
    return selection._over_budget(second, kept, [first, second], config, now)

  assert reason('') == reason('90s') == reason('10s', kept=[]) == ''
  assert 'estimated to take 2 min' in reason('70s')
