"""Plans of a fine-tuning within a budget."""

import dataclasses

import ml_collections
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_transfer.configs import base
from tf_transfer.study import quick_plan
from tf_transfer.transfer.training import grid, halving

IMAGES = quick_plan.Images(1046, 384, 367)
TIMINGS = quick_plan.Timings(
  image_size=224,
  setup=2.0,
  compile=20.0,
  step=1.0,
  compile_evaluation=5.0,
  evaluation=0.01,
  decoding=0.001,
  checkpoint=0.3,
  end=12.0,
)
SIZES = quick_plan.image_sizes(224, 1)


def at_all(timings):
  return {size: timings.at(size) for size in SIZES}


times = st.floats(1e-4, 100)
any_timings = st.builds(
  quick_plan.Timings,
  image_size=st.just(224),
  setup=times,
  compile=times,
  step=times,
  compile_evaluation=times,
  evaluation=st.floats(1e-5, 1),
  decoding=st.floats(1e-6, 0.1),
  checkpoint=times,
  end=times,
)
any_images = st.builds(
  quick_plan.Images,
  st.integers(1, 200_000),
  st.integers(1, 20_000),
  st.integers(1, 20_000),
)


def rank(plan):
  return (plan.image_size, plan.num_trials, plan.steps) if plan else (0, 0, 0)


@given(any_timings, any_images, st.floats(1, 1e6), st.floats(1, 10))
def test_a_plan_fits_and_grows_with_the_budget(timings, images, seconds, more):
  plan = quick_plan.make(at_all(timings), images, seconds)
  if plan:
    assert plan.seconds <= seconds
    shape = plan.num_learning_rates, plan.num_weight_decays
    at = timings.at(plan.image_size)
    assert plan.seconds == quick_plan.seconds(at, images, shape, plan.steps)
    assert plan.num_trials >= 3
    assert plan.batch_size <= images.train
  assert rank(quick_plan.make(at_all(timings), images, more * seconds)) >= rank(
    plan
  )


@given(any_timings, any_images)
def test_the_smallest_budget_is_the_smallest(timings, images):
  each = at_all(timings)
  least = quick_plan.least_seconds(list(each.values()), images)
  assert quick_plan.make(each, images, least)
  assert quick_plan.make(each, images, 0.999 * least) is None


def test_what_each_budget_gives():
  """The image size comes first, then steps, then trials."""

  def plan(seconds):
    made = quick_plan.make(at_all(TIMINGS), IMAGES, seconds)
    return made and rank(made)

  assert plan(60) is None
  size, trials, steps = plan(300)
  assert (size, trials) == (128, 3)
  # 5 epochs are 164 steps, of which the search and the refit take 2.75 times.
  assert steps >= 164
  assert plan(700)[:2] == (224, 3)
  assert plan(10_000)[:2] == (224, 10)
  # 100 epochs are enough.
  assert plan(1e6) == (224, 10, 3269)


def test_the_work_is_that_of_the_search():
  """Counts steps as the search does, with the fields that a plan sets."""
  plan = quick_plan.make(at_all(TIMINGS), IMAGES, 2000.0)
  config = base.fine_tuned_fields()
  config.update(plan.fields())
  assert len(grid.build_trials(config)) == plan.num_trials
  train_config = grid.build_train_config(config, IMAGES.train)
  assert train_config.steps == plan.steps
  stops = grid.stops(config, plan.steps)
  steps = plan.steps + halving.steps_taken(
    plan.num_trials, stops, config.halving_keep
  )
  # A second more for each step.
  slower = dataclasses.replace(TIMINGS, step=2.0)
  shape = plan.num_learning_rates, plan.num_weight_decays
  difference = quick_plan.seconds(
    slower, IMAGES, shape, plan.steps
  ) - quick_plan.seconds(TIMINGS, IMAGES, shape, plan.steps)
  assert difference == pytest.approx(steps + 4)


def test_the_fields_of_a_plan_are_fields_of_the_setting():
  plan = quick_plan.make(at_all(TIMINGS), IMAGES, 2000.0)
  assert plan.fields().keys() <= set(base.fine_tuned_fields())
  config = ml_collections.ConfigDict(base.fine_tuned_fields().to_dict())
  config.update(plan.fields())
  assert base.FineTuned.contradiction(config) == ''


def test_image_sizes():
  assert quick_plan.image_sizes(224, 1) == [224, 160, 128, 64]
  assert quick_plan.image_sizes(299, 75) == [299, 224, 160, 96]
  assert quick_plan.image_sizes(64, 1) == [64]
  assert quick_plan.image_sizes(8, 1) == [8]
  assert quick_plan.image_sizes(224, 16, 16) == [224, 160, 128, 64]
  sizes = quick_plan.image_sizes(518, 14, 14)
  assert sizes == [518, 392, 252, 168]
  assert all(size % 14 == 0 for size in sizes)


def test_reasons():
  plan = quick_plan.make(at_all(TIMINGS), IMAGES, 300.0)
  why = quick_plan.reason(plan, IMAGES, 224)
  assert 'at 224 px fewer than 164 steps would fit' in why
  assert 'with more trials fewer than 654 steps would fit' in why
  assert 'are not planned' not in why
  plan = quick_plan.make(at_all(TIMINGS), IMAGES, 1e6)
  assert quick_plan.reason(plan, IMAGES, 224) == (
    'more steps than these are not planned'
  )
