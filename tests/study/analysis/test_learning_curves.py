"""Curves of records; points of parity and ratios worked by hand."""

import dataclasses

import numpy as np
import pytest

from tests.study import curve_records
from tests.study.curve_records import FIXED, RANDOM, TUNED
from tf_transfer.study.analysis import learning_curves
from tf_transfer.study.analysis.learning_curves import (
  ExamplesCurve,
  StepsCurve,
)


def records_of(cells):
  return [fields for fields, _ in cells]


def odds(*values):
  """The accuracies of these odds."""
  values = np.array(values, float)
  return values / (1 + values)


def examples_curve(setting, sizes, accuracy):
  return ExamplesCurve(
    *(setting, 'pets', 'n', np.array(sizes), np.array(accuracy)),
    *(np.zeros(len(sizes)), np.ones(len(sizes)), 10**9),
  )


def test_points_are_means_over_draws_with_their_standard_error():
  cells = [
    curve_records.few(FIXED, 4, draw, value)
    for draw, value in enumerate((0.5, 0.6, 0.7))
  ]
  cells.append(curve_records.few(FIXED, 1, 0, 0.3))
  (curve,) = learning_curves.examples_curves(records_of(cells))
  assert (curve.network, curve.dataset, curve.setting) == (
    *('resnet50', 'pets', FIXED),
  )
  np.testing.assert_array_equal(curve.examples, [1, 4])
  np.testing.assert_allclose(curve.accuracy, [0.3, 0.6])
  # The SD of 0.5, 0.6, 0.7 with n - 1 is 0.1.
  np.testing.assert_allclose(curve.error, [np.nan, 0.1 / 3**0.5])
  np.testing.assert_array_equal(curve.draws, [1, 3])
  assert curve.num_test == 500


def test_seeds_of_one_draw_are_one_value():
  cells = [
    curve_records.few(
      *(TUNED, count, draw, value),
      search={**curve_records.page_records.TRAINING, 'seed': seed},
    )
    for count, draw, seed, value in (
      *((1, 0, 0, 0.2), (1, 0, 1, 0.4), (1, 1, 0, 0.5)),
      (4, 0, 0, 0.6),
    )
  ]
  (curve,) = learning_curves.examples_curves(records_of(cells))
  np.testing.assert_array_equal(curve.draws, [2, 1])
  np.testing.assert_allclose(curve.accuracy, [0.4, 0.6])
  np.testing.assert_allclose(curve.error[0], 0.1)  # Of 0.3 and 0.5.


def test_one_size_is_no_curve_and_all_examples_are_no_size():
  cells = [curve_records.few(FIXED, 4, draw, 0.5) for draw in range(3)]
  cells.append(curve_records.page_records.cell('resnet50', 0.8, 0.7))
  assert learning_curves.examples_curves(records_of(cells)) == []


def test_sizes_that_were_trained_for_other_steps_are_no_points():
  search = curve_records.page_records.TRAINING
  cells = [curve_records.few(TUNED, count, 0, 0.5) for count in (1, 4)]
  cells.append(
    curve_records.few(TUNED, 16, 0, 0.9, search={**search, 'steps': 999})
  )
  (curve,) = learning_curves.examples_curves(records_of(cells))
  np.testing.assert_array_equal(curve.examples, [1, 4])


def test_parity_is_where_the_lines_of_the_log_odds_cross():
  # The odds are equal where 1/4 * 4^t = 1 with t = log4(size): at size 4.
  fixed = examples_curve(FIXED, [1, 16], odds(1, 1))
  tuned = examples_curve(TUNED, [1, 16], odds(1 / 4, 4))
  found = learning_curves.parity(tuned, fixed)
  assert found.examples == pytest.approx(4)
  assert (found.first, found.last, found.stays) == (1, 16, True)
  # A quarter of the way in the logarithm: log-odds from -1 to 3.
  tuned = examples_curve(TUNED, [1, 16], odds(np.exp(-1), np.exp(3)))
  assert learning_curves.parity(tuned, fixed).examples == pytest.approx(2)


def test_parity_at_the_fewest_examples_and_nowhere():
  fixed = examples_curve(FIXED, [1, 4, 16], odds(1, 1, 1))
  better = examples_curve(TUNED, [1, 4, 16], odds(2, 0.5, 2))
  found = learning_curves.parity(better, fixed)
  assert (found.examples, found.stays) == (1, False)
  worse = examples_curve(TUNED, [1, 4, 16], odds(0.1, 0.5, 0.9))
  found = learning_curves.parity(worse, fixed)
  assert np.isnan(found.examples)
  assert (found.first, found.last) == (1, 16)


def test_parity_is_sought_where_both_were_run():
  fixed = examples_curve(FIXED, [1, 4, 16], odds(1, 1, 1))
  tuned = examples_curve(TUNED, [4, 64], odds(2, 2))
  found = learning_curves.parity(tuned, fixed)
  assert (found.examples, found.first, found.last) == (4, 4, 16)
  beyond = examples_curve(TUNED, [32, 64], odds(2, 2))
  assert learning_curves.parity(beyond, fixed) is None


