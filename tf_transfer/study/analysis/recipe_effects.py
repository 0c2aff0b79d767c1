"""Estimates what ingredients of recipes go with, within architectures.

Public weights of one architecture were trained by recipes that differ in many
things at once. What is estimated are associations: the difference that goes
with an ingredient, whatever else goes with it too.

Letters in shapes: N checkpoints, G architectures.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.stats

from tf_transfer.networks import recipe as recipe_lib
from tf_transfer.study.analysis import statistics

# A factor of recipes that is no field of its own.
OTHER_DATA = 'other_data'
# Names of factors for people, in the order of tables and figures.
FACTORS: Mapping[str, str] = {
  **recipe_lib.FACTORS,
  **recipe_lib.MODERN_FACTORS,
  OTHER_DATA: 'other data than ImageNet-1k',
}
_IMAGENET = 'imagenet'
# What is left of a variable, as a share of its variance, below which it counts
# as explained by others.
_NOTHING_LEFT = 1e-9
# Correlation of two factors from which they are said to go together.
_STRONG_CORRELATION = 0.8
_SAME = 1 - 1e-9


@dataclasses.dataclass(frozen=True)
class Checkpoint:
  """Public weights, and how they transfer.

  Attributes:
    architecture: name of the network.
    label: tells the weights from others of the architecture.
    mean_log_odds: over datasets, of a classifier on fixed features.
    error: half the 95 % interval of it that the test images alone explain.
    top1: on ImageNet, in 0 to 1; NaN where it is unknown.
    recipe: how they were trained.
  """

  architecture: str
  label: str
  mean_log_odds: float
  error: float
  top1: float
  recipe: recipe_lib.Recipe

  def has(self, factor: str) -> bool | None:
    """Tells whether a factor of FACTORS is part of the recipe."""
    if factor != OTHER_DATA:
      return getattr(self.recipe, factor)
    data = self.recipe.trained_on
    return data != _IMAGENET if data else None


@dataclasses.dataclass(frozen=True)
class Estimate:
  """An estimate with its 95 % interval, by Student's t.

  Attributes:
    value: in log-odds; NaN where it cannot be estimated.
    low: of the interval.
    high: of the interval.
    degrees: of freedom that are left.
    problem: why it cannot be estimated; '' where it can.
  """

  value: float
  low: float
  high: float
  degrees: int
  problem: str = ''


@dataclasses.dataclass(frozen=True)
class Effect:
  """What goes with a factor of recipes.

  Attributes:
    factor: one of FACTORS.
    num_with: checkpoints that have it.
    num_without: that do not.
    num_unknown: of which nobody states it.
    difference: of the mean log-odds of features, with minus without, within
      architectures.
    at_equal_top1: the same at equal log-odds of ImageNet top-1.
    same: factors that the same checkpoints have, or those that lack this one:
      their effects cannot be told apart.
    alike: other factors that go with it in most checkpoints.
  """

  factor: str
  num_with: int
  num_without: int
  num_unknown: int
  difference: Estimate
  at_equal_top1: Estimate
  same: tuple[str, ...]
  alike: tuple[str, ...]


def estimate_all(checkpoints: Sequence[Checkpoint]) -> list[Effect]:
  """Estimates the effect of each factor by itself.

  Of each factor those checkpoints count of which it is known, and at equal
  top-1 of these those with a top-1. Each architecture has its own mean (fixed
  effects), and all the same slope on top-1.

  Args:
    checkpoints: of one architecture or several.
  """
  return [_estimate(checkpoints, factor) for factor in FACTORS]


def _estimate(checkpoints: Sequence[Checkpoint], factor: str) -> Effect:
  """Estimates the effect of one factor."""
  known = [one for one in checkpoints if one.has(factor) is not None]
  with_top1 = [one for one in known if not np.isnan(one.top1)]
  same, alike = _find_companions(known, factor)
  num_with = sum(bool(one.has(factor)) for one in known)
  return Effect(
    factor,
    num_with,
    len(known) - num_with,
    len(checkpoints) - len(known),
    _fit(known, factor),
    _fit(with_top1, factor, at_equal_top1=True),
    same,
    alike,
  )


def _fit(
  checkpoints: Sequence[Checkpoint],
  factor: str,
  *,
  at_equal_top1: bool = False,
) -> Estimate:
  """Fits mean log-odds to architecture, factor and, if asked for, top-1."""
  if not checkpoints:
    return _unknown('no checkpoint of which it is known')
  present = np.array([one.has(factor) for one in checkpoints], float)
  if present.min() == present.max():
    return _unknown('all have it' if present.all() else 'none has it')
  covariate = None
  if at_equal_top1:
    top1 = np.array([one.top1 for one in checkpoints])
    covariate = statistics.log_odds(top1, statistics.IMAGENET_IMAGES)
  return fit(
    np.array([one.mean_log_odds for one in checkpoints]),
    present,
    [one.architecture for one in checkpoints],
    covariate,
  )


def _unknown(problem: str) -> Estimate:
  """Returns what stands for an estimate that there is not."""
  return Estimate(np.nan, np.nan, np.nan, 0, problem)


def fit(
  y: np.ndarray,
  factor: np.ndarray,
  groups: Sequence[str],
  covariate: np.ndarray | None = None,
) -> Estimate:
  """Fits y to a mean for each group, a covariate and a factor.

  Ordinary least squares; the interval takes errors as independent and of one
  variance.

  Args:
    y: [N].
    factor: [N], 0 or 1.
    groups: N names of groups.
    covariate: [N]; None: there is none.

  Returns:
    The coefficient of the factor.
  """
  means = _indicators(groups)
  if _is_explained(factor, means):
    return _unknown('it does not vary within an architecture')
  others = means if covariate is None else np.column_stack([means, covariate])
  if _is_explained(factor, others):
    return _unknown('it cannot be told from ImageNet top-1')
  degrees = len(y) - int(np.linalg.matrix_rank(others)) - 1
  if degrees < 1:
    return _unknown('too few checkpoints')
  # Frisch, Waugh and Lovell: of what others leave of both.
  left, left_factor = _residual(y, others), _residual(factor, others)
  size = left_factor @ left_factor
  value = left_factor @ left / size
  error = left - value * left_factor
  half = scipy.stats.t.ppf(0.975, degrees) * np.sqrt(
    error @ error / degrees / size
  )
  return Estimate(
    float(value), float(value - half), float(value + half), degrees
  )


def _indicators(groups: Sequence[str]) -> np.ndarray:
  """Returns an indicator [N, G] for each group."""
  names = list(dict.fromkeys(groups))
  return np.array(
    [[group == name for name in names] for group in groups], float
  )


def _residual(values: np.ndarray, design: np.ndarray) -> np.ndarray:
  """Returns what least squares on a design leave of values."""
  return values - design @ np.linalg.lstsq(design, values)[0]


def _is_explained(values: np.ndarray, design: np.ndarray) -> bool:
  """Tells whether a design explains values in full."""
  residual = _residual(values, design)
  return bool(residual @ residual <= _NOTHING_LEFT * (values @ values))


def _find_companions(
  checkpoints: Sequence[Checkpoint], factor: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
  """Finds the factors that go with one: fully, and for the most part.

  They are compared within architectures, where both are known.
  """
  same, alike = [], []
  for other in FACTORS:
    both = [one for one in checkpoints if one.has(other) is not None]
    if other == factor or not both:
      continue
    means = _indicators([one.architecture for one in both])
    pair = [
      np.array([one.has(name) for one in both], float)
      for name in (factor, other)
    ]
    if any(_is_explained(values, means) for values in pair):
      continue
    first, second = (_residual(values, means) for values in pair)
    r = first @ second / np.sqrt((first @ first) * (second @ second))
    name = FACTORS[other] if r > 0 else f'no {FACTORS[other]}'
    if abs(r) > _SAME:
      same.append(name)
    elif abs(r) >= _STRONG_CORRELATION:
      alike.append(name)
  return tuple(same), tuple(alike)


# The configurations of the paper that differ in one factor: with, without.
_STEPS: Mapping[str, tuple[str, str]] = {
  'bn_scale': ('C2', 'C1'),
  'label_smoothing': ('C2', 'C3'),
  'dropout': ('C3', 'C4'),
  'auxiliary_head': ('C4', 'C5'),
}


def from_configurations(
  mean_log_odds: Mapping[tuple[str, str], float],
) -> dict[str, Estimate]:
  """Estimates the effects of the paper's factors from C1 to C5.

  They are means over networks of the difference between two configurations
  that differ in this factor alone.

  Args:
    mean_log_odds: by network and configuration.
  """
  networks = dict.fromkeys(network for network, _ in mean_log_odds)
  effects = {}
  for factor, pair in _STEPS.items():
    differences = [
      mean_log_odds[network, pair[0]] - mean_log_odds[network, pair[1]]
      for network in networks
      if all((network, name) in mean_log_odds for name in pair)
    ]
    degrees = len(differences) - 1
    if degrees < 1:
      effects[factor] = _unknown('too few networks')
      continue
    value = float(np.mean(differences))
    half = float(
      scipy.stats.t.ppf(0.975, degrees) * scipy.stats.sem(differences)
    )
    effects[factor] = Estimate(value, value - half, value + half, degrees)
  return effects
