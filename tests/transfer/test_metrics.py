"""Checks metrics and their intervals by hand and against references."""

import fractions

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import coverage
from tf_transfer.transfer import metrics


def test_by_hand():
  labels = np.array([0, 0, 0, 1])
  predictions = np.array([0, 0, 1, 1])
  assert metrics.top1(labels, predictions) == 0.75
  # Class 0: 2 of 3; class 1: 1 of 1.
  assert metrics.mean_per_class(labels, predictions) == pytest.approx(5 / 6)


def test_mean_per_class_is_balanced_accuracy():
  rng = np.random.default_rng(0)
  labels = rng.choice([0, 2, 5, 9], 300, p=[0.7, 0.1, 0.15, 0.05])
  predictions = np.where(rng.random(300) < 0.6, labels, rng.choice(labels, 300))
  assert metrics.mean_per_class(labels, predictions) == pytest.approx(
    sklearn.metrics.balanced_accuracy_score(labels, predictions)
  )


@pytest.mark.parametrize('correct', [0, 1, 37, 99, 100])
def test_top1_interval_is_wilsons(correct):
  labels = np.zeros(100, int)
  predictions = np.arange(100) >= correct
  measured = metrics.measure('top1', labels, predictions.astype(int))
  reference = scipy.stats.binomtest(correct, 100).proportion_ci(method='wilson')
  assert measured.value == correct / 100
  assert measured.low == pytest.approx(reference.low, abs=1e-12)
  assert measured.high == pytest.approx(reference.high, abs=1e-12)
  assert measured.examples == 100


def test_top1_is_sklearns():
  rng = np.random.default_rng(2)
  labels, predictions = rng.integers(0, 3, (2, 100))
  assert metrics.top1(labels, predictions) == pytest.approx(
    sklearn.metrics.accuracy_score(labels, predictions)
  )


def measure_counts(correct, counts):
  """Measures the mean per class from each class's counts."""
  labels = np.repeat(np.arange(len(counts)), counts)
  hits = np.concatenate(
    [np.arange(n) < k for k, n in zip(correct, counts, strict=True)]
  )
  return metrics.measure('mean_per_class', labels, np.where(hits, labels, -1))


@pytest.mark.parametrize('slope', [0.0, 1.0, -1.0])
def test_interval_of_mean_per_class_covers_the_truth(slope):
  """For classes equally hard, small ones harder, and small ones easier."""
  mean = 0.9
  counts = np.array(coverage.CALTECH)
  accuracies = coverage.class_accuracies(coverage.CALTECH, slope, mean)
  rng = np.random.default_rng(0)
  measured = [
    measure_counts(rng.binomial(counts, accuracies), counts) for _ in range(400)
  ]
  covered = np.mean([m.low <= mean <= m.high for m in measured])
  # Nominal are 95 %; three standard errors of 400 draws are 3.3 %.
  assert covered == pytest.approx(0.95, abs=0.033)


