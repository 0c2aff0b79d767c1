"""What is kept of a network that was tried."""

import dataclasses

import numpy as np
import pytest

from tests.study.choice.test_selection import source
from tests.study.choice.test_tasks import task_of
from tests.study.choice.test_verdict import network
from tf_transfer import datasets
from tf_transfer.study.choice import candidates, types


@pytest.fixture(scope='module')
def digits():
  return datasets.open('digits')


@pytest.fixture
def lite(lite0):
  return source('efficientnet_lite0', 100, lite0.contract)


def test_a_candidate_is_read_as_it_was_kept(digits, lite, tmp_path):
  task = task_of(digits, tmp_path=tmp_path)
  assert candidates.read(task, lite) is None
  estimates = {'leep': types.Estimate(float('nan'), 0.0, 'no head')}
  made = dataclasses.replace(network('before', 9, 5), estimates=estimates)
  kept = candidates.Kept(made, np.arange(400), ('bad.jpg',))
  candidates.keep(kept, task, lite)
  again = candidates.read(task, lite)
  # It goes by the name that it has among those that are tried now.
  assert again.candidate.network == 'efficientnet_lite0'
  assert again.candidate.cost == made.cost
  assert again.candidate.accuracy == made.accuracy
  assert np.isnan(again.candidate.estimates['leep'].value)
  assert again.skipped == ('bad.jpg',)
  np.testing.assert_array_equal(again.candidate.predictions, made.predictions)
  np.testing.assert_array_equal(again.positions, np.arange(400))


def test_whatever_changes_the_numbers_changes_the_identity(
  digits, lite, tmp_path
):
  task = task_of(digits, tmp_path=tmp_path)
  other_fields = task_of(digits, tmp_path=tmp_path)
  config = other_fields.config.copy_and_resolve_references()
  config.unlock()
  config.logistic_regression.num_penalties = 3
  seen = {
    task.identity(lite),
    task.identity(dataclasses.replace(lite, sha256='other')),
    task_of(digits, 4, tmp_path).identity(lite),
    dataclasses.replace(task, config=config).identity(lite),
  }
  assert len(seen) == 4
  # The path of the weights file does not.
  moved = dataclasses.replace(lite, weights='elsewhere', network='x')
  assert task.identity(moved) in seen


def test_accuracies_have_the_interval_of_cross_validation():
  labels = np.zeros(400, int)
  predictions = np.zeros(400, int)
  predictions[:40] = 1
  alone = candidates.measure('top1', labels, predictions, labels)
  folded = candidates.measure('top1', labels, predictions, np.arange(400) % 5)
  assert folded.value == alone.value == pytest.approx(0.9)
  assert folded.high - folded.low > 1.3 * (alone.high - alone.low)
