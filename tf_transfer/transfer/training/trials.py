"""Trains several trials at once, on the same batches, each decoded once.

The trials take turns on every batch, so each computes to the bit what it would
alone. A trial that diverges is trained no further. Checkpoints are written
every so many steps, and when the job is told to end. Trials may be evaluated on
the way, and may be trained in segments of their steps.
"""

import dataclasses
import functools
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Annotated, Any

import jax
import msgspec
import numpy as np
from jax.experimental import multihost_utils

from tf_transfer import contract as contract_lib
from tf_transfer import datasets, errors
from tf_transfer.datasets import pipeline
from tf_transfer.runtime import checkpoints as checkpoints_lib
from tf_transfer.runtime import devices, progress, schemas, termination
from tf_transfer.transfer.training import history as history_lib
from tf_transfer.transfer.training import monitor as monitor_lib
from tf_transfer.transfer.training import train_step


@dataclasses.dataclass(frozen=True)
class Job:
  """Describes a training: the network, the examples and how it is trained.

  Attributes:
    model: the network's architecture.
    contract: what it expects of its input.
    train_config: hyperparameters that all trials share.
    split: the examples that are trained on.
    variables: initial ones, on the host.
    mesh: the devices.
    corrupt: 'error', or 'skip' for images that cannot be decoded.
    checkpoint_every: steps between checkpoints.
    measure: maps the steps done and the variables to a value that is recorded
      on the way; None measures nothing.
    measure_every: steps between measurements; the last step is measured too.
  """

  model: Any
  contract: contract_lib.Contract
  train_config: train_step.TrainConfig
  split: datasets.Split
  variables: Any
  mesh: jax.sharding.Mesh
  corrupt: str
  checkpoint_every: int
  measure: Callable[[int, Any], float] | None = None
  measure_every: int = 0

  @property
  def color(self) -> bool:
    """Whether colors are distorted."""
    return self.train_config.color_distortion != 'none'

  def compile(self) -> train_step.Step:
    """Compiles the job's training step."""
    return train_step.compile_step(
      self.model, self.contract.scale, self.train_config, self.mesh
    )


@dataclasses.dataclass(frozen=True)
class TrainedTrials:
  """Holds the result of training trials together.

  Attributes:
    states: of each trial, on the devices; None where it diverged.
    histories: of each trial.
    skipped: positions of the training images that could not be decoded.
  """

  states: list[train_step.State | None]
  histories: list[history_lib.TrialHistory]
  skipped: list[int]

  @property
  def variables(self) -> list[Any]:
    """The variables to evaluate of each trial; None where it diverged."""
    return [state and state.variables for state in self.states]


# Maps the variables of each trial to its metrics on val by view. The variables
# of a trial that diverged are None, and its metrics are empty.
Evaluate = Callable[[Sequence[Any]], list[dict[str, dict[str, Any]]]]


@dataclasses.dataclass(frozen=True)
class Segment:
  """Describes a segment of the steps, and what is evaluated in it.

  Attributes:
    stop: the step after the last; None trains all steps.
    restore: returns the trials at the segment's first step, which all have
      reached; None starts at the first step of all.
    evaluate: evaluates the trials.
    evaluate_at: the steps after which it does; a checkpoint is written then,
      except at `stop`.
    best_of: the steps among which the best is looked for; its checkpoint is
      kept beside the last.
  """

  stop: int | None = None
  restore: Callable[[], TrainedTrials] | None = None
  evaluate: Evaluate | None = None
  evaluate_at: Container[int] = ()
  best_of: Container[int] = ()


class _Notes(msgspec.Struct):
  """What a checkpoint holds of the training loop beside its arrays."""

  courses: list[history_lib.TrialHistory]
  losses: list[list[float]]
  skipped: list[Annotated[int, msgspec.Meta(ge=0)]]


@dataclasses.dataclass
class LoopState:
  """Holds what the training loop changes, all of which checkpoints hold.

  Attributes:
    step: steps that are done.
    states: of each trial; None where it has diverged.
    histories: of each trial.
    losses: of each trial in the current window; scalars on the devices.
    skipped: positions of the training images that could not be decoded.
  """

  step: int
  states: list[train_step.State | None]
  histories: list[history_lib.TrialHistory]
  losses: list[list[Any]]
  skipped: set[int]

  def notes(self) -> dict[str, Any]:
    """Returns all but the states, as checkpoints hold it."""
    return {
      'courses': [dataclasses.asdict(h) for h in self.histories],
      'losses': [[float(x) for x in losses] for losses in self.losses],
      'skipped': sorted(self.skipped),
    }

  @classmethod
  def from_checkpoint(
    cls,
    step: int,
    states: list[train_step.State | None],
    notes: Mapping[str, Any],
  ) -> 'LoopState':
    """Returns the state that a checkpoint holds."""
    checked = schemas.convert(notes, _Notes, 'notes')
    return cls(
      step, states, checked.courses, checked.losses, set(checked.skipped)
    )

  def result(self) -> TrainedTrials:
    """Returns the trials as they are now."""
    return TrainedTrials(self.states, self.histories, sorted(self.skipped))


