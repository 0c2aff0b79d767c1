"""Fits linear support vector machines, one class against the rest."""

import warnings
from collections.abc import Callable

import ml_collections
import numpy as np
import sklearn.exceptions
import sklearn.svm

from tf_transfer.errors import InputError
from tf_transfer.transfer.fixed_features import fitted
from tf_transfer.transfer.logistic import path as path_lib


def fit(
  features: np.ndarray,
  labels: np.ndarray,
  grid: np.ndarray,
  config: ml_collections.ConfigDict,
  num_classes: int,
  *,
  start: tuple[fitted.Fitted, int] | None = None,
  progress: Callable[[int], None] | None = None,
) -> fitted.FittedLinear:
  """Minimizes squared hinge losses + ½λ‖w‖² for each λ of the grid.

  LIBLINEAR (C = 1/λ) fits L2-normalized features, and penalizes the bias like
  a weight. Features are in float64, and LIBLINEAR makes a copy: together five
  times the memory of the features. The arguments are those of
  `classifiers.Fit`; LIBLINEAR cannot start from an earlier fit, so `start` has
  no effect.

  Raises:
    InputError: labels [N] are all of one class.
  """
  del start
  features = fitted.normalize(path_lib.check_features(features))
  features = features.astype(np.float64)
  targets, mask = path_lib.check_labels(labels, len(features), num_classes)
  if mask is None and np.sum(targets.any(axis=1)) < 2:
    raise InputError(
      'all labels are of one class; a classifier needs at least two'
    )
  weights = np.zeros((len(grid), features.shape[1], num_classes))
  bias = np.zeros((len(grid), num_classes))
  iterations = np.zeros(len(grid), int)
  for p, penalty in enumerate(grid):
    if mask is None:
      solution = _fit_classes(features, labels, num_classes, penalty, config)
    else:
      solution = _fit_each_class(features, targets, mask, penalty, config)
    weights[p], bias[p], iterations[p] = solution
    if progress:
      progress(p + 1)
  return fitted.FittedLinear(
    weights,
    bias,
    iterations < config.max_evaluations,
    int(iterations.sum()),
    normalized=True,
  )


# Weights [D, C], bias [C] and the largest number of iterations of a class.
_Solution = tuple[np.ndarray, np.ndarray, int]


def _fit_classes(
  features: np.ndarray,
  labels: np.ndarray,
  num_classes: int,
  penalty: float,
  config: ml_collections.ConfigDict,
) -> _Solution:
  """Fits features [N, D] and labels [N] for one penalty.

  Classes without an example get the score −∞.
  """
  weights = np.zeros((features.shape[1], num_classes))
  bias = np.full(num_classes, -np.inf)
  model = _fit_liblinear(features, labels, penalty, config)
  # Of two classes LIBLINEAR has one weight vector, the second one's.
  signs = [[-1], [1]] if len(model.classes_) == 2 else 1
  weights[:, model.classes_] = (model.coef_ * signs).T
  bias[model.classes_] = np.ravel(model.intercept_ * signs)
  return weights, bias, model.n_iter_


def _fit_each_class(
  features: np.ndarray,
  targets: np.ndarray,
  mask: np.ndarray,
  penalty: float,
  config: ml_collections.ConfigDict,
) -> _Solution:
  """Fits each class on the examples that count for it, for one penalty.

  Args:
    features: float64 [N, D].
    targets: bool [C, N], whether an example is of a class.
    mask: bool [C, N], whether an example counts for a class.
    penalty: λ.
    config: the classifier's part of the config.
  """
  num_classes = len(targets)
  weights = np.zeros((features.shape[1], num_classes))
  bias = np.zeros(num_classes)
  max_iterations = 0
  for c in range(num_classes):
    labels = targets[c][mask[c]]
    if labels.all() or not labels.any():
      # Nothing tells the class apart: all examples score alike.
      bias[c] = np.inf if labels.any() else -np.inf
      continue
    model = _fit_liblinear(features[mask[c]], labels, penalty, config)
    weights[:, c], bias[c] = model.coef_[0], model.intercept_[0]
    max_iterations = max(max_iterations, model.n_iter_)
  return weights, bias, max_iterations


def _fit_liblinear(
  features: np.ndarray,
  labels: np.ndarray,
  penalty: float,
  config: ml_collections.ConfigDict,
) -> sklearn.svm.LinearSVC:
  """Fits LIBLINEAR to features [N, D] and labels [N]."""
  model = sklearn.svm.LinearSVC(
    C=1 / penalty,
    tol=config.tolerance,
    max_iter=config.max_evaluations,
    # The dual has fewer unknowns with fewer examples than features, and is far
    # slower otherwise.
    dual=len(labels) < features.shape[1],
    random_state=0,
  )
  with warnings.catch_warnings():
    # `converged` says it.
    warnings.simplefilter('ignore', sklearn.exceptions.ConvergenceWarning)
    return model.fit(features, labels)
