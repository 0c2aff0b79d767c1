"""Finds checkpoints that do better on shifted images than their top-1 says.

What a top-1 says is a curve: the accuracy, in log-odds, of checkpoints of
ImageNet-1k alone as a function of their accuracy on plain images. It is a
natural cubic spline, since the points bend. Each family is compared with a
curve that was fitted without it.

Letters in shapes: M checkpoints, B of them on ImageNet-1k alone, K knots.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import scipy.stats

from tf_transfer.networks import timm_pretraining
from tf_transfer.study.analysis import paired_tests, shift_table

BASELINE = timm_pretraining.IMAGENET_1K
LEVEL = 0.05
# Where knots are, as shares of the points (Harrell's, for seven).
_KNOT_SHARES = (0.025, 0.1833, 0.3417, 0.5, 0.6583, 0.8167, 0.975)
# The spread about the curve is that of so many points with nearest x.
_NUM_NEAREST = 100


@dataclasses.dataclass(frozen=True)
class Residuals:
  """How far checkpoints are above the curve of one test set.

  Attributes:
    test_set: its name.
    value: [M] in log-odds; NaN where there is no accuracy, or plain accuracy
      is beyond that of the checkpoints of the curve.
    score: [M] the same divided by the spread about the curve there.
    p: [M] two-sided, of a normal score, adjusted by Holm for all checkpoints
      and test sets that are compared.
    num_beyond: how many have plain accuracy beyond the curve.
  """

  test_set: str
  value: np.ndarray
  score: np.ndarray
  p: np.ndarray
  num_beyond: int

  @property
  def compared(self) -> np.ndarray:
    """Bool [M], which checkpoints are compared with the curve."""
    return ~np.isnan(self.value)

  @property
  def better(self) -> np.ndarray:
    """Bool [M], which are above the curve by more than chance allows."""
    return self.compared & (self.p <= LEVEL) & (self.score > 0)

  @property
  def worse(self) -> np.ndarray:
    """Bool [M], which are below it by more than chance allows."""
    return self.compared & (self.p <= LEVEL) & (self.score < 0)


@dataclasses.dataclass(frozen=True)
class GroupMean:
  """The mean residual of a group of pretraining data on one test set.

  Attributes:
    test_set: its name.
    group: its name.
    num_checkpoints: that are compared.
    num_families: of theirs.
    num_better: that are above the curve by more than chance allows.
    mean: of the families' means, in log-odds.
    low: lower end of its 95 % interval, over families; NaN for fewer than
      three.
    high: upper end.
  """

  test_set: str
  group: str
  num_checkpoints: int
  num_families: int
  num_better: int
  mean: float
  low: float
  high: float


def residuals(table: shift_table.ShiftTable) -> Mapping[str, Residuals]:
  """Compares all checkpoints with the curves of all test sets.

  Args:
    table: of the checkpoints.

  Returns:
    Test set -> residuals.
  """
  raw = {name: _of_test_set(table, name) for name in table.shifts}
  scores = np.concatenate([score for _, score, _ in raw.values()])
  p = np.full(len(scores), np.nan)
  known = ~np.isnan(scores)
  p[known] = paired_tests.holm(2 * scipy.stats.norm.sf(np.abs(scores[known])))
  parts = np.split(p, len(raw))
  return {
    name: Residuals(name, value, score, part, num_beyond)
    for (name, (value, score, num_beyond)), part in zip(
      raw.items(), parts, strict=True
    )
  }


def group_means(
  table: shift_table.ShiftTable, of_test_sets: Mapping[str, Residuals]
) -> tuple[GroupMean, ...]:
  """Averages residuals over the families of each group.

  Each family counts the same, and has one value: the mean of its checkpoints.
  The interval is Student's over families.

  Args:
    table: of the checkpoints.
    of_test_sets: as `residuals` returns them.
  """
  means = []
  for name, one in of_test_sets.items():
    for group in timm_pretraining.GROUPS:
      rows = one.compared & (table.groups == group)
      if rows.any():
        families = table.families[rows]
        values = np.array(
          [one.value[rows][families == f].mean() for f in np.unique(families)]
        )
        means.append(
          GroupMean(
            name,
            group,
            int(rows.sum()),
            len(values),
            int(one.better[rows].sum()),
            float(values.mean()),
            *_interval(values),
          )
        )
  return tuple(means)


def _interval(values: np.ndarray) -> tuple[float, float]:
  """Returns Student's 95 % interval of a mean; NaN of fewer than three."""
  if len(values) < 3:
    return np.nan, np.nan
  low, high = scipy.stats.t.interval(
    0.95, len(values) - 1, values.mean(), scipy.stats.sem(values)
  )
  return float(low), float(high)


