"""Computes how much errors of measurement weaken a correlation.

Letters in shapes: M networks, D datasets.
"""

import dataclasses

import numpy as np

from tf_transfer.study.analysis import accuracy_table

# Less is not told from 0 by a handful of networks.
LEAST_RELIABILITY = 0.1


@dataclasses.dataclass(frozen=True)
class Attenuation:
  """What errors of measurement leave of a correlation.

  A reliability is the share of the variance over networks that is not error's.

  Attributes:
    top1: reliability of the log-odds of ImageNet top-1.
    mean: reliability of the mean log-odds over datasets.
    num_top1: networks whose error of ImageNet top-1 is known.
    num_cells: cells whose error is known from their runs.
  """

  top1: float
  mean: float
  num_top1: int
  num_cells: int

  @property
  def factor(self) -> float:
    """The r of measured values over that of values without errors."""
    return float(np.sqrt(self.top1 * self.mean))

  @property
  def is_known(self) -> bool:
    """Whether any error is known."""
    return self.num_top1 + self.num_cells > 0

  def corrected(self, r: float) -> float:
    """Returns the r of values without errors, which is at most ±1."""
    return float(np.clip(r / self.factor, -1, 1))

  def widened(self, low: float, high: float) -> tuple[float, float]:
    """Widens the interval of measured values to that of those without errors.

    An end divided by the factor is the end for values without errors: so the
    interval contains the r of either. Whether zero is inside does not change.
    """
    return min(low, self.corrected(low)), max(high, self.corrected(high))


def from_table(table: accuracy_table.AccuracyTable) -> Attenuation:
  """Returns what the known errors of a table's values do to its r.

  Errors that are not known count as 0. Those of ImageNet top-1 are taken as
  independent; what networks share, being measured on the same images, weakens
  no correlation, so that the factor is, if anything, too small.

  Args:
    table: without a gap, of three or more networks.
  """
  top1 = table.imagenet_top1
  # d log-odds / d p.
  top1_error = table.top1_error / (top1 * (1 - top1))
  runs = np.nan_to_num(table.run_error)
  mean_error = np.sqrt((runs**2).sum(axis=1)) / len(table.datasets)
  return Attenuation(
    reliability(np.log(top1 / (1 - top1)), top1_error),
    reliability(table.log_odds.mean(axis=1), mean_error),
    int((table.top1_error > 0).sum()),
    int((~np.isnan(table.run_error)).sum()),
  )


def reliability(values: np.ndarray, errors: np.ndarray) -> float:
  """Returns 1 less the share that errors have in the variance of values.

  Args:
    values: [M], not all the same.
    errors: [M] standard errors, 0 where there is none.

  Returns:
    1 without errors, and no less than `LEAST_RELIABILITY`.
  """
  share = (errors**2).mean() / values.var(ddof=1)
  return float(max(1 - share, LEAST_RELIABILITY))
