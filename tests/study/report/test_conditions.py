import dataclasses

import numpy as np
import pytest

from tf_transfer.study.analysis import (
  attenuation,
  correlations,
  evidence,
  partial,
)
from tf_transfer.study.analysis.evidence import (
  FAMILIES,
  FAMILIES_AND_DATASETS,
  NETWORKS,
  NETWORKS_AND_DATASETS,
)
from tf_transfer.study.report import conditions

NONE = correlations.Correlation(np.nan, np.nan, np.nan, 0)
ABOVE, BELOW, BOTH = (0.2, 0.8), (-0.8, -0.2), (-0.1, 0.9)


def facts(intervals, **changes):
  """Makes evidence of 8 networks of 3 families on 4 datasets, r = 0.6."""
  made = evidence.Evidence(
    0.6,
    8,
    4,
    ('A', 'B', 'C'),
    tuple(evidence.Interval(over, *ends) for over, ends in intervals.items()),
    {'A': 0.5, 'B': 0.9, 'C': 0.62},
    None,
    attenuation.Attenuation(1.0, 1.0, 0, 0),
  )
  return dataclasses.replace(made, **changes)


def given(within, part=NONE, num_known=8, num_recipes=2):
  return partial.GivenRecipe(8, num_known, num_recipes, 8, within, part)


EVERY = {
  NETWORKS: ABOVE,
  FAMILIES: ABOVE,
  NETWORKS_AND_DATASETS: ABOVE,
  FAMILIES_AND_DATASETS: ABOVE,
}
FAMILY = (
  'only if networks of one family count as independent: over their 3 families '
  'the interval is −0.10 to 0.90, and leaving out one of them moves r from '
  '0.50 to 0.90'
)
DATASETS = (
  'only on datasets like these: over {} and datasets it is −0.10 to 0.90'
)


@pytest.mark.parametrize(
  ('changed', 'expected'),
  [
    ({}, []),
    ({FAMILIES: BOTH, FAMILIES_AND_DATASETS: BOTH}, [FAMILY]),
    ({FAMILIES_AND_DATASETS: BOTH}, [DATASETS.format('families')]),
    (
      {NETWORKS_AND_DATASETS: BOTH, FAMILIES_AND_DATASETS: BOTH},
      [DATASETS.format('families')],
    ),
    (
      {over: BOTH for over in EVERY if over != NETWORKS},
      [FAMILY, DATASETS.format('networks')],
    ),
  ],
)
def test_a_condition_for_each_kind_of_interval_that_holds_zero(
  changed, expected
):
  assert conditions.unmet(facts({**EVERY, **changed})) == expected


def test_where_families_cannot_be_checked_that_is_a_condition():
  unchecked = facts({NETWORKS: ABOVE, NETWORKS_AND_DATASETS: ABOVE})
  assert conditions.unmet(unchecked) == [
    'only if networks of one family count as independent, which cannot be '
    'checked: nearly all are of one of their 3 families'
  ]
  two = dataclasses.replace(unchecked, families=('A', 'B'))
  assert conditions.unmet(two) == [
    'only if networks of one family count as independent, which so few '
    'families (2 families) cannot show'
  ]
  alone = dataclasses.replace(unchecked, families=tuple('abcdefgh'))
  assert conditions.unmet(alone) == []
  one = dataclasses.replace(unchecked, families=('A',), without={})
  assert conditions.unmet(one) == []
  assert conditions.scope(one) == ', all of one family, A'
  assert conditions.scope(dataclasses.replace(one, num_datasets=2)) == (
    ', all of one family, A, on these 2 datasets alone: it takes 3 or more to '
    'check whether others would agree'
  )
  assert conditions.scope(alone) == ''


@pytest.mark.parametrize('ends', [BOTH, BELOW])
def test_r_given_the_recipe_has_to_be_on_the_same_side(ends):
  one = correlations.Correlation(float(np.mean(ends)), *ends, 7)
  other = correlations.Correlation(0.5, *ABOVE, 7)
  for pair, words in (
    ((one, one), 'within networks of one recipe'),
    ((other, one), 'given the factors of the recipe'),
  ):
    unmet = conditions.unmet(facts(EVERY, given_recipe=given(*pair)))
    assert len(unmet) == 1
    assert unmet[0].startswith(
      f'only if recipes make no difference: {words} r is '
    )
  assert not conditions.unmet(facts(EVERY, given_recipe=given(other, other)))
  # Too few points for an interval disagree with nothing.
  bare = correlations.Correlation(-0.5, np.nan, np.nan, 4)
  few = facts(EVERY, given_recipe=given(bare, bare))
  assert not conditions.unmet(few)
  # But the answer says so.
  unchecked = 'though recipes differ, and too few networks share one to check'
  assert conditions.scope(few).startswith(f', {unchecked}')
  every = facts(EVERY, given_recipe=given(NONE))
  assert unchecked in conditions.scope(every)
  assert conditions.scope(facts(EVERY, given_recipe=given(other, other))) == ''
  alike = facts(EVERY, given_recipe=given(NONE, num_recipes=1))
  assert conditions.scope(alike) == ''


def test_remarks_on_recipes():
  within = correlations.Correlation(0.5, *ABOVE, 7)
  lines = conditions.remarks(
    facts(EVERY, given_recipe=given(within, within, num_known=7))
  )
  assert lines[-2:] == [
    'Within networks of one recipe r = 0.50, 95 % interval 0.20 to 0.80 over '
    'networks (7 networks of 2 recipes).',
    'The recipe of 1 of 8 networks is not known in full: whether recipes '
    'explain r cannot be told of it.',
  ]
  (line,) = conditions.remarks(
    facts(EVERY, given_recipe=given(NONE, num_recipes=8))
  )[2:]
  assert line.startswith('Too few networks share a recipe')


def test_r_given_the_recipe_is_said_once_where_both_ways_agree():
  within = correlations.Correlation(0.5, *ABOVE, 7)
  same = dataclasses.replace(within, r=0.5 + 1e-13, low=within.low - 1e-13)
  lines = conditions.remarks(facts(EVERY, given_recipe=given(within, same)))
  assert sum('recipe' in line for line in lines) == 1


def test_coefficients_in_words():
  all_four = facts(EVERY)
  assert conditions.coefficient(all_four) == (
    'r = 0.60 of 8 networks on 4 datasets, 95 % interval 0.20 to 0.80 over '
    'networks, 0.20 to 0.80 over families'
  )
  assert conditions.short(all_four) == [
    'r = 0.60 [0.20, 0.80], 8 networks',
    'over families [0.20, 0.80]',
  ]
  bare = facts({})
  assert conditions.coefficient(bare) == 'r = 0.60 of 8 networks on 4 datasets'
  assert conditions.short(bare) == ['r = 0.60, 8 networks']
  assert conditions.remarks(bare) == []


def test_errors_of_measurement_are_said_with_what_they_do():
  errors = attenuation.Attenuation(0.9, 0.9, 8, 30)
  assert conditions.remarks(facts(EVERY, attenuation=errors))[-1] == (
    'Errors of ImageNet top-1 (known of 8 of 8 networks) and of the mean over '
    'runs (known of 30 of 32 cells) weaken r by the factor 0.900: without them '
    'it is 0.67, which the intervals allow for. (Reliability of ImageNet top-1 '
    '0.900, of the average 0.900.)'
  )
  runs = attenuation.Attenuation(1.0, 0.9, 0, 30)
  assert conditions.remarks(facts(EVERY, attenuation=runs))[-1].startswith(
    'Errors of the mean over runs (known of 30 of 32 cells) weaken r'
  )
