"""Checks successive halving by hand."""

import math

import pytest

from tf_transfer.transfer.training import halving


@pytest.mark.parametrize(
  ('steps', 'first', 'keep', 'expected'),
  [
    (20_000, 0.125, 0.5, (2500, 5000, 10_000, 20_000)),
    (100, 0.04, 0.25, (4, 16, 64, 100)),
    (3, 0.125, 0.5, (1, 2, 3)),
    (1, 0.5, 0.5, (1,)),
  ],
)
def test_rungs(steps, first, keep, expected):
  assert halving.rungs(steps, first, keep) == expected


def test_steps_taken():
  """56 trials: 7 and then three times 3.5 of the steps of one."""
  stops = halving.rungs(20_000, 0.125, 0.5)
  assert halving.steps_taken(56, stops, 0.5) == 17.5 * 20_000
  assert halving.steps_taken(28, stops, 0.5, start=2500) == 10.5 * 20_000
  # Half of five is three, that take twice as many steps.
  assert halving.steps_taken(5, stops, 0.5, start=5000) == 11 * 5000
  assert halving.steps_taken(3, (100,), 0.5) == 300


# Two rungs and the end: trial 0 starts slowly and ends best, 3 diverges.
TRIALS = {
  0: {10: 0.2, 20: 0.6, 40: 0.9},
  1: {10: 0.5, 20: 0.7, 40: 0.8},
  2: {10: 0.4, 20: 0.5, 40: 0.85},
  3: {10: 0.6},
}


def test_survivors():
  assert halving.rank(TRIALS, 10) == [3, 1, 2, 0]
  assert halving.survivors(TRIALS, 10, 0.5) == [1, 3]
  # Three of four go on, and only three have reached the rung.
  assert halving.survivors(TRIALS, 20, 0.75) == [0, 1, 2]
  tied = {0: {10: 0.5}, 1: {10: 0.5}}
  assert halving.survivors(tied, 10, 0.5) == [0]


def test_replay():
  replay = halving.replay(TRIALS, (10, 20, 40), 0.5)
  assert (replay.chosen, replay.score, replay.best) == (1, 0.8, 0.9)
  # 4 × 10, then 2 × 10 (the one that diverges too), then 1 × 20, of 4 × 40.
  assert replay.cost == pytest.approx(80 / 160)
  exhaustive = halving.replay(TRIALS, (10, 20, 40), 1.0)
  assert (exhaustive.chosen, exhaustive.score) == (0, 0.9)


def test_replay_that_keeps_only_what_diverges():
  trials = {0: {10: 0.6}, 1: {10: 0.2, 20: 0.7}}
  replay = halving.replay(trials, (10, 20), 0.5)
  assert replay.chosen is None
  assert math.isnan(replay.score)
  assert replay.best == 0.7


def test_cost_of_the_default():
  """56 trials, rungs at 1/8, 1/4, 1/2: 7 + 3.5 + 3.5 + 3.5 runs of 56."""
  trials = {
    n: dict.fromkeys((2500, 5000, 10_000, 20_000), n / 56) for n in range(56)
  }
  replay = halving.replay(trials, halving.rungs(20_000, 0.125, 0.5), 0.5)
  assert replay.cost == pytest.approx(17.5 / 56)
  assert replay.chosen == 55
