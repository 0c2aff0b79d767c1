"""Measures the accuracy on the images of each class."""

import dataclasses

import numpy as np

from tf_transfer.transfer import metrics


@dataclasses.dataclass(frozen=True)
class ClassAccuracy:
  """Holds how well the images of a class are recognized.

  Attributes:
    label: number of the class.
    accuracy: on its images, with Wilson's 95 % interval; None: it has none.
    mistaken_for: the class that most of the others are taken for; None: none
      is.
    mistaken: how many are taken for it.
  """

  label: int
  accuracy: metrics.Measurement | None
  mistaken_for: int | None
  mistaken: int


def build(counts: np.ndarray) -> list[ClassAccuracy]:
  """Measures each class, the worst first; those without images are the last.

  Args:
    counts: int [C, C], the images of each class by predicted class.
  """
  rows = [_measure(counts, label) for label in range(len(counts))]
  return sorted(rows, key=_key)


def _measure(counts: np.ndarray, label: int) -> ClassAccuracy:
  """Measures a class."""
  row = counts[label].copy()
  images, right = int(row.sum()), int(row[label])
  row[label] = 0
  mistaken_for = int(row.argmax())
  mistaken = int(row[mistaken_for])
  accuracy = None
  if images:
    accuracy = metrics.measure(
      'top1', np.zeros(images, int), (np.arange(images) >= right).astype(int)
    )
  return ClassAccuracy(
    label, accuracy, mistaken_for if mistaken else None, mistaken
  )


def _key(row: ClassAccuracy) -> tuple[float, float, int]:
  """Returns what classes are sorted by: of equal ones, more images first."""
  if row.accuracy is None:
    return 2.0, 0.0, row.label
  return row.accuracy.value, -row.accuracy.examples, row.label
