"""Accuracy, as each dataset defines it, with its 95 % interval."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import scipy.special


@dataclasses.dataclass(frozen=True)
class Measurement:
  """A metric on a split.

  Attributes:
    value: in 0 to 1.
    low: lower end of the 95 % interval.
    high: upper end.
    examples: that were counted.
  """

  value: float
  low: float
  high: float
  examples: int


def top1(labels: np.ndarray, predictions: np.ndarray) -> float:
  """Share of examples whose class is predicted.

  Args:
    labels: [N] class numbers.
    predictions: [N] class numbers.
  """
  return float(np.mean(labels == predictions))


def mean_per_class(labels: np.ndarray, predictions: np.ndarray) -> float:
  """Mean over the classes of `labels` of the share of each predicted.

  Args:
    labels: [N] class numbers; classes without an example do not count.
    predictions: [N] class numbers.
  """
  _, inverse, counts = np.unique(
    labels, return_inverse=True, return_counts=True
  )
  correct = np.bincount(inverse, weights=labels == predictions)
  return float(np.mean(correct / counts))


def map11(labels: np.ndarray, scores: np.ndarray) -> float:
  """PASCAL VOC 2007's mean average precision, at eleven values of recall.

  Per class the examples are ranked by score, equal ones in their order; at
  each recall of 0, 0.1 ... 1 the best precision at that recall or above
  counts. Recall is compared in whole numbers: the official program's 0.3 is a
  hair more than 3 of 10.

  Args:
    labels: int [N, C]: 1 present, 0 absent, -1 difficult, which is ignored for
      its class as if it were not there.
    scores: [N, C], higher for what is more likely; classes without an example
      do not count.
  """
  return float(np.nanmean(_average_precisions(*_ranked(labels, scores)[:2])))


def _ranked(
  labels: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Per class, by descending score: is it present, does it count, which is it.

  Three [N, C], the first two of 0 and 1.
  """
  order = np.argsort(-scores, axis=0, kind='stable')
  ranked = np.take_along_axis(labels, order, axis=0)
  return (ranked == 1).astype(int), (ranked >= 0).astype(int), order


def _average_precisions(present: np.ndarray, counted: np.ndarray) -> np.ndarray:
  """The 11-point average precision of each class.

  Args:
    present: int [N, C], by rank: how often the example is a present one.
    counted: int [N, C], by rank: how often it counts.

  Returns:
    float64 [C], NaN for classes without an example.
  """
  found = np.cumsum(present, axis=0)
  precision = found / np.maximum(np.cumsum(counted, axis=0), 1)
  # The best at each rank or behind it.
  best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
  total = found[-1]
  points = []
  for tenths in range(11):
    rank = np.sum(10 * found < tenths * total, axis=0)
    points.append(best[rank, np.arange(len(total))])
  return np.where(total > 0, np.mean(points, axis=0), np.nan)


METRICS: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {
  'top1': top1,
  'mean_per_class': mean_per_class,
  'map11': map11,
}

# Of the bootstrap, which gives a standard error to 4 %.
_RESAMPLES = 300


def effective_examples(
  metric: str, labels: np.ndarray, predictions: np.ndarray
) -> float:
  """Number of examples that would give top-1 the same sampling error.

  The mean of C class accuracies, each p on n_c examples, has the variance
  p (1 − p) Σ 1/n_c / C²: that of top-1 on C² / Σ 1/n_c examples. Where the
  classes differ in p the true variance is smaller for equal n_c, so the
  interval errs on the wide side. The variance of mAP, V, is that of 300
  resamples of the images (bootstrap, Efron 1979; the same ones every time),
  and stands for mAP (1 − mAP) / V examples.
  """
  if metric == 'top1':
    return float(len(labels))
  if metric == 'map11':
    value = map11(labels, predictions)
    variance = _bootstrap_variance(labels, predictions)
    if variance > 0:
      return value * (1 - value) / variance
    # All right or all wrong, however they are drawn.
    counts = np.sum(labels == 1, axis=0)
    counts = counts[counts > 0]
  else:
    _, counts = np.unique(labels, return_counts=True)
  return float(len(counts) ** 2 / np.sum(1 / counts))


def _bootstrap_variance(labels: np.ndarray, scores: np.ndarray) -> float:
  """The variance of mAP over resamples of the images."""
  present, counted, order = _ranked(labels, scores)
  # A class that only one image shows is missing in a third of the resamples:
  # the mean is over those that are there, as it is for the whole.
  generator = np.random.default_rng(0)
  values = []
  for _ in range(_RESAMPLES):
    drawn = generator.integers(len(labels), size=len(labels))
    times = np.bincount(drawn, minlength=len(labels))[order]
    precisions = _average_precisions(present * times, counted * times)
    if not np.isnan(precisions).all():
      values.append(np.nanmean(precisions))
  return float(np.var(values))


def measure(
  metric: str, labels: np.ndarray, predictions: np.ndarray
) -> Measurement:
  """A metric with its 95 % interval (Wilson, 1927).

  Args:
    metric: 'top1', 'mean_per_class' or 'map11'.
    labels: [N] class numbers, N > 0; of map11 [N, C], see there.
    predictions: [N] class numbers; of map11 [N, C] scores.
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
