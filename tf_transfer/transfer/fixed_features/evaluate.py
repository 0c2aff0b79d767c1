"""The paper's first setting: a classifier on fixed features.

Features of train and val -> a classifier, fitted on train for each value of
its hyperparameter -> the value that does best on val -> refitted on train +
val -> features of test, read for the first time -> tested once. (Section 4 of
the protocol; its appendix for other classifiers than logistic regression.)
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np

from tf_transfer import datasets, errors
from tf_transfer.runtime import progress
from tf_transfer.transfer import metrics
from tf_transfer.transfer.fixed_features import classifiers
from tf_transfer.transfer.fixed_features import features as features_lib


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What came of a cell.

  Attributes:
    validation: the metric on val at the chosen hyperparameters.
    test: the metric on test after training on train + val.
    curve: the metric on val for each value searched.
    chosen: the hyperparameters that were chosen.
    solver: how well the optimum was reached; empty where none was sought.
    predictions: per test example: digest, label, prediction, correct. Where
      several labels count, prediction is the classes' scores [N, C] and
      correct says for each class whether the score's sign is right.
    skipped: names of the corrupt images that were left out.
    trials: what was searched where hyperparameters are trained with: each
      with its metrics on val, losses, and when it diverged if it did.
    losses: of the final run, the mean of each part of its steps.
  """

  validation: metrics.Measurement
  test: metrics.Measurement
  curve: np.ndarray
  chosen: Mapping[str, Any]
  solver: Mapping[str, Any]
  predictions: Mapping[str, np.ndarray]
  skipped: tuple[str, ...]
  trials: tuple[Mapping[str, Any], ...] = ()
  losses: tuple[float, ...] = ()


def predictions(dataset: datasets.Dataset, scores: np.ndarray) -> np.ndarray:
  """What the dataset's metric looks at: the best class, or all scores."""
  return scores if dataset.multi_label else scores.argmax(axis=1)


def evaluate(
  extract: features_lib.Extractor,
  dataset: datasets.Dataset,
  setting: str,
  config: ml_collections.ConfigDict,
  description: str,
) -> Outcome:
  """Runs a cell.

  Args:
    extract: the network's feature extractor.
    dataset: what it is transferred to.
    setting: a name of `classifiers.CLASSIFIERS`.
    config: the part of this name of the job's config.
    description: of the cell, for the progress bars.
  """
  classifier = classifiers.CLASSIFIERS[setting]
  train, val, both = features_lib.together(
    extract,
    (dataset.splits['train'], f'{dataset.name} train'),
    (dataset.splits['val'], f'{dataset.name} val'),
  )
  last = both if dataset.val_is_trained_on else train
  grid = classifier.grid(config)
  classes = len(dataset.classes)
  with progress.bar(
    total=len(grid), desc=f'{description}: {classifier.hyperparameter}'
  ) as bar:
    path = classifier.fit(
      train.values,
      train.labels,
      grid,
      config,
      classes,
      progress=lambda done: bar.update(done - bar.n),
    )
  index, curve, on_val = _select(path, grid, val, dataset)
  final = classifier.fit(
    last.values,
    last.labels,
    grid[index : index + 1],
    config,
    classes,
    start=(path, index),
  )
  test = extract(dataset.splits['test'], f'{dataset.name} test')
  predicted = predictions(dataset, next(final.scores(test.values)))
  return Outcome(
    validation=metrics.measure(dataset.metric, val.labels, on_val),
    test=metrics.measure(dataset.metric, test.labels, predicted),
    curve=curve,
    chosen={classifier.hyperparameter: grid[index].item()},
    solver={
      'converged': bool(final.converged[0]),
      **final.certificate,
      'evaluations': path.evaluations + final.evaluations,
      'unconverged_penalties': [float(p) for p in grid[~path.converged]],
    },
    predictions=per_example(
      dataset.splits['test'], test.kept, test.labels, predicted
    ),
    skipped=both.skipped + test.skipped,
  )


def _select(
  path: classifiers.Fitted,
  grid: np.ndarray,
  val: features_lib.Features,
  dataset: datasets.Dataset,
) -> tuple[int, np.ndarray, np.ndarray]:
  """The position that does best on val; the curve [P]; its predictions.

  Of those that do equally well, the largest value of the grid is taken.
  """
  best, kept, curve = None, None, np.empty(len(grid))
  for i, scores in enumerate(path.scores(val.values)):
    predicted = predictions(dataset, scores)
    curve[i] = metrics.METRICS[dataset.metric](val.labels, predicted)
    if np.isnan(curve[i]):
      raise errors.InputError(
        f'{dataset.name}: {dataset.metric} on val is not defined; a class '
        'without an example there does that to some metrics'
      )
    if best is None or (curve[i], grid[i]) > (curve[best], grid[best]):
      best, kept = i, predicted
  return best, curve, kept


def per_example(
  split: datasets.Split,
  kept: np.ndarray,
  labels: np.ndarray,
  predicted: np.ndarray,
) -> dict[str, np.ndarray]:
  """The `predictions` of an outcome.

  Args:
    split: that was predicted.
    kept: [N] int, the examples' positions in it.
    labels: of these examples.
    predicted: what `predictions` gave for them.
  """
  return {
    'digest': np.asarray(split.digests)[kept],
    'label': labels,
    'prediction': predicted,
    'correct': _correct(labels, predicted),
  }


def _correct(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
  """Whether each prediction is right: bool [N], or [N, C] of scores."""
  if labels.ndim == 2:
    return (predicted > 0) == (labels == 1)
  return predicted == labels
