"""Says which differences a paired test on the same test images can resolve.

The smallest difference of a test is the one that it finds with a chance of
80 %, at the 5 % level. Letters in shapes: N test examples.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import scipy.optimize
import scipy.stats

from tf_transfer.study.analysis import uncertainty

_LEVEL = 0.05
_POWER = 0.8


@dataclasses.dataclass(frozen=True)
class Resolution:
  """What a paired test on some test images can resolve.

  Attributes:
    difference: the smallest in 0 to 1, of the metric that the test compares;
      NaN where no difference can be resolved.
    discordance: share of the labels of which one network is right and the other
      wrong.
    assumed: whether the discordance is not observed but that of two networks of
      the same accuracy that err independently, which is an upper limit unless
      one tends to be right where the other is wrong.
  """

  difference: float
  discordance: float
  assumed: bool = False


def mcnemar_power(
  difference: float, discordance: float, num_examples: int
) -> float:
  """Returns the power of McNemar's exact test at the 5 % level.

  The number of examples on which the two differ is binomial, and so is, of
  those, the number on which the first is right; the power is summed over both.

  Args:
    difference: between the two accuracies, in 0 to 1.
    discordance: share of the examples on which the two differ; at least
      `difference`.
    num_examples: in the test split.
  """
  low, high = scipy.stats.binom.interval(
    1 - 1e-9, num_examples, min(discordance, 1.0)
  )
  differing = np.arange(max(1, int(low)), int(high) + 1)
  chance = scipy.stats.binom.pmf(differing, num_examples, discordance)
  # The most that the less often right one may be right: P(X <= c) <= 2.5 %.
  critical = scipy.stats.binom.ppf(_LEVEL / 2, differing, 0.5)
  too_many = scipy.stats.binom.cdf(critical, differing, 0.5) > _LEVEL / 2
  critical = critical - too_many
  share = (1 + difference / discordance) / 2
  rejected = scipy.stats.binom.cdf(critical, differing, 1 - share)
  rejected += scipy.stats.binom.cdf(critical, differing, share)
  return float(np.sum(chance * rejected))


def mcnemar(discordance: float, num_examples: int) -> float:
  """Returns the smallest difference that McNemar's exact test resolves.

  Where the discordance is smaller than the difference, all of the difference is
  discordance.

  Args:
    discordance: share of the examples on which the two networks differ.
    num_examples: in the test split.

  Returns:
    In 0 to 1; NaN where even a network that is right on all examples cannot be
    told from one that is wrong on all.
  """

  def shortfall(difference: float) -> float:
    larger = max(discordance, difference)
    return mcnemar_power(difference, larger, num_examples) - _POWER

  return _root(shortfall)


def _root(shortfall: Callable[[float], float]) -> float:
  """Returns where a rising function of a difference is zero; NaN if never."""
  if shortfall(1.0) < 0:
    return np.nan
  return float(scipy.optimize.brentq(shortfall, 1e-9, 1, xtol=1e-6))


def of_error(error: float) -> float:
  """Returns the smallest difference that a test with a normal error resolves.

  Args:
    error: standard error of the paired difference.
  """
  z = scipy.stats.norm.isf([_LEVEL / 2, 1 - _POWER])
  return float(z.sum() * error)


def with_runs(sampling: float, runs: float, degrees: int) -> float:
  """Returns the smallest difference that `run_tests.compare` resolves.

  Args:
    sampling: variance of the difference due to test images.
    runs: variance due to training runs.
    degrees: of freedom of `runs`.

  Returns:
    In 0 to 1; NaN where there is no variance to tell it from, or where runs
    vary so much that not even all could be told from nothing.
  """
  total = sampling + runs
  if not total:
    return np.nan
  quantiles = [
    uncertainty.combined_quantile(sampling, runs, degrees, tail)
    for tail in (_LEVEL / 2, 1 - _POWER)
  ]
  return _possible(float(sum(quantiles) * np.sqrt(total)))


def _possible(difference: float) -> float:
  """Returns a difference of accuracies; NaN where it is more than 1."""
  return difference if difference <= 1 else np.nan


def t_test(differences: np.ndarray) -> float:
  """Returns the smallest mean difference that a paired t-test resolves.

  Args:
    differences: [D] of two networks over datasets, in log-odds; two or more.
  """
  count = len(differences)
  error = float(differences.std(ddof=1)) / np.sqrt(count)
  critical = scipy.stats.t.isf(_LEVEL / 2, count - 1)

  def shortfall(ratio: float) -> float:
    power = scipy.stats.nct.sf(critical, count - 1, ratio)
    return float(power) - _POWER

  # The critical value itself is exceeded half the time, or less.
  return error * scipy.optimize.brentq(shortfall, 0.5, 4 * critical + 4)


def paired(
  metric: str, first: np.ndarray, second: np.ndarray, discordance: float
) -> Resolution:
  """Returns what the paired test of two networks can resolve.

  For top-1 it is McNemar's test. For the others it is the permutation test,
  whose error is the root of the sum of squared differences; where few examples
  differ, all of their differences must have one sign, as in McNemar's test.

  Args:
    metric: 'top1', 'mean_per_class' or 'map11'; of the last the difference is
      that of the shares of right labels, which the test compares.
    first: [N] scores, as `paired_tests.example_scores` gives them.
    second: [N], of the second network on the same examples.
    discordance: share of the labels of which one network alone is right.
  """
  num_examples = len(first)
  if metric == 'top1':
    return Resolution(mcnemar(discordance, num_examples), discordance)
  size = np.abs(first - second)
  size = size[size > 0]
  if not len(size):
    return Resolution(np.nan, discordance)
  fewest = mcnemar(0.0, num_examples) * num_examples
  error = np.sqrt(np.sum(size**2))
  difference = max(of_error(error), fewest * size.mean())
  return Resolution(_possible(difference), discordance)


def cross_validated(
  first: np.ndarray,
  second: np.ndarray,
  discordance: float,
  variance_factor: float,
) -> Resolution:
  """Returns what `cross_validation.paired_p` of two networks can resolve.

  Args:
    first: [N] scores, as `paired_tests.example_scores` gives them.
    second: [N], of the second network on the same examples.
    discordance: share of the labels of which one network alone is right.
    variance_factor: of the folds.
  """
  squares = float(np.sum((first - second) ** 2))
  if not squares:
    return Resolution(np.nan, discordance)
  difference = of_error(np.sqrt(variance_factor * squares))
  return Resolution(_possible(difference), discordance)


def alone(
  metric: str,
  labels: np.ndarray,
  correct: np.ndarray,
  scores: np.ndarray,
  variance_factor: float = 1.0,
) -> Resolution:
  """Returns what a test against another network could resolve, by assumption.

  The other network is assumed to be as accurate and to err independently.

  Args:
    metric: as `paired` takes it.
    labels: [N] class numbers; of map11 [N, C].
    correct: bool like `labels`, whether each was right.
    scores: [N], as `paired_tests.example_scores` gives them.
    variance_factor: of the folds of a cross-validation.
  """
  share = correct.mean() if metric != 'map11' else correct[labels >= 0].mean()
  discordance = float(2 * share * (1 - share))
  if metric == 'top1' and variance_factor == 1:
    difference = mcnemar(discordance, len(labels))
  elif metric == 'top1':
    difference = of_error(np.sqrt(variance_factor * discordance / len(labels)))
  elif metric == 'map11':
    variance = np.sum((scores - scores.mean()) ** 2)
    difference = of_error(np.sqrt(variance_factor * 2 * variance))
  else:
    _, counts = np.unique(labels, return_counts=True)
    value = scores.sum()
    variance = np.sum(1 / counts) / len(counts) ** 2 * value * (1 - value)
    difference = of_error(np.sqrt(variance_factor * 2 * variance))
  return Resolution(_possible(difference), discordance, assumed=True)
