"""Correlates accuracies of networks that were pretrained alike.

Letters in shapes: M networks, K covariates.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.stats

from tf_transfer.networks import recipe as recipe_lib
from tf_transfer.study.analysis import correlations

_FEWEST_FOR_AN_INTERVAL = 5
_NONE = correlations.Correlation(np.nan, np.nan, np.nan, 0)


@dataclasses.dataclass(frozen=True)
class GivenRecipe:
  """What a correlation is where recipes do not differ.

  Attributes:
    num_networks: of all.
    num_known: networks whose recipe is known in full.
    num_recipes: different ones among these.
    num_within: networks that share theirs with another.
    within: the correlation within networks of one recipe: of what is left of
      both sides after each recipe's mean is subtracted; r is NaN where nothing
      is.
    partial: the partial correlation given the factors of recipes, whose
      effects are taken to add up; r is NaN where nothing is left.
  """

  num_networks: int
  num_known: int
  num_recipes: int
  num_within: int
  within: correlations.Correlation
  partial: correlations.Correlation


def given_recipe(
  x: np.ndarray, y: np.ndarray, recipes: Sequence[recipe_lib.Recipe]
) -> GivenRecipe:
  """Correlates networks whose recipes are known, given these.

  A recipe is known where each of its four factors is, and the dataset.

  Args:
    x: [M], usually the log-odds of ImageNet top-1.
    y: [M].
    recipes: M of them.
  """
  keys = [(*one.factors.values(), one.trained_on) for one in recipes]
  known = np.array([None not in key and key[-1] != '' for key in keys])
  keys = [key for key, is_known in zip(keys, known, strict=True) if is_known]
  x, y = x[known], y[known]
  within = partial = _NONE
  if len(set(keys)) > 1:
    within = partial_correlation(x, y, _indicators(keys))
    factors = [_indicators(values) for values in zip(*keys, strict=True)]
    partial = partial_correlation(x, y, np.concatenate(factors, axis=1))
  return GivenRecipe(
    len(recipes),
    len(keys),
    len(set(keys)),
    sum(keys.count(key) > 1 for key in keys),
    within,
    partial,
  )


def _indicators(values: Sequence[object]) -> np.ndarray:
  """Returns an indicator [M, K] for each different value."""
  distinct = list(dict.fromkeys(values))
  return np.array(
    [[one == value for value in distinct] for one in values], float
  )


def partial_correlation(
  x: np.ndarray, y: np.ndarray, covariates: np.ndarray
) -> correlations.Correlation:
  """Returns the partial correlation given covariates, with a 95 % interval.

  It is of the residuals of x and y after least squares on the covariates and a
  constant. Its interval is Fisher's, of as many points less as covariates are
  independent; it takes networks as independent, and is NaN of fewer than five
  points. Given indicators of groups it is the correlation within groups.

  Args:
    x: [M].
    y: [M].
    covariates: [M, K].

  Returns:
    The correlation; r is NaN where less than three points are left, or no
    variance.
  """
  design = np.column_stack([np.ones(len(x)), covariates])
  rank = np.linalg.matrix_rank(design)
  num_points = int(len(x) - (rank - 1))
  left = [v - design @ np.linalg.lstsq(design, v)[0] for v in (x, y)]
  varies = all(
    residual.std() > 1e-9 * values.std()
    for residual, values in zip(left, (x, y), strict=True)
  )
  if num_points < 3 or not varies:
    return dataclasses.replace(_NONE, num_points=max(num_points, 0))
  r = float(np.clip(correlations.pearson(*left), -1, 1))
  low = high = np.nan
  if num_points >= _FEWEST_FOR_AN_INTERVAL and abs(r) < 1 - 1e-12:
    half = scipy.stats.norm.ppf(0.975) / np.sqrt(num_points - 3)
    low, high = np.tanh([np.arctanh(r) - half, np.arctanh(r) + half])
  return correlations.Correlation(r, float(low), float(high), num_points)
