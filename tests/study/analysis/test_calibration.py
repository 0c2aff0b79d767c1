"""Calibration against scikit-learn, SciPy, other programs and simulations."""

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
import sklearn.calibration
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import ece_coverage
from tf_transfer.study.analysis import calibration
from tf_transfer.transfer import result


def draw(n, num_classes, seed=0, *, stated=1.0, scale=2.0):
  """Labels and logits of a model that states `stated` times the true logits."""
  rng = np.random.default_rng(seed)
  logits = rng.normal(size=(n, num_classes)) * scale
  labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
  return labels, logits * stated


def calibrate(labels, scores, val=None):
  """Measures scores; the temperature is fitted on themselves by default."""
  val = val or (labels, scores)
  return calibration.calibrate(labels, scores.argmax(axis=1), scores, *val)


def test_by_hand():
  """Two classes: p = 3/4 right, 3/4 wrong, and 9/10 right."""
  scores = np.log([[3, 1], [1, 3], [9, 1]])
  measured = calibrate(np.array([0, 0, 0]), scores)
  before = measured.before
  assert measured.top1 == pytest.approx(2 / 3)
  assert before.nll.value == pytest.approx(
    -(np.log(3 / 4) + np.log(1 / 4) + np.log(9 / 10)) / 3
  )
  # Each of the two classes is off by as much.
  squares = 2 * (1 / 4) ** 2 + 2 * (3 / 4) ** 2 + 2 * (1 / 10) ** 2
  assert before.brier.value == pytest.approx(squares / 3)
  # Bins 12 and 14: confidence 3/4 with accuracy 1/2, and 9/10 with 1.
  assert before.ece.value == pytest.approx((2 * 1 / 4 + 1 / 10) / 3)
  (first, second) = before.bins
  assert (first.low, first.high) == (11 / 15, 12 / 15)
  assert (second.low, second.high) == (13 / 15, 14 / 15)
  assert (first.confidence, second.confidence) == pytest.approx((0.75, 0.9))
  assert [one.accuracy.examples for one in before.bins] == [2, 1]
  # Wilson's interval of 1 of 2.
  wilson = scipy.stats.binomtest(1, 2).proportion_ci(method='wilson')
  assert (first.accuracy.low, first.accuracy.high) == pytest.approx(wilson)


@pytest.mark.parametrize('num_classes', [3, 10])
def test_agrees_with_scikit_learn(num_classes):
  labels, scores = draw(800, num_classes, stated=1.7)
  measured = calibrate(labels, scores)
  for quality, temperature in (
    (measured.before, 1.0),
    (measured.after, measured.temperature),
  ):
    p = calibration.softmax(scores, temperature)
    np.testing.assert_allclose(
      p, scipy.special.softmax(scores / temperature, 1)
    )
    assert quality.nll.value == pytest.approx(
      sklearn.metrics.log_loss(labels, p, labels=range(num_classes))
    )
    # For several classes it is not halved there either.
    assert quality.brier.value == pytest.approx(
      sklearn.metrics.brier_score_loss(labels, p, labels=range(num_classes))
    )
    confidence, correct = p.max(axis=1), p.argmax(axis=1) == labels
    accuracies, confidences = sklearn.calibration.calibration_curve(
      correct, confidence, n_bins=calibration.NUM_BINS
    )
    bins = quality.bins
    np.testing.assert_allclose(accuracies, [b.accuracy.value for b in bins])
    np.testing.assert_allclose(confidences, [b.confidence for b in bins])
    counts = np.array([one.accuracy.examples for one in bins])
    assert counts.sum() == 800
    assert quality.ece.value == pytest.approx(
      counts @ np.abs(accuracies - confidences) / 800
    )


def test_ece_agrees_with_other_programs():
  """netcal 1.4.0 ECE(15) and uncertainty-calibration 0.1.4 get_ece."""
  rng = np.random.default_rng(7)
  scores = rng.normal(size=(400, 5)) * 2
  labels = (scores * 0.6 + rng.gumbel(size=scores.shape)).argmax(axis=1)
  measured = calibrate(labels, scores)
  assert measured.before.ece.value == pytest.approx(0.1347210227684124)


def test_bins_have_their_upper_end():
  """As in Guo et al.: 1/5 is the upper end of the third bin."""
  scores = np.zeros((1, 5))
  (one,) = calibrate(np.array([0]), scores).before.bins
  assert (one.low, one.high) == (2 / 15, 3 / 15)
  (one,) = calibrate(np.array([0]), np.array([[1e4, 0.0]])).before.bins
  assert (one.low, one.high) == (14 / 15, 1.0)


def test_a_calibrated_model_stays_as_it_is():
  measured = calibrate(*draw(5000, 10), draw(5000, 10, seed=1))
  assert measured.temperature == pytest.approx(1, abs=0.03)
  assert not measured.at_bound
  assert measured.before.ece.low == 0
  # Of a calibrated bin, Wilson's interval mostly holds the confidence.
  inside = [
    one.accuracy.low <= one.confidence <= one.accuracy.high
    for one in measured.before.bins
  ]
  assert np.mean(inside) >= 0.8


