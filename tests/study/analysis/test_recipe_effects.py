"""Tests of what goes with ingredients of recipes."""

import dataclasses

import numpy as np
import pytest

from tf_transfer.networks import recipe as recipe_lib
from tf_transfer.study.analysis import recipe_effects
from tf_transfer.study.paper import numbers

Y = np.array([0.90, 1.12, 0.71, 1.30, 0.55, 1.05, 0.40, 0.62, 0.38, 0.81])
TOP1 = np.array(
  [0.761, 0.808, 0.798, 0.803, 0.780, 0.788, 0.698, 0.715, 0.706, 0.732]
)
FACTOR = np.array([0, 0, 1, 0, 1, 0, 1, 0, 1, 0.0])
GROUPS = ['a'] * 6 + ['b'] * 4


def checkpoint(y=1.0, top1=0.75, architecture='a', **fields):
  recipe = recipe_lib.Recipe(**{'trained_on': 'imagenet', **fields})
  return recipe_effects.Checkpoint(architecture, '', y, 0.0, top1, recipe)


def effect_of(checkpoints, factor):
  effects = recipe_effects.estimate_all(checkpoints)
  assert [effect.factor for effect in effects] == list(recipe_effects.FACTORS)
  return next(effect for effect in effects if effect.factor == factor)


# statsmodels 0.15.0: OLS on indicators of the groups (and the log-odds of
# top-1) and the factor; params, conf_int() and df_resid of the last.
@pytest.mark.parametrize(
  ('covariate', 'golden'),
  [
    (
      None,
      (-0.4035714285714286, -0.6100425086923956, -0.1971003484504615, 7),
    ),
    (
      np.log(TOP1 / (1 - TOP1)),
      (-0.35462119277045256, -0.5287126697539632, -0.18052971578694194, 6),
    ),
  ],
)
def test_against_statsmodels(covariate, golden):
  estimate = recipe_effects.fit(Y, FACTOR, GROUPS, covariate)
  found = dataclasses.astuple(estimate)
  assert found[:3] == pytest.approx(golden[:3], rel=1e-9)
  assert found[3:] == (golden[3], '')


def test_by_hand_in_one_architecture():
  """Student's interval of two means: 2 against 1, each ± 0.1."""
  estimate = recipe_effects.fit(
    np.array([0.9, 1.1, 1.9, 2.1]), np.array([0, 0, 1, 1.0]), ['a'] * 4
  )
  # Of a pooled variance of 0.02, √(0.02 · (1/2 + 1/2)) · 4.302653.
  half = 0.02**0.5 * 4.302652729911275
  assert estimate.value == pytest.approx(1)
  assert estimate.low == pytest.approx(1 - half)
  assert estimate.high == pytest.approx(1 + half)
  assert estimate.degrees == 2


def test_all_as_the_job_does_it():
  checkpoints = [
    checkpoint(y, top1, group, mixup=bool(factor))
    for y, top1, group, factor in zip(Y, TOP1, GROUPS, FACTOR, strict=True)
  ]
  checkpoints.append(checkpoint(5.0))  # Of which mixup is not known.
  effect = effect_of(checkpoints, 'mixup')
  assert (effect.num_with, effect.num_without, effect.num_unknown) == (4, 6, 1)
  assert effect.difference.value == pytest.approx(-0.4035714285714286)
  assert effect.at_equal_top1.value == pytest.approx(-0.35462119277045256)


def test_weights_without_a_top1_count_in_the_difference_alone():
  checkpoints = [
    checkpoint(y, top1, mixup=mixup)
    for y, top1, mixup in (
      *((1.0, 0.70, True), (1.1, 0.72, True), (1.3, 0.75, False)),
      *((1.4, 0.78, False), (9.0, np.nan, True)),
    )
  ]
  effect = effect_of(checkpoints, 'mixup')
  assert effect.difference.degrees == 3
  assert effect.at_equal_top1.degrees == 1
  without = effect_of(checkpoints[:-1], 'mixup')
  assert effect.at_equal_top1 == without.at_equal_top1


