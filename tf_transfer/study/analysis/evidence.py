"""Collects what a correlation with ImageNet accuracy rests on.

Letters in shapes: M networks, D datasets.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tf_transfer.networks import recipe as recipe_lib
from tf_transfer.study.analysis import (
  accuracy_table,
  attenuation,
  correlations,
  jackknife,
  partial,
  statistics,
)

NETWORKS, FAMILIES = 'networks', 'families'
NETWORKS_AND_DATASETS = 'networks and datasets'
FAMILIES_AND_DATASETS = 'families and datasets'


@dataclasses.dataclass(frozen=True)
class Interval:
  """A 95 % interval of a correlation.

  Attributes:
    over: what is taken as drawn independently.
    low: its lower end.
    high: its upper end.
  """

  over: str
  low: float
  high: float

  @property
  def sign(self) -> int:
    """The side of zero on which it lies: 1, −1, or 0 where zero is inside."""
    return int(self.low > 0) - int(self.high < 0)


@dataclasses.dataclass(frozen=True)
class Evidence:
  """What a correlation with ImageNet accuracy rests on.

  Attributes:
    r: Pearson's.
    num_networks: of how many.
    num_datasets: over how many accuracies were averaged.
    families: the different ones.
    intervals: those that can be computed, widened for errors that are known:
      over networks; over families, if any has several networks; and over either
      with datasets.
    without: family -> r without its networks, where it has a value and the
      family is not the only one.
    given_recipe: None where no recipe is known or none counts.
    attenuation: what errors of measurement do.
  """

  r: float
  num_networks: int
  num_datasets: int
  families: tuple[str, ...]
  intervals: tuple[Interval, ...]
  without: dict[str, float]
  given_recipe: partial.GivenRecipe | None
  attenuation: attenuation.Attenuation

  @property
  def are_independent(self) -> bool:
    """Whether every network is of a family of its own."""
    return len(self.families) == self.num_networks

  def interval(self, over: str) -> Interval | None:
    """Returns the interval over what is named, None if it has none."""
    return next((one for one in self.intervals if one.over == over), None)


def from_table(
  table: accuracy_table.AccuracyTable,
  recipes: Sequence[recipe_lib.Recipe] | None = None,
  *,
  resamples: int = statistics.RESAMPLES,
) -> Evidence:
  """Collects what the correlation of a table rests on.

  Args:
    table: without a gap, as of `accuracy_table.select_comparable`.
    recipes: M of them; None where they have no effect.
    resamples: of the bootstrap over networks.

  Raises:
    InputError: fewer than three networks, or accuracies that do not vary.
  """
  x, y = statistics.log_odds(table.imagenet_top1), table.log_odds.mean(axis=1)
  by_family = correlations.by_family(x, y, table.families, resamples=resamples)
  errors = attenuation.from_table(table)
  return Evidence(
    by_family.over_networks.r,
    *table.accuracy.shape,
    tuple(by_family.without),
    _intervals(table, x, by_family, errors),
    {f: r for f, r in by_family.without.items() if not np.isnan(r)},
    None if recipes is None else partial.given_recipe(x, y, recipes),
    errors,
  )


def _intervals(
  table: accuracy_table.AccuracyTable,
  x: np.ndarray,
  by_family: correlations.ByFamily,
  errors: attenuation.Attenuation,
) -> tuple[Interval, ...]:
  """Returns the intervals that can be computed."""
  over_networks = by_family.over_networks
  if np.isnan(over_networks.low):
    return ()
  y = table.log_odds.mean(axis=1)
  rows = [
    correlations.leave_out(x, y, np.arange(len(x)) == row)
    for row in range(len(x))
  ]
  columns = _without_datasets(x, table.log_odds)
  r = over_networks.r
  ends = {
    NETWORKS: (over_networks.low, over_networks.high),
    NETWORKS_AND_DATASETS: jackknife.interval(r, np.array(rows), columns),
  }
  if len(by_family.without) < len(x):
    families = np.array([*by_family.without.values()])
    over_families = by_family.over_families
    ends[FAMILIES] = over_families.low, over_families.high
    ends[FAMILIES_AND_DATASETS] = jackknife.interval(r, families, columns)
  order = NETWORKS, FAMILIES, NETWORKS_AND_DATASETS, FAMILIES_AND_DATASETS
  return tuple(
    Interval(over, *errors.widened(*ends[over]))
    for over in order
    if over in ends and not np.isnan(ends[over][0])
  )


def _without_datasets(x: np.ndarray, values: np.ndarray) -> np.ndarray:
  """Returns r [D] without each dataset; none where there is but one."""
  if values.shape[1] < 2:
    return np.empty(0)
  without = [np.delete(values, d, axis=1) for d in range(values.shape[1])]
  means = np.array([rest.mean(axis=1) for rest in without])
  return correlations.pearson(x[None], means)
