"""Computes intervals and paired tests of k-fold cross-validation.

Each example is predicted by the classifier that was fitted without its fold.
The training sets of the folds overlap, so their errors are correlated: the
variance of the accuracy over all examples is larger than that of as many
independent tests. Nadeau & Bengio's correction (Machine Learning 52, 2003)
multiplies it by 1 + the sum over folds of (examples of the fold) / (all
others), which is 1 + k / (k - 1) for k equal folds. They estimate the variance
from the spread over folds. Five folds say little about it: here it is that of
single examples, so that the quantile is the normal distribution's.
docs/intervals.md says how often the intervals hold the truth: the accuracy of
training sets of (k - 1) / k of the examples, drawn anew like these.
"""

import math

import numpy as np
import scipy.special

from tf_transfer.errors import InputError
from tf_transfer.transfer import metrics


def variance_factor(folds: np.ndarray) -> float:
  """Returns by how much the folds' common training sets raise the variance.

  Args:
    folds: int [N], the fold of each example.

  Raises:
    InputError: there are fewer than two folds.
  """
  _, counts = np.unique(folds, return_counts=True)
  if len(counts) < 2:
    raise InputError(
      f'cross-validation takes two folds or more; found {len(counts)}'
    )
  return 1.0 + float(np.sum(counts / (len(folds) - counts)))


def measure(
  metric: str, labels: np.ndarray, predictions: np.ndarray, folds: np.ndarray
) -> metrics.Measurement:
  """Measures a metric on all examples, with its corrected 95 % interval.

  Args:
    metric: 'top1', 'mean_per_class' or 'map11'.
    labels: [N] class numbers; for map11 [N, C].
    predictions: [N] class numbers, each of a classifier that was fitted without
      the example's fold; for map11 scores [N, C].
    folds: int [N], the fold of each example.

  Raises:
    InputError: there are fewer than two folds.
  """
  return metrics.measure(
    metric, labels, predictions, variance_factor=variance_factor(folds)
  )


def interval(
  metric: str, labels: np.ndarray, predictions: np.ndarray, folds: np.ndarray
) -> tuple[float, float]:
  """Returns the ends of the interval of `measure`."""
  measured = measure(metric, labels, predictions, folds)
  return measured.low, measured.high


def paired_p(
  metric: str,
  labels: np.ndarray,
  correct_a: np.ndarray,
  correct_b: np.ndarray,
  folds: np.ndarray,
) -> float:
  """Returns the two-sided p that two procedures do equally well.

  It is McNemar's test, without its continuity correction, with the corrected
  variance. For other metrics than top-1, examples count as much as they do in
  the metric.

  Args:
    metric: 'top1', 'mean_per_class' or 'map11'.
    labels: [N]; of map11 [N, C].
    correct_a: bool like `labels`, where the first procedure was right.
    correct_b: bool like `labels`, of the second; with the same folds.
    folds: int [N], the fold of each example.

  Raises:
    InputError: there are fewer than two folds, or the two are not of the same
      examples.
  """
  factor = variance_factor(folds)
  if not correct_a.shape == correct_b.shape == labels.shape:
    raise InputError(
      'a paired test needs the same examples of both; found '
      f'{correct_a.shape} and {correct_b.shape} for labels {labels.shape}'
    )
  difference = metrics.example_scores(metric, labels, correct_a)
  difference = difference - metrics.example_scores(metric, labels, correct_b)
  # Under the null hypothesis each difference has either sign.
  variance = factor * float(np.sum(difference**2))
  if variance == 0:
    return 1.0
  z = abs(float(np.sum(difference))) / math.sqrt(variance)
  return float(2 * scipy.special.ndtr(-z))