classes = st.lists(
  st.integers(1, 300).flatmap(
    lambda n: st.tuples(st.integers(0, n), st.just(n))
  ),
  min_size=1,
  max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(classes)
def test_interval_of_mean_per_class_contains_the_value(drawn):
  correct, counts = np.array(drawn).T
  measured = measure_counts(correct, counts)
  assert 0 <= measured.low <= measured.value <= measured.high <= 1
  assert measured.value == pytest.approx(np.mean(correct / counts))
  # Of all right or all wrong too it is no point.
  assert measured.high - measured.low > 1e-5
  assert measured.high == 1 or measured.value < 1
  assert measured.low == 0 or measured.value > 0


@settings(max_examples=40, deadline=None)
@given(classes, st.randoms(use_true_random=False))
def test_order_of_classes_changes_no_digit(drawn, random):
  shuffled = random.sample(drawn, len(drawn))
  assert metrics.stratified_interval(
    *np.array(drawn).T
  ) == metrics.stratified_interval(*np.array(shuffled).T)


@settings(max_examples=40, deadline=None)
@given(classes)
def test_right_and_wrong_are_symmetric(drawn):
  correct, counts = np.array(drawn).T
  low, high = metrics.stratified_interval(correct, counts)
  other = metrics.stratified_interval(counts - correct, counts)
  assert (1 - other[1], 1 - other[0]) == pytest.approx((low, high), abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(classes)
def test_four_times_the_examples_narrow_the_interval(drawn):
  correct, counts = np.array(drawn).T
  low, high = metrics.stratified_interval(correct, counts)
  narrow = metrics.stratified_interval(4 * correct, 4 * counts)
  assert narrow[1] - narrow[0] < high - low


def test_equal_classes_of_many_examples_have_wilsons_interval():
  """Where nothing is to be smoothed, it is that of top-1."""
  counts = np.full(40, 100_000)
  low, high = metrics.stratified_interval(counts * 9 // 10, counts)
  reference = scipy.stats.binomtest(3_600_000, 4_000_000).proportion_ci(
    method='wilson'
  )
  assert low == pytest.approx(reference.low, abs=1e-8)
  assert high == pytest.approx(reference.high, abs=1e-8)


def test_interval_of_a_perfect_mean_per_class_is_not_a_point():
  counts = np.full(37, 100)
  low, high = metrics.stratified_interval(counts, counts)
  reference = scipy.stats.binomtest(3700, 3700).proportion_ci(method='wilson')
  assert high == 1
  assert 1 - low == pytest.approx(1 - reference.low, rel=0.02)
  low, high = metrics.stratified_interval(np.array([5, 5, 5]), np.full(3, 5))
  assert 0.7 < low < 0.85
  assert high == 1


# Mean average precision.


def devkit_average_precision(labels, scores):
  """Evaluates one class step by step as VOC 2007's development kit does.

  It uses fractions, where the kit has floating-point numbers.
  """
  ranking = sorted(range(len(labels)), key=lambda i: -scores[i])
  positives = sum(label == 1 for label in labels)
  recall, precision = [], []
  true, false = 0, 0
  for i in ranking:
    if labels[i] == -1:
      continue
    true += labels[i] == 1
    false += labels[i] == 0
    recall.append(fractions.Fraction(int(true), int(positives)))
    precision.append(fractions.Fraction(int(true), int(true + false)))
  total = fractions.Fraction(0)
  for tenths in range(11):
    reached = [
      p
      for p, r in zip(precision, recall, strict=True)
      if r >= fractions.Fraction(tenths, 10)
    ]
    total += max(reached, default=fractions.Fraction(0)) / 11
  return float(total)


def multi_label(rng, examples=80, classes=5, difficult=0.1):
  labels = (rng.random((examples, classes)) < 0.2).astype(np.int32)
  scores = labels + rng.normal(0, 1, labels.shape)
  labels[rng.random(labels.shape) < difficult] = -1
  return labels, scores


def test_map11_by_hand():
  # Ranked: right, wrong, right, wrong, right. Precision 1 up to recall 1/3,
  # 2/3 up to recall 2/3, 3/5 up to 1: recalls 0 to 0.3 (4), 0.4 to 0.6 (3),
  # 0.7 to 1 (4).
  labels = np.array([[1], [0], [1], [0], [1]])
  scores = np.array([[9.0], [8.0], [7.0], [6.0], [5.0]])
  expected = (4 * 1 + 3 * 2 / 3 + 4 * 3 / 5) / 11
  assert metrics.map11(labels, scores) == pytest.approx(expected, abs=1e-15)
  # The wrong ones are difficult: nothing is wrong any more.
  labels[labels == 0] = -1
  assert metrics.map11(labels, scores) == 1
  # A second class, with the one right example ranked last of five.
  labels = np.array([[1, 0], [1, 0], [1, 0], [1, 0], [1, 1]])
  scores = np.repeat(scores, 2, axis=1)
  assert metrics.map11(labels, scores) == pytest.approx((1 + 1 / 5) / 2)


def test_recall_of_exactly_three_tenths_counts():
  labels = np.array([[1]] * 3 + [[0]] * 90 + [[1]] * 7)
  scores = -np.arange(100.0)[:, None]
  # 3 of 3 up to recall 0.3; 4 of 94 ... 10 of 100 behind the wrong ones.
  expected = (4 * 1 + 7 * 10 / 100) / 11
  assert metrics.map11(labels, scores) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize('seed', range(8))
def test_map11_is_the_development_kits(seed):
  rng = np.random.default_rng(seed)
  labels, scores = multi_label(rng)
  if seed % 2:
    scores = np.round(scores)  # ties
  expected = np.mean(
    [devkit_average_precision(labels[:, c], scores[:, c]) for c in range(5)]
  )
  assert metrics.map11(labels, scores) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize('seed', range(3))
def test_map11_from_sklearns_curve(seed):
  labels, scores = multi_label(np.random.default_rng(seed), difficult=0)
  precisions = []
  for c in range(5):
    precision, recall, _ = sklearn.metrics.precision_recall_curve(
      labels[:, c], scores[:, c]
    )
    # Its last point is made up: precision 1 at recall 0.
    precision, recall = precision[:-1], recall[:-1]
    precisions.append(
      np.mean([max(precision[recall >= k / 10 - 1e-9]) for k in range(11)])
    )
  assert metrics.map11(labels, scores) == pytest.approx(np.mean(precisions))


def test_a_class_without_examples_does_not_count():
  labels, scores = multi_label(np.random.default_rng(0))
  expected = metrics.map11(labels, scores)
  for value in (0, -1):
    more = np.concatenate([labels, np.full((80, 1), value)], axis=1)
    actual = metrics.map11(
      more, np.concatenate([scores, scores[:, :1]], axis=1)
    )
    assert actual == pytest.approx(expected)


def test_difficult_is_as_if_it_were_not_there():
  rng = np.random.default_rng(3)
  labels, scores = multi_label(rng, classes=1)
  is_counted = labels[:, 0] >= 0
  assert metrics.map11(labels, scores) == metrics.map11(
    labels[is_counted], scores[is_counted]
  )
  changed = np.where(labels < 0, rng.normal(0, 9, scores.shape), scores)
  assert metrics.map11(labels, changed) == metrics.map11(labels, scores)


def test_interval_of_map11():
  labels, scores = multi_label(np.random.default_rng(4), examples=400)
  measured = metrics.measure('map11', labels, scores)
  assert measured.value == metrics.map11(labels, scores)
  assert measured.examples == 400
  assert 0 < measured.low < measured.value < measured.high < 1
  assert metrics.measure('map11', labels, scores) == measured
  # Four times the images, half the width.
  labels, scores = multi_label(np.random.default_rng(5), examples=1600)
  wide, narrow = measured, metrics.measure('map11', labels, scores)
  ratio = (wide.high - wide.low) / (narrow.high - narrow.low)
  assert 1.7 < ratio < 2.3


def test_interval_of_a_perfect_map11_is_not_a_point():
  labels = np.repeat(np.eye(4, dtype=int), 10, axis=0)
  measured = metrics.measure('map11', labels, labels.astype(float))
  assert measured.value == 1
  # As of top-1 with 40 right of 40.
  reference = scipy.stats.binomtest(40, 40).proportion_ci(method='wilson')
  assert measured.low == pytest.approx(reference.low)


def test_interval_of_map11_covers_the_truth(monkeypatch):
  monkeypatch.setattr(metrics, '_RESAMPLES', 60)
  draws = [
    multi_label(np.random.default_rng(seed), examples=150, classes=4)
    for seed in range(300)
  ]
  truth = np.mean([metrics.map11(*draw) for draw in draws])
  measured = [metrics.measure('map11', *draw) for draw in draws]
  covered = np.mean([m.low <= truth <= m.high for m in measured])
  # 95 % nominal; three standard errors of 300 draws are 3.8 %.
  assert 0.91 < covered < 0.99
