"""Computes statistics of accuracies, in log-odds: section 6 of the protocol.

Letters in shapes: M networks, D datasets, N test examples, C classes.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.special
import scipy.stats

from tf_transfer.errors import InputError

RESAMPLES = 10_000
# With fewer points too many resamples are of one or two of them.
_FEWEST_FOR_AN_INTERVAL = 5


@dataclasses.dataclass(frozen=True)
class Correlation:
  """A coefficient with its 95 % interval, NaN where there are too few points.

  Attributes:
    r: the coefficient.
    low: lower end of the interval.
    high: upper end.
    num_points: of how many networks.
  """

  r: float
  low: float
  high: float
  num_points: int


@dataclasses.dataclass(frozen=True)
class Line:
  """A least-squares line with its 95 % band.

  Attributes:
    slope: of y on x.
    intercept: y at x = 0.
    y: [G] on the line, at the positions asked for.
    low: [G] lower edge of the band, NaN where there are too few points.
    high: [G] upper edge.
  """

  slope: float
  intercept: float
  y: np.ndarray
  low: np.ndarray
  high: np.ndarray


def clip_to_half_example(
  accuracy: np.ndarray | float, examples: np.ndarray | float
) -> np.ndarray:
  """Applies the continuity correction: 0 and 1 have no finite log-odds.

  Accuracies below 1 / 2n, half an example, are set to that, and those above
  1 − 1 / 2n likewise. Others stay as they are.

  Args:
    accuracy: in 0 to 1.
    examples: n, which broadcasts to it.
  """
  half = 0.5 / np.asarray(examples, float)
  return np.clip(accuracy, half, 1 - half)


def log_odds(
  accuracy: np.ndarray | float, examples: np.ndarray | float | None = None
) -> np.ndarray:
  """Returns log(p / (1 − p)), by the natural logarithm.

  Args:
    accuracy: in 0 to 1, of any metric; NaN stays NaN.
    examples: n, for the continuity correction (see `clip_to_half_example`);
      None: there is none.

  Raises:
    InputError: an accuracy is not in 0 to 1, or is an end without `examples`.
  """
  p = np.asarray(accuracy, float)
  if np.any((p < 0) | (p > 1)):
    raise InputError(
      f'accuracies are shares from 0 to 1; found {np.nanmin(p):g} to '
      f'{np.nanmax(p):g}: divide percentages by 100'
    )
  if examples is not None:
    p = clip_to_half_example(p, examples)
  elif np.any((p == 0) | (p == 1)):
    raise InputError(
      'an accuracy of 0 or 100 % has no log-odds: give the number of examples, '
      'and half an example is added or taken away'
    )
  return scipy.special.logit(p)


def averages(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns each network's mean log-odds over datasets, with Morey's error.

  Morey's (2008) error is within subjects: the mean over networks is first
  subtracted from each dataset, so that datasets' difficulty does not count; the
  standard error over datasets (population SD / √D, as in the paper's figures)
  is multiplied by √(M / (M − 1)), which makes up for the subtraction.

  Args:
    values: [M, D] log-odds.

  Returns:
    mean [M] and error [M]; the error is NaN for one network or one dataset.
  """
  num_networks, num_datasets = values.shape
  mean = values.mean(axis=1)
  if num_networks < 2 or num_datasets < 2:
    return mean, np.full(num_networks, np.nan)
  centered = values - values.mean(axis=0)
  error = centered.std(axis=1) / np.sqrt(num_datasets)
  return mean, error * np.sqrt(num_networks / (num_networks - 1))


