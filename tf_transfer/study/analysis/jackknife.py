"""Computes intervals of a correlation from what it is without one group.

Letters in shapes: G groups.
"""

import numpy as np
import scipy.stats

# With two groups the interval is so wide that it says nothing.
FEWEST_GROUPS = 3


def interval(r: float, *ways: np.ndarray) -> tuple[float, float]:
  """Returns the 95 % interval of a correlation whose points are clustered.

  Fisher's z of the correlation has as its variance the jackknife's: the sum
  over groups of the squared changes that leaving one out makes, times
  (G − 1) / G. The interval is Student's, with G − 1 degrees of freedom. Where
  points are grouped in two ways, as networks by families and by datasets,
  variances add up (what both ways share is then counted twice, which is safe)
  and the degrees of freedom are Satterthwaite's; the interval is never narrower
  than that of one way. `benchmarks.coverage` has how often it contains the
  truth; a bootstrap that draws five families contains it far less often.

  Args:
    r: the correlation of all points.
    *ways: [G] what it is without each group, an array for each way of grouping.

  Returns:
    Its ends; NaN where a way has fewer than three groups, or where r is ±1 or
    has no value, with all points or without a group.
  """
  correlations = np.concatenate([[r], *ways])
  if min(map(len, ways)) < FEWEST_GROUPS or not np.all(
    np.abs(correlations) < 1 - 1e-12
  ):
    return np.nan, np.nan
  z = np.arctanh(r)
  degrees = np.array([len(way) - 1 for way in ways])
  variances = [((np.arctanh(way) - z) ** 2).sum() for way in ways]
  variances = np.array(variances) * degrees / (degrees + 1)
  halves = _half_width(variances, degrees)
  total = variances.sum()
  if total > 0:
    halves = np.append(
      halves, _half_width(total, total**2 / (variances**2 / degrees).sum())
    )
  half = halves.max()
  return float(np.tanh(z - half)), float(np.tanh(z + half))


def _half_width(
  variance: np.ndarray | float, degrees: np.ndarray | float
) -> np.ndarray:
  """Returns half the width of Student's 95 % interval."""
  return np.sqrt(variance) * scipy.stats.t.ppf(0.975, degrees)
