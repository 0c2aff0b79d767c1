"""Trials that train together: on the same batches, each decoded once.

They take turns on every batch, so each computes to the bit what it would
alone. One that has diverged is left out from then on. Where they stand is
written every so many steps, and when the job is told to end.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from tf_transfer import contract as contract_lib
from tf_transfer import datasets, errors, networks
from tf_transfer.datasets import pipeline
from tf_transfer.runtime import checkpoints as checkpoints_lib
from tf_transfer.runtime import devices, progress
from tf_transfer.transfer import training

# In this part of the steps losses are averaged, and looked at.
_WINDOWS = 50
_SHORTEST_WINDOW = 5  # steps
# From this window on, a tenth of the way, a mean loss above that of the first
# step says that the trial has diverged.
_JUDGED_FROM = 5

# What a network is tested on: the better of the two on validation (section 5
# of the protocol).
VIEWS = ('whole_image', 'central')
_CENTRAL = 0.875  # of each side


@dataclasses.dataclass
class Course:
  """What became of a trial so far.

  Attributes:
    start: the loss of the first step.
    losses: the mean loss of each window.
    measured: step and value of each measurement on the way.
    diverged: after how many steps it was found to have diverged, or None.
  """

  start: float | None = None
  losses: list[float] = dataclasses.field(default_factory=list)
  measured: list[tuple[int, float]] = dataclasses.field(default_factory=list)
  diverged: int | None = None

  def add(self, losses: Sequence[float], step: int) -> None:
    """Takes the losses of a window that ends with `step`."""
    if self.start is None:
      self.start = losses[0]
    mean = float(np.mean(losses))
    late = len(self.losses) >= _JUDGED_FROM
    self.losses.append(mean)
    if not math.isfinite(mean) or (late and mean > self.start):
      self.diverged = step


@dataclasses.dataclass(frozen=True)
class Job:
  """What is trained, on what.

  Attributes:
    model: the network's architecture.
    contract: what it expects of its input.
    recipe: of the training.
    split: that is trained on.
    variables: initial ones, on the host.
    mesh: the devices.
    corrupt: 'error', or 'skip' for images that cannot be decoded.
    checkpoint_every: steps.
    colour: whether colours are distorted.
    measure: maps the number of steps done and the variables to a value, on
      the way; None measures nothing.
    measure_every: steps; the last one is measured too.
  """

  model: Any
  contract: contract_lib.Contract
  recipe: training.Recipe
  split: datasets.Split
  variables: Any
  mesh: jax.sharding.Mesh
  corrupt: str
  checkpoint_every: int
  colour: bool = False
  measure: Callable[[int, Any], float] | None = None
  measure_every: int = 0

  def compile(self) -> training.Step:
    return training.compile_step(
      self.model, self.contract.scale, self.recipe, self.mesh
    )


def window(steps: int) -> int:
  """How many steps a mean loss is over."""
  return max(_SHORTEST_WINDOW, steps // _WINDOWS)


@dataclasses.dataclass
class _Standing:
  """Where the trials stand.

  Attributes:
    done: steps.
    states: of each trial; None where it has diverged.
    courses: of each trial.
    losses: of each trial since the last look; scalars on the devices.
    skipped: positions of the training images that could not be decoded.
  """

  done: int
  states: list[training.State | None]
  courses: list[Course]
  losses: list[list[Any]]
  skipped: set[int]

  def notes(self) -> dict[str, Any]:
    return {
      'courses': [dataclasses.asdict(c) for c in self.courses],
      'losses': [[float(x) for x in losses] for losses in self.losses],
      'skipped': sorted(self.skipped),
    }


@dataclasses.dataclass(frozen=True)
class Trained:
  """What came of trials.

  Attributes:
    variables: of each on the devices; None where it diverged.
    courses: of each.
    skipped: positions of the training images that could not be decoded.
  """

  variables: list[Any]
  courses: list[Course]
  skipped: list[int]


def train(
  job: Job,
  step: training.Step,
  trials: Sequence[training.Trial],
  checkpoints: checkpoints_lib.Checkpoints,
  description: str,
) -> Trained:
  """Trains, from where a job that was killed had come.

  Args:
    job: what is trained, on what.
    step: what `job.compile` gave.
    trials: what each has of its own.
    checkpoints: of this job and these trials.
    description: for the progress bar.

  Raises:
    InputError: an image cannot be read.
    Preempted: SIGTERM came; where the trials stand is written.
  """
  total = job.recipe.steps
  at = _begin(job, trials, checkpoints)
  with (
    checkpoints_lib.termination() as terminated,
    progress.bar(
      total=total, initial=at.done, desc=description, unit=' steps'
    ) as bar,
  ):
    for batch in _batches(job, at):
      _advance(step, at, trials, batch)
      bar.update()
      looking = at.done % window(total) == 0 or at.done == total
      if looking:
        _look(at)
        bar.set_postfix_str(_summary(at.courses))
      if job.measure and (at.done % job.measure_every == 0 or at.done == total):
        _measure(job.measure, at)
      # Processes may only leave the loop together.
      ending = (looking or jax.process_count() == 1) and _any(terminated())
      if ending or (at.done < total and at.done % job.checkpoint_every == 0):
        checkpoints.save(at.done, at.states, at.notes())
      if ending:
        checkpoints.wait()
        raise errors.Preempted(f'{description}: {at.done} of {total} steps')
      if not any(at.states):
        break
  return Trained(
    [state and state.variables for state in at.states],
    at.courses,
    sorted(at.skipped),
  )


def _batches(job: Job, at: _Standing) -> Iterator[dict[str, jax.Array]]:
  """The batches that are left, on the devices; notes what is skipped."""
  made = pipeline.training_batches(
    job.split,
    job.contract,
    job.recipe.batch_size,
    seed=job.recipe.seed,
    start=at.done,
    stop=job.recipe.steps,
    process=(jax.process_index(), jax.process_count()),
    colour=job.colour,
    corrupt=job.corrupt,
  )

  def noted():
    for batch in made:
      at.skipped.update(batch['index'][~batch['mask']].tolist())
      yield batch

  return devices.on_devices(noted(), devices.sharding(job.mesh, devices.BATCH))


def _any(flag: bool) -> bool:
  """Whether it is so in any process."""
  if jax.process_count() == 1:
    return flag
  return bool(np.any(multihost_utils.process_allgather(np.array(flag))))


def _advance(
  step: training.Step,
  at: _Standing,
  trials: Sequence[training.Trial],
  batch: dict[str, jax.Array],
) -> None:
  """A step of every trial that goes on; waits for the step before it."""
  for number, trial in enumerate(trials):
    if at.states[number] is None:
      continue
    at.states[number], metrics = step(
      at.states[number], dataclasses.asdict(trial), batch
    )
    if at.losses[number]:
      # Batches would pile up on the devices otherwise.
      jax.block_until_ready(at.losses[number][-1])
    at.losses[number].append(metrics['loss'])
  at.done += 1


def _look(at: _Standing) -> None:
  """Moves the losses since the last look to the courses."""
  for number, course in enumerate(at.courses):
    if at.states[number] is None:
      continue
    course.add([float(x) for x in at.losses[number]], at.done)
    at.losses[number] = []
    if course.diverged is not None:
      at.states[number] = None


def _measure(measure: Callable[[int, Any], float], at: _Standing) -> None:
  for state, course in zip(at.states, at.courses, strict=True):
    if state is not None:
      course.measured.append((at.done, measure(at.done, state.variables)))


def _summary(courses: Sequence[Course]) -> str:
  going = [c.losses[-1] for c in courses if c.diverged is None]
  text = f'loss {min(going):.3f}' if going else 'none left'
  diverged = len(courses) - len(going)
  return f'{text}, {diverged} diverged' if diverged else text


def _begin(
  job: Job,
  trials: Sequence[training.Trial],
  checkpoints: checkpoints_lib.Checkpoints,
) -> _Standing:
  """Where the last checkpoint stood, or the beginning."""
  replicated = devices.sharding(job.mesh, devices.REPLICATED)

  def like(notes):
    state = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated),
      training.host_state(job.variables, job.recipe),
    )
    return [state if c['diverged'] is None else None for c in notes['courses']]

  found = checkpoints.latest(like)
  if found is not None:
    done, states, notes = found
    courses = [Course(**c) for c in notes['courses']]
    return _Standing(
      done, states, courses, notes['losses'], set(notes['skipped'])
    )
  states = [
    training.new_state(job.variables, job.recipe, job.mesh) for _ in trials
  ]
  courses = [Course() for _ in trials]
  return _Standing(0, states, courses, [[] for _ in trials], set())


def view_of(
  view: str, contract: contract_lib.Contract
) -> tuple[str, contract_lib.Contract]:
  """The resize and the contract with which `pipeline.batches` makes a view."""
  if view == 'whole_image':
    return 'whole_image', contract
  return 'crop_then_resize', dataclasses.replace(
    contract, crop_fraction=_CENTRAL
  )


Predict = Callable[[Any, Any], tuple[jax.Array, jax.Array, jax.Array]]


def compile_predict(net: networks.Network, mesh: jax.sharding.Mesh) -> Predict:
  """Compiles what maps variables and a batch to the logits of its rows.

  Returns:
    (variables, batch) -> logits [B, C], index [B] and mask [B], all rows of
    all processes on every device.
  """

  def logits(variables, image):
    return net.apply_logits(variables, net.contract.scale(image))

  # Each device works on its own images alone.
  sharded = jax.shard_map(
    logits,
    mesh=mesh,
    in_specs=(devices.REPLICATED, devices.BATCH),
    out_specs=devices.BATCH,
  )

  def predict(variables, batch):
    return sharded(variables, batch['image']), batch['index'], batch['mask']

  return jax.jit(
    predict,
    out_shardings=devices.sharding(mesh, devices.REPLICATED),
    compiler_options=devices.compiler_options(),
  )


def predictions(
  predict: Predict,
  contract: contract_lib.Contract,
  variables: Sequence[Any],
  split: datasets.Split,
  view: str,
  mesh: jax.sharding.Mesh,
  *,
  batch_size: int,
  corrupt: str,
  description: str,
) -> tuple[list[np.ndarray], np.ndarray]:
  """The logits of several trials for every example of a split.

  Args:
    predict: what `compile_predict` gave.
    contract: of the network.
    variables: of each trial.
    split: the examples.
    view: one of VIEWS.
    mesh: the devices.
    batch_size: examples at once on all devices, rounded up to a multiple of
      their number.
    corrupt: 'error', or 'skip' to leave out what cannot be decoded.
    description: for the progress bar.

  Returns:
    [N, C] of each trial, and [N] the examples' positions in the split.
  """
  resize, contract = view_of(view, contract)
  made = pipeline.batches(
    split,
    contract,
    -(-batch_size // mesh.size) * mesh.size,
    resize=resize,
    process=(jax.process_index(), jax.process_count()),
    corrupt=corrupt,
  )
  found, kept = [[] for _ in variables], []
  sharding = devices.sharding(mesh, devices.BATCH)
  with progress.bar(total=len(split), desc=description, unit=' images') as bar:
    for batch in devices.on_devices(made, sharding):
      for number, values in enumerate(variables):
        logits, index, mask = map(np.asarray, predict(values, batch))
        found[number].append(logits[mask])
      kept.append(index[mask])
      bar.update(int(np.sum(index >= 0)))
  return [np.concatenate(rows) for rows in found], np.concatenate(kept)
