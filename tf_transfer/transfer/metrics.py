"""Measures accuracy as each dataset defines it, with its 95 % interval."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import scipy.special


@dataclasses.dataclass(frozen=True)
class Measurement:
  """Holds a metric on a split.

  Attributes:
    value: in 0 to 1.
    low: lower end of the 95 % interval.
    high: upper end of the interval.
    examples: how many there are.
  """

  value: float
  low: float
  high: float
  examples: int


def average(runs: list[Measurement]) -> Measurement:
  """Averages a metric over several trainings, tested on the same examples.

  The interval is the mean of theirs: that which sampling the examples gives a
  training with this value. How far the trainings are apart is not part of it.
  """
  value, low, high = np.mean([(m.value, m.low, m.high) for m in runs], axis=0)
  return Measurement(float(value), float(low), float(high), runs[0].examples)


def top1(labels: np.ndarray, predictions: np.ndarray) -> float:
  """Returns the share of examples whose class is predicted.

  Args:
    labels: [N] class numbers.
    predictions: [N] class numbers.
  """
  return float(np.mean(labels == predictions))


def mean_per_class(labels: np.ndarray, predictions: np.ndarray) -> float:
  """Returns the mean of the classes' accuracies.

  Args:
    labels: [N] class numbers; classes without an example are left out.
    predictions: [N] class numbers.
  """
  _, inverse, counts = np.unique(
    labels, return_inverse=True, return_counts=True
  )
  correct = np.bincount(inverse, weights=labels == predictions)
  return float(np.mean(correct / counts))


def map11(labels: np.ndarray, scores: np.ndarray) -> float:
  """Returns PASCAL VOC 2007's mean average precision at eleven recalls.

  Per class the examples are ranked by score, those of equal score in their
  order. The average precision is the mean over the recalls 0, 0.1 ... 1 of the
  best precision at that recall or above. Recalls are compared in whole numbers,
  because the official program's 0.3 is slightly more than 3 of 10.

  Args:
    labels: int [N, C]: 1 present, 0 absent, -1 difficult: left out for its
      class. Classes without an example are left out.
    scores: [N, C], higher for what is more likely.
  """
  return float(np.nanmean(_average_precisions(*_ranked(labels, scores)[:2])))


def _ranked(
  labels: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Ranks the examples of each class by descending score.

  Returns:
    Three int [N, C] by rank: whether the example is present, 0 or 1; whether
    it counts, 0 or 1; and its position.
  """
  order = np.argsort(-scores, axis=0, kind='stable')
  ranked = np.take_along_axis(labels, order, axis=0)
  return (ranked == 1).astype(int), (ranked >= 0).astype(int), order


def _average_precisions(present: np.ndarray, counted: np.ndarray) -> np.ndarray:
  """Returns the 11-point average precision of each class.

  Args:
    present: int [N, C], by rank: how often the example counts as present; more
      than once in a resample.
    counted: int [N, C], by rank: how often it counts at all.

  Returns:
    float64 [C], NaN for classes without an example.
  """
  num_present = np.cumsum(present, axis=0)
  precision = num_present / np.maximum(np.cumsum(counted, axis=0), 1)
  # The best at each rank or a later one.
  best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
  total = num_present[-1]
  points = []
  for tenths in range(11):
    rank = np.sum(10 * num_present < tenths * total, axis=0)
    points.append(best[rank, np.arange(len(total))])
  return np.where(total > 0, np.mean(points, axis=0), np.nan)


METRICS: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {
  'top1': top1,
  'mean_per_class': mean_per_class,
  'map11': map11,
}

# Of the bootstrap; they give the standard error to 4 %.
_RESAMPLES = 300


def effective_examples(
  metric: str, labels: np.ndarray, predictions: np.ndarray
) -> float:
  """Returns how many examples would give top-1 the same sampling error.

  The mean of C class accuracies, each p on n_c examples, has the variance
  p (1 − p) Σ 1/n_c / C², which is that of top-1 on C² / Σ 1/n_c examples. Where
  the classes differ in p, the true variance is smaller for equal n_c, so the
  interval errs on the wide side. The variance V of mAP is estimated from 300
  resamples of the images (bootstrap, Efron 1979), which are the same every
  time, and corresponds to mAP (1 − mAP) / V examples.

  Args:
    metric: 'top1', 'mean_per_class' or 'map11'.
    labels: as the metric takes them.
    predictions: as the metric takes them.
  """
  if metric == 'top1':
    return float(len(labels))
  if metric == 'map11':
    value = map11(labels, predictions)
    variance = _bootstrap_variance(labels, predictions)
    if variance > 0:
      return value * (1 - value) / variance
    # The variance is 0 where all resamples are all right or all wrong.
    counts = np.sum(labels == 1, axis=0)
    counts = counts[counts > 0]
  else:
    _, counts = np.unique(labels, return_counts=True)
  return float(len(counts) ** 2 / np.sum(1 / counts))


def _bootstrap_variance(labels: np.ndarray, scores: np.ndarray) -> float:
  """Returns the variance of mAP over resamples of the images."""
  present, counted, order = _ranked(labels, scores)
  # A class that only one image shows is missing in a third of the resamples.
  # The mean is over the classes with an example, as it is for all images.
  generator = np.random.default_rng(0)
  values = []
  for _ in range(_RESAMPLES):
    drawn = generator.integers(len(labels), size=len(labels))
    num_drawn = np.bincount(drawn, minlength=len(labels))[order]
    precisions = _average_precisions(present * num_drawn, counted * num_drawn)
    if not np.isnan(precisions).all():
      values.append(np.nanmean(precisions))
  return float(np.var(values))


def measure(
  metric: str, labels: np.ndarray, predictions: np.ndarray
) -> Measurement:
  """Measures a metric with its 95 % interval (Wilson, 1927).

  Args:
    metric: 'top1', 'mean_per_class' or 'map11'.
    labels: [N] class numbers, N > 0; for map11 [N, C] as it takes them.
    predictions: [N] class numbers; for map11 scores [N, C].
  """
  value = METRICS[metric](labels, predictions)
  n = effective_examples(metric, labels, predictions)
  z = scipy.special.ndtri(0.975)
  center = (value + z**2 / (2 * n)) / (1 + z**2 / n)
  half = z / (1 + z**2 / n)
  half *= np.sqrt(value * (1 - value) / n + z**2 / (4 * n**2))
  return Measurement(
    value,
    float(max(0.0, center - half)),
    float(min(1.0, center + half)),
    len(labels),
  )
