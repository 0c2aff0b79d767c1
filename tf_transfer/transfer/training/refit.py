"""Trains or restores the network that is tested, and tests it."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from tf_transfer import errors
from tf_transfer.transfer import metrics
from tf_transfer.transfer import result as result_lib
from tf_transfer.transfer.training import evaluation, train_step, trials
from tf_transfer.transfer.training import monitor as monitor_lib
from tf_transfer.transfer.training.search_results import Choice, TrialResults
from tf_transfer.transfer.training.search_spec import Search


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
  def variables(self) -> Any:
    """The variables to evaluate."""
    return self.trained.variables[0]


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
  trial_monitor = monitor.trials(
    ('refit_on_trainval',),
    (search.hparams(trial),),
    job.train_config.batch_size,
  )
  # 'final' is its name on disk.
  with search.open_checkpoints('final') as checkpoints, trial_monitor:
    trained = trials.train(
      job,
      job.compile(),  # Cached, if the program is that of the trials.
      [trial],
      checkpoints,
      f'{search.description}: refit',
      trials.Segment(stop=steps),
      trial_monitor,
    )
  if trained.states[0] is None:
    raise errors.InputError(
      f'{search.description}: the refit on train + val diverged with {trial}, '
      'which was the best on val; lower learning_rate_max'
    )
  return FinalTraining(job, trained, steps)


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
  final: FinalTraining,
  results: TrialResults,
  choice: Choice,
) -> result_lib.CellResult:
  """Predicts the test split, on which nothing was chosen, and measures it."""
  search.before_test()
  test_split = search.dataset.splits['test']
  (predicted,), positions = evaluator.predict(
    [final.variables], test_split, choice.view
  )
  labels = test_split.labels[positions]
  chosen = results.by_trial[choice.number]
  records = [results.record(number) for number in range(len(results.by_trial))]
  return result_lib.CellResult(
    validation=metrics.Measurement(**choice.measurement),
    test=metrics.measure(search.dataset.metric, labels, predicted),
    curve=np.array(
      [
        max((v['value'] for v in r['validation'].values()), default=np.nan)
        for r in records
      ]
    ),
    chosen={
      'learning_rate': chosen['learning_rate'],
      'weight_decay': chosen['weight_decay'],
      'view': choice.view,
      'steps': final.steps,
    },
    solver={},
    predictions=result_lib.per_example(
      test_split, positions, labels, predicted
    ),
    # `search.run` names those of all splits.
    skipped=(),
    trials=tuple(records),
    losses=tuple(final.trained.histories[0].losses),
  )


def without_auxiliary_head(variables: Mapping[str, Any]) -> dict[str, Any]:
  """Returns variables for inference, on the host."""
  return {
    collection: {k: v for k, v in values.items() if k != 'auxiliary'}
    for collection, values in jax.device_get(dict(variables)).items()
  }
