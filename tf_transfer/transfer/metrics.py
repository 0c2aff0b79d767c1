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


METRICS: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {
  'top1': top1,
  'mean_per_class': mean_per_class,
}


def effective_examples(metric: str, labels: np.ndarray) -> float:
  """Number of examples that would give top-1 the same sampling error.

  The mean of C class accuracies, each p on n_c examples, has the variance
  p (1 − p) Σ 1/n_c / C²: that of top-1 on C² / Σ 1/n_c examples. Where the
  classes differ in p the true variance is smaller for equal n_c, so the
  interval errs on the wide side.
  """
  if metric == 'top1':
    return float(len(labels))
  _, counts = np.unique(labels, return_counts=True)
  return float(len(counts) ** 2 / np.sum(1 / counts))


def measure(
  metric: str, labels: np.ndarray, predictions: np.ndarray
) -> Measurement:
  """A metric with its 95 % interval (Wilson, 1927).

  Args:
    metric: 'top1' or 'mean_per_class'.
    labels: [N] class numbers, N > 0.
    predictions: [N] class numbers.
  """
  value = METRICS[metric](labels, predictions)
  n = effective_examples(metric, labels)
  z = scipy.special.ndtri(0.975)
  centre = (value + z**2 / (2 * n)) / (1 + z**2 / n)
  half = z / (1 + z**2 / n)
  half *= np.sqrt(value * (1 - value) / n + z**2 / (4 * n**2))
  return Measurement(
    value,
    float(max(0.0, centre - half)),
    float(min(1.0, centre + half)),
    len(labels),
  )
