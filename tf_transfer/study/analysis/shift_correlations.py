"""Correlates accuracy on shifted test sets with that on plain images.

Letters in shapes: M checkpoints.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from tf_transfer.networks import timm_pretraining
from tf_transfer.study.analysis import correlations, partial, shift_table

ALL, WITHIN = 'all', 'within groups'
# ImageNet top-1 above which r is computed once more.
HIGH_TOP1 = 0.75
# Of the bootstrap over checkpoints: there are enough that more change nothing.
_RESAMPLES = 2_000
_FEWEST = 3  # checkpoints that have a correlation


@dataclasses.dataclass(frozen=True)
class ShiftCorrelation:
  """The correlation of some checkpoints on one test set.

  Attributes:
    test_set: its name.
    group: of pretraining data; ALL, or WITHIN: of what is left after each
      group's mean is subtracted.
    min_top1: checkpoints below this ImageNet top-1 are left out.
    num_families: of so many families.
    over_checkpoints: Pearson's r, with the BCa interval of independent
      checkpoints; of WITHIN with Fisher's.
    over_families: the same r, with the jackknife's interval of independent
      families; NaN ends where there are too few, and of WITHIN.
    ranks: Spearman's coefficient; NaN of WITHIN.
  """

  test_set: str
  group: str
  min_top1: float
  num_families: int
  over_checkpoints: correlations.Correlation
  over_families: correlations.Correlation
  ranks: float

  @property
  def r(self) -> float:
    """Pearson's coefficient."""
    return self.over_checkpoints.r


def correlate(
  table: shift_table.ShiftTable,
) -> tuple[ShiftCorrelation, ...]:
  """Correlates all test sets, groups, and checkpoints above HIGH_TOP1.

  A selection of fewer than three checkpoints is left out.

  Args:
    table: of the checkpoints.
  """
  return tuple(
    one
    for name in table.shifts
    for min_top1 in (0.0, HIGH_TOP1)
    for one in _of_test_set(table, name, min_top1)
  )


def _of_test_set(
  table: shift_table.ShiftTable, name: str, min_top1: float
) -> Iterator[ShiftCorrelation]:
  """Correlates all checkpoints of a test set, within groups, and each group."""
  shift = table.shifts[name]
  selected = shift.known & (table.top1 > min_top1)
  if selected.sum() < _FEWEST:
    return
  x, y = shift.x, shift.y
  families, groups = table.families, table.groups
  yield _correlation(
    (name, ALL, min_top1), x[selected], y[selected], families[selected]
  )
  present = [g for g in timm_pretraining.GROUPS if g in groups[selected]]
  yield _within(
    (name, WITHIN, min_top1),
    x[selected],
    y[selected],
    np.array([groups[selected] == group for group in present], float).T,
    families[selected],
  )
  for group in present:
    rows = selected & (groups == group)
    if rows.sum() >= _FEWEST:
      yield _correlation(
        (name, group, min_top1), x[rows], y[rows], families[rows]
      )


def _correlation(
  key: tuple[str, str, float],
  x: np.ndarray,
  y: np.ndarray,
  families: np.ndarray,
) -> ShiftCorrelation:
  """Correlates points [M] of one selection."""
  both = correlations.by_family(x, y, list(families), resamples=_RESAMPLES)
  return ShiftCorrelation(
    *key,
    len(both.without),
    both.over_networks,
    both.over_families,
    float(correlations.spearman(x, y)),
  )


def _within(
  key: tuple[str, str, float],
  x: np.ndarray,
  y: np.ndarray,
  indicators: np.ndarray,
  families: np.ndarray,
) -> ShiftCorrelation:
  """Correlates points [M] within the groups of `indicators` [M, G]."""
  one = partial.partial_correlation(x, y, indicators)
  return ShiftCorrelation(
    *key,
    len(np.unique(families)),
    one,
    dataclasses.replace(one, low=np.nan, high=np.nan),
    np.nan,
  )
