"""Tests intervals and paired tests of cross-validation."""

import numpy as np
import pytest
import scipy.stats

from tf_transfer.errors import InputError
from tf_transfer.transfer import cross_validation, metrics


def test_factor_is_nadeau_and_bengios():
  # (1 / k + n_test / n_train) times the variance of one fold's mean, s² k / N.
  folds = np.arange(100) % 5
  assert cross_validation.variance_factor(folds) == pytest.approx(
    (1 / 5 + 20 / 80) * 5
  )
  unequal = np.array([0] * 10 + [1] * 30 + [2] * 60)
  assert cross_validation.variance_factor(unequal) == pytest.approx(
    1 + 10 / 90 + 30 / 70 + 60 / 40
  )


def test_one_fold_is_no_cross_validation():
  with pytest.raises(InputError, match='two folds or more; found 1'):
    cross_validation.variance_factor(np.zeros(5, int))


def test_top1_has_wilsons_interval_of_fewer_examples():
  labels = np.zeros(225, int)
  predictions = np.where(np.arange(225) < 45, 1, 0)
  measured = cross_validation.measure(
    'top1', labels, predictions, np.arange(225) % 5
  )
  # 225 / 2.25 examples, of which 80 % are right.
  wilson = scipy.stats.binomtest(80, 100).proportion_ci(method='wilson')
  assert (measured.value, measured.examples) == (0.8, 225)
  assert (measured.low, measured.high) == pytest.approx(
    (wilson.low, wilson.high)
  )


@pytest.mark.parametrize('metric', ['top1', 'mean_per_class'])
@pytest.mark.parametrize('right', [True, False])
def test_interval_stays_within_0_and_1(metric, right):
  labels = np.arange(60) % 3
  predictions = labels if right else (labels + 1) % 3
  low, high = cross_validation.interval(
    metric, labels, predictions, np.arange(60) % 5
  )
  assert 0 <= low < high <= 1
  assert high - low > 0.1


def test_mean_per_class_is_wider_than_of_independent_examples():
  generator = np.random.default_rng(0)
  labels = np.repeat(np.arange(4), [10, 20, 40, 80])
  predictions = np.where(generator.random(150) < 0.7, labels, (labels + 1) % 4)
  one = metrics.measure('mean_per_class', labels, predictions)
  folded = cross_validation.measure(
    'mean_per_class', labels, predictions, np.arange(150) % 5
  )
  assert folded.value == one.value
  ratio = (folded.high - folded.low) / (one.high - one.low)
  assert 1.35 < ratio < 1.6  # about √2.25


def test_paired_p_of_top1_is_mcnemars_with_the_factor():
  labels = np.zeros(100, int)
  first = np.arange(100) < 90
  second = (np.arange(100) >= 20) & (np.arange(100) < 96)
  # 20 right in the first alone, 6 in the second alone.
  expected = scipy.stats.chi2.sf((20 - 6) ** 2 / 26 / 2.25, 1)
  folds = np.arange(100) % 5
  p = cross_validation.paired_p('top1', labels, first, second, folds)
  assert p == pytest.approx(expected)
  assert p == cross_validation.paired_p('top1', labels, second, first, folds)
  assert cross_validation.paired_p('top1', labels, first, first, folds) == 1


def test_paired_p_weighs_examples_as_the_metric_does():
  labels = np.repeat([0, 1], [90, 10])
  first = np.ones(100, bool)
  second = np.arange(100) < 91  # Nine of ten of the small class are wrong.
  folds = np.arange(100) % 5
  by_class = cross_validation.paired_p(
    'mean_per_class', labels, first, second, folds
  )
  assert by_class == pytest.approx(2 * scipy.stats.norm.sf(3 / 1.5))


def test_paired_p_takes_the_same_examples():
  with pytest.raises(InputError, match='same examples'):
    cross_validation.paired_p(
      'top1', np.zeros(4, int), np.ones(4, bool), np.ones(3, bool), np.arange(4)
    )