def train(
  job: Job,
  step: train_step.Step,
  trials: Sequence[train_step.Trial],
  checkpoints: checkpoints_lib.Checkpoints,
  description: str,
  segment: Segment | None = None,
  monitor: monitor_lib.TrialMonitor | None = None,
) -> TrainedTrials:
  """Trains trials from the last checkpoint on, or from the start.

  Args:
    job: the network, the examples and how it is trained.
    step: from `job.compile`.
    trials: the hyperparameters of each trial.
    checkpoints: of this job, these trials and this segment.
    description: for the progress bar.
    segment: of the steps; None trains all of them without evaluation.
    monitor: of these trials; None shows the progress bar alone.

  Raises:
    InputError: an image cannot be read.
    Preempted: SIGTERM came; a checkpoint is written.
  """
  segment = segment or Segment()
  if monitor is None:
    silent = monitor_lib.JobMonitor(monitor_lib.MonitorConfig())
    monitor = silent.trials((), (), job.train_config.batch_size)
  stop = job.train_config.steps if segment.stop is None else segment.stop
  state = _restore_or_start(job, trials, checkpoints, segment)
  with (
    termination.deferred('this step and a checkpoint') as terminated,
    progress.bar(
      total=stop, initial=state.step, desc=description, unit=' steps'
    ) as bar,
  ):
    for batch in monitor.time_waiting(_batches(job, state, stop)):
      monitor.step(state.step + 1, _advance(step, state, trials, batch))
      bar.update()
      is_window_end = _at_window_end(state, job, stop)
      if is_window_end:
        fold_losses(state)
        bar.set_postfix_str(_summarize(state, monitor))
      _measure_if_due(job, state, stop)
      if not any(state.states):
        break
      score = _evaluate_if_due(state, segment, monitor)
      # Processes may only leave the loop together, and so ask each other.
      is_ending = (is_window_end or jax.process_count() == 1) and _any_process(
        terminated()
      )
      is_due = _checkpoint_is_due(job, state, segment, stop)
      if is_ending or score is not None or is_due:
        state.skipped = _skipped_by_all(state.skipped, job)
        checkpoints.save(state.step, state.states, state.notes(), score)
      if is_ending:
        checkpoints.wait()
        raise errors.Preempted(f'{description}: {state.step} of {stop} steps')
  state.skipped = _skipped_by_all(state.skipped, job)
  return state.result()


def restore_best(
  job: Job, checkpoints: checkpoints_lib.Checkpoints
) -> tuple[int, TrainedTrials] | None:
  """Restores the best checkpoint's step and trials; None if there is none."""
  checkpoint = checkpoints.best(
    functools.partial(_state_template, job), _steps_done
  )
  if checkpoint is None:
    return None
  return checkpoint[0], LoopState.from_checkpoint(*checkpoint).result()


def save(
  checkpoints: checkpoints_lib.Checkpoints, trained: TrainedTrials
) -> None:
  """Writes trials that stand at the same step, unless they are written."""
  (step,) = {int(state.step) for state in trained.states}
  state = LoopState(
    step,
    trained.states,
    trained.histories,
    [[] for _ in trained.states],
    set(trained.skipped),
  )
  if step not in checkpoints.steps():
    checkpoints.save(step, state.states, state.notes())
    checkpoints.wait()


def restore(
  job: Job, checkpoints: checkpoints_lib.Checkpoints
) -> TrainedTrials | None:
  """Restores what `save` wrote; None if there is nothing."""
  checkpoint = checkpoints.latest(
    functools.partial(_state_template, job), _steps_done
  )
  return checkpoint and LoopState.from_checkpoint(*checkpoint).result()


def _batches(
  job: Job, state: LoopState, stop: int
) -> Iterator[dict[str, jax.Array]]:
  """Yields the remaining batches on the devices; records skipped images."""
  batches = pipeline.training_batches(
    job.split,
    job.contract,
    job.train_config.batch_size,
    seed=job.train_config.seed,
    start=state.step,
    stop=stop,
    process=(jax.process_index(), jax.process_count()),
    color=job.color,
    corrupt=job.corrupt,
  )

  def record_skipped() -> Iterator[dict[str, np.ndarray]]:
    for batch in batches:
      state.skipped.update(batch['index'][~batch['mask']].tolist())
      yield batch

  sharding = devices.sharding(job.mesh, devices.BATCH)
  return devices.prefetch_to_devices(record_skipped(), sharding)


def _any_process(flag: bool) -> bool:
  """Returns whether a flag is set in any process."""
  if jax.process_count() == 1:
    return flag
  return bool(np.any(multihost_utils.process_allgather(np.array(flag))))


def _skipped_by_all(skipped: set[int], job: Job) -> set[int]:
  """Joins the skipped positions of all processes, which read other images.

  All processes must call it together.
  """
  if jax.process_count() == 1 or job.corrupt != 'skip':
    return skipped
  is_skipped = np.isin(np.arange(len(job.split)), list(skipped))
  by_process = multihost_utils.process_allgather(is_skipped)
  return set(np.flatnonzero(by_process.any(axis=0)).tolist())


