"""The simulation of verdicts, small."""

import numpy as np
import pytest

from benchmarks import verdict


def test_networks_have_their_accuracies_and_share_what_is_hard():
  correct = verdict.draw_correct((0.8, 0.9), 200_000, np.random.default_rng(0))
  assert correct.mean(axis=1) == pytest.approx([0.8, 0.9], abs=0.004)
  # Independent networks would both err on 2 % of the images.
  assert np.mean(~correct.any(axis=0)) > 0.06


def test_networks_at_90_percent_differ_on_the_share_that_is_stated():
  correct = verdict.draw_correct((0.9, 0.9), 200_000, np.random.default_rng(0))
  assert np.mean(correct[0] != correct[1]) == pytest.approx(0.07, abs=0.01)


def test_the_best_is_rarely_missed_and_a_clear_winner_found():
  rng = np.random.default_rng(0)
  close = verdict.simulate((0.9, 0.9, 0.91), 300, 60, rng)
  assert close.missed <= 0.1
  assert close.loss < 0.011
  clear = verdict.simulate((0.6, 0.7, 0.9), 300, 20, rng)
  assert clear.tied == 1
  assert clear.missed == clear.loss == 0


def test_equal_networks_are_rarely_told_apart():
  rng = np.random.default_rng(0)
  outcome = verdict.simulate((0.9,) * 4, 300, 100, rng)
  # Half of these draws would do so if the test had no level.
  assert outcome.called_worse <= 0.12
  assert outcome.missed == 0