def pearson(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
  """Returns Pearson's r along an axis, NaN where x or y does not vary."""
  x = x - x.mean(axis=axis, keepdims=True)
  y = y - y.mean(axis=axis, keepdims=True)
  squares = (x * x).sum(axis=axis) * (y * y).sum(axis=axis)
  with np.errstate(invalid='ignore', divide='ignore'):
    return (x * y).sum(axis=axis) / np.sqrt(squares)


def spearman(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
  """Returns Spearman's ρ along an axis; tied values share their rank."""
  return pearson(
    scipy.stats.rankdata(x, axis=axis),
    scipy.stats.rankdata(y, axis=axis),
    axis,
  )


def _check_points(x: np.ndarray, y: np.ndarray) -> None:
  """Raises an InputError where points have no correlation."""
  if len(x) < 3:
    raise InputError(
      f'no correlation of {len(x)} network{"s" * (len(x) != 1)}: it takes '
      'three or more'
    )
  for name, values in (('ImageNet accuracies', x), ('accuracies', y)):
    if np.ptp(values) == 0:
      raise InputError(f'no correlation: all {name} are the same')


def correlation(
  x: np.ndarray,
  y: np.ndarray,
  *,
  ranks: bool = False,
  resamples: int = RESAMPLES,
) -> Correlation:
  """Returns Pearson's r or Spearman's ρ, with its 95 % bootstrap interval.

  The interval is SciPy's BCa over resampled points, with a fixed seed. For 16
  normal points it holds the truth in about 92 % of cases, not 95. A resample of
  one point alone has no coefficient and counts as the observed one.

  Args:
    x: [M], usually the log-odds of ImageNet top-1.
    y: [M].
    ranks: Spearman's instead of Pearson's.
    resamples: of the bootstrap.

  Raises:
    InputError: fewer than three points, or all of one value.
  """
  _check_points(x, y)
  coefficient = spearman if ranks else pearson
  observed = float(np.clip(coefficient(x, y), -1, 1))
  low = high = np.nan
  # A perfect correlation is perfect in every resample.
  if len(x) >= _FEWEST_FOR_AN_INTERVAL and abs(observed) < 1 - 1e-12:
    low, high = scipy.stats.bootstrap(
      (x, y),
      lambda x, y, axis: np.nan_to_num(coefficient(x, y, axis), nan=observed),
      paired=True,
      vectorized=True,
      n_resamples=resamples,
      rng=np.random.default_rng(0),
    ).confidence_interval
  return Correlation(observed, float(low), float(high), len(x))


def regression(
  x: np.ndarray,
  y: np.ndarray,
  positions: np.ndarray,
  *,
  resamples: int = RESAMPLES,
) -> Line:
  """Fits a least-squares line of y on x, with its 95 % bootstrap band.

  The band is of percentiles. It holds the true line in about 91 % of cases at
  16 points and 92 % at 30, not 95.

  Args:
    x: [M].
    y: [M].
    positions: [G] values of x at which the line and its band are computed.
    resamples: of the bootstrap; those of one point alone are left out.

  Raises:
    InputError: fewer than three points, or all of one value.
  """
  _check_points(x, y)
  fit = scipy.stats.linregress(x, y)
  line = fit.intercept + fit.slope * positions
  low = high = np.full(len(positions), np.nan)
  if len(x) >= _FEWEST_FOR_AN_INTERVAL:
    drawn = np.random.default_rng(0).integers(len(x), size=(resamples, len(x)))
    drawn = drawn[np.ptp(x[drawn], axis=1) > 0]
    xs, ys = x[drawn], y[drawn]
    centers = xs.mean(axis=1, keepdims=True), ys.mean(axis=1, keepdims=True)
    dx = xs - centers[0]
    slopes = (dx * ys).sum(axis=1, keepdims=True)
    slopes /= (dx * dx).sum(axis=1, keepdims=True)
    lines = centers[1] + slopes * (positions - centers[0])
    low, high = np.quantile(lines, [0.025, 0.975], axis=0)
  return Line(float(fit.slope), float(fit.intercept), line, low, high)


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


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
  """Returns McNemar's exact two-sided p: two networks err equally often.

  Args:
    first: bool [N], whether the first network was right.
    second: bool [N], the second, on the same examples.
  """
  only_first = int(np.sum(first & ~second))
  differ = int(np.sum(first != second))
  if not differ:
    return 1.0
  return float(scipy.stats.binomtest(only_first, differ).pvalue)


def permutation_test(
  first: np.ndarray, second: np.ndarray, *, resamples: int = RESAMPLES
) -> float:
  """Returns the two-sided p-value of a paired permutation test.

  The null hypothesis is that swapping the two networks makes no difference: the
  two scores of each example are swapped or not. All permutations are counted
  where there are no more than `resamples`, else that many are drawn, with a
  fixed seed.

  Args:
    first: [N] scores, as `example_scores` gives them.
    second: [N], of the second network on the same examples.
    resamples: the number of permutations.
  """
  # Equal scores are the same whether swapped or not.
  difference = (first - second)[first != second]
  if not len(difference):
    return 1.0
  if len(difference) == 1:
    return 1.0  # Both permutations are equally far from zero; SciPy needs two.
  scale = np.abs(difference).sum()

  def statistic(differences: np.ndarray, axis: int) -> np.ndarray:
    """Sums differences; sums that differ by float noise alone are equal."""
    return np.round(differences.sum(axis=axis) / scale, 12)

  return float(
    scipy.stats.permutation_test(
      (difference,),
      statistic,
      permutation_type='samples',
      vectorized=True,
      n_resamples=resamples,
      batch=max(1, 10_000_000 // len(difference)),
      rng=np.random.default_rng(0),
    ).pvalue
  )


def compare(
  metric: str,
  labels: np.ndarray,
  first: np.ndarray,
  second: np.ndarray,
) -> float:
  """Returns the p-value that two networks do equally well on a dataset.

  McNemar's test for top-1, the permutation test for the others.

  Args:
    metric: 'top1', 'mean_per_class' or 'map11'.
    labels: [N]; of map11 [N, C].
    first: bool like `labels`, where the first network was right.
    second: bool like `labels`.

  Raises:
    InputError: the two are not of the same examples.
  """
  if not first.shape == second.shape == labels.shape:
    raise InputError(
      'a paired test needs the same examples of both networks; found '
      f'{first.shape} and {second.shape} for labels {labels.shape}'
    )
  if metric == 'top1':
    return mcnemar(first, second)
  return permutation_test(
    example_scores(metric, labels, first),
    example_scores(metric, labels, second),
  )


def paired_t_test(first: np.ndarray, second: np.ndarray) -> float:
  """Returns the two-sided p of a paired t-test over datasets.

  Args:
    first: [D] log-odds of the first network.
    second: [D] of the second, on the same datasets.

  Raises:
    InputError: fewer than two datasets.
  """
  if len(first) < 2:
    raise InputError(
      f'a t-test over datasets takes two or more; found {len(first)}'
    )
  difference = first - second
  if np.ptp(difference) == 0:  # No spread: t is 0 / 0 or infinite.
    return 1.0 if difference[0] == 0 else 0.0
  return float(scipy.stats.ttest_rel(first, second).pvalue)


def holm(p_values: Sequence[float]) -> np.ndarray:
  """Returns Holm's (1979) adjusted p-values, in the order given.

  Rejecting those of at most α keeps the chance of any wrong rejection below α.
  """
  p = np.asarray(p_values, float)
  order = np.argsort(p)
  factors = np.arange(len(p), 0, -1)
  adjusted = np.empty_like(p)
  adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1)
  return adjusted


def tied_with_best(
  metric: str,
  labels: np.ndarray,
  correct: Sequence[np.ndarray],
  values: Sequence[float],
  *,
  correct_with_holm: bool = False,
) -> np.ndarray:
  """Returns which networks are not significantly worse than the best, p > 0.05.

  The paper's figure 2 has them in green; it did not correct for the number of
  comparisons.

  Args:
    metric: of the dataset.
    labels: [N]; of map11 [N, C].
    correct: M arrays, bool like `labels`.
    values: [M] of the metric; the highest is the best.
    correct_with_holm: whether p-values are adjusted for the M − 1 tests.

  Returns:
    bool [M]; the best is tied with itself.
  """
  best = int(np.argmax(values))
  others = [i for i in range(len(values)) if i != best]
  p = np.array(
    [compare(metric, labels, correct[best], correct[i]) for i in others]
  )
  tied = np.ones(len(values), bool)
  tied[others] = (holm(p) if correct_with_holm else p) > 0.05
  return tied


def steps_to_share(
  steps: np.ndarray, accuracy: np.ndarray, share: float = 0.9
) -> int:
  """Returns the fewest steps whose odds reach a share of the greatest odds.

  Args:
    steps: [S] step counts, ascending.
    accuracy: [S] in 0 to 1, exclusive of 1, after so many steps.
    share: of the greatest odds p / (1 − p) over all step counts.
  """
  odds = accuracy / (1 - accuracy)
  return int(steps[np.argmax(odds >= share * odds.max())])
