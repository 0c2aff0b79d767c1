import dataclasses

import numpy as np
import pytest

from tf_transfer.networks import recipe
from tf_transfer.study.analysis import correlations, partial

X = np.array([1.0, 2.1, 2.9, 4.2, 5.1, 5.8, 7.2, 7.9])
Y = np.array([2.3, 1.9, 3.8, 3.1, 5.9, 4.8, 6.1, 8.0])
A = np.array([0.0, 1, 1, 0, 0, 1, 1, 0])
B = np.array([1.0, 1, 0, 0, 1, 0, 1, 1])
PLAIN = recipe.Recipe(True, False, False, False, 'imagenet')


def recipes():
  """Makes recipes that differ as A and B do."""
  return [
    dataclasses.replace(PLAIN, label_smoothing=bool(a), dropout=bool(b))
    for a, b in zip(A, B, strict=True)
  ]


def test_partial_correlation_is_pingouins_and_statsmodels():
  """By pingouin 0.7.0 (partial_corr, and compute_esci of n − 2 points).

  The residuals of statsmodels 0.15.0 (OLS) have the same correlation.
  """
  result = partial.partial_correlation(X, Y, np.column_stack([A, B]))
  assert result.r == pytest.approx(0.9368849365825189, abs=1e-12)
  assert (result.low, result.high) == pytest.approx(
    (0.52292171, 0.99324373), abs=1e-8
  )
  one = partial.partial_correlation(X, Y, A[:, None])
  assert one.r == pytest.approx(0.9309054899954952, abs=1e-12)
  # A column that the others determine takes no point away.
  again = partial.partial_correlation(
    X, Y, np.column_stack([A, B, 1 - A, 3 * B])
  )
  assert dataclasses.astuple(again) == pytest.approx(
    dataclasses.astuple(result)
  )
  assert result.num_points == 6


def test_given_recipe_is_within_recipes_and_given_their_factors():
  """Residuals of statsmodels 0.15.0 on an indicator of each pair (A, B)."""
  result = partial.given_recipe(X, Y, recipes())
  assert result.partial.r == pytest.approx(0.9368849365825189, abs=1e-12)
  assert result.within.r == pytest.approx(0.9822872167364975, abs=1e-12)
  assert (result.num_networks, result.num_known) == (8, 8)
  # (0, 0) is one network's alone.
  assert (result.num_recipes, result.num_within) == (4, 7)
  assert result.within.num_points == 5


def test_within_two_recipes_by_hand():
  """Means (2, 3) and (12, 1) off: (−1, 0, 1, −1, 1) and (0, −1, 1, −1, 1).

  Products add up to 3 and squares to 4: r = 3/4, where r of all is negative.
  """
  x, y = np.array([1.0, 2, 3, 11, 13]), np.array([3.0, 2, 4, 0, 2])
  plain = [PLAIN] * 3
  smooth = [dataclasses.replace(PLAIN, label_smoothing=True)] * 2
  result = partial.given_recipe(x, y, plain + smooth)
  assert correlations.pearson(x, y) < 0
  assert result.within.r == pytest.approx(0.75)
  assert result.partial.r == pytest.approx(0.75)
  # Five points less the second mean are four, too few for an interval.
  assert np.isnan(result.within.low)


@pytest.mark.parametrize(
  'changed', [{'dropout': None}, {'trained_on': ''}, {'bn_scale': None}]
)
def test_recipes_that_are_not_known_in_full_are_left_out(changed):
  ours = recipes()
  ours[3] = dataclasses.replace(ours[3], **changed)
  result = partial.given_recipe(X, Y, ours)
  keep = np.arange(8) != 3
  rest = partial.given_recipe(X[keep], Y[keep], recipes()[:3] + recipes()[4:])
  assert (result.num_networks, result.num_known) == (8, 7)
  assert result.within == rest.within
  assert result.partial == rest.partial
  unknown = partial.given_recipe(X, Y, [recipe.UNKNOWN] * 8)
  assert (unknown.num_known, unknown.num_recipes) == (0, 0)
  assert np.isnan(unknown.within.r)


def test_nothing_is_left_where_recipes_do_not_differ_or_all_do():
  alike = partial.given_recipe(X, Y, [PLAIN] * 8)
  assert (alike.num_known, alike.num_recipes) == (8, 1)
  assert np.isnan(alike.within.r)
  different = [
    dataclasses.replace(PLAIN, trained_on=f'data {i}') for i in range(8)
  ]
  result = partial.given_recipe(X, Y, different)
  assert np.isnan([result.within.r, result.partial.r]).all()
  assert result.num_within == 0


def test_a_side_that_the_recipe_determines_has_no_correlation():
  result = partial.partial_correlation(A + 2 * B, Y, np.column_stack([A, B]))
  assert np.isnan(result.r)
