"""Computes the eigenbasis of the rows' covariance, and the row space.

Preconditioners work in the eigenbasis of the centered rows' Gram matrix
sum_i (x_i - mean) (x_i - mean)', where (curvature ⊗ Gram matrix + penalty) is
diagonal. The basis is computed once for the whole path.

With fewer examples than features, N < D, the minimizer's weights are linear
combinations of the centered rows: any other component would cost penalty and
change no logit. So the problem is solved for N coordinates in the rows' span
instead of D weights, and no solution is lost.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from tf_transfer.runtime.devices import BATCH, DATA_AXIS, REPLICATED
from tf_transfer.transfer.logistic import blocks, float32
from tf_transfer.transfer.logistic.problem import Problem


class Spectrum(NamedTuple):
  """The rows' covariance in its eigenbasis.

  Attributes:
    values: [R], eigenvalues of the centered rows' Gram matrix, in the type of
      the problem's products. Preconditioners compute in it.
    axes: [R, R] in the same type, eigenvectors as columns; None where the rows
      themselves are in the eigenbasis.
  """

  values: jax.Array
  axes: jax.Array | None


class RowSpace(NamedTuple):
  """How rows were made of features: rows = (features - mean) @ axes.

  Attributes:
    mean: [D] float64.
    axes: [D, R] float64, orthonormal columns.
  """

  mean: jax.Array
  axes: jax.Array


@jax.jit
def reduce_to_row_space(
  features: jax.Array,
) -> tuple[jax.Array, Spectrum, RowSpace]:
  """Computes rows [N, N] float64 that stand for features [N, D], N < D.

  The rows are in their eigenbasis. R is as large as N here, and rotating the
  rows once is cheaper than rotating in every preconditioning.
  """
  features = features.astype(jnp.float64)
  mean = jnp.mean(features, axis=0)
  space, triangle = jnp.linalg.qr((features - mean).T)
  values, axes = jnp.linalg.eigh(triangle @ triangle.T)
  values = jnp.maximum(values, 0).astype(jnp.float32)
  rows = triangle.T @ axes
  return rows, Spectrum(values, None), RowSpace(mean, space @ axes)


@jax.jit
def compute_spectrum(problem: Problem) -> Spectrum:
  """Computes the eigenbasis of the rows, in the type of products.

  It only preconditions.
  """
  dtype = problem.product_type

  def shard_gram(rows: jax.Array, row_mask: jax.Array) -> jax.Array:
    def block_gram(block: jax.Array, is_new: jax.Array) -> jax.Array:
      block = jnp.where(is_new[:, None], block - problem.mean, 0)
      block = block.astype(dtype)
      return (block.T @ block).astype(jnp.float64)

    total = blocks.sum_blocks(problem, block_gram, rows, row_mask)
    return lax.psum(total, DATA_AXIS)

  gram = blocks.map_shards(problem, shard_gram, (BATCH, BATCH), REPLICATED)(
    problem.rows, problem.row_mask
  )
  # To unit size: float32 must neither overflow nor underflow.
  size = float32.magnitude(jnp.diagonal(gram))
  values, axes = jnp.linalg.eigh((gram / size).astype(dtype))
  return Spectrum((jnp.maximum(values, 0) * size).astype(dtype), axes)


def kronecker_inverse(
  spectrum: Spectrum, curvatures: jax.Array, penalty: ArrayLike
) -> jax.Array:
  """Inverts diag(curvatures) ⊗ Gram matrix + penalty in the eigenbasis.

  Args:
    spectrum: of the Gram matrix.
    curvatures: [C].
    penalty: positive.

  Returns:
    The inverse's diagonal as [C, R], in the spectrum's type.
  """
  inverse = 1 / (curvatures[:, None] * spectrum.values + penalty)
  return inverse.astype(spectrum.values.dtype)


def centered_rows(
  problem: Problem, spectrum: Spectrum, index: jax.Array
) -> jax.Array:
  """Returns rows [M, R] by their index [M], in the eigenbasis."""
  rows = blocks.gather_rows(problem, index)
  rows -= problem.mean.astype(rows.dtype)
  rows = jnp.where(problem.varies, rows, 0)
  return rows if spectrum.axes is None else rows @ spectrum.axes
