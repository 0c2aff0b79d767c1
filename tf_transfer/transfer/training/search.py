"""Fine-tunes a network, or trains it from random values, and tests it.

Trains a grid of learning rates and weight decays on train; chooses the trial
and the view of the images that do best on val; refits it on train + val; tests
it once (section 5 of the paper's protocol). As many trials as fit in memory
train at once, on the same batches. Their results are kept on disk, and an
interrupted search resumes from the last checkpoint. Successive halving, which
leaves out most of the steps of most trials, is an option.
"""

import dataclasses
import functools
import math
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_transfer import errors, networks
from tf_transfer.runtime import devices, units
from tf_transfer.transfer import result as result_lib
from tf_transfer.transfer.training import (
  corrupt_images,
  device_memory,
  evaluation,
  grid,
  halving,
  monitor,
  refit,
  search_memory,
  search_results,
  timing,
  train_step,
  trials,
  val_scores,
)
from tf_transfer.transfer.training.search_spec import Search

# How images become the networks' input, as records name it.
PREPROCESSING = 'random_crop_and_flip'


def run(search: Search) -> tuple[result_lib.CellResult, networks.Network]:
  """Runs a cell: the search, the refit and the test.

  Args:
    search: the cell.

  Returns:
    The result, and the network that was tested, of several the first.

  Raises:
    InputError: an input cannot be used, or every trial diverged.
    Preempted: SIGTERM came; the same command resumes.
  """
  checked = corrupt_images.check(
    search.dataset, search.corrupt, search.directory
  )
  search = dataclasses.replace(search, dataset=checked.dataset)
  runner = _SearchRunner(search)
  with device_memory.report_exhaustion(
    search.description, functools.partial(search_memory.advise, search)
  ):
    runner.train_trials()
    choice = runner.choose()
    runs = runner.train_final(choice)
    result = refit.test(search, runner.evaluator, runs, runner.results, choice)
  variables = refit.without_auxiliary_head(runs[0].variables)
  arrays = {**result.predictions, **runner.val_scores.of_choice(choice)}
  result = dataclasses.replace(
    result, predictions=arrays, skipped=checked.skipped
  )
  return result, search.build_network(variables)


@dataclasses.dataclass(frozen=True)
class _Training:
  """Holds what all groups of trials share.

  Attributes:
    job: training on train.
    step: its compiled step.
    num_concurrent: trials that train at once.
    progress: of the search.
  """

  job: trials.Job
  step: train_step.Step
  num_concurrent: int
  progress: timing.SearchProgress


