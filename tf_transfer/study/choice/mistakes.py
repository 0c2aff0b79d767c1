"""Finds the worst mistakes and the images whose labels are most doubtful.

Doubtful labels are found by confident learning (Northcutt, Jiang and Chuang
2021): the threshold of a class is the mean probability of the class among the
images with its label. A label is doubtful if another class is the most probable
of those that reach their threshold.
"""

import numpy as np

NUM_SHOWN = 24


def worst(
  labels: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray
) -> np.ndarray:
  """Finds the wrong predictions of the highest probability.

  Args:
    labels: int [N].
    predictions: int [N].
    probabilities: float [N, C].

  Returns:
    int [K], positions, the worst first; K of 24 at most.
  """
  wrong = np.flatnonzero(labels != predictions)
  of_predicted = probabilities[wrong, predictions[wrong]].astype(float)
  of_label = probabilities[wrong, labels[wrong]].astype(float)
  return wrong[np.lexsort((of_label, -of_predicted))][:NUM_SHOWN]


def thresholds(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
  """Computes the threshold of each class, float64 [C].

  That of a class without images is infinite.

  Args:
    labels: int [N].
    probabilities: float [N, C].
  """
  num_classes = probabilities.shape[1]
  own = probabilities[np.arange(len(labels)), labels].astype(float)
  counts = np.bincount(labels, minlength=num_classes)
  sums = np.bincount(labels, weights=own, minlength=num_classes)
  return np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)


def doubtful(
  labels: np.ndarray, probabilities: np.ndarray, can_be_doubted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Finds doubtful labels, by confident learning.

  Args:
    labels: int [N].
    probabilities: float [N, C], of classifiers that were not fitted on the
      image.
    can_be_doubted: bool [N], whether the classifier knows the image's class.
      Other images are neither doubted nor count for a threshold.

  Returns:
    int [K], the positions of all of them, those first whose label is the least
    probable compared with the other class; and int [K], this class.
  """
  limits = thresholds(labels[can_be_doubted], probabilities[can_be_doubted])
  # A sum in another order may round to just above a probability it equals.
  reached = probabilities >= limits.astype(np.float32) - 1e-6
  other = np.where(reached, probabilities, -1).argmax(axis=1)
  is_doubtful = reached.any(axis=1) & (other != labels) & can_be_doubted
  positions = np.flatnonzero(is_doubtful)
  margin = probabilities[positions, labels[positions]].astype(float)
  margin -= probabilities[positions, other[positions]]
  positions = positions[np.argsort(margin, kind='stable')]
  return positions, other[positions]
