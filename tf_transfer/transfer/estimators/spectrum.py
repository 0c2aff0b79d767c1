"""Decomposes features, for the estimators that are functions of a spectrum.

With features F = U S Vᵀ, the estimators need the eigenvalues S² and the sum of
each class's features along each direction of V. Both come from the smaller of
FᵀF [D, D] and FFᵀ [N, N].
"""

import dataclasses

import numpy as np
from scipy import linalg

from tf_transfer.transfer.estimators.examples import Examples, one_hot

_EPSILON = float(np.finfo(np.float64).eps)


@dataclasses.dataclass(frozen=True, eq=False)
class Spectrum:
  """Holds the K directions in which features vary.

  Attributes:
    eigenvalues: float64 [K], the sum of squares along each direction, above 0.
    class_sums: float64 [C, K], the sum of each class along each direction.
    fourth_moment: the sum of ‖f‖⁴ over the rows f.
  """

  eigenvalues: np.ndarray
  class_sums: np.ndarray
  fourth_moment: float


def decompose(examples: Examples, *, center: bool) -> Spectrum:
  """Decomposes the features.

  Directions whose sum of squares is rounding are left out.

  Args:
    examples: whose features are finite.
    center: subtracts the mean of each feature first.
  """
  num_examples, width = examples.features.shape
  mean = np.zeros(width)
  if center:
    mean = examples.class_sums().sum(axis=0) / num_examples
  wide = num_examples < width
  if wide:
    rows = examples.features.astype(np.float64) - mean
    gram = rows @ rows.T
    norms = np.einsum('nd,nd->n', rows, rows)
    total = float(np.sum((rows + mean) ** 2))
  else:
    gram, norms, total = _covariance(examples, mean)
  values, vectors = linalg.eigh(gram, overwrite_a=True, check_finite=False)
  rounding = max(num_examples, width) * _EPSILON
  # Where features do not vary, what centering leaves is rounding too.
  least = max(rounding * max(values[-1], 0.0), rounding**2 * total)
  values, vectors = values[values > least], vectors[:, values > least]
  if wide:
    labels = one_hot(examples.labels, examples.num_classes)
    sums = (labels.T @ vectors) * np.sqrt(values)
  else:
    counts = examples.class_counts()
    sums = (examples.class_sums() - counts[:, None] * mean) @ vectors
  return Spectrum(values, sums, float(np.sum(norms**2)))


def _covariance(
  examples: Examples, mean: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
  """Sums the products of centered features, a block at a time.

  Returns:
    FᵀF [D, D] and ‖f‖² [N] of the centered rows, and the sum of squares of
    all features before they are centered.
  """
  gram = np.zeros((len(mean), len(mean)))
  norms = np.empty(len(examples))
  total = 0.0
  for rows, block in examples.blocks():
    total += float(np.sum(block**2))
    block -= mean
    gram += block.T @ block
    norms[rows] = np.einsum('nd,nd->n', block, block)
  return gram, norms, total
