"""Makes calibrated probabilities of the out-of-fold scores of a network."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from tf_transfer.study.analysis import calibration

_BLOCK_ROWS = 4096  # for the memory
_FITTED = 2**22  # scores that a temperature is fitted on, for the time


@dataclasses.dataclass(frozen=True, eq=False)
class Probabilities:
  """Holds the probabilities of every image.

  Attributes:
    values: float32 [N, C].
    temperature: by which the scores are divided.
    at_bound: whether the best temperature is beyond those that are tried.
  """

  values: np.ndarray
  temperature: float
  at_bound: bool


def calibrate(labels: np.ndarray, scores: np.ndarray) -> Probabilities:
  """Divides scores by the temperature that suits them, and takes the softmax.

  Args:
    labels: int [N].
    scores: float [N, C], log-probabilities up to a constant of each row, of
      classifiers that were not fitted on the image.
  """
  # Images are in the order of classes: each step-th has its share of each.
  step = math.ceil(scores.size / _FITTED)
  temperature, at_bound = calibration.fit_temperature(
    labels[::step], scores[::step]
  )
  values = np.empty(scores.shape, np.float32)
  for start in range(0, len(scores), _BLOCK_ROWS):
    block = slice(start, start + _BLOCK_ROWS)
    values[block] = calibration.softmax(scores[block], temperature)
  return Probabilities(values, temperature, at_bound)


def average(labels: np.ndarray, scores: Sequence[np.ndarray]) -> np.ndarray:
  """Averages the calibrated probabilities of networks, float32 [N, C].

  Args:
    labels: int [N].
    scores: of each network, as `calibrate` takes them.
  """
  total = np.zeros(scores[0].shape, np.float32)
  for of_network in scores:
    total += calibrate(labels, of_network).values
  return total / len(scores)
