"""Transfers a network by a classifier on fixed features, the first setting.

The classifier is fitted on the features of train for each value of its
hyperparameter. The value that does best on val is chosen, and the classifier is
fitted again on train + val. Only then are the features of test read, and the
classifier is tested once. (Section 4 of the paper; its appendix for other
classifiers than logistic regression.)
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import ml_collections
import numpy as np

from tf_transfer import datasets, errors
from tf_transfer.datasets.images import corruption
from tf_transfer.images import decoding
from tf_transfer.runtime import progress
from tf_transfer.transfer import estimators, metrics, result, temperature
from tf_transfer.transfer.fixed_features import (
  classifiers,
  feature_pairs,
  fitted,
)
from tf_transfer.transfer.fixed_features import features as features_lib

# Computes estimates from the features of train and val, and the digests
# uint8 [N, 32] of these images.
Estimate = Callable[
  [features_lib.Features, np.ndarray], Mapping[str, estimators.Estimate]
]


def evaluate(
  extract: features_lib.Extractor,
  dataset: datasets.Dataset,
  setting: str,
  config: ml_collections.ConfigDict,
  description: str,
  before_test: Callable[[], None] = lambda: None,
  estimate: Estimate | None = None,
) -> result.CellResult:
  """Transfers a network to a dataset by a classifier on its features.

  Args:
    extract: the network's feature extractor.
    dataset: what the network is transferred to.
    setting: a name in `classifiers.CLASSIFIERS`.
    config: the classifier's part of the job's config.
    description: of the cell, for the progress bar.
    before_test: is called before the test split is evaluated.
    estimate: computes the result's estimates; None: there are none.

  Raises:
    InputError: the features, labels or config cannot be used, or the dataset's
      metric is not defined on val.
  """
  try:
    return _evaluate(
      extract, dataset, setting, config, description, before_test, estimate
    )
  except decoding.CorruptImage as error:
    raise corruption.report_all(dataset.splits, dataset.name) from error


def _evaluate(
  extract: features_lib.Extractor,
  dataset: datasets.Dataset,
  setting: str,
  config: ml_collections.ConfigDict,
  description: str,
  before_test: Callable[[], None],
  estimate: Estimate | None,
) -> result.CellResult:
  """Does the work of `evaluate`."""
  classifier = classifiers.CLASSIFIERS[setting]
  train, val, train_and_val = feature_pairs.extract_pair(
    extract,
    (dataset.splits['train'], f'{dataset.name} train'),
    (dataset.splits['val'], f'{dataset.name} val'),
  )
  start = time.perf_counter()
  grid, num_classes = classifier.grid(config), len(dataset.classes)
  path = _fit_path(classifier, train, grid, config, num_classes, description)
  best, curve, val_scores = _select(path, grid, val, dataset)
  refit_examples = train_and_val if dataset.val_is_trained_on else train
  refit = classifier.fit(
    refit_examples.values,
    refit_examples.labels,
    grid[best : best + 1],
    config,
    num_classes,
    start=(path, best),
  )
  fit_seconds = time.perf_counter() - start
  estimates = {}
  if estimate is not None:
    estimates = estimate(train_and_val, _digests(dataset, train, val))
  before_test()
  test = extract(dataset.splits['test'], f'{dataset.name} test')
  scores = next(refit.scores(test.values))
  predictions = result.predictions(dataset, scores)
  return result.CellResult(
    validation=metrics.measure(
      dataset.metric, val.labels, result.predictions(dataset, val_scores)
    ),
    test=metrics.measure(dataset.metric, test.labels, predictions),
    curve=curve,
    chosen=_chosen(classifier, grid[best]),
    solver=_summarize_solver(path, refit, grid),
    predictions={
      **result.per_example(
        dataset.splits['test'],
        test.indices,
        test.labels,
        predictions,
        None if dataset.multi_label else scores,
      ),
      **result.on_val(val.labels, val_scores),
    },
    skipped=train_and_val.skipped + test.skipped,
    estimates=estimates,
    fit_seconds=fit_seconds,
    head=_head(dataset, refit, val.labels, val_scores),
  )


def _chosen(
  classifier: classifiers.Classifier, value: np.floating | np.integer
) -> dict[str, float]:
  """Returns the chosen hyperparameter by its name; empty without one."""
  if classifier.hyperparameter is None:
    return {}
  return {classifier.hyperparameter: value.item()}


def _digests(
  dataset: datasets.Dataset,
  train: features_lib.Features,
  val: features_lib.Features,
) -> np.ndarray:
  """Returns the digests of the images of train, then of val."""
  return np.concatenate(
    [
      np.asarray(dataset.splits[name].digests)[features.indices]
      for name, features in (('train', train), ('val', val))
    ]
  )


def _head(
  dataset: datasets.Dataset,
  refit: fitted.Fitted,
  val_labels: np.ndarray,
  val_scores: np.ndarray,
) -> result.Head | None:
  """Returns the classifier as a layer that can be put on the network.

  Args:
    dataset: the dataset.
    refit: the classifier that is tested.
    val_labels: int [V] or [V, C].
    val_scores: float [V, C], of the classifier that was chosen on val.

  Returns:
    None where it is not linear in the features, as those that normalize them.
  """
  if not isinstance(refit, fitted.FittedLinear) or refit.normalized:
    return None
  if dataset.multi_label:
    of_softmax = 1.0
  else:
    of_softmax, _ = temperature.fit(val_labels, val_scores)
  return result.Head(
    refit.weights[0], refit.bias[0], of_softmax, tuple(dataset.classes)
  )


def _fit_path(
  classifier: classifiers.Classifier,
  train: features_lib.Features,
  grid: np.ndarray,
  config: ml_collections.ConfigDict,
  num_classes: int,
  description: str,
) -> fitted.Fitted:
  """Fits a classifier for each value of its grid, with a progress bar."""
  with progress.bar(
    total=len(grid),
    desc=f'{description}: {classifier.hyperparameter or classifier.title}',
  ) as bar:
    return classifier.fit(
      train.values,
      train.labels,
      grid,
      config,
      num_classes,
      progress=lambda num_done: bar.update(num_done - bar.n),
    )


def _select(
  path: fitted.Fitted,
  grid: np.ndarray,
  val: features_lib.Features,
  dataset: datasets.Dataset,
) -> tuple[int, np.ndarray, np.ndarray]:
  """Selects the value of the grid that does best on val.

  If several do equally well, the largest of them is selected.

  Args:
    path: the classifier fitted for each value.
    grid: the values [P].
    val: the features of val.
    dataset: its metric decides.

  Returns:
    The value's position, the metric on val [P], and the scores on val [V, C]
    with the selected value.

  Raises:
    InputError: the metric is not defined on val.
  """
  best, best_scores, curve = None, None, np.empty(len(grid))
  for i, scores in enumerate(path.scores(val.values)):
    predictions = result.predictions(dataset, scores)
    curve[i] = metrics.METRICS[dataset.metric](val.labels, predictions)
    if np.isnan(curve[i]):
      raise errors.InputError(
        f'{dataset.name}: {dataset.metric} on val is not defined; some metrics '
        'need an example of each class there'
      )
    if best is None or (curve[i], grid[i]) > (curve[best], grid[best]):
      best, best_scores = i, scores
  return best, curve, best_scores


def _summarize_solver(
  path: fitted.Fitted, refit: fitted.Fitted, grid: np.ndarray
) -> dict[str, Any]:
  """Summarizes how well the optimum was reached, for the record."""
  return {
    'converged': bool(refit.converged[0]),
    **refit.certificate,
    'evaluations': path.evaluations + refit.evaluations,
    # Other hyperparameters than penalties belong to classifiers that solve
    # nothing: all of their fits have converged.
    'unconverged_penalties': [float(p) for p in grid[~path.converged]],
  }