class _SearchRunner:
  """Trains the trials of a search, rung by rung and group by group.

  Attributes:
    trials: the hyperparameters of each.
    results: of the trials so far.
    val_scores: of the best trial so far.
    evaluator: predicts with their variables.
  """

  def __init__(self, search: Search):
    self._search = search
    self._monitor = monitor.JobMonitor(search.monitor_config)
    self.trials = grid.build_trials(search.config)
    self.results = search_results.TrialResults(search)
    self.val_scores = val_scores.ValScores(search)
    self.evaluator = evaluation.Evaluator(search)

  def train_trials(self) -> None:
    """Trains the trials whose results are not on disk yet, rung by rung."""
    search = self._search
    remaining, training, start = list(range(len(self.trials))), None, 0
    for stop in search.stops:
      missing = [n for n in remaining if not self.results.has_reached(n, stop)]
      if missing and training is None:
        training = self._start_training(len(missing), start)
      size = training.num_concurrent if missing else 1
      for first in range(0, len(missing), size):
        group = missing[first : first + size]
        self._train_group(training, group, start, stop)
        self._remove_checkpoints(group, remaining, stop)
        training.progress.print_time_left(len(missing) - first - len(group))
      if stop < search.steps:
        remaining = halving.survivors(
          {n: self.results.scores(n) for n in remaining},
          stop,
          search.config.halving_keep,
        )
        print(
          f'  after {stop:,} steps {len(remaining)} of {len(self.trials)} '
          'trials go on',
          flush=True,
        )
      start = stop

  def choose(self) -> search_results.Choice:
    """Chooses the best on val.

    Raises:
      InputError: every trial diverged.
    """
    choice = search_results.choose(self._search, self.results)
    if choice is None:
      raise errors.InputError(
        f'{self._search.description}: all {len(self.trials)} trials diverged; '
        'lower learning_rate_max and learning_rate_min'
      )
    if self._search.config.search == 'both':
      report = search_results.halving_report(self._search, self.results)
      print(f'  {report}', flush=True)
    return choice

  def train_final(self, choice: search_results.Choice) -> list[refit.FinalRun]:
    """Trains or restores the networks that are tested, one for each seed."""
    first = self._first_final(choice)
    if self._search.config.num_seeds == 1:
      return [first.run]
    # The devices have no room for the states of all.
    run, job = first.run_on_host, first.job
    del first
    trial = self.trials[choice.number]
    return [
      run,
      *refit.repeat(self._search, self._monitor, trial, job, run.steps),
    ]

  def _first_final(self, choice: search_results.Choice) -> refit.FinalTraining:
    """Refits the chosen trial, or restores it where there is no refit."""
    if self._search.config.refit_on_trainval:
      trial = self.trials[choice.number]
      return refit.refit(self._search, self._monitor, trial, choice)
    group = self.results.by_trial[choice.number]['group']
    group_name = _group_name(group, self._search.steps)
    return refit.restore_choice(self._search, choice, group, group_name)

  def _start_training(self, num_missing: int, start: int) -> _Training:
    """Compiles the step; prints how long the search will take.

    Args:
      num_missing: trials that are trained to the next rung.
      start: the step at which they stand.
    """
    search, config = self._search, self._search.config
    job = search.build_job(search.dataset.splits['train'])
    step = job.compile()
    compile_seconds, step_seconds = timing.seconds_per_step(
      job, step, self.trials[0]
    )
    steps = job.train_config.steps
    num_final = grid.num_final_trainings(config)
    total_steps = num_final * steps + halving.steps_taken(
      num_missing, search.stops, config.halving_keep, start
    )
    progress = timing.SearchProgress(total_steps)
    print(
      f'{search.description}: the step compiled in {compile_seconds:.0f} s and '
      f'takes {step_seconds:.3g} s; '
      f'{units.counted(len(self.trials), "trial")}{_final_text(search)}, of '
      f'{steps:,} steps of {job.train_config.batch_size} images each, will '
      f'take about {units.duration(total_steps * step_seconds)} '
      '(evaluation on val comes on top)',
      flush=True,
    )
    self._monitor.progress = progress.advance
    num_concurrent = search_memory.num_concurrent_trials(search)
    return _Training(job, step, num_concurrent, progress)

  def _train_group(
    self, training: _Training, group: Sequence[int], start: int, stop: int
  ) -> None:
    """Trains a group of trials up to a rung, and records their results."""
    search, job = self._search, training.job
    group_trials = [self.trials[number] for number in group]
    trial_monitor = self._monitor.trials(
      [f'trial_{number + 1:02d}' for number in group],
      [search.hparams(trial) for trial in group_trials],
      job.train_config.batch_size,
    )
    name = _group_name(group, stop)
    with search.open_checkpoints(name) as checkpoints, trial_monitor:
      trained = trials.train(
        job,
        training.step,
        group_trials,
        checkpoints,
        f'{search.description}: {_group_text(group)} of {len(self.trials)}',
        self._segment(job, group, start, stop),
        trial_monitor,
      )
    if stop < search.steps:
      self._save_rung(group, trained)
    for number, history in zip(group, trained.histories, strict=True):
      diverged = history.diverged
      self.results.by_trial[number] = {
        **dataclasses.asdict(self.trials[number]),
        'steps': stop if diverged is None else diverged,
        'diverged': diverged,
        'losses': [x if math.isfinite(x) else None for x in history.losses],
        'evaluations': history.evaluations,
        'group': group,
      }
    self.results.write()

  def _segment(
    self, job: trials.Job, group: Sequence[int], start: int, stop: int
  ) -> trials.Segment:
    """Returns the segment from one rung to the next, with its evaluations."""
    search = self._search
    steps, config = search.steps, search.config
    every = config.evaluate_every or steps
    evaluate_at = {*range(every, steps, every), *search.rungs}
    # Without a refit the best trial is tested as it was when it was best.
    best_of = evaluate_at if config.early_stopping else {steps}
    restore = functools.partial(self._restore_rung, job, group, start)
    return trials.Segment(
      stop=stop,
      restore=restore if start else None,
      evaluate=functools.partial(self._evaluate, group),
      evaluate_at=evaluate_at,
      best_of=() if config.refit_on_trainval else best_of,
    )

  def _evaluate(
    self, group: Sequence[int], step: int, variables: Sequence[Any]
  ) -> list[dict[str, dict[str, Any]]]:
    """Evaluates a group of trials on val; keeps the scores of the best."""

    def offer(
      position: int,
      view: str,
      measurement: Mapping[str, Any],
      labels: np.ndarray,
      logits: np.ndarray,
    ) -> None:
      candidate = search_results.Choice(
        group[position], step, view, measurement
      )
      self.val_scores.offer(candidate, labels, logits)

    may_be_chosen = search_results.may_be_chosen(self._search, step)
    return self.evaluator.evaluate_on_val(
      variables, offer if may_be_chosen else None
    )

  def _save_rung(
    self, group: Sequence[int], trained: trials.TrainedTrials
  ) -> None:
    """Writes a checkpoint of each trial, since other groups may follow."""
    for number, state, history in zip(
      group, trained.states, trained.histories, strict=True
    ):
      if state is not None:
        with self._search.open_checkpoints(_rung_name(number)) as checkpoints:
          trial = trials.TrainedTrials([state], [history], trained.skipped)
          trials.save(checkpoints, trial)

  def _restore_rung(
    self, job: trials.Job, group: Sequence[int], step: int
  ) -> trials.TrainedTrials:
    """Restores a group of trials at the rung before.

    Raises:
      InputError: a checkpoint is missing or damaged.
    """
    states, histories, skipped = [], [], set()
    for number in group:
      with self._search.open_checkpoints(_rung_name(number)) as checkpoints:
        trial = trials.restore(job, checkpoints)
      if trial is None:
        raise errors.InputError(
          f'{self._search.description}: the checkpoint of trial {number + 1} '
          f'after {step} steps is gone or damaged: remove '
          f'{self._search.directory} to search again'
        )
      states += trial.states
      histories += trial.histories
      skipped.update(trial.skipped)
    return trials.TrainedTrials(states, histories, sorted(skipped))

  def _remove_checkpoints(
    self, group: Sequence[int], remaining: Sequence[int], stop: int
  ) -> None:
    """Removes the checkpoints that no later step needs.

    Args:
      group: the trials that were just trained.
      remaining: the trials that are trained to this rung.
      stop: the rung.
    """
    if not devices.is_leader():
      return
    if stop < self._search.steps:
      names = self._unneeded_at_rung(group, remaining, stop)
    else:
      names = self._unneeded_at_end(group)
    for name in names:
      directory = self._search.checkpoints_directory(name)
      shutil.rmtree(directory, ignore_errors=True)

  def _unneeded_at_rung(
    self, group: Sequence[int], remaining: Sequence[int], stop: int
  ) -> list[str]:
    """Names the checkpoints of the group and of trials that cannot go on.

    A trial cannot go on when better ones have taken all places.
    """
    reached = [n for n in remaining if self.results.has_reached(n, stop)]
    scores = {n: self.results.scores(n) for n in reached}
    keep = self._search.config.halving_keep
    num_places = math.ceil(len(remaining) * keep)
    best = halving.rank(scores, stop)[:num_places]
    return [
      _group_name(group, stop),
      *(_rung_name(n) for n in reached if n not in best),
    ]

  def _unneeded_at_end(self, group: Sequence[int]) -> list[str]:
    """Names all checkpoints but those that the network may be restored from."""
    search = self._search
    names = []
    if search.config.search == 'halving':
      names = [_rung_name(number) for number in group]
    choice = search_results.choose(search, self.results)
    groups = {tuple(r['group']) for r in self.results.by_trial.values()}
    if choice and not search.config.refit_on_trainval:
      groups -= {tuple(self.results.by_trial[choice.number]['group'])}
    return names + [_group_name(g, search.steps) for g in groups]


def _final_text(search: Search) -> str:
  """Says what is trained after the search: ' and the refit', or nothing."""
  if search.config.num_seeds == 1:
    return ' and the refit' if search.config.refit_on_trainval else ''
  count = grid.num_final_trainings(search.config)
  return f' and {units.counted(count, refit.final_word(search))}'


def _group_text(group: Sequence[int]) -> str:
  """Returns 'trial 2' or 'trials 1 to 8', for messages."""
  first, last = group[0] + 1, group[-1] + 1
  return f'trial {first}' if first == last else f'trials {first} to {last}'


def _group_name(group: Sequence[int], stop: int) -> str:
  """Names the checkpoints of trials that train together, on disk too."""
  return f'{" ".join(map(str, group))} to {stop}'


def _rung_name(number: int) -> str:
  """Names the checkpoint of a trial at its last rung, on disk too."""
  return f'rung of {number}'
