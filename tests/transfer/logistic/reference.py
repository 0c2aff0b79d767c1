"""Solves logistic regression by independent methods in plain NumPy."""

import numpy as np
from scipy import special

IGNORED = -1


def evaluate(
  weights: np.ndarray,
  bias: np.ndarray,
  features: np.ndarray,
  labels: np.ndarray,
  penalty: float,
) -> tuple[float, np.ndarray, np.ndarray]:
  """Returns the objective and its gradients [D, C] and [C].

  To relative precision where losses are tiny, as the solver's.
  """
  logits = features @ weights + bias
  if labels.ndim == 1:
    is_target = np.arange(logits.shape[1]) == labels[:, None]
    margins = logits - logits[is_target][:, None]
    others = special.logsumexp(np.where(is_target, -np.inf, margins), axis=1)
    loss = np.sum(np.logaddexp(0, others))
    residual = special.softmax(margins, axis=1)
    residual[is_target] = -special.expit(others)
  else:
    sign = np.where(labels == 1, -1.0, 1.0)
    counted = labels != IGNORED
    loss = np.sum(counted * np.logaddexp(0, sign * logits))
    residual = counted * sign * special.expit(sign * logits)
  value = loss + penalty / 2 * np.sum(weights**2)
  return value, features.T @ residual + penalty * weights, residual.sum(0)


def minimum(
  features: np.ndarray,
  labels: np.ndarray,
  penalty: float,
  num_classes: int,
  start: np.ndarray,
) -> tuple[float, np.ndarray]:
  """Finds the optimum by Newton's method with dense Hessians.

  In float64; for small problems only.

  Args:
    features: [N, D].
    labels: [N] or [N, C].
    penalty: of the objective.
    num_classes: C.
    start: [(D + 1) C], weights and bias to start from.

  Returns:
    The objective, and weights and bias [(D + 1) C].
  """
  shape = (features.shape[1] + 1, num_classes)

  def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
    both = flat.reshape(shape)
    objective, *gradients = evaluate(
      both[:-1], both[-1], features, labels, penalty
    )
    return objective, np.concatenate([gradients[0].ravel(), gradients[1]])

  flat = start
  f, g = value(flat)
  for _ in range(200):
    hessian = _dense_hessian(flat.reshape(shape), features, labels, penalty)
    step = -np.linalg.lstsq(hessian, g, rcond=1e-15)[0]
    decrement = -(g @ step)
    length = 1.0
    while length > 1e-10:
      new_f, new_g = value(flat + length * step)
      if new_f <= f - 1e-4 * length * decrement:
        break
      length /= 2
    else:
      return min(f, new_f), flat
    flat, f, g = flat + length * step, new_f, new_g
    if decrement < 1e-18 * f:
      break
  return f, flat


def _dense_hessian(
  both: np.ndarray, features: np.ndarray, labels: np.ndarray, penalty: float
) -> np.ndarray:
  """Returns the Hessian [(D + 1) C, (D + 1) C] at weights and bias [D + 1, C].

  Of the bias there is no penalty.
  """
  num_classes = both.shape[1]
  rows = np.concatenate([features, np.ones((len(features), 1))], axis=1)
  logits = rows @ both
  if labels.ndim == 1:
    p = special.softmax(logits, axis=1)
    curvature = np.einsum('nc,cd->ncd', p, np.eye(num_classes))
    curvature -= p[:, :, None] * p[:, None, :]
  else:
    p = special.expit(logits)
    values = (labels != IGNORED) * p * (1 - p)
    curvature = np.einsum('nc,cd->ncd', values, np.eye(num_classes))
  hessian = np.einsum('ni,ncd,nj->icjd', rows, curvature, rows, optimize=True)
  hessian = hessian.reshape(both.size, both.size)
  weights = np.arange(features.shape[1] * num_classes)
  hessian[weights, weights] += penalty
  return hessian
