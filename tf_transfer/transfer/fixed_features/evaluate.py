"""The paper's first setting: a classifier on fixed features.

Features of train and val -> a classifier, fitted on train for each value of
its hyperparameter -> the value that does best on val -> refitted on train +
val -> features of test, read for the first time -> tested once. (Section 4 of
the protocol; its appendix for other classifiers than logistic regression.)
"""

import ml_collections
import numpy as np

from tf_transfer import datasets, errors
from tf_transfer.runtime import progress
from tf_transfer.transfer import metrics, result
from tf_transfer.transfer.fixed_features import classifiers
from tf_transfer.transfer.fixed_features import features as features_lib


def evaluate(
  extract: features_lib.Extractor,
  dataset: datasets.Dataset,
  setting: str,
  config: ml_collections.ConfigDict,
  description: str,
) -> result.CellResult:
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
  predicted = result.predictions(dataset, next(final.scores(test.values)))
  return result.CellResult(
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
    predictions=result.per_example(
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
    predicted = result.predictions(dataset, scores)
    curve[i] = metrics.METRICS[dataset.metric](val.labels, predicted)
    if np.isnan(curve[i]):
      raise errors.InputError(
        f'{dataset.name}: {dataset.metric} on val is not defined; a class '
        'without an example there does that to some metrics'
      )
    if best is None or (curve[i], grid[i]) > (curve[best], grid[best]):
      best, kept = i, predicted
  return best, curve, kept
