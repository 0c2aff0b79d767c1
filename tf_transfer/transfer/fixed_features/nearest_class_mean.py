"""Classifies by the class whose mean of training features is nearest."""

from collections.abc import Callable

import ml_collections
import numpy as np

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
  """Averages the L2-normalized features of each class.

  The score of a class is the cosine between an example and the mean of the
  class. A class without examples has the score −∞.

  With labels [N, C], the score of a class is the cosine with the mean of its
  examples minus the cosine with the mean of all others. So it is positive where
  the class's own mean is nearer. Ignored labels count for neither mean. The
  score is ∞ if all examples are of the class, and −∞ if none is.

  The arguments are those of `classifiers.Fit`. `config`, `start` and the one
  value of `grid` have no effect.
  """
  del config, start
  features = fitted.normalize(path_lib.check_features(features))
  targets, mask = path_lib.check_labels(labels, len(features), num_classes)
  weights = _mean_directions(features, targets)
  bias = np.where(targets.any(axis=1), 0.0, -np.inf)
  if mask is not None:
    others = mask & ~targets
    weights -= _mean_directions(features, others)
    alone = targets.any(axis=1) & ~others.any(axis=1)
    bias[alone] = np.inf
  if progress:
    progress(len(grid))
  return fitted.FittedLinear(
    weights[None], bias[None], np.ones(1, bool), normalized=True
  )


def _mean_directions(features: np.ndarray, members: np.ndarray) -> np.ndarray:
  """Computes the direction [D, C] of each class's mean; 0 of no examples.

  Args:
    features: [N, D], L2-normalized.
    members: bool [C, N], the examples of each class.
  """
  # The sum has the direction of the mean.
  sums = members.astype(np.float64) @ features.astype(np.float64)
  return fitted.normalize(sums).T
