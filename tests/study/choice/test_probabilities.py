"""Tests the calibrated probabilities of out-of-fold scores."""

import numpy as np
import scipy.special

from tf_transfer.study.analysis import calibration
from tf_transfer.study.choice import probabilities
from tf_transfer.transfer import result


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


def test_images_of_a_class_that_was_not_fitted_do_not_bear_on_temperature():
  """Their label has the lowest score that there is: T would be 100."""
  labels, scores = drawn(3.0)
  scores = result.compress(scores)
  expected = probabilities.calibrate(labels, scores).temperature
  alone = np.append(scores, [[0, -1, -2, np.finfo(np.float16).min]], axis=0)
  alone = alone.astype(np.float16)
  calibrated = probabilities.calibrate(np.append(labels, 3), alone)
  assert calibrated.temperature == expected
  assert not calibrated.at_bound
  assert calibrated.values[-1, 3] == 0


def test_no_class_was_fitted():
  scores = np.array([[0, np.finfo(np.float16).min]], np.float16)
  assert probabilities.calibrate(np.array([1]), scores).at_bound


def test_average():
  labels, first = drawn(1.0, 200)
  second = first[:, ::-1] * 0.1 + first
  expected = sum(
    probabilities.calibrate(labels, s).values for s in (first, second)
  )
  averaged, count = probabilities.average(labels, [first, second])
  np.testing.assert_allclose(averaged, expected / 2, atol=1e-6)
  assert count == 2


def test_what_could_not_be_calibrated_is_not_averaged():
  labels, first = drawn(1.0, 200)
  assert probabilities.calibrate(labels, -first).at_bound
  averaged, count = probabilities.average(labels, [first, -first])
  expected = probabilities.calibrate(labels, first).values
  np.testing.assert_array_equal(averaged, expected)
  assert count == 1
  assert probabilities.average(labels, [-first])[1] == 0
