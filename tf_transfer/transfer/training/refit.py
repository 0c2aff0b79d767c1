"""Trains or restores the networks that are tested, and tests them.

The network that is tested is the refit, or without one the trial that did best.
With `num_seeds` above 1 its training is repeated with other seeds.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from tf_transfer import errors
from tf_transfer.runtime import devices
from tf_transfer.transfer import metrics
from tf_transfer.transfer import result as result_lib
from tf_transfer.transfer.training import evaluation, train_step, trials
from tf_transfer.transfer.training import monitor as monitor_lib
from tf_transfer.transfer.training.search_results import Choice, TrialResults
from tf_transfer.transfer.training.search_spec import Search


@dataclasses.dataclass(frozen=True)
class FinalRun:
  """Holds one of the networks that are tested.

  Attributes:
    seed: of its training.
    variables: to evaluate.
    steps: how many it was trained for.
    losses: mean loss of each window of its training.
  """

  seed: int
  variables: Any
  steps: int
  losses: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class FinalTraining:
  """Holds the training whose network is tested.

  Attributes:
    job: what was trained, on which split.
    trained: the one trial.
    steps: how many it was trained for.
  """

  job: trials.Job
  trained: trials.TrainedTrials
  steps: int

  @property
  def run(self) -> FinalRun:
    """What is tested of it."""
    return FinalRun(
      self.job.train_config.seed,
      self.trained.variables[0],
      self.steps,
      tuple(self.trained.histories[0].losses),
    )

  @property
  def run_on_host(self) -> FinalRun:
    """The same, with the variables on the host."""
    return dataclasses.replace(
      self.run, variables=jax.device_get(self.trained.variables[0])
    )


@dataclasses.dataclass(frozen=True)
class _Names:
  """Holds by what names a training is known.

  Attributes:
    checkpoints: on disk.
    events: of its event files.
    number: among the runs, from 1.
  """

  checkpoints: str
  events: str
  number: int


def refit(
  search: Search,
  monitor: monitor_lib.JobMonitor,
  trial: train_step.Trial,
  choice: Choice,
) -> FinalTraining:
  """Trains the chosen trial on train + val.

  Raises:
    InputError: the training diverged.
  """
  job = search.build_job(search.dataset.trainval)
  # Where epochs are counted, train + val has more steps than train.
  steps = math.ceil(choice.step * job.train_config.steps / search.steps)
  # 'final' is its name on disk.
  names = _Names('final', 'refit_on_trainval', 1)
  return _train(search, monitor, trial, job, steps, names)


def repeat(
  search: Search,
  monitor: monitor_lib.JobMonitor,
  trial: train_step.Trial,
  job: trials.Job,
  steps: int,
) -> list[FinalRun]:
  """Trains the chosen trial again with each of the other seeds.

  Args:
    search: the search.
    monitor: of its trainings.
    trial: the chosen one.
    job: of the first of the runs.
    steps: as many as the first was trained for.

  Returns:
    The runs after the first. Their variables are on the host, so that the
    devices hold one training at a time.

  Raises:
    InputError: a training diverged.
  """
  runs = []
  for number in range(1, search.config.num_seeds):
    seed = search.config.seed + number
    names = _Names(f'final of seed {seed}', f'final_of_seed_{seed}', number + 1)
    job_of_seed = search.reseed(job, seed)
    final = _train(search, monitor, trial, job_of_seed, steps, names)
    runs.append(final.run_on_host)
  return runs


def _train(
  search: Search,
  monitor: monitor_lib.JobMonitor,
  trial: train_step.Trial,
  job: trials.Job,
  steps: int,
  names: _Names,
) -> FinalTraining:
  """Trains a network that is tested.

  One of several is kept on disk until the cell is done.

  Raises:
    InputError: the training diverged.
  """
  num_runs = search.config.num_seeds
  word = final_word(search)
  if num_runs > 1:
    word = f'{word} {names.number} of {num_runs}'
    seed = job.train_config.seed
    print(f'  {search.description}: {word}, with seed {seed}', flush=True)
  trial_monitor = monitor.trials(
    (names.events,), (search.hparams(trial),), job.train_config.batch_size
  )
  with search.open_checkpoints(names.checkpoints) as checkpoints, trial_monitor:
    trained = trials.train(
      job,
      job.compile(),  # Cached, if the program is that of the trials.
      [trial],
      checkpoints,
      f'{search.description}: {word}',
      trials.Segment(stop=steps),
      trial_monitor,
    )
    if trained.states[0] is not None and num_runs > 1:
      trials.save(checkpoints, trained)
  if trained.states[0] is None:
    splits = 'train + val' if search.config.refit_on_trainval else 'train'
    raise errors.InputError(
      f'{search.description}: the {word} on {splits} diverged with {trial}, '
      'which was the best on val; lower learning_rate_max'
    )
  return FinalTraining(job, trained, steps)


def final_word(search: Search) -> str:
  """Returns what a training that follows the search is called."""
  return 'refit' if search.config.refit_on_trainval else 'final run'


def restore_choice(
  search: Search, choice: Choice, group: Sequence[int], group_name: str
) -> FinalTraining:
  """Restores the chosen trial as it was when it did best.

  Args:
    search: the search.
    choice: what did best on val.
    group: numbers of the trials that the chosen one trained with.
    group_name: of their checkpoints.

  Raises:
    InputError: the checkpoint is missing or damaged.
  """
  job = search.build_job(search.dataset.splits['train'])
  with search.open_checkpoints(group_name) as checkpoints:
    best = trials.restore_best(job, checkpoints)
  if best is None or best[0] != choice.step:
    raise errors.InputError(
      f'{search.description}: the best checkpoint, of trial '
      f'{choice.number + 1} after {choice.step} steps, is gone or damaged: '
      f'remove {search.directory} to search again, or set '
      'refit_on_trainval=True'
    )
  position = group.index(choice.number)
  trained = trials.TrainedTrials(
    [best[1].states[position]], [best[1].histories[position]], best[1].skipped
  )
  return FinalTraining(job, trained, choice.step)


def test(
  search: Search,
  evaluator: evaluation.Evaluator,
  runs: Sequence[FinalRun],
  results: TrialResults,
  choice: Choice,
) -> result_lib.CellResult:
  """Predicts the test split, on which nothing was chosen, and measures it.

  Args:
    search: the search.
    evaluator: of the search.
    runs: the networks; of the first are predictions, steps and losses.
    results: of the trials.
    choice: what did best on val.
  """
  search.before_test()
  test_split = search.dataset.splits['test']
  replicated = devices.sharding(search.mesh, devices.REPLICATED)
  logits, positions = evaluator.predict(
    [jax.device_put(run.variables, replicated) for run in runs],
    test_split,
    choice.view,
  )
  labels = test_split.labels[positions]
  predicted = [result_lib.predictions(search.dataset, x) for x in logits]
  measurement, tested = _measure(search, runs, labels, predicted)
  multi_label = search.dataset.multi_label
  scores = None if multi_label else finite(search, logits[0])
  arrays = result_lib.per_example(
    test_split, positions, labels, predicted[0], scores
  )
  if tested:
    arrays['run_predictions'] = np.stack(predicted)
  chosen = results.by_trial[choice.number]
  records = [results.record(number) for number in range(len(results.by_trial))]
  return result_lib.CellResult(
    validation=metrics.Measurement(**choice.measurement),
    test=measurement,
    curve=_curve(records),
    chosen={
      'learning_rate': chosen['learning_rate'],
      'weight_decay': chosen['weight_decay'],
      'view': choice.view,
      'steps': runs[0].steps,
    },
    solver={},
    predictions=arrays,
    # `search.run` names those of all splits.
    skipped=(),
    trials=tuple(records),
    losses=runs[0].losses,
    runs=tested,
  )


def _curve(records: Sequence[Mapping[str, Any]]) -> np.ndarray:
  """Returns the metric on val in the better view, of each trial's record."""
  return np.array(
    [
      max((v['value'] for v in r['validation'].values()), default=np.nan)
      for r in records
    ]
  )


def _measure(
  search: Search,
  runs: Sequence[FinalRun],
  labels: np.ndarray,
  predicted: Sequence[np.ndarray],
) -> tuple[metrics.Measurement, tuple[result_lib.Run, ...]]:
  """Measures the runs on test.

  Returns:
    The mean with its sampling interval; and each run, none if there is one.
  """
  metric = search.dataset.metric
  measured = [metrics.measure(metric, labels, x) for x in predicted]
  if len(runs) == 1:
    return measured[0], ()
  return metrics.average(measured), tuple(
    result_lib.Run(run.seed, m) for run, m in zip(runs, measured, strict=True)
  )


def finite(search: Search, logits: np.ndarray) -> np.ndarray | None:
  """Returns logits; None, which is printed, if some are not finite."""
  if np.isfinite(logits).all():
    return logits
  print(
    f'  {search.description}: some scores on test are not finite, so that none '
    'are kept',
    flush=True,
  )
  return None


def without_auxiliary_head(variables: Mapping[str, Any]) -> dict[str, Any]:
  """Returns variables for inference, on the host."""
  return {
    collection: {k: v for k, v in values.items() if k != 'auxiliary'}
    for collection, values in jax.device_get(dict(variables)).items()
  }
