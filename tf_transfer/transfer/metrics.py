"""Measures accuracy as each dataset defines it, with its 95 % interval."""

import dataclasses
import math
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
  correct, counts = _count_by_class(labels, predictions)
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

  The variance V of mAP is estimated from 300 resamples of the images
  (bootstrap, Efron 1979), which are the same every time, and corresponds to
  mAP (1 − mAP) / V examples.

  Args:
    metric: 'top1' or 'map11'.
    labels: as the metric takes them.
    predictions: as the metric takes them.
  """
  if metric == 'top1':
    return float(len(labels))
  value = map11(labels, predictions)
  variance = _bootstrap_variance(labels, predictions)
  if variance > 0:
    return value * (1 - value) / variance
  # The variance is 0 where all resamples are all right or all wrong.
  counts = np.sum(labels == 1, axis=0)
  counts = counts[counts > 0]
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


def example_scores(
  metric: str, labels: np.ndarray, correct: np.ndarray
) -> np.ndarray:
  """Returns the score of each example: [N], whose sum is the metric.

  mAP is not a sum over examples; the share of right labels stands in for it, as
  in the paper's tests on VOC 2007.

  Args:
    metric: 'top1', 'mean_per_class' or 'map11'.
    labels: [N] class numbers; of map11 [N, C] of 1, 0 and -1 (difficult, does
      not count).
    correct: [N] whether each was right; of map11 [N, C].
  """
  if metric == 'top1':
    return correct / len(correct)
  if metric == 'map11':
    counted = labels >= 0
    return (correct & counted).sum(axis=1) / counted.sum()
  _, inverse, counts = np.unique(
    labels, return_inverse=True, return_counts=True
  )
  return correct / (len(counts) * counts[inverse])


def measure(
  metric: str,
  labels: np.ndarray,
  predictions: np.ndarray,
  *,
  variance_factor: float = 1.0,
) -> Measurement:
  """Measures a metric with its 95 % interval.

  The interval is Wilson's (1927); for the mean per class it is
  `stratified_interval`. docs/intervals.md says how often they hold the truth.

  Args:
    metric: 'top1', 'mean_per_class' or 'map11'.
    labels: [N] class numbers, N > 0; for map11 [N, C] as it takes them.
    predictions: [N] class numbers; for map11 scores [N, C].
    variance_factor: by how much the variance is larger than that of
      independent examples, as `cross_validation` has it.
  """
  value = METRICS[metric](labels, predictions)
  if metric == 'mean_per_class':
    low, high = stratified_interval(
      *_count_by_class(labels, predictions), variance_factor=variance_factor
    )
    # By rounding an end could be beyond the value.
    return Measurement(value, min(low, value), max(high, value), len(labels))
  n = effective_examples(metric, labels, predictions) / variance_factor
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


# Of the fit of accuracies; six suffice.
_NEWTON_STEPS = 12
# How many examples of its class the accuracy that is fitted counts as.
_PRIOR_EXAMPLES = 2


def stratified_interval(
  correct: np.ndarray, counts: np.ndarray, *, variance_factor: float = 1.0
) -> tuple[float, float]:
  """Computes the 95 % interval of the mean of classes' accuracies.

  It is Wilson's score interval for strata. A mean m is in the interval if the
  observed one is at most t standard errors from it, and the standard error is
  that at m: √Σ p (1 − p) / n / C, with the classes' p moved by one shift in
  log-odds until their mean is m. Classes of one or two examples say little
  about their p. So each p is smoothed with two examples at an accuracy that is
  fitted to all classes as a function of log n, and p (1 − p) is divided by the
  share of it that smoothing keeps on average. t is Student's, with
  Satterthwaite's degrees of freedom (1946).

  Args:
    correct: [C] examples of each class whose class is predicted.
    counts: [C] examples of each class, 1 or more.
    variance_factor: by how much the variance is larger than that of
      independent examples.

  Returns:
    The ends, in 0 to 1.
  """
  # Sums are rounded in their order: the order of classes changes no digit.
  order = np.lexsort((correct, counts))
  correct, n = correct[order].astype(float), counts[order].astype(float)
  total = n + _PRIOR_EXAMPLES
  smoothed = correct + _PRIOR_EXAMPLES * _fit_accuracies(correct, n)
  log_odds = scipy.special.logit(smoothed / total)
  weights = total**2 / (total**2 - n) / (n * len(n) ** 2)
  weights = weights * variance_factor
  value = np.mean(correct / n)

  def mean_and_variance(shift: float) -> tuple[float, float]:
    p = scipy.special.expit(log_odds + shift)
    return float(np.mean(p)), float(np.sum(weights * p * (1 - p)))

  parts = smoothed * (total - smoothed) / (total**2 * n)
  freedom = np.sum(parts) ** 2 / np.sum(parts**2 / (total - 1))
  t = scipy.special.stdtrit(freedom, 0.975)
  ends = []
  for side in (-1, 1):
    inner, outer = -side * 40.0, side * 40.0
    for _ in range(46):
      middle = (inner + outer) / 2
      mean, variance = mean_and_variance(middle)
      if side * (mean - value) > t * math.sqrt(variance):
        outer = middle
      else:
        inner = middle
    ends.append(mean_and_variance(inner)[0])
  low, high = ends
  return (0.0 if value == 0 else low), (1.0 if value == 1 else high)


def _fit_accuracies(correct: np.ndarray, counts: np.ndarray) -> np.ndarray:
  """Fits the log-odds of classes' accuracies as linear in log n.

  It is a logistic regression in which a class of many examples counts as eight.
  A further example, half right, keeps the log-odds finite, and a penalty keeps
  the slope small where the classes say little about it.

  Args:
    correct: [C] examples of each class whose class is predicted.
    counts: [C] examples of each class.

  Returns:
    [C], above 0 and below 1.
  """
  x = np.log(counts)
  x = (x - x.mean()) / (x.std() if np.ptp(x) > 0 else 1)
  weights = counts / (1 + counts / 8)
  shares = correct / counts
  pooled = (np.sum(weights * shares) + 0.5) / (np.sum(weights) + 1)
  line = np.array([scipy.special.logit(pooled), 0.0])
  columns = np.stack([np.ones_like(x), x])
  for _ in range(_NEWTON_STEPS):
    p = scipy.special.expit(line @ columns)
    middle = scipy.special.expit(line[0])
    gradient = columns @ (weights * (shares - p))
    gradient += [0.5 - middle, -line[1]]
    hessian = (columns * weights * p * (1 - p)) @ columns.T
    hessian += np.diag([middle * (1 - middle), 1.0])
    line = line + np.clip(np.linalg.solve(hessian, gradient), -2, 2)
  return scipy.special.expit(line @ columns)


def _count_by_class(
  labels: np.ndarray, predictions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Counts the examples of each class: those predicted right, and all."""
  _, inverse, counts = np.unique(
    labels, return_inverse=True, return_counts=True
  )
  return np.bincount(inverse, weights=labels == predictions), counts