def _advance(
  step: train_step.Step,
  state: LoopState,
  trials: Sequence[train_step.Trial],
  batch: dict[str, jax.Array],
) -> dict[int, Mapping[str, Any]]:
  """Makes a step of every trial that has not diverged.

  Waits for each trial's step before.

  Returns:
    The metrics by the trial's position.
  """
  metrics_by_trial = {}
  for number, trial in enumerate(trials):
    if state.states[number] is None:
      continue
    state.states[number], metrics = step(
      state.states[number], dataclasses.asdict(trial), batch
    )
    if state.losses[number]:
      # Batches would pile up on the devices otherwise.
      jax.block_until_ready(state.losses[number][-1])
    state.losses[number].append(metrics['loss'])
    metrics_by_trial[number] = metrics
  state.step += 1
  return metrics_by_trial


def _at_window_end(state: LoopState, job: Job, stop: int) -> bool:
  """Returns whether a window of losses ends with the last step."""
  length = history_lib.window_length(job.train_config.steps)
  return state.step % length == 0 or state.step == stop


def _summarize(state: LoopState, monitor: monitor_lib.TrialMonitor) -> str:
  """Says losses, speed and the time left, for the progress bar."""
  summaries = history_lib.summarize(state.histories), monitor.summary()
  return ', '.join(filter(None, summaries))


def _checkpoint_is_due(
  job: Job, state: LoopState, segment: Segment, stop: int
) -> bool:
  """Returns whether a checkpoint is written whatever else happens.

  None is at the end, whose trials the caller has.
  """
  if state.step >= stop:
    return False
  is_periodic = state.step % job.checkpoint_every == 0
  return is_periodic or state.step in segment.evaluate_at


def fold_losses(state: LoopState) -> None:
  """Moves a window's losses to the histories; drops trials that diverged."""
  for number, history in enumerate(state.histories):
    if state.states[number] is None:
      continue
    history.add_window([float(x) for x in state.losses[number]], state.step)
    state.losses[number] = []
    if history.diverged is not None:
      state.states[number] = None


def _measure_if_due(job: Job, state: LoopState, stop: int) -> None:
  """Records the job's measurement of each trial, if it is time for it."""
  if not job.measure:
    return
  if state.step % job.measure_every and state.step != stop:
    return
  for trial_state, history in zip(state.states, state.histories, strict=True):
    if trial_state is not None:
      value = job.measure(state.step, trial_state.variables)
      history.measured.append((state.step, value))


def _evaluate_if_due(
  state: LoopState, segment: Segment, monitor: monitor_lib.TrialMonitor
) -> float | None:
  """Evaluates the trials if it is time; the best score, if it may be kept."""
  if segment.evaluate is None or state.step not in segment.evaluate_at:
    return None
  evaluations = segment.evaluate([s and s.variables for s in state.states])
  monitor.evaluated(state.step, evaluations)
  for history, views in zip(state.histories, evaluations, strict=True):
    if views:
      history.evaluations.append({'step': state.step, 'views': views})
  values = [v['value'] for views in evaluations for v in views.values()]
  return max(values) if state.step in segment.best_of else None


def _restore_or_start(
  job: Job,
  trials: Sequence[train_step.Trial],
  checkpoints: checkpoints_lib.Checkpoints,
  segment: Segment,
) -> LoopState:
  """Restores the last checkpoint; without one, starts the segment."""
  checkpoint = checkpoints.latest(
    functools.partial(_state_template, job), _steps_done
  )
  if checkpoint is not None:
    return LoopState.from_checkpoint(*checkpoint)
  losses = [[] for _ in trials]
  if segment.restore is not None:
    restored = segment.restore()
    (step,) = {int(state.step) for state in restored.states}
    return LoopState(
      step,
      list(restored.states),
      restored.histories,
      losses,
      set(restored.skipped),
    )
  states = [
    train_step.new_state(job.variables, job.train_config, job.mesh)
    for _ in trials
  ]
  histories = [history_lib.TrialHistory() for _ in trials]
  return LoopState(0, states, histories, losses, set())


def _steps_done(states: Sequence[train_step.State | None]) -> int:
  """Returns the number of steps that trials have done, which all agree on.

  Returns:
    The number; -1 if they do not agree.
  """
  steps = {int(state.step) for state in states if state is not None}
  return steps.pop() if len(steps) == 1 else -1


def _state_template(
  job: Job, notes: Mapping[str, Any]
) -> list[train_step.State | None]:
  """Returns the shapes and shardings of a checkpoint with these notes.

  Raises:
    InputError: the notes are no training's.
  """
  courses = schemas.convert(notes, _Notes, 'notes').courses
  replicated = devices.sharding(job.mesh, devices.REPLICATED)
  state = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated),
    train_step.host_state(job.variables, job.train_config),
  )
  return [state if h.diverged is None else None for h in courses]
