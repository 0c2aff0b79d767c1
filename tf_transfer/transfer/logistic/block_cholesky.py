"""Factors a softmax's whole Hessian, for few weights and many examples.

With fewer weights than examples the classes cannot be separated, however small
the penalty, and many examples matter. Then the Hessian is small enough to be
factored. The curvature A of an example (see `curvature`) is a sum over pairs of
classes,

  A = sum over c < d of p_c p_d (e_c - e_d) (e_c - e_d)',

so that with the Gram matrices G_cd = sum_i p_ic p_id x_i x_i' the Hessian has
blocks

  (c, c):  sum over d != c of G_cd        (c, d):  -G_cd.

Each x ends with a constant for the bias, so that blocks are (R + 1) × (R + 1).

A Gram matrix is estimated from a few thousand examples. They are drawn in
proportion to p_ic p_id |x_i|^2, their share of its trace, and weighted by the
inverse, so that each has the weight p_ic p_id on average. They are drawn at
even distances along the running sum of the shares, not at random: the same
call draws the same examples.

The same change for all classes has no curvature, and gradients have no part of
it. To make the matrix definite, 1 / C times the identity is added to every
block, which acts on nothing else.

The factor serves several penalties, since it only preconditions.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from tf_transfer.runtime.devices import BATCH
from tf_transfer.transfer.logistic import blocks, float32
from tf_transfer.transfer.logistic import objective as objective_lib
from tf_transfer.transfer.logistic import spectrum as spectrum_lib
from tf_transfer.transfer.logistic.problem import Problem
from tf_transfer.transfer.logistic.spectrum import Spectrum

# Examples drawn for each pair of classes, as a multiple of R + 1.
SAMPLES_PER_ROW = 4

# Added to the diagonal, whose scale is one: the first with which float32 can
# factor, most often the first of all.
RIDGES = (3e-6, 3e-5, 3e-4)

# Added to the bias's entry of the diagonal, which has no penalty.
_BIAS_RIDGE = 1e-4


class BlockCholesky(NamedTuple):
  """The Cholesky factor of a softmax's Hessian, bias included, in blocks.

  It is in the eigenbasis of the rows, which are scaled such that the matrix's
  diagonal is about one: then float32 does.

  Attributes:
    below: C (C - 1) / 2 blocks [R + 1, R + 1] float32 below the diagonal, row
      by row.
    inverses: C inverses of the blocks on the diagonal.
    scale: [R] float32, by which the rows were scaled.
  """

  below: tuple[jax.Array, ...]
  inverses: tuple[jax.Array, ...]
  scale: jax.Array


class _Sampler(NamedTuple):
  """By what examples are drawn, and how they are scaled.

  Attributes:
    probabilities: [C, N] float32.
    lengths: [N] float32, |x|^2.
    scale: [R] float32, of the rows.
    constant: the value that stands for the bias.
  """

  probabilities: jax.Array
  lengths: jax.Array
  scale: jax.Array
  constant: jax.Array


def factor_hessian(
  problem: Problem,
  spectrum: Spectrum,
  weights: jax.Array,
  bias: jax.Array,
  penalty: ArrayLike,
  samples_per_row: int = SAMPLES_PER_ROW,
) -> BlockCholesky | None:
  """Factors the Hessian; not to be called within `jax.jit`.

  Args:
    problem: a softmax's.
    spectrum: of its rows.
    weights: [C, R], where.
    bias: [C].
    penalty: of the objective.
    samples_per_row: examples for each pair of classes, as a multiple of R + 1.

  Returns:
    The factor, or None where float32 is not exact enough for it.
  """
  sampler, diagonal = _prepare_sampling(
    problem, spectrum, weights, bias, penalty
  )
  for ridge in RIDGES:
    factor = _factor(
      problem, spectrum, sampler, diagonal + ridge, samples_per_row
    )
    # Where a block is not positive definite, all that follows is NaN.
    if jnp.isfinite(factor.inverses[-1]).all():
      return factor
  return None


def solve_cholesky(factor: BlockCholesky) -> Callable[[jax.Array], jax.Array]:
  """Returns a function that applies the inverse Hessian to [C, R] float64.

  Its argument and result are in the eigenbasis. The bias, which is eliminated
  from Newton's system, is zero in the argument and dropped from the result.
  """
  num_classes = len(factor.inverses)

  def block(c: int, d: int) -> jax.Array:
    return factor.below[c * (c - 1) // 2 + d]

  def solve(vector: jax.Array) -> jax.Array:
    parts = jnp.pad(vector * factor.scale, [(0, 0), (0, 1)])
    parts = list(parts - jnp.mean(parts, axis=0))
    for c in range(num_classes):
      for d in range(c):
        parts[c] -= block(c, d) @ parts[d]
      parts[c] = factor.inverses[c] @ parts[c]
    for c in reversed(range(num_classes)):
      for d in range(c + 1, num_classes):
        parts[c] -= parts[d] @ block(d, c)
      parts[c] = parts[c] @ factor.inverses[c]
    parts = jnp.stack(parts)[:, :-1]
    return (parts - jnp.mean(parts, axis=0)) * factor.scale

  return lambda vector: float32.apply(solve, vector)


@jax.jit
def inverse_cholesky(block: jax.Array) -> jax.Array:
  """Inverts the Cholesky factor of a matrix.

  Solving with the factor instead would take twenty times as long on CPUs.
  """
  return jax.scipy.linalg.solve_triangular(
    lax.linalg.cholesky(block, symmetrize_input=False),
    jnp.eye(len(block), dtype=block.dtype),
    lower=True,
  )


def _factor(
  problem: Problem,
  spectrum: Spectrum,
  sampler: _Sampler,
  diagonal: jax.Array,
  samples_per_row: int,
) -> BlockCholesky:
  """Factors the losses' Hessian plus a diagonal [R + 1] in each class."""
  num_classes = len(problem.targets)
  hessian = _hessian_blocks(
    problem, spectrum, sampler, diagonal, samples_per_row
  )
  below, inverses = [], []
  for c in range(num_classes):
    for d in range(c):
      for e in range(d):
        hessian[c, d] = _subtract_product(
          hessian[c, d], hessian[c, e], hessian[d, e]
        )
      hessian[c, d] = hessian[c, d] @ inverses[d].T
      hessian[c, c] = _subtract_product(
        hessian[c, c], hessian[c, d], hessian[c, d]
      )
      below.append(hessian[c, d])
    inverses.append(inverse_cholesky(hessian.pop((c, c))))
  return BlockCholesky(tuple(below), tuple(inverses), sampler.scale)


