"""The paper's first setting: logistic regression on fixed features.

Features of train and val -> the path of penalties, fitted on train -> the
penalty that does best on val -> refitted on train + val -> features of test,
read for the first time -> tested once. (Section 4 of the protocol.)
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np

from tf_transfer import datasets
from tf_transfer.runtime import progress
from tf_transfer.transfer import features as features_lib
from tf_transfer.transfer import logistic, metrics


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What came of a cell.

  Attributes:
    validation: the metric on val at the chosen hyperparameters.
    test: the metric on test after training on train + val.
    curve: the metric on val for each value searched.
    chosen: the hyperparameters that were chosen.
    solver: how well the optimum was reached.
    predictions: per test example: digest, label, prediction, correct. Where
      several labels count, prediction is the classes' scores [N, C] and
      correct says for each class whether the score's sign is right.
    skipped: names of the corrupt images that were left out.
  """

  validation: metrics.Measurement
  test: metrics.Measurement
  curve: np.ndarray
  chosen: Mapping[str, Any]
  solver: Mapping[str, Any]
  predictions: Mapping[str, np.ndarray]
  skipped: tuple[str, ...]


def penalties(config: ml_collections.ConfigDict) -> np.ndarray:
  """The grid [P], ascending, evenly spaced in the logarithm."""
  return np.logspace(
    np.log10(config.penalty_min), np.log10(config.penalty_max), config.penalties
  )


def predictions(dataset: datasets.Dataset, logits: np.ndarray) -> np.ndarray:
  """What the dataset's metric looks at: the best class, or all scores."""
  return logits if dataset.multi_label else logits.argmax(axis=1)


def evaluate(
  extract: features_lib.Extractor,
  dataset: datasets.Dataset,
  config: ml_collections.ConfigDict,
  description: str,
) -> Outcome:
  """Runs a cell.

  Args:
    extract: the network's feature extractor.
    dataset: what it is transferred to.
    config: `logistic_regression` of the job's config.
    description: of the cell, for the progress bars.
  """
  train = extract(dataset.splits['train'], f'{dataset.name} train')
  val = extract(dataset.splits['val'], f'{dataset.name} val')
  grid = penalties(config)
  options = {
    'num_classes': len(dataset.classes),
    'tolerance': config.tolerance,
    'max_evaluations': config.max_evaluations,
  }
  with progress.bar(
    total=len(grid), desc=f'{description}: penalties', unit=' fits'
  ) as bar:
    path = logistic.fit_path(
      train.values,
      train.labels,
      grid,
      **options,
      progress=lambda done, _: bar.update(done - bar.n),
    )
  index, curve = logistic.select(
    path,
    val.values,
    val.labels,
    lambda labels, logits: metrics.METRICS[dataset.metric](
      labels, predictions(dataset, logits)
    ),
  )
  both = features_lib.concatenate(train, val)
  final = logistic.refit(
    both.values,
    both.labels,
    grid[index],
    initial=(path.weights[index], path.bias[index]),
    **options,
  )
  test = extract(dataset.splits['test'], f'{dataset.name} test')
  predicted = {
    name: predictions(
      dataset, logistic.logits(solution[0], solution[1], split.values)
    )
    for name, solution, split in (
      ('val', (path.weights[index], path.bias[index]), val),
      ('test', (final.weights[0], final.bias[0]), test),
    )
  }
  return Outcome(
    validation=metrics.measure(dataset.metric, val.labels, predicted['val']),
    test=metrics.measure(dataset.metric, test.labels, predicted['test']),
    curve=curve,
    chosen={'penalty': float(grid[index])},
    solver={
      'converged': bool(final.converged[0]),
      'gradient_norm': float(final.gradient_norm[0]),
      'objective': float(final.objective[0]),
      'bound': float(final.bound[0]),
      'evaluations': int(path.evaluations.sum() + final.evaluations.sum()),
      'unconverged_penalties': [
        float(p) for p in grid[~np.asarray(path.converged)]
      ],
    },
    predictions={
      'digest': np.asarray(dataset.splits['test'].digests)[test.kept],
      'label': test.labels,
      'prediction': predicted['test'],
      'correct': _correct(test.labels, predicted['test']),
    },
    skipped=train.skipped + val.skipped + test.skipped,
  )


def _correct(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
  """Whether each prediction is right: bool [N], or [N, C] of scores."""
  if labels.ndim == 2:
    return (predicted > 0) == (labels == 1)
  return predicted == labels
