"""Fits the temperature by which a classifier's logits are divided.

Temperature scaling (Guo et al. 2017, On calibration of modern neural networks):
one number, fitted on val, makes the probabilities of a classifier fit how often
it is right. It changes no prediction.
"""

import numpy as np
import scipy.optimize

# The temperature is sought from 1 / 100 to 100.
MAX_TEMPERATURE = 100.0


def fit(labels: np.ndarray, scores: np.ndarray) -> tuple[float, bool]:
  """Fits the temperature that minimizes the NLL.

  The NLL is convex in 1 / T, so where its slope is zero is its minimum.

  Args:
    labels: int [V].
    scores: float [V, C], log-probabilities up to a constant of each row.

  Returns:
    The temperature, from 1 / 100 to 100, and whether it is at one of these
    bounds because the NLL falls up to there. 1 if no temperature is better.
  """
  scores = np.asarray(scores, np.float64)
  scores = scores - scores.max(axis=1, keepdims=True)
  of_label = scores[np.arange(len(scores)), labels].mean()

  def slope(log_inverse: float) -> float:
    """Returns the derivative of the NLL with respect to 1 / T."""
    exp = np.exp(scores * np.exp(log_inverse))
    expected = np.einsum('vc,vc->v', exp, scores) / exp.sum(axis=1)
    return float(expected.mean() - of_label)

  if slope(0.0) == 0:
    return 1.0, False
  bound = float(np.log(MAX_TEMPERATURE))
  if slope(bound) <= 0:
    return 1 / MAX_TEMPERATURE, True
  if slope(-bound) >= 0:
    return MAX_TEMPERATURE, True
  root = scipy.optimize.brentq(slope, -bound, bound, xtol=1e-9)
  return float(np.exp(-root)), False
