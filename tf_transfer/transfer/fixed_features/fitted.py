"""Defines what fitting a classifier returns: one model per grid value."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np

from tf_transfer.transfer.logistic import path as path_lib


class Fitted(Protocol):
  """A classifier fitted once for each of the P values of a grid.

  Attributes:
    converged: bool [P], which fits reached their tolerance.
    evaluations: total number of passes over the examples.
    certificate: numbers by name that bound how far the last fit can be from
      the optimum; empty for classifiers that have none.
  """

  converged: np.ndarray
  evaluations: int
  certificate: Mapping[str, float]

  def scores(self, features: np.ndarray) -> Iterator[np.ndarray]:
    """Computes class scores [N, C] of features [N, D], per grid value."""
    ...


@dataclasses.dataclass(frozen=True)
class FittedLinear:
  """Linear classifiers, one for each of the P values of a grid.

  Attributes:
    weights: [P, D, C].
    bias: [P, C].
    converged: as in `Fitted`.
    evaluations: as in `Fitted`.
    certificate: as in `Fitted`.
    normalized: whether features are L2-normalized before they are scored, as
      they were before the fit.
  """

  weights: np.ndarray
  bias: np.ndarray
  converged: np.ndarray
  evaluations: int = 0
  certificate: Mapping[str, float] = dataclasses.field(default_factory=dict)
  normalized: bool = False

  def scores(self, features: np.ndarray) -> Iterator[np.ndarray]:
    """Computes class scores [N, C] of features [N, D], per grid value."""
    if self.normalized:
      features = normalize(features)
    for weights, bias in zip(self.weights, self.bias, strict=True):
      yield path_lib.logits(weights, bias, features)


def normalize(features: np.ndarray) -> np.ndarray:
  """Divides each row of [N, D] by its L2 norm; rows of zeros stay zeros."""
  norms = np.linalg.norm(features, axis=1, keepdims=True)
  return features / np.where(norms > 0, norms, 1)
