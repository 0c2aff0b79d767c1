"""Trials that train together: on the same batches, each decoded once.

They take turns on every batch, so each computes to the bit what it would
alone. One that has diverged is left out from then on. Where they stand is
written every so many steps, and when the job is told to end. They may be
evaluated on the way, and may go through a part of the steps at a time.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from tf_transfer import contract as contract_lib
from tf_transfer import datasets, errors, networks
from tf_transfer.datasets import pipeline
from tf_transfer.runtime import checkpoints as checkpoints_lib
from tf_transfer.runtime import devices, progress
from tf_transfer.transfer.training import monitor, train_step

# In this part of the steps losses are averaged, and looked at.
_WINDOWS = 50
_SHORTEST_WINDOW = 5  # steps
# From this window on, a tenth of the way, a mean loss so many times that of the
# first step says that the trial has diverged. One that learns slowly or late
# stays about where it started, now above and now below.
_JUDGED_FROM = 5
_DIVERGED_FROM = 1.5

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
    evaluations: in order, each with `step`, how many were done, and `views`,
      the metric on val by view.
  """

  start: float | None = None
  losses: list[float] = dataclasses.field(default_factory=list)
  measured: list[tuple[int, float]] = dataclasses.field(default_factory=list)
  diverged: int | None = None
  evaluations: list[dict[str, Any]] = dataclasses.field(default_factory=list)

  def add(self, losses: Sequence[float], step: int) -> None:
    """Takes the losses of a window that ends with `step`."""
    if self.start is None:
      self.start = losses[0]
    mean = float(np.mean(losses))
    late = len(self.losses) >= _JUDGED_FROM
    self.losses.append(mean)
    if not math.isfinite(mean) or (late and mean > _DIVERGED_FROM * self.start):
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
    color: whether colors are distorted.
    measure: maps the number of steps done and the variables to a value, on
      the way; None measures nothing.
    measure_every: steps; the last one is measured too.
  """

  model: Any
  contract: contract_lib.Contract
  recipe: train_step.Recipe
  split: datasets.Split
  variables: Any
  mesh: jax.sharding.Mesh
  corrupt: str
  checkpoint_every: int
  color: bool = False
  measure: Callable[[int, Any], float] | None = None
  measure_every: int = 0

  def compile(self) -> train_step.Step:
    return train_step.compile_step(
      self.model, self.contract.scale, self.recipe, self.mesh
    )


# The metric on val of each trial by view, of the variables of each; where
# those are None, as of one that has diverged, it is empty.
Evaluate = Callable[[Sequence[Any]], list[dict[str, dict[str, Any]]]]


@dataclasses.dataclass(frozen=True)
class Segment:
  """Which of the steps trials go through, and what is done on the way.

  Attributes:
    stop: the step after the last; None: all steps are gone through.
    begin: gives where each trial has come, all of them after as many steps;
      None: they begin with the first.
    evaluate: what measures them.
    evaluate_at: after which steps; a checkpoint is written then, but at stop.
    best_of: after which of these the best may be found, which is kept beside
      the last.
  """

  stop: int | None = None
  begin: Callable[[], 'Trained'] | None = None
  evaluate: Evaluate | None = None
  evaluate_at: Container[int] = ()
  best_of: Container[int] = ()


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
  states: list[train_step.State | None]
  courses: list[Course]
  losses: list[list[Any]]
  skipped: set[int]

  def notes(self) -> dict[str, Any]:
    return {
      'courses': [dataclasses.asdict(c) for c in self.courses],
      'losses': [[float(x) for x in losses] for losses in self.losses],
      'skipped': sorted(self.skipped),
    }

  @classmethod
  def of(
    cls,
    done: int,
    states: list[train_step.State | None],
    notes: Mapping[str, Any],
  ) -> '_Standing':
    """What a checkpoint says."""
    return cls(
      done,
      states,
      [Course(**c) for c in notes['courses']],
      notes['losses'],
      set(notes['skipped']),
    )

  def trained(self) -> 'Trained':
    return Trained(self.states, self.courses, sorted(self.skipped))


@dataclasses.dataclass(frozen=True)
class Trained:
  """What came of trials.

  Attributes:
    states: of each on the devices; None where it diverged.
    courses: of each.
    skipped: positions of the training images that could not be decoded.
  """

  states: list[train_step.State | None]
  courses: list[Course]
  skipped: list[int]

  @property
  def variables(self) -> list[Any]:
    """What is evaluated of each; None where it diverged."""
    return [state and state.variables for state in self.states]


def train(
  job: Job,
  step: train_step.Step,
  trials: Sequence[train_step.Trial],
  checkpoints: checkpoints_lib.Checkpoints,
  description: str,
  part: Segment | None = None,
  watch: monitor.Watch | None = None,
) -> Trained:
  """Trains, from where a job that was killed had come.

  Args:
    job: what is trained, on what.
    step: what `job.compile` gave.
    trials: what each has of its own.
    checkpoints: of this job, these trials and this part.
    description: for the progress bar.
    part: which of the steps; None: all, without evaluation.
    watch: what is shown of them; None: the bar alone.

  Raises:
    InputError: an image cannot be read.
    Preempted: SIGTERM came; where the trials stand is written.
  """
  part = part or Segment()
  watch = watch or monitor.Watcher().trials((), (), job.recipe.batch_size)
  total = job.recipe.steps if part.stop is None else part.stop
  at = _begin(job, trials, checkpoints, part)
  with (
    checkpoints_lib.termination() as terminated,
    progress.bar(
      total=total, initial=at.done, desc=description, unit=' steps'
    ) as bar,
  ):
    for batch in watch.waiting(_batches(job, at, total)):
      watch.step(at.done + 1, _advance(step, at, trials, batch))
      bar.update()
      looking = at.done % window(job.recipe.steps) == 0 or at.done == total
      if looking:
        _look(at)
        words = _summary(at.courses), watch.summary()
        bar.set_postfix_str(', '.join(filter(None, words)))
      if job.measure and (at.done % job.measure_every == 0 or at.done == total):
        _measure(job.measure, at)
      if not any(at.states):
        break
      score = _evaluated(at, part, watch)
      # Processes may only leave the loop together.
      ending = (looking or jax.process_count() == 1) and _any(terminated())
      due = at.done % job.checkpoint_every == 0 or at.done in part.evaluate_at
      if ending or score is not None or (due and at.done < total):
        at.skipped = _in_any_process(at.skipped, job)
        checkpoints.save(at.done, at.states, at.notes(), score)
      if ending:
        checkpoints.wait()
        raise errors.Preempted(f'{description}: {at.done} of {total} steps')
  at.skipped = _in_any_process(at.skipped, job)
  return at.trained()


def best(
  job: Job, checkpoints: checkpoints_lib.Checkpoints
) -> tuple[int, Trained] | None:
  """The best checkpoint, where one was kept: its step, and the trials."""
  found = checkpoints.best(functools.partial(_like, job))
  return found and (found[0], _Standing.of(*found).trained())


def save(checkpoints: checkpoints_lib.Checkpoints, trained: Trained) -> None:
  """Writes where trials have come, for `saved`, if it does not stand there."""
  (done,) = {int(state.step) for state in trained.states}
  at = _Standing(
    done,
    trained.states,
    trained.courses,
    [[] for _ in trained.states],
    set(trained.skipped),
  )
  if done not in checkpoints.steps():
    checkpoints.save(done, at.states, at.notes())
    checkpoints.wait()


def saved(job: Job, checkpoints: checkpoints_lib.Checkpoints) -> Trained | None:
  """What `save` has written."""
  found = checkpoints.latest(functools.partial(_like, job))
  return found and _Standing.of(*found).trained()


def _batches(
  job: Job, at: _Standing, stop: int
) -> Iterator[dict[str, jax.Array]]:
  """The batches that are left, on the devices; notes what is skipped."""
  made = pipeline.training_batches(
    job.split,
    job.contract,
    job.recipe.batch_size,
    seed=job.recipe.seed,
    start=at.done,
    stop=stop,
    process=(jax.process_index(), jax.process_count()),
    color=job.color,
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


def _in_any_process(skipped: set[int], job: Job) -> set[int]:
  """What was skipped in this process or another; each reads images of its own.

  To be called by all processes together.
  """
  if jax.process_count() == 1 or job.corrupt != 'skip':
    return skipped
  marked = np.isin(np.arange(len(job.split)), list(skipped))
  everywhere = multihost_utils.process_allgather(marked)
  return set(np.flatnonzero(everywhere.any(axis=0)).tolist())


def _advance(
  step: train_step.Step,
  at: _Standing,
  trials: Sequence[train_step.Trial],
  batch: dict[str, jax.Array],
) -> dict[int, Mapping[str, Any]]:
  """A step of every trial that goes on; waits for the step before it.

  Returns:
    The metrics by the trial's position.
  """
  found = {}
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
    found[number] = metrics
  at.done += 1
  return found


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


def _evaluated(
  at: _Standing, part: Segment, watch: monitor.Watch
) -> float | None:
  """Measures the trials if it is time; the score of the best, if it counts."""
  if part.evaluate is None or at.done not in part.evaluate_at:
    return None
  found = part.evaluate([state and state.variables for state in at.states])
  watch.evaluated(at.done, found)
  for course, views in zip(at.courses, found, strict=True):
    if views:
      course.evaluations.append({'step': at.done, 'views': views})
  values = [view['value'] for views in found for view in views.values()]
  return max(values) if at.done in part.best_of else None


def _summary(courses: Sequence[Course]) -> str:
  going = [c.losses[-1] for c in courses if c.diverged is None]
  text = f'loss {min(going):.3f}' if going else 'none left'
  diverged = len(courses) - len(going)
  return f'{text}, {diverged} diverged' if diverged else text


def _begin(
  job: Job,
  trials: Sequence[train_step.Trial],
  checkpoints: checkpoints_lib.Checkpoints,
  part: Segment,
) -> _Standing:
  """Where the last checkpoint stood, or the beginning."""
  found = checkpoints.latest(functools.partial(_like, job))
  if found is not None:
    return _Standing.of(*found)
  losses = [[] for _ in trials]
  if part.begin is not None:
    given = part.begin()
    (done,) = {int(state.step) for state in given.states}
    return _Standing(
      done, list(given.states), given.courses, losses, set(given.skipped)
    )
  states = [
    train_step.new_state(job.variables, job.recipe, job.mesh) for _ in trials
  ]
  return _Standing(0, states, [Course() for _ in trials], losses, set())


def _like(job: Job, notes: Mapping[str, Any]) -> list[train_step.State | None]:
  """What a checkpoint with such notes holds, as `Checkpoints` asks for it."""
  replicated = devices.sharding(job.mesh, devices.REPLICATED)
  state = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated),
    train_step.host_state(job.variables, job.recipe),
  )
  return [state if c['diverged'] is None else None for c in notes['courses']]


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
