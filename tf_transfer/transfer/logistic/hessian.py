"""Multiplies by the objective's Hessian with the bias eliminated.

Newton's step (dW, db) solves, with H the Hessian's blocks and g the gradient,

  H_ww dW + H_wb db = -g_w
  H_bw dW + H_bb db = -g_b.

The second line gives db = u - H_bb^-1 H_bw dW with u = -H_bb^-1 g_b, the
bias's own step. Put into the first, it leaves a system of the weights alone,

  (H_ww - H_wb H_bb^-1 H_bw) dW = -(g_w + H_wb u),

The matrix is the Schur complement, by which `hessian_product` multiplies. The
right side is minus `Point.gradient`. H_bb [C, C] is called S in `objective`.

A product takes two passes over the rows: logits' changes dW x_i, and the sum of
(A_i (dW x_i + the bias's change)) x_i'. Rows are centered in both. That
changes nothing in exact arithmetic, since the bias makes up for it, and a lot
in float32: large means would cancel. Where float32 is not exact enough, rows
and products are in float64; see `Problem.product_type`.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from tf_transfer.runtime.devices import BATCH, DATA_AXIS, REPLICATED
from tf_transfer.transfer.logistic import blocks, float32
from tf_transfer.transfer.logistic import curvature as curvature_lib
from tf_transfer.transfer.logistic.curvature import Curvature
from tf_transfer.transfer.logistic.objective import Point
from tf_transfer.transfer.logistic.problem import CLASSES_BY_EXAMPLES, Problem


def hessian_product(
  problem: Problem, point: Point, penalty: ArrayLike
) -> Callable[[jax.Array], tuple[jax.Array, jax.Array]]:
  """Returns a function that multiplies changes of the weights by the Hessian.

  Args:
    problem: whose Hessian it is.
    point: where.
    penalty: of the objective.

  Returns:
    A function of dW [C, R] that returns the Schur complement times dW, [C, R],
    and -H_bb^-1 H_bw dW [C], what dW adds to the bias's step.
  """
  mean = problem.mean.astype(problem.product_type)
  inverse = curvature_lib.invert_bias_hessian(point.bias_hessian)
  specs = BATCH, BATCH, curvature_lib.curvature_spec(problem)
  change_logits = blocks.map_shards(
    problem,
    functools.partial(_logit_changes, problem, mean),
    (*specs, REPLICATED),
    (CLASSES_BY_EXAMPLES, REPLICATED),
  )
  sum_rows = blocks.map_shards(
    problem,
    functools.partial(_weighted_rows, problem, mean),
    (*specs, CLASSES_BY_EXAMPLES, REPLICATED),
    REPLICATED,
  )

  def multiply(change: jax.Array) -> tuple[jax.Array, jax.Array]:
    # Scaled to unit size: float32 must neither overflow nor underflow.
    size = float32.magnitude(change)
    unit_change = (change / size).astype(problem.product_type)
    unit_change = jnp.where(problem.varies, unit_change, 0)
    examples = problem.product_rows, problem.row_mask, point.curvature
    logits, sums = change_logits(*examples, unit_change)
    bias_change = -curvature_lib.multiply_bias(inverse, sums)
    product = sum_rows(
      *examples, logits, bias_change.astype(problem.product_type)
    )
    product = jnp.where(problem.varies, product, 0).astype(jnp.float64)
    # The bias of rows that are not centered.
    bias_change -= (unit_change @ mean).astype(jnp.float64)
    return size * product + penalty * change, size * bias_change

  return multiply


def _logit_changes(
  problem: Problem,
  mean: jax.Array,
  rows: jax.Array,
  row_mask: jax.Array,
  curvature: Curvature,
  change: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """Computes a device's changes of the logits, with centered rows.

  Args:
    problem: whose rows they are.
    mean: [R], in the type of products.
    rows: [N, R] for products, those of this device.
    row_mask: [N].
    curvature: of these rows.
    change: dW [C, R], in the type of products.

  Returns:
    dW (x - mean) [C, N] of this device, and A times that, summed over the
    examples of all devices, [C].
  """
  offset = (change @ mean)[:, None]
  max_rows = blocks.product_block_rows(problem, len(rows))

  def step(
    carry: tuple[jax.Array, jax.Array],
    start: jax.Array,
    is_new: jax.Array,
    block: jax.Array,
  ) -> tuple[jax.Array, jax.Array]:
    logits, sums = carry
    block_logits = change @ block.T - offset
    weighted = curvature_lib.apply_curvature(
      _block_curvature(problem, curvature, start, len(block)), block_logits
    )
    weighted = jnp.where(is_new, weighted, 0)
    return (
      lax.dynamic_update_slice_in_dim(logits, block_logits, start, axis=1),
      sums + jnp.sum(weighted, axis=1, dtype=jnp.float64),
    )

  zeros = jnp.zeros((len(change), len(rows)), change.dtype)
  initial = zeros, jnp.zeros(len(change))
  logits, sums = blocks.scan_blocks(
    problem, step, initial, rows, row_mask, max_rows
  )
  return logits, lax.psum(sums, DATA_AXIS)


def _weighted_rows(
  problem: Problem,
  mean: jax.Array,
  rows: jax.Array,
  row_mask: jax.Array,
  curvature: Curvature,
  logits: jax.Array,
  bias_change: jax.Array,
) -> jax.Array:
  """Sums (A (logits + bias_change)) (x - mean)' over all examples.

  Args:
    problem: whose rows they are.
    mean: [R], in the type of products.
    rows: [N, R] for products, those of this device.
    row_mask: [N].
    curvature: of these rows.
    logits: [C, N], changes of the logits of this device.
    bias_change: [C], in the type of products.

  Returns:
    [C, R], in the type of products.
  """
  max_rows = blocks.product_block_rows(problem, len(rows))

  def step(
    carry: tuple[jax.Array, jax.Array],
    start: jax.Array,
    is_new: jax.Array,
    block: jax.Array,
  ) -> tuple[jax.Array, jax.Array]:
    total, sums = carry
    change = (
      blocks.slice_examples(logits, start, len(block)) + bias_change[:, None]
    )
    weighted = curvature_lib.apply_curvature(
      _block_curvature(problem, curvature, start, len(block)), change
    )
    weighted = jnp.where(is_new, weighted, 0)
    return total + weighted @ block, sums + curvature_lib.sum_examples(weighted)

  zeros = jnp.zeros((len(bias_change), rows.shape[1]), bias_change.dtype)
  initial = zeros, jnp.zeros_like(bias_change)
  total, sums = lax.psum(
    blocks.scan_blocks(problem, step, initial, rows, row_mask, max_rows),
    DATA_AXIS,
  )
  return total - sums[:, None] * mean


def _block_curvature(
  problem: Problem, curvature: Curvature, start: jax.Array, num_examples: int
) -> Curvature:
  """Returns the curvature of a block's examples, in the type of products."""
  block = blocks.slice_examples(curvature, start, num_examples)
  if problem.product_type == jnp.float64:
    return curvature_lib.to_float64(block)
  return block
