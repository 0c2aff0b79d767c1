"""Makes calibrated probabilities of the out-of-fold scores of a network."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from tf_transfer.study.analysis import calibration
from tf_transfer.study.choice import out_of_fold

_BLOCK_ROWS = 4096  # for the memory
_FITTED = 2**22  # scores that a temperature is fitted on, for the time


@dataclasses.dataclass(frozen=True, eq=False)
class Probabilities:
  """Holds the probabilities of every image.

  Attributes:
    values: float32 [N, C].
    temperature: by which the scores are divided.
    at_bound: whether the best temperature is beyond those that are tried, so
      that the probabilities are not calibrated.
  """

  values: np.ndarray
  temperature: float
  at_bound: bool


def calibrate(labels: np.ndarray, scores: np.ndarray) -> Probabilities:
  """Divides scores by the temperature that suits them, and takes the softmax.

  The temperature is fitted on the images of whose class some were fitted: of
  others the classifier cannot know the class, whatever the temperature.

  Args:
    labels: int [N].
    scores: float [N, C], log-probabilities up to a constant of each row, of
      classifiers that were not fitted on the image.
  """
  rows = np.flatnonzero(out_of_fold.has_fitted_label(labels, scores))
  # Images are in the order of classes: each step-th has its share of each.
  rows = rows[:: math.ceil(scores.size / _FITTED)]
  temperature, at_bound = 1.0, True
  if len(rows):
    temperature, at_bound = calibration.fit_temperature(
      labels[rows], scores[rows]
    )
  values = np.empty(scores.shape, np.float32)
  for start in range(0, len(scores), _BLOCK_ROWS):
    block = slice(start, start + _BLOCK_ROWS)
    values[block] = calibration.softmax(scores[block], temperature)
  return Probabilities(values, temperature, at_bound)


def average(
  labels: np.ndarray, scores: Sequence[np.ndarray]
) -> tuple[np.ndarray, int]:
  """Averages the probabilities of the networks that could be calibrated.

  Args:
    labels: int [N].
    scores: of each network, as `calibrate` takes them.

  Returns:
    float32 [N, C], and of how many networks; 0 of 0.
  """
  total = np.zeros(scores[0].shape, np.float32)
  num_averaged = 0
  for one in scores:
    calibrated = calibrate(labels, one)
    if not calibrated.at_bound:
      total += calibrated.values
      num_averaged += 1
  return total / max(num_averaged, 1), num_averaged
