"""Checks when a trial counts as diverged, and how histories are shown."""

import math

import pytest

from tf_transfer.transfer.training import history


@pytest.mark.parametrize(
  ('steps', 'expected'), [(1, 5), (250, 5), (500, 10), (20_000, 400)]
)
def test_window_length(steps, expected):
  assert history.window_length(steps) == expected


def test_a_large_loss_counts_from_a_tenth_of_the_way_on():
  """More than 1.5 times the loss of the first step, not of the window."""
  trial = history.TrialHistory()
  trial.add_window([1.0, 5.0], 2)
  assert (trial.start, trial.losses, trial.diverged) == (1.0, [3.0], None)
  for step in (4, 6, 8, 10):
    trial.add_window([3.0, 3.0], step)
    assert trial.diverged is None
  trial.add_window([1.5, 1.5], 12)
  assert trial.diverged is None
  trial.add_window([1.6, 1.5], 14)
  assert trial.diverged == 14


@pytest.mark.parametrize('loss', [math.nan, math.inf])
def test_a_loss_that_is_not_finite_counts_at_once(loss):
  trial = history.TrialHistory()
  trial.add_window([1.0, loss], 2)
  assert trial.diverged == 2


def test_summary():
  learning = history.TrialHistory(losses=[2.0, 0.5])
  slower = history.TrialHistory(losses=[2.0, 0.75])
  diverged = history.TrialHistory(losses=[9.0], diverged=5)
  assert history.summarize([learning, slower]) == 'loss 0.500'
  text = history.summarize([diverged, slower])
  assert text == 'loss 0.750, 1 diverged'
  assert history.summarize([diverged]) == 'none left, 1 diverged'