def curve(
  table: shift_table.ShiftTable, name: str, positions: np.ndarray
) -> np.ndarray:
  """Returns the curve of a test set, of all checkpoints on ImageNet-1k alone.

  Args:
    table: of the checkpoints.
    name: of the test set.
    positions: x in log-odds.
  """
  shift = table.shifts[name]
  rows = shift.known & (table.groups == BASELINE)
  knots = np.quantile(shift.x[rows], _KNOT_SHARES)
  return _fit(shift.x[rows], shift.y[rows], knots, positions)


def _of_test_set(
  table: shift_table.ShiftTable, name: str
) -> tuple[np.ndarray, np.ndarray, int]:
  """Returns residuals [M], scores [M], and how many are beyond the curve."""
  shift, families = table.shifts[name], table.families
  x, y = shift.x, shift.y
  baseline = shift.known & (table.groups == BASELINE)
  # At the same places for all families, so that curves differ by points alone.
  knots = np.quantile(x[baseline], _KNOT_SHARES)
  ends = x[baseline].min(), x[baseline].max()
  inside = shift.known & (x >= ends[0]) & (x <= ends[1])
  value = np.full(len(x), np.nan)
  for family in np.unique(families):
    rows = inside & (families == family)
    others = baseline & (families != family)
    value[rows] = y[rows] - _fit(x[others], y[others], knots, x[rows])
  score = np.full(len(x), np.nan)
  for family in np.unique(families):
    rows = inside & (families == family)
    others = baseline & (families != family)
    score[rows] = value[rows] / _spread(x[others], value[others], x[rows])
  return value, score, int((shift.known & ~inside).sum())


def _spread(
  x: np.ndarray, value: np.ndarray, positions: np.ndarray
) -> np.ndarray:
  """Returns the root mean square of the residuals of the nearest points.

  Args:
    x: [B] of the baseline.
    value: [B] residuals.
    positions: [M] where the spread is asked for.
  """
  distance = np.abs(x[None] - positions[:, None])
  nearest = np.argsort(distance, axis=1, kind='stable')[:, :_NUM_NEAREST]
  return np.sqrt((value[nearest] ** 2).mean(axis=1))


def _fit(
  x: np.ndarray, y: np.ndarray, knots: np.ndarray, positions: np.ndarray
) -> np.ndarray:
  """Fits a natural cubic spline by least squares, and evaluates it."""
  coefficients = np.linalg.lstsq(_basis(x, knots), y)[0]
  return _basis(positions, knots) @ coefficients


def _basis(x: np.ndarray, knots: np.ndarray) -> np.ndarray:
  """Returns the truncated-power basis [M, K] of natural cubic splines.

  It is linear beyond the outer knots (Hastie, Tibshirani and Friedman, The
  Elements of Statistical Learning, eq. 5.4 and 5.5).
  """

  def scaled(knot: float) -> np.ndarray:
    cubes = np.maximum(x - knot, 0) ** 3 - np.maximum(x - knots[-1], 0) ** 3
    return cubes / (knots[-1] - knot)

  last = scaled(knots[-2])
  columns = [scaled(knot) - last for knot in knots[:-2]]
  return np.column_stack([np.ones_like(x), x, *columns])
