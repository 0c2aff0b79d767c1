"""Compares two correlations with one variable in common, on the same networks.

Letters in shapes: M networks.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.stats

from tf_transfer.errors import InputError
from tf_transfer.study.analysis import correlations
from tf_transfer.study.analysis.statistics import RESAMPLES

_FEWEST_NETWORKS = 5  # With fewer, neither test says anything.
_FEWEST_FAMILIES = 3


@dataclasses.dataclass(frozen=True)
class Change:
  """The difference of two correlations with the same x.

  Attributes:
    first: r of x with the first y.
    second: r of x with the second.
    between: r of the two y.
    p: of Williams' test, two-sided, that networks are independent assumed.
    low: lower end of the 95 % bootstrap interval over networks of first −
      second.
    high: its upper end.
    family_low: lower end of the 95 % jackknife interval over families; NaN
      where there are too few.
    family_high: its upper end.
    num_networks: M.
  """

  first: float
  second: float
  between: float
  p: float
  low: float
  high: float
  family_low: float
  family_high: float
  num_networks: int


def williams(
  first: float, second: float, between: float, num_points: int
) -> tuple[float, float]:
  """Returns t and the two-sided p of Williams' test (1959).

  It is that which Steiger (1980, equation 7) recommends for two correlations
  that share a variable, with n − 3 degrees of freedom.

  Args:
    first: correlation of x with the first variable.
    second: with the second.
    between: of the two variables.
    num_points: n, four or more.
  """
  determinant = 1 - first**2 - second**2 - between**2
  determinant += 2 * first * second * between
  mean = (first + second) / 2
  ratio = (num_points - 1) / (num_points - 3)
  variance = 2 * ratio * max(determinant, 0.0) + mean**2 * (1 - between) ** 3
  if first == second:
    return 0.0, 1.0
  with np.errstate(divide='ignore'):
    t = (first - second) * np.sqrt((num_points - 1) * (1 + between) / variance)
  return float(t), float(2 * scipy.stats.t.sf(abs(t), num_points - 3))


def compare(
  x: np.ndarray,
  first: np.ndarray,
  second: np.ndarray,
  families: Sequence[str],
  *,
  resamples: int = RESAMPLES,
) -> Change:
  """Compares the correlations of x with two variables.

  Williams' test and the bootstrap (percentiles, networks drawn together with
  all three values) take networks as independent; the jackknife leaves out one
  family at a time, with Student's t.

  Args:
    x: [M], usually the log-odds of ImageNet top-1.
    first: [M].
    second: [M].
    families: M names.
    resamples: of the bootstrap.

  Raises:
    InputError: fewer than five networks, or values that do not vary.
  """
  count = len(x)
  if count < _FEWEST_NETWORKS:
    raise InputError(
      f'comparing correlations takes {_FEWEST_NETWORKS} networks or more; '
      f'found {count}'
    )
  if min(np.ptp(x), np.ptp(first), np.ptp(second)) == 0:
    raise InputError('no correlation: all values are the same')
  pairs = (x, first), (x, second), (first, second)
  observed = [float(correlations.pearson(*pair)) for pair in pairs]
  rows = np.random.default_rng(0).integers(count, size=(resamples, count))
  differences = correlations.pearson(x[rows], first[rows])
  differences = differences - correlations.pearson(x[rows], second[rows])
  # A resample of one network alone has no correlation.
  low, high = np.nanquantile(differences, [0.025, 0.975])
  return Change(
    *observed,
    williams(*observed, count)[1],
    float(low),
    float(high),
    *_over_families(x, first, second, families),
    count,
  )


def _over_families(
  x: np.ndarray,
  first: np.ndarray,
  second: np.ndarray,
  families: Sequence[str],
) -> tuple[float, float]:
  """Returns the jackknife's interval of the difference, over families."""
  without = []
  for family in dict.fromkeys(families):
    mask = np.array([name == family for name in families])
    without.append(
      correlations.leave_out(x, first, mask)
      - correlations.leave_out(x, second, mask)
    )
  count = len(without)
  if count < _FEWEST_FAMILIES or np.isnan(without).any():
    return np.nan, np.nan
  observed = correlations.pearson(x, first) - correlations.pearson(x, second)
  squares = np.sum((np.array(without) - observed) ** 2)
  half = scipy.stats.t.isf(0.025, count - 1)
  half *= np.sqrt(squares * (count - 1) / count)
  return float(observed - half), float(observed + half)
