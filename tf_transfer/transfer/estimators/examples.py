"""Defines what estimators take, and what they return."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from scipy import sparse

_BLOCK = 4096  # rows that are converted to float64 at a time


class UndefinedError(Exception):
  """Says why an estimator has no value for some examples."""


@dataclasses.dataclass(frozen=True)
class Estimate:
  """Holds an estimate of how well a network transfers.

  Attributes:
    value: larger is better; NaN where it cannot be computed.
    seconds: that it took, features not included.
    reason: why it cannot be computed, else ''.
  """

  value: float
  seconds: float
  reason: str = ''


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
  """Holds the labeled images that estimators work on.

  Attributes:
    features: float32 [N, D].
    labels: int [N], classes from 0; [N, C] where an image can have several.
    num_classes: C; some of the classes may have no example.
    head_probabilities: float32 [N, Z], what the network's own head says of
      each image; None where it says nothing.
    digests: uint8 [N, 32], by which examples are drawn; None hashes the
      features.
    seed: of the draws.
    without_head: why there are no `head_probabilities`, for people.
  """

  features: np.ndarray
  labels: np.ndarray
  num_classes: int
  head_probabilities: np.ndarray | None = None
  digests: np.ndarray | None = None
  seed: int = 0
  without_head: str = 'the network has no head'

  def __len__(self) -> int:
    return len(self.labels)

  def check(self) -> None:
    """Checks what all estimators need.

    Raises:
      UndefinedError: a feature is not finite, images have several labels, or
        there are fewer than two classes.
    """
    if self.labels.ndim != 1:
      raise UndefinedError('images have several labels')
    if len(np.unique(self.labels)) < 2:
      raise UndefinedError('there are images of fewer than two classes')
    if not all(np.isfinite(block).all() for _, block in self.blocks()):
      raise UndefinedError('a feature is not finite')

  def distinct(self) -> 'Examples':
    """Returns each class's images of one digest once; all without digests."""
    if self.digests is None:
      return self
    first = {}
    for i, row in enumerate(self.digests):
      first.setdefault((int(self.labels[i]), row.tobytes()), i)
    keep = np.array(list(first.values()), np.int64)
    theta = self.head_probabilities
    return dataclasses.replace(
      self,
      features=self.features[keep],
      labels=self.labels[keep],
      head_probabilities=None if theta is None else theta[keep],
      digests=self.digests[keep],
    )

  def blocks(
    self, matrix: np.ndarray | None = None
  ) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields rows of a matrix, and these rows in float64.

    Args:
      matrix: [N, K]; None for the features.
    """
    matrix = self.features if matrix is None else matrix
    for start in range(0, len(matrix), _BLOCK):
      rows = slice(start, start + _BLOCK)
      yield rows, matrix[rows].astype(np.float64)

  def class_counts(self) -> np.ndarray:
    """Counts the examples of each class, int [C]."""
    return np.bincount(self.labels, minlength=self.num_classes)

  def class_sums(self, matrix: np.ndarray | None = None) -> np.ndarray:
    """Sums the rows of each class, float64 [C, K].

    Args:
      matrix: [N, K]; None for the features.
    """
    return sum(
      one_hot(self.labels[rows], self.num_classes).T @ block
      for rows, block in self.blocks(matrix)
    )


def one_hot(labels: np.ndarray, num_classes: int) -> sparse.csr_array:
  """Returns a sparse matrix [N, C] with a one for each example's class."""
  positions = np.arange(len(labels)), labels
  return sparse.csr_array(
    (np.ones(len(labels)), positions), shape=(len(labels), num_classes)
  )
