"""Fits ridge regression, the classifier of few-shot evaluations."""

from collections.abc import Callable

import ml_collections
import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_limits

from tf_transfer.transfer.fixed_features import fitted
from tf_transfer.transfer.logistic import path as path_lib

_BLOCK_SIZE = 1024  # rows that are converted to float64 at once
# The bias is the weight of a column of this value, so it is hardly penalized.
_BIAS_COLUMN = 100.0


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
  """Minimizes squared errors + λ‖W‖² for each λ of the grid, in closed form.

  The targets are 1 for an example's class and −1 for the others. As in
  big_vision's few-shot evaluation, features are standardized by their mean and
  their standard deviation + 10⁻⁵, and the bias is a column of 100. One
  eigendecomposition serves all penalties. With labels [N, C], classes that
  ignore different examples need one each. The arguments are those of
  `classifiers.Fit`; `config` and `start` have no effect.
  """
  del config, start
  features = path_lib.check_features(features)
  targets, mask = path_lib.check_labels(labels, len(features), num_classes)
  weights = np.zeros((len(grid), features.shape[1], num_classes))
  bias = np.zeros((len(grid), num_classes))
  problems = _group_classes(mask, num_classes)
  for rows, classes in problems:
    weights[..., classes], bias[:, classes] = _solve(
      features[rows], 2.0 * targets[classes][:, rows].T - 1, grid
    )
  if progress:
    progress(len(grid))
  return fitted.FittedLinear(
    weights, bias, np.ones(len(grid), bool), len(problems)
  )


def _group_classes(
  mask: np.ndarray | None, num_classes: int
) -> list[tuple[slice | np.ndarray, np.ndarray]]:
  """Groups classes that are fitted on the same examples.

  Args:
    mask: bool [C, N], whether an example counts for a class; None: all do.
    num_classes: C.

  Returns:
    For each group the rows of its examples and the indices of its classes.
  """
  if mask is None:
    return [(slice(None), np.arange(num_classes))]
  rows, group = np.unique(mask, axis=0, return_inverse=True)
  return [(row, np.flatnonzero(group == i)) for i, row in enumerate(rows)]


def _solve(
  features: np.ndarray, targets: np.ndarray, grid: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Solves the normal equations for all penalties.

  The eigendecomposition is that of features or of examples, whichever are
  fewer.

  Args:
    features: [N, D].
    targets: [N, C].
    grid: penalties [P].

  Returns:
    Weights [P, D, C] and bias [P, C].
  """
  mean = features.mean(axis=0, dtype=np.float64)
  blocks = range(0, len(features), _BLOCK_SIZE)

  def centered(start: int) -> np.ndarray:
    return features[start : start + _BLOCK_SIZE] - mean

  variance = sum((centered(i) ** 2).sum(axis=0) for i in blocks)
  std = np.sqrt(variance / len(features)) + 1e-5
  with threadpool_limits(1, user_api='blas'):
    if len(features) < features.shape[1]:
      # (XᵀX + λ)⁻¹ Xᵀ = Xᵀ (XXᵀ + λ)⁻¹.
      x = (features - mean) / std
      values, vectors = scipy.linalg.eigh(x @ x.T)
      left, right = x.T @ vectors, vectors.T @ targets
    else:
      gram = sum(_gram(centered(i) / std) for i in blocks)
      values, left = scipy.linalg.eigh(gram)
      right = left.T @ sum(
        (centered(i) / std).T @ targets[i : i + _BLOCK_SIZE] for i in blocks
      )
    inverse = 1 / (np.maximum(values, 0) + grid[:, None])
    weights = left @ (inverse[:, :, None] * right) / std[:, None]
  # Standardized features sum to zero, so the bias is a problem of its own.
  square = _BIAS_COLUMN**2
  bias = square * targets.sum(axis=0) / (
    square * len(features) + grid[:, None]
  ) - np.einsum('d,pdc->pc', mean, weights)
  return weights, bias


def _gram(x: np.ndarray) -> np.ndarray:
  """Computes XᵀX."""
  return x.T @ x
