"""Plans a fine-tuning that ends within a budget, from measured times.

These are pure functions. The priorities are fixed. The image size is the
largest at which the smallest grid gets enough steps; then the grid is the
largest that gets many steps; the steps fill what is left of the budget, up to a
number beyond which more are not worth their time.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tf_transfer.transfer.training import halving

# The share of the budget that is left for what the estimate misses.
MARGIN = 0.1
BATCH_SIZE = 32
# Learning rates × weight decays, the smallest grid first.
_GRIDS = ((3, 1), (5, 1), (5, 2))
# The least and the greatest learning rate, by how many there are.
_LEARNING_RATES = {3: (3e-3, 3e-2), 5: (1e-3, 1e-1)}
_WEIGHT_DECAYS = (1e-5, 1e-4)
_HALVING_FIRST, _HALVING_KEEP = 0.25, 0.5
# Epochs that suffice, epochs with which a larger grid is worth more than more
# epochs, and epochs beyond which none are planned; and the limits between
# which each of them is, in steps.
_FEW_EPOCHS, _FEW_STEPS = 5, (60, 1_000)
_MANY_EPOCHS, _MANY_STEPS = 20, (300, 5_000)
_MAX_EPOCHS, _MAX_STEPS = 100, (1_000, 20_000)
# Views of the images of val.
_VIEWS = 2
# Steps that the search times before it begins.
_TIMED_STEPS = 4


@dataclasses.dataclass(frozen=True)
class Timings:
  """How long parts of a fine-tuning take, measured at one image size.

  Attributes:
    image_size: height and width in pixels.
    setup: seconds to build a training and to draw its initial values.
    compile: seconds to compile the step.
    step: seconds of a step, its batch included.
    compile_evaluation: seconds to compile the evaluation.
    evaluation: seconds to evaluate one image, decoding included.
    decoding: seconds to decode one image.
    checkpoint: seconds to write the state of a trial.
    end: seconds from the test to the end of the job.
  """

  image_size: int
  setup: float
  compile: float
  step: float
  compile_evaluation: float
  evaluation: float
  decoding: float
  checkpoint: float
  end: float

  def at(self, image_size: int) -> 'Timings':
    """Estimates the times at another image size, by the number of pixels.

    Smaller images do not save all of it: a step also updates the parameters,
    and images are decoded as before.
    """
    ratio = (image_size / self.image_size) ** 2
    if ratio < 1:
      ratio = 0.1 + 0.9 * ratio
    evaluation = max(self.evaluation * ratio, self.decoding)
    return dataclasses.replace(
      self, image_size=image_size, step=self.step * ratio, evaluation=evaluation
    )


@dataclasses.dataclass(frozen=True)
class Images:
  """How many images the splits have."""

  train: int
  val: int
  test: int


@dataclasses.dataclass(frozen=True)
class Plan:
  """A search, its refit and test.

  Attributes:
    image_size: height and width in pixels.
    num_learning_rates: of the grid.
    num_weight_decays: of the grid.
    steps: of a trial that goes on to the end, and of the refit.
    batch_size: images of a step.
    seconds: that all of it takes.
  """

  image_size: int
  num_learning_rates: int
  num_weight_decays: int
  steps: int
  batch_size: int
  seconds: float

  @property
  def num_trials(self) -> int:
    return self.num_learning_rates * self.num_weight_decays

  def fields(self) -> dict[str, Any]:
    """Returns the fields of the setting that the plan decides."""
    low, high = _LEARNING_RATES[self.num_learning_rates]
    decays = _WEIGHT_DECAYS[: self.num_weight_decays]
    return {
      'num_learning_rates': self.num_learning_rates,
      'learning_rate_min': low,
      'learning_rate_max': high,
      'num_weight_decays': self.num_weight_decays,
      'weight_decay_min': decays[0],
      'weight_decay_max': decays[-1],
      'include_zero_weight_decay': False,
      'search': 'halving',
      'halving_first': _HALVING_FIRST,
      'halving_keep': _HALVING_KEEP,
      'steps': self.steps,
      'min_epochs': 0,
      'batch_size': self.batch_size,
      'num_seeds': 1,
      'evaluate_every': 0,
      'early_stopping': False,
      'refit_on_trainval': True,
      'gradient_accumulation_steps': 1,
    }


def batch_size(images: Images) -> int:
  """Returns the images of a step, at most all of train."""
  return min(BATCH_SIZE, images.train)


def image_sizes(largest: int, least: int, multiple: int = 1) -> list[int]:
  """Returns the image sizes that may be chosen, the largest first.

  Args:
    largest: of the network, or what the user named.
    least: that the network takes.
    multiple: of which the network takes sizes alone.
  """
  step = 32 if 32 % multiple == 0 else 2 * multiple
  smaller = [round(largest * share / step) * step for share in (0.75, 0.5, 0.3)]
  return [largest] + [
    size for size in dict.fromkeys(smaller) if max(least, 64) <= size < largest
  ]


def seconds(
  timings: Timings, images: Images, grid: tuple[int, int], steps: int
) -> float:
  """Returns how long a plan takes.

  Args:
    timings: at its image size.
    images: of the splits.
    grid: learning rates × weight decays.
    steps: of a trial that goes on to the end.
  """
  num_trials = grid[0] * grid[1]
  stops = halving.rungs(steps, _HALVING_FIRST, _HALVING_KEEP)
  trained = steps + halving.steps_taken(num_trials, stops, _HALVING_KEEP)
  # Of every trial at every rung that it reaches.
  evaluated, remaining = 0, num_trials
  for _ in stops:
    evaluated += remaining
    remaining = math.ceil(remaining * _HALVING_KEEP)
  # Batch norm's momentum depends on the split where an epoch is long.
  num_programs = 1 + (images.train + images.val > 100 * batch_size(images))
  total_images = images.train + images.val + images.test
  return (
    timings.decoding * total_images
    + 2 * timings.setup
    + timings.compile * num_programs
    + timings.step * (trained + _TIMED_STEPS)
    + timings.compile_evaluation
    + timings.evaluation * (evaluated * _VIEWS * images.val + images.test)
    + timings.checkpoint * (evaluated + trained // 1000 + 1)
    + timings.end
  )


def make(
  timings: Mapping[int, Timings],
  images: Images,
  remaining: float,
) -> Plan | None:
  """Plans what can be done in the time that is left.

  Args:
    timings: by image size, of the sizes that may be chosen.
    images: of the splits.
    remaining: seconds.

  Returns:
    The plan; None if nothing fits.
  """
  few = _steps(images, _FEW_EPOCHS, _FEW_STEPS)
  many = _steps(images, _MANY_EPOCHS, _MANY_STEPS)
  most = _steps(images, _MAX_EPOCHS, _MAX_STEPS)
  for size in sorted(timings, reverse=True):

    def takes(
      grid: tuple[int, int], steps: int, at: Timings = timings[size]
    ) -> float:
      return seconds(at, images, grid, steps)

    if takes(_GRIDS[0], few) > remaining:
      continue
    grid = max(
      (grid for grid in _GRIDS if takes(grid, many) <= remaining),
      key=math.prod,
      default=_GRIDS[0],
    )
    # The smallest number is known to fit.
    low, high = (many if takes(grid, many) <= remaining else few), most
    while low < high:
      middle = (low + high + 1) // 2
      if takes(grid, middle) <= remaining:
        low = middle
      else:
        high = middle - 1
    return Plan(size, *grid, low, batch_size(images), takes(grid, low))
  return None


def least_seconds(timings: Sequence[Timings], images: Images) -> float:
  """Returns how long the smallest plan takes."""
  few = _steps(images, _FEW_EPOCHS, _FEW_STEPS)
  return min(seconds(each, images, _GRIDS[0], few) for each in timings)


def epochs(plan: Plan, images: Images) -> float:
  """Returns the epochs of train that a plan's steps are."""
  return plan.steps * plan.batch_size / images.train


def reason(plan: Plan, images: Images, largest: int) -> str:
  """Says why a plan is as it is.

  Args:
    plan: the plan.
    images: of the splits.
    largest: the image size that is taken where there is time for it.
  """
  texts = []
  if plan.image_size < largest:
    few = _steps(images, _FEW_EPOCHS, _FEW_STEPS)
    texts.append(
      f'at {largest} px fewer than {few:,} steps would fit into the budget'
    )
  if (plan.num_learning_rates, plan.num_weight_decays) != _GRIDS[-1]:
    many = _steps(images, _MANY_EPOCHS, _MANY_STEPS)
    texts.append(f'with more trials fewer than {many:,} steps would fit')
  if plan.steps == _steps(images, _MAX_EPOCHS, _MAX_STEPS):
    texts.append('more steps than these are not planned')
  return '; '.join(texts)


def _steps(images: Images, epochs: int, limits: tuple[int, int]) -> int:
  """Returns the steps of some epochs, within limits."""
  steps = math.ceil(epochs * images.train / batch_size(images))
  return min(max(steps, limits[0]), limits[1])
