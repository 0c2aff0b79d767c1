"""Tests the calibrated probabilities of out-of-fold scores."""

import numpy as np
import scipy.special

from tf_transfer.study.analysis import calibration
from tf_transfer.study.choice import probabilities


def drawn(temperature, count=4000, num_classes=4):
  """Scores that are too certain by a factor, and labels drawn from them."""
  generator = np.random.default_rng(0)
  scores = generator.normal(size=(count, num_classes)) * 2
  truth = scipy.special.softmax(scores, axis=1)
  labels = (truth.cumsum(axis=1) < generator.random((count, 1))).sum(axis=1)
  return labels, scores * temperature


def test_the_temperature_makes_up_for_scores_that_are_too_certain():
  labels, scores = drawn(3.0)
  calibrated = probabilities.calibrate(labels, scores)
  assert abs(calibrated.temperature - 3) < 0.2
  assert not calibrated.at_bound
  expected = scipy.special.softmax(scores / calibrated.temperature, axis=1)
  np.testing.assert_allclose(calibrated.values, expected, atol=1e-6)


def test_rows_sum_to_1_with_scores_that_were_compressed():
  labels, scores = drawn(1.0, 100)
  scores = (scores - scores.max(axis=1, keepdims=True)).astype(np.float16)
  values = probabilities.calibrate(labels, scores).values
  np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-6)


def test_of_very_many_scores_the_temperature_is_fitted_on_some(monkeypatch):
  labels, scores = drawn(2.0)
  monkeypatch.setattr(probabilities, '_FITTED', 4000)
  calibrated = probabilities.calibrate(labels, scores)
  expected, _ = calibration.fit_temperature(labels[::4], scores[::4])
  assert calibrated.temperature == expected
  assert len(calibrated.values) == len(labels)


def test_average():
  labels, first = drawn(1.0, 200)
  second = -first
  expected = sum(
    probabilities.calibrate(labels, s).values for s in (first, second)
  )
  averaged = probabilities.average(labels, [first, second])
  np.testing.assert_allclose(averaged, expected / 2, atol=1e-6)