def _hessian_blocks(
  problem: Problem,
  spectrum: Spectrum,
  sampler: _Sampler,
  diagonal: jax.Array,
  samples_per_row: int,
) -> dict[tuple[int, int], jax.Array]:
  """Estimates the Hessian's blocks (c, d) for c >= d."""
  num_classes = len(problem.targets)
  shared = jnp.eye(len(diagonal), dtype=jnp.float32) / num_classes
  hessian = {(c, c): shared + jnp.diag(diagonal) for c in range(num_classes)}
  for c in range(num_classes):
    for d in range(c):
      gram = _pair_gram(problem, spectrum, sampler, c, d, samples_per_row)
      hessian[c, c] += gram
      hessian[d, d] += gram
      hessian[c, d] = shared - gram
  return hessian


@jax.jit
def _prepare_sampling(
  problem: Problem,
  spectrum: Spectrum,
  weights: jax.Array,
  bias: jax.Array,
  penalty: ArrayLike,
) -> tuple[_Sampler, jax.Array]:
  """Returns the sampler, and the penalty's diagonal [R + 1] in its scale."""
  point = objective_lib.evaluate(problem, weights, bias, penalty)
  curvature = objective_lib.curvature_trace(point) / (len(bias) - 1)
  num_examples = jnp.sum(problem.row_mask)
  inverse = spectrum_lib.kronecker_inverse(
    spectrum, (curvature / num_examples)[None], penalty
  )
  scale = jnp.sqrt(inverse[0])
  # The bias is a weight of a constant, of about the size of the others.
  constant = lax.rsqrt(curvature).astype(jnp.float32)
  diagonal = jnp.append(penalty * scale.astype(jnp.float64) ** 2, _BIAS_RIDGE)
  sampler = _Sampler(
    point.curvature.values, _squared_lengths(problem), scale, constant
  )
  return sampler, diagonal.astype(jnp.float32)


@functools.partial(jax.jit, static_argnames='samples_per_row')
def _pair_gram(
  problem: Problem,
  spectrum: Spectrum,
  sampler: _Sampler,
  c: ArrayLike,
  d: ArrayLike,
  samples_per_row: int,
) -> jax.Array:
  """Estimates G_cd [R + 1, R + 1]."""
  probabilities, lengths, scale, constant = sampler
  shares = probabilities[c] * probabilities[d] * lengths
  index, total = _draw(shares, samples_per_row * (len(scale) + 1))
  rows = spectrum_lib.centered_rows(problem, spectrum, index) * scale
  rows = jnp.pad(rows, [(0, 0), (0, 1)], constant_values=constant)
  rows *= jnp.sqrt(total / len(rows) / lengths[index])[:, None]
  return rows.T @ rows


@functools.partial(jax.jit, donate_argnums=0)
def _subtract_product(
  block: jax.Array, left: jax.Array, right: jax.Array
) -> jax.Array:
  """Computes block - left right'."""
  return block - left @ right.T


def _squared_lengths(problem: Problem) -> jax.Array:
  """Computes |x|^2 [N] float32 of the centered rows; one where that is zero."""

  def shard_lengths(rows: jax.Array, row_mask: jax.Array) -> jax.Array:
    mean = problem.mean.astype(jnp.float32)

    def step(
      lengths: jax.Array, start: jax.Array, _: jax.Array, block: jax.Array
    ) -> jax.Array:
      block = jnp.where(problem.varies, block - mean, 0)
      return lax.dynamic_update_slice_in_dim(
        lengths, jnp.sum(block**2, axis=1), start, axis=0
      )

    zeros = jnp.zeros(len(rows), jnp.float32)
    return blocks.scan_blocks(problem, step, zeros, rows, row_mask)

  lengths = blocks.map_shards(problem, shard_lengths, (BATCH, BATCH), BATCH)(
    problem.product_rows, problem.row_mask
  )
  return jnp.where(lengths > 0, lengths, 1)


def _draw(shares: jax.Array, num_samples: int) -> tuple[jax.Array, jax.Array]:
  """Draws examples in proportion to their shares, not at random.

  An example with k / num_samples of all shares is drawn k times, to the
  nearest whole numbers.

  Args:
    shares: [N], not negative.
    num_samples: M.

  Returns:
    Indices [M], and the sum of the shares.
  """
  running = jnp.cumsum(shares.astype(jnp.float64))
  positions = (jnp.arange(num_samples) + 0.5) / num_samples * running[-1]
  index = jnp.minimum(jnp.searchsorted(running, positions), len(shares) - 1)
  return index, running[-1].astype(jnp.float32)
