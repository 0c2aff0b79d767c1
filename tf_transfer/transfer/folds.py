"""Runs a cell over the folds of its dataset, and combines the results to one.

Each fold is a dataset of its own: the setting fits, chooses and tests on it as
on any other. Together the folds predict every image of the test split once.
"""

import collections
import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np

from tf_transfer import datasets, networks
from tf_transfer.transfer import cross_validation, metrics
from tf_transfer.transfer import result as result_lib
from tf_transfer.transfer.setting import Cell, RunContext, Setting


def cells(cell: Cell) -> list[Cell]:
  """Returns a cell for each fold of its dataset; itself if it has none.

  The identity of each names its search directory, so that a search over folds
  resumes where it was interrupted.
  """
  if not cell.dataset.folds:
    return [cell]
  return [
    dataclasses.replace(
      cell,
      dataset=dataset,
      identity=_fold_identity(cell.identity, number),
      former_identity='',
    )
    for number, dataset in enumerate(cell.dataset.folds)
  ]


def _fold_identity(identity: str, number: int) -> str:
  """Returns the identity of a fold of a cell: 32 hexadecimal digits."""
  text = f'{identity} fold {number}'
  return hashlib.sha256(text.encode()).hexdigest()[:32]


def cost(
  setting: Setting,
  net: networks.Network,
  dataset: datasets.Dataset,
  config: ml_collections.ConfigDict,
) -> float:
  """Returns the operations of a cell over all folds, without extraction."""
  return sum(
    setting.cost(net, one, config) for one in dataset.folds or (dataset,)
  )


def steps(
  setting: Setting, dataset: datasets.Dataset, config: ml_collections.ConfigDict
) -> int:
  """Returns the steps of training of a cell over all folds."""
  return sum(setting.steps(one, config) for one in dataset.folds or (dataset,))


def run(cell: Cell, context: RunContext) -> result_lib.CellResult:
  """Runs a cell, on each fold of its dataset if it has folds."""
  if not cell.dataset.folds:
    return cell.setting.run(cell, context)
  # All folds together read the test split once.
  context = dataclasses.replace(
    context, before_test=functools.cache(context.before_test)
  )
  parts, results = cells(cell), []
  for number, part in enumerate(parts, 1):
    print(f'  fold {number} of {len(parts)}', flush=True)
    results.append(cell.setting.run(part, context))
  return combine(cell.dataset, results)


def combine(
  dataset: datasets.Dataset, results: Sequence[result_lib.CellResult]
) -> result_lib.CellResult:
  """Combines the results of the folds of a dataset to one.

  The metric is that of all predictions, with the corrected interval of
  cross-validation. The curve is the mean over folds. `chosen` is what most
  folds chose, of equally frequent choices the first.

  Args:
    dataset: of which every test example is tested in one fold.
    results: of its folds, in order.
  """
  arrays = _join(dataset.splits['test'], results)
  measure = functools.partial(
    cross_validation.measure,
    dataset.metric,
    arrays['label'],
    folds=arrays['fold'],
  )
  runs = tuple(
    result_lib.Run(run.seed, measure(arrays['run_predictions'][number]))
    for number, run in enumerate(results[0].runs)
  )
  test = (
    metrics.average([run.test for run in runs])
    if runs
    else measure(arrays['prediction'])
  )
  return result_lib.CellResult(
    validation=_validation(dataset, results),
    test=test,
    curve=_mean_curve([one.curve for one in results]),
    chosen=_most_frequent([one.chosen for one in results]),
    solver=_combine_solvers([one.solver for one in results]),
    predictions=arrays,
    skipped=tuple(dict.fromkeys(n for one in results for n in one.skipped)),
    trials=tuple(
      _combine_trials(trials)
      for trials in zip(*(one.trials for one in results), strict=True)
    ),
    losses=tuple(_mean_losses([one.losses for one in results])),
    runs=runs,
    folds=tuple(
      result_lib.Fold(number, one.test.examples, one.test.value, one.chosen)
      for number, one in enumerate(results)
    ),
  )


# Arrays with a row for each test example.
_OF_TEST = ('digest', 'name', 'label', 'prediction', 'correct', 'scores')
_OF_VAL = ('val_label', 'val_scores')


