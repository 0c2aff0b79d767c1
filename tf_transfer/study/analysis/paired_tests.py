"""Compares networks on the same test images or datasets, with paired tests.

Section 6 of the protocol. Letters in shapes: M networks, D datasets, N test
examples, C classes.
"""

from collections.abc import Sequence

import numpy as np
import scipy.stats

from tf_transfer.errors import InputError
from tf_transfer.study.analysis.statistics import RESAMPLES
from tf_transfer.transfer.metrics import example_scores


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
