"""Collects what published accuracies on shifted test sets show."""

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

from tf_transfer.study.analysis import (
  shift_correlations,
  shift_residuals,
  shift_table,
)


@dataclasses.dataclass(frozen=True)
class ShiftResults:
  """The table of checkpoints, and what is computed from it.

  Attributes:
    table: of the checkpoints.
    correlations: of each test set and group.
    residuals: test set -> how far checkpoints are above its curve.
    means: of the residuals of each group.
  """

  table: shift_table.ShiftTable
  correlations: tuple[shift_correlations.ShiftCorrelation, ...]
  residuals: Mapping[str, shift_residuals.Residuals]
  means: tuple[shift_residuals.GroupMean, ...]

  @property
  def num_compared(self) -> int:
    """How many residuals are compared with chance, over all test sets."""
    return int(sum(one.compared.sum() for one in self.residuals.values()))

  @property
  def num_better_on(self) -> np.ndarray:
    """The number [M] of test sets where a checkpoint beats its top-1."""
    return sum(one.better.astype(int) for one in self.residuals.values())

  @property
  def standouts(self) -> np.ndarray:
    """The checkpoints that beat their top-1, as indices, the clearest first."""
    counts = self.num_better_on
    scores = np.nan_to_num([one.score for one in self.residuals.values()])
    order = np.lexsort((-scores.max(axis=0), -counts))
    return order[counts[order] > 0]

  def correlation(
    self, test_set: str, group: str, min_top1: float = 0.0
  ) -> shift_correlations.ShiftCorrelation | None:
    """Returns one of the correlations, None where there is none."""
    key = test_set, group, min_top1
    for one in self.correlations:
      if (one.test_set, one.group, one.min_top1) == key:
        return one
    return None

  def mean(self, test_set: str, group: str) -> shift_residuals.GroupMean | None:
    """Returns the mean residual of a group, None where none is compared."""
    for one in self.means:
      if (one.test_set, one.group) == (test_set, group):
        return one
    return None


@functools.cache
def published() -> ShiftResults:
  """Returns what the accuracies show that timm publishes."""
  return compute(shift_table.published())


def compute(table: shift_table.ShiftTable) -> ShiftResults:
  """Returns what a table shows.

  Args:
    table: of the checkpoints.
  """
  residuals = shift_residuals.residuals(table)
  return ShiftResults(
    table,
    shift_correlations.correlate(table),
    residuals,
    shift_residuals.group_means(table, residuals),
  )