def _join(
  test: datasets.Split, results: Sequence[result_lib.CellResult]
) -> dict[str, np.ndarray]:
  """Joins the folds' predictions, in the order of the test split.

  Returns:
    The arrays of `CellResult.predictions`, with those of val one fold after
    the other, and `fold`.
  """
  parts = [one.predictions for one in results]
  joined = {
    name: np.concatenate([part[name] for part in parts])
    for name in (*_OF_TEST, *_OF_VAL)
    if name in parts[0]
  }
  counts = [len(part['label']) for part in parts]
  joined['fold'] = np.repeat(np.arange(len(parts)), counts)
  order = np.argsort(_positions(test, joined['digest'], joined['name']))
  for name in (*_OF_TEST, 'fold'):
    if name in joined:
      joined[name] = joined[name][order]
  if 'run_predictions' in parts[0]:
    by_run = np.concatenate([part['run_predictions'] for part in parts], axis=1)
    joined['run_predictions'] = by_run[:, order]
  return joined


def _positions(
  test: datasets.Split, digests: np.ndarray, names: np.ndarray
) -> np.ndarray:
  """Finds examples in the test split, by content and name: int [N].

  Raises:
    ValueError: an example is not there, or is there less often than given.
  """
  positions = collections.defaultdict(collections.deque)
  all_names = result_lib.names(test, np.arange(len(test)))
  for i, (digest, name) in enumerate(zip(test.digests, all_names, strict=True)):
    positions[digest.tobytes(), str(name)].append(i)
  rows = np.empty(len(names), np.int64)
  for i, (digest, name) in enumerate(zip(digests, names, strict=True)):
    key = digest.tobytes(), str(name)
    if not positions[key]:
      raise ValueError(f'{name}: tested in two folds, or not in the test split')
    rows[i] = positions[key].popleft()
  return rows


def _validation(
  dataset: datasets.Dataset, results: Sequence[result_lib.CellResult]
) -> metrics.Measurement:
  """Measures the metric on what all folds predicted of their val.

  An image may be in val of several folds; the interval is that of as many
  images as differ.
  """
  parts = [one.predictions for one in results]
  labels, scores = (
    np.concatenate([part[name] for part in parts]) for name in _OF_VAL
  )
  counts = [len(part['val_label']) for part in parts]
  digests = np.concatenate([one.splits['val'].digests for one in dataset.folds])
  repeats = len(digests) / len(np.unique(digests, axis=0))
  factor = cross_validation.variance_factor(
    np.repeat(np.arange(len(parts)), counts)
  )
  return metrics.measure(
    dataset.metric,
    labels,
    result_lib.predictions(dataset, scores),
    variance_factor=factor * repeats,
  )


def _mean_curve(curves: Sequence[np.ndarray]) -> np.ndarray:
  """Averages curves over the folds that have a value; NaN where none has."""
  stacked = np.stack(curves)
  counts = np.sum(~np.isnan(stacked), axis=0)
  sums = np.nansum(stacked, axis=0)
  return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _most_frequent(choices: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
  """Returns the choice that most folds made, of several the first."""
  return max(choices, key=list(choices).count)


def _combine_solvers(solvers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
  """Combines what solvers say: evaluations add up, the worst bound counts."""
  combined = {}
  for name, value in solvers[0].items():
    values = [solver[name] for solver in solvers]
    if isinstance(value, bool):
      combined[name] = all(values)
    elif isinstance(value, list):
      combined[name] = sorted({item for one in values for item in one})
    else:
      combined[name] = sum(values) if name == 'evaluations' else max(values)
  return combined


def _combine_trials(trials: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
  """Combines a trial of a search over its folds.

  Its metrics and losses are means over folds. Evaluations on the way, whose
  steps differ between folds, are left out.
  """
  diverged = [t['diverged'] for t in trials if t['diverged'] is not None]
  views = dict.fromkeys(
    view for trial in trials for view in trial['validation']
  )
  validation = {}
  for view in views:
    parts = [t['validation'][view] for t in trials if view in t['validation']]
    validation[view] = {
      name: float(np.mean([part[name] for part in parts]))
      for name in ('value', 'low', 'high')
    } | {'examples': sum(part['examples'] for part in parts)}
  return {
    **trials[0],
    'diverged': min(diverged, default=None),
    'validation': validation,
    'steps': max(trial['steps'] for trial in trials),
    'losses': _mean_losses([trial['losses'] for trial in trials]),
    'evaluations': [],
  }


def _mean_losses(
  losses: Sequence[Sequence[float | None]],
) -> list[float | None]:
  """Averages losses by window, up to the fewest windows of a fold."""
  return [
    None if None in window else float(np.mean(window))
    for window in zip(*losses, strict=False)
  ]