@pytest.mark.parametrize('factor', [0.4, 2.5])
def test_the_temperature_of_a_model_is_recovered(factor):
  """Over-confident, and not confident enough."""
  measured = calibrate(
    *draw(5000, 10, stated=factor), draw(5000, 10, seed=1, stated=factor)
  )
  assert measured.temperature == pytest.approx(factor, rel=0.03)
  before, after = measured.before, measured.after
  assert after.nll.value < before.nll.value
  assert after.brier.value < before.brier.value
  assert before.ece.low > 0.05
  assert after.ece.low == 0
  over = [one.confidence > one.accuracy.value for one in before.bins]
  assert np.mean(over) == pytest.approx(float(factor > 1), abs=0.2)


@pytest.mark.parametrize(
  ('labels', 'expected'),
  [([0, 1], (0.01, True)), ([1, 0], (100, True)), ([0, 0], (100, True))],
)
def test_a_temperature_without_an_optimum_is_at_its_bound(labels, expected):
  """Val is separable, all wrong, or no better than chance."""
  scores = np.array([[3.0, 0.0], [0.0, 3.0]])
  fitted = calibration.fit_temperature(np.array(labels), scores)
  assert fitted == (pytest.approx(expected[0]), expected[1])


def test_scores_that_say_nothing_have_the_temperature_1():
  assert calibration.fit_temperature(np.array([0, 1]), np.zeros((2, 3))) == (
    1.0,
    False,
  )


def test_extreme_scores_stay_finite():
  """The largest float16, on the wrong side, at the smallest temperature."""
  scores = result.compress(np.array([[1e6, 0.0], [0.0, 1e6]]))
  measured = calibrate(
    np.array([1, 0]), scores, (np.array([0, 1]), scores / 1e4)
  )
  assert measured.at_bound
  assert np.isfinite([measured.before.nll.high, measured.after.nll.high]).all()
  assert measured.after.brier.value == pytest.approx(2)


@st.composite
def of_val(draw):
  num_classes = draw(st.integers(2, 5))
  n = draw(st.integers(1, 12))
  number = st.floats(-60, 60, width=16)
  row = st.lists(number, min_size=num_classes, max_size=num_classes)
  scores = draw(st.lists(row, min_size=n, max_size=n))
  label = st.integers(0, num_classes - 1)
  labels = draw(st.lists(label, min_size=n, max_size=n))
  return np.array(labels), np.array(scores)


@given(of_val())
@settings(deadline=None)
def test_scaling_keeps_predictions_and_helps_on_val(val):
  labels, scores = val
  temperature, _ = calibration.fit_temperature(labels, scores)
  assert 0.01 - 1e-9 <= temperature <= 100 + 1e-9
  scaled = calibration.softmax(scores, temperature)
  rows, best = np.arange(len(labels)), scores.argmax(axis=1)
  assert (scaled[rows, best] == scaled.max(axis=1)).all()
  before, after = (
    calibration.nll(labels, scores, t).mean() for t in (1.0, temperature)
  )
  assert after <= before + 1e-9


def test_the_temperature_is_where_a_search_finds_the_minimum():
  labels, scores = draw(300, 4, stated=1.9)
  found = scipy.optimize.minimize_scalar(
    lambda t: calibration.nll(labels, scores, t).mean(),
    bounds=(0.01, 100),
    method='bounded',
    options={'xatol': 1e-8},
  )
  temperature, _ = calibration.fit_temperature(labels, scores)
  assert temperature == pytest.approx(found.x, rel=1e-5)


def test_intervals_are_those_of_scipys_bootstrap():
  labels, scores = draw(400, 5, stated=1.5)
  measured = calibrate(labels, scores)
  losses = calibration.nll(labels, scores)
  errors = calibration.softmax(scores) - np.eye(5)[labels]
  for values, ours in (
    (losses, measured.before.nll),
    ((errors**2).sum(axis=1), measured.before.brier),
  ):
    expected = scipy.stats.bootstrap(
      (values,), np.mean, method='percentile', n_resamples=5000, rng=1
    ).confidence_interval
    length = expected.high - expected.low
    assert ours.low == pytest.approx(expected.low, abs=0.06 * length)
    assert ours.high == pytest.approx(expected.high, abs=0.06 * length)
    assert ours.low < ours.value < ours.high
  assert calibrate(labels, scores) == measured  # The seed is fixed.


@pytest.mark.parametrize('temperature', [1.0, 0.7])
def test_the_interval_of_the_ece_covers(temperature):
  """Percentiles of the resamples never cover the first, a perfect one."""
  assert ece_coverage.simulate(300, temperature, 50).covered >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize('num_images', [367, 2000])
@pytest.mark.parametrize('temperature', [1.0, 0.9, 0.8, 0.6, 1.5])
def test_the_interval_of_the_ece_covers_in_long_simulations(
  num_images, temperature
):
  covered = ece_coverage.simulate(num_images, temperature, 1000).covered
  assert covered >= 0.91


@pytest.mark.parametrize('scale', [1, 4, 16])
def test_half_precision_changes_the_nll_by_less_than_a_thousandth(scale):
  labels, scores = draw(5000, 100, stated=1.5, scale=scale)
  exact = calibration.nll(labels, scores).mean()
  rounded = calibration.nll(labels, result.compress(scores)).mean()
  assert rounded != exact
  assert rounded == pytest.approx(exact, abs=1e-3)
