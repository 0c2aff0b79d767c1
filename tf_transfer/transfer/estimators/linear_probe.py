"""Computes the accuracy of a logistic regression fitted on a tenth."""

import numpy as np
from scipy import linalg, optimize, special

from tf_transfer.transfer.estimators import draws
from tf_transfer.transfer.estimators.examples import (
  Examples,
  UndefinedError,
  one_hot,
)

PENALTY = 1.0
_MAX_ITERATIONS = 500


def linear_probe(examples: Examples) -> float:
  """Fits on a tenth of each class, and computes the accuracy on the rest.

  Each feature is standardized by the tenth's mean and standard deviation. The
  penalty is ½‖W‖², added to the sum of the losses, without a search.

  Raises:
    UndefinedError: nothing is left to test on.
  """
  fitted_on = draws.tenth_of_each_class(examples)
  if fitted_on.all():
    raise UndefinedError('no class has a second image to test on')
  train = examples.features[fitted_on].astype(np.float64)
  mean, scale = train.mean(axis=0), train.std(axis=0)
  # The mean of equal values is rounded.
  varies = scale > 1e-12 * np.abs(mean)
  scale = np.where(varies, scale, np.inf)
  weights, bias = fit(
    (train - mean) / scale, examples.labels[fitted_on], examples.num_classes
  )
  num_right = 0
  for rows, block in examples.blocks():
    predicted = ((block - mean) / scale @ weights + bias).argmax(axis=1)
    right = predicted == examples.labels[rows]
    num_right += int(right[~fitted_on[rows]].sum())
  return num_right / int(np.sum(~fitted_on))


def fit(
  features: np.ndarray, labels: np.ndarray, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
  """Fits an L2-regularized logistic regression by L-BFGS.

  Args:
    features: float64 [N, D].
    labels: int [N].
    num_classes: C. Classes without an example are never predicted.

  Returns:
    Weights [D, C] and bias [C], which is -inf for such classes.
  """
  classes, labels = np.unique(labels, return_inverse=True)
  basis = None
  if len(features) < features.shape[1]:
    # The solution is in the span of the rows, with the same penalty there.
    basis, triangle = linalg.qr(features.T, mode='economic')
    features = triangle.T
  targets = one_hot(labels, len(classes)).toarray()
  width = features.shape[1]

  def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
    """Computes the penalized loss and its gradient."""
    parameters = flat.reshape(width + 1, -1)
    weights, bias = parameters[:-1], parameters[-1]
    logits = features @ weights + bias
    log_sums = special.logsumexp(logits, axis=1, keepdims=True)
    residuals = np.exp(logits - log_sums) - targets
    loss = log_sums.sum() - np.sum(logits * targets)
    gradient = features.T @ residuals + PENALTY * weights
    return (
      float(loss + PENALTY / 2 * np.sum(weights**2)),
      np.concatenate([gradient, residuals.sum(axis=0)[None]]).ravel(),
    )

  solution = optimize.minimize(
    objective,
    np.zeros((width + 1) * len(classes)),
    jac=True,
    method='L-BFGS-B',
    options={'maxiter': _MAX_ITERATIONS, 'ftol': 1e-12, 'gtol': 1e-6},
  ).x.reshape(width + 1, -1)
  weights = solution[:-1] if basis is None else basis @ solution[:-1]
  all_weights = np.zeros((len(weights), num_classes))
  all_bias = np.full(num_classes, -np.inf)
  all_weights[:, classes], all_bias[classes] = weights, solution[-1]
  return all_weights, all_bias
