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


def test_cross_validated_classifiers_are_as_good_as_they_are_made():
  rng = np.random.default_rng(0)
  outcome, truth = verdict.simulate_folds((1.0, 1.0, 0.6), 200, 20, rng)
  assert truth[0] == truth[1] < truth[2] - 0.1
  # Folds see four fifths of the images, as the classifiers of the truth do.
  assert abs(outcome.optimism) < 0.03
  assert outcome.missed == outcome.called_worse == 0
  assert outcome.tied == 1
  assert outcome.loss == pytest.approx(0, abs=1e-12)


def test_equal_cross_validated_classifiers_are_rarely_told_apart():
  rng = np.random.default_rng(0)
  outcome, _ = verdict.simulate_folds((1.0,) * 4, 150, 40, rng)
  assert outcome.called_worse <= 0.1
  assert outcome.loss == pytest.approx(0, abs=1e-12)


def test_the_bootstrap_takes_most_of_the_luck_away():
  rng = np.random.default_rng(0)
  outcome = verdict.simulate_correction((1.0,) * 6, 100, 8, rng)
  assert outcome.optimism > 0.015
  assert abs(outcome.corrected) < outcome.optimism
  assert outcome.coverage > 0.7


def test_each_image_is_predicted_without_its_fold():
  # Of labels that no feature tells, a classifier that had seen an image would
  # remember its label: 30 images, 32 features.
  rng = np.random.default_rng(0)
  rights = [
    verdict.cross_validate((1000.0,), 30, rng)[0].mean() for _ in range(20)
  ]
  assert np.mean(rights) == pytest.approx(0.2, abs=0.07)