@pytest.mark.parametrize(
  ('mixup', 'top1', 'architectures', 'problem'),
  [
    ((True,) * 4, (0.7, 0.71, 0.72, 0.74), 'aaaa', 'all have it'),
    ((False,) * 4, (0.7, 0.71, 0.72, 0.74), 'aaaa', 'none has it'),
    ((None,) * 4, (0.7, 0.71, 0.72, 0.74), 'aaaa', 'no checkpoint of which'),
    ((True, True, False, False), (0.7, 0.71, 0.72, 0.74), 'aabb', 'vary'),
    ((True, True, False, False), (0.7, 0.7, 0.8, 0.8), 'aaaa', 'told from'),
    ((True, False, False, None), (0.7, 0.71, 0.73, 0.8), 'aaaa', 'too few'),
  ],
)
def test_what_cannot_be_estimated(mixup, top1, architectures, problem):
  effect = effect_of(
    [
      checkpoint(1 + x, x, architecture, mixup=known)
      for known, x, architecture in zip(mixup, top1, architectures, strict=True)
    ],
    'mixup',
  )
  estimate = effect.at_equal_top1
  assert problem in estimate.problem
  assert np.isnan([estimate.value, estimate.low, estimate.high]).all()


def test_factors_that_cannot_be_told_apart_are_named():
  rows = [
    {'mixup': True, 'cutmix': True, 'dropout': False, 'bce': True},
    {'mixup': True, 'cutmix': True, 'dropout': False, 'bce': None},
    {'mixup': False, 'cutmix': False, 'dropout': True, 'bce': False},
    {'mixup': False, 'cutmix': False, 'dropout': True, 'bce': True},
  ]
  effect = effect_of([checkpoint(**row) for row in rows], 'mixup')
  assert effect.same == ('no dropout', 'CutMix')
  # Of the three of which it is known: r = 0.5.
  assert effect.alike == ()


def test_factors_that_go_together_for_the_most_part_are_named():
  rows = [(True, True)] * 6 + [(False, False)] * 5 + [(False, True)]
  checkpoints = [checkpoint(mixup=a, ema=b) for a, b in rows]
  effect = effect_of(checkpoints, 'mixup')
  assert (effect.same, effect.alike) == ((), ('averaged weights',))


@pytest.mark.parametrize(
  ('data', 'expected'),
  [('imagenet', False), ('YFCC-100M, then imagenet', True), ('', None)],
)
def test_other_data(data, expected):
  one = checkpoint(trained_on=data)
  assert one.has(recipe_effects.OTHER_DATA) is expected


def test_the_papers_label_smoothing_by_hand():
  """C2 minus C3 of its five networks, read from its figure 3."""
  points = numbers.training_settings('logistic_regression')
  effects = recipe_effects.from_configurations(
    {(p.network, p.configuration): p.mean_log_odds for p in points}
  )
  differences = [
    1.283 - 1.454,
    1.013 - 1.271,
    1.175 - 1.329,
    0.996 - 1.085,
    1.011 - 1.094,
  ]
  smoothing = effects['label_smoothing']
  assert smoothing.value == pytest.approx(np.mean(differences))
  half = 2.7764451051977987 * np.std(differences, ddof=1) / 5**0.5
  assert smoothing.high - smoothing.value == pytest.approx(half)
  # Three of them have an auxiliary head.
  assert effects['auxiliary_head'].degrees == 2
  assert effects['bn_scale'].value > 0 > effects['dropout'].value


def test_a_configuration_of_one_network_alone_is_too_few():
  effects = recipe_effects.from_configurations(
    {('a', 'C1'): 1.0, ('a', 'C2'): 1.2}
  )
  assert all(e.problem == 'too few networks' for e in effects.values())
