"""Fits multinomial logistic regression, the paper's classifier (section 4)."""

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
  start: tuple[fitted.FittedLinear, int] | None = None,
  progress: Callable[[int], None] | None = None,
) -> fitted.FittedLinear:
  """Minimizes the sum of the losses + ½λ‖W‖² for each λ of the grid.

  The arguments are those of `classifiers.Fit`. A fit with a `start` is the
  refit that is tested, so it has the tolerance `config.refit_tolerance`
  instead of `config.tolerance`.
  """
  path = path_lib.fit_path(
    features,
    labels,
    grid,
    num_classes=num_classes,
    initial=start and (start[0].weights[start[1]], start[0].bias[start[1]]),
    tolerance=config.tolerance if start is None else config.refit_tolerance,
    max_evaluations=config.max_evaluations,
    progress=progress and (lambda num_done, _: progress(num_done)),
  )
  return fitted.FittedLinear(
    path.weights,
    path.bias,
    path.converged,
    int(path.evaluations.sum()),
    {
      name: float(getattr(path, name)[-1])
      for name in ('gradient_norm', 'objective', 'bound')
    },
  )