def test_an_accuracy_of_1_has_log_odds():
  fixed = examples_curve(FIXED, [1, 4], [0.9, 1.0])
  tuned = examples_curve(TUNED, [1, 4], [0.5, 1.0])
  assert learning_curves.parity(tuned, fixed).examples == pytest.approx(4)


def test_each_setting_is_compared_with_logistic_regression():
  curves = learning_curves.examples_curves(records_of(curve_records.both()))
  assert [c.setting for c in curves] == [FIXED, TUNED, RANDOM]
  tuned, fresh = learning_curves.parities(curves)
  # Both are 0.51 at 4 examples.
  assert tuned.examples == pytest.approx(4)
  assert np.isnan(fresh.examples)
  assert learning_curves.parities(curves[1:]) == []


def test_curves_against_steps():
  cells = [
    curve_records.trained(TUNED, steps, value)
    for steps, value in ((640, 0.8), (10, 0.5), (40, 0.8))
  ]
  for fields, _ in cells:
    fields['split_sizes'] = {'train': 600, 'val': 40, 'test': 500}
  (curve,) = learning_curves.steps_curves(records_of(cells))
  np.testing.assert_array_equal(curve.steps, [10, 40, 640])
  np.testing.assert_allclose(curve.accuracy, [0.5, 0.8, 0.8])
  np.testing.assert_array_equal(curve.low < curve.accuracy, True)
  # Batches of 32 of train and val together.
  assert curve.steps_per_epoch == 20
  assert (curve.steps_to_share, curve.best_at_end) == (40, False)


def test_epochs_are_those_of_the_split_that_is_trained_on():
  def per_epoch(sizes, dataset='pets', search=(), **more):
    cells = [
      curve_records.trained(TUNED, n, 0.5, dataset, search=search, **more)
      for n in (1, 2)
    ]
    for fields, _ in cells:
      fields |= {'split_sizes': sizes} if sizes else {}
    (curve,) = learning_curves.steps_curves(records_of(cells))
    return curve.steps_per_epoch

  sizes = {'train': 320, 'val': 64, 'test': 5}
  assert per_epoch(sizes) == 12
  assert per_epoch(sizes, search={'refit_on_trainval': False}) == 10
  assert per_epoch(sizes, last_fit_on='train') == 10
  # Older records do not have the sizes; the paper's datasets do.
  assert per_epoch(None) == 3680 / 32
  assert np.isnan(per_epoch(None, 'folder:/birds'))


def test_seeds_are_averaged_at_each_number_of_steps():
  cells = [
    curve_records.trained(TUNED, steps, value, search={'seed': seed})
    for steps, seed, value in ((10, 0, 0.2), (10, 1, 0.4), (20, 0, 0.5))
  ]
  (curve,) = learning_curves.steps_curves(records_of(cells))
  np.testing.assert_allclose(curve.accuracy, [0.3, 0.5])


def steps_curve(setting, accuracy, dataset='pets'):
  steps = np.array([10, 100, 1000, 10_000])
  return StepsCurve(setting, dataset, steps, accuracy, 1.0, 'n')


def test_speed_is_a_ratio_of_geometric_means():
  curves = [
    # 9 of 10 is 90 % of the odds, 8.9 is not.
    steps_curve(TUNED, odds(9, 10, 9, 9)),
    steps_curve(RANDOM, odds(1, 8.9, 10, 9)),
    steps_curve(TUNED, odds(1, 10, 9, 9), 'dtd'),
    steps_curve(RANDOM, odds(1, 2, 10, 9), 'dtd'),
    steps_curve(TUNED, odds(1, 1, 1, 9), 'cars'),  # Without the other one.
  ]
  speed = learning_curves.speed(curves)
  assert speed.tuned == pytest.approx(10**1.5)
  assert speed.random == pytest.approx(1000)
  assert speed.ratio == pytest.approx(10**1.5)
  assert speed.datasets == ('pets', 'dtd')
  assert not speed.tuned_rises
  assert not speed.random_rises
  assert learning_curves.speed(curves[-1:]) is None


def test_a_curve_that_is_best_at_its_end_bounds_the_ratio():
  curves = [
    steps_curve(TUNED, odds(1, 10, 9, 9)),
    steps_curve(RANDOM, odds(1, 2, 3, 10)),
  ]
  speed = learning_curves.speed(curves)
  assert (speed.random_rises, speed.tuned_rises) == (True, False)
  assert speed.ratio == pytest.approx(100)


def test_an_accuracy_of_1_has_odds():
  curve = dataclasses.replace(
    steps_curve(TUNED, np.array([0.5, 0.99, 1.0, 1.0])), num_test=500
  )
  # 1 is taken as 0.999, of odds 999.
  assert curve.steps_to_share == 1000
