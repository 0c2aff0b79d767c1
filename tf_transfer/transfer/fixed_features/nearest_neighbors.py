"""Classifies by a vote of the k nearest training examples."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping

import ml_collections
import numpy as np

from tf_transfer.errors import InputError
from tf_transfer.transfer.fixed_features import fitted
from tf_transfer.transfer.logistic import path as path_lib

_BLOCK_SIZE = 1024  # rows whose neighbors are searched at once


@dataclasses.dataclass(frozen=True)
class NearestNeighbors:
  """The training examples and their votes.

  Attributes:
    features: [N, D], L2-normalized.
    votes: int8 [N, C], the vote of each example for each class.
    grid: [P], the numbers of neighbors k.
    converged: as in `fitted.Fitted`.
    evaluations: as in `fitted.Fitted`.
    certificate: as in `fitted.Fitted`.
  """

  features: np.ndarray
  votes: np.ndarray
  grid: np.ndarray
  converged: np.ndarray
  evaluations: int = 0
  certificate: Mapping[str, float] = dataclasses.field(default_factory=dict)

  def scores(self, features: np.ndarray) -> Iterator[np.ndarray]:
    """Computes the mean vote [N, C] for features [N, D], per grid value."""
    nearest = self._find_nearest(features)
    for k in self.grid:
      total = np.zeros((len(features), self.votes.shape[1]))
      for rank in range(k):
        total += self.votes[nearest[:, rank]]
      yield total / k

  def _find_nearest(self, features: np.ndarray) -> np.ndarray:
    """Finds the training examples of largest cosine: int [N, largest k]."""
    features = fitted.normalize(path_lib.check_features(features))
    k = self.grid.max()
    nearest = np.empty((len(features), k), np.int64)
    for start in range(0, len(features), _BLOCK_SIZE):
      cosines = features[start : start + _BLOCK_SIZE] @ self.features.T
      top = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
      top.sort(axis=1)  # Ties are in the order of the examples.
      order = np.argsort(
        -np.take_along_axis(cosines, top, axis=1), axis=1, kind='stable'
      )
      nearest[start : start + _BLOCK_SIZE] = np.take_along_axis(
        top, order, axis=1
      )
    return nearest


def fit(
  features: np.ndarray,
  labels: np.ndarray,
  grid: np.ndarray,
  config: ml_collections.ConfigDict,
  num_classes: int,
  *,
  start: tuple[fitted.Fitted, int] | None = None,
  progress: Callable[[int], None] | None = None,
) -> NearestNeighbors:
  """Keeps the training examples, for a vote of the k of largest cosine.

  The order by cosine is the order by distance of L2-normalized features. Each
  neighbor votes 1 for its class and −1 for the others; with labels [N, C] it
  votes 1 or −1 for each class, or 0 where its label is ignored. If classes
  tie, the first is predicted. The arguments are those of `classifiers.Fit`;
  `config` and `start` have no effect.

  Raises:
    InputError: some k is larger than the number of examples.
  """
  del config, start
  features = fitted.normalize(path_lib.check_features(features))
  targets, mask = path_lib.check_labels(labels, len(features), num_classes)
  if grid.max() > len(features):
    raise InputError(
      f'config.nearest_neighbors.neighbors: {grid.max()} neighbors, but only '
      f'{len(features)} training examples; choose smaller numbers'
    )
  votes = 2 * targets.T.astype(np.int8) - 1
  if mask is not None:
    votes *= mask.T
  if progress:
    progress(len(grid))
  return NearestNeighbors(features, votes, grid, np.ones(len(grid), bool))
