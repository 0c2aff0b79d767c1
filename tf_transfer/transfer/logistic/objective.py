"""Evaluates the objective, its gradient, and its distance from the optimum.

With logits z_i = W x_i + b the objective is

  F(W, b) = sum_i loss_i(z_i) + penalty / 2 * |W|^2.

Let y_i be the targets of example i, p_i its probabilities at (W, b), and A_i
the curvature of its loss (see `curvature`); x_i' is the row x_i transposed.

*The certificate.* Take any other probabilities q_i, and call r_i = q_i - y_i
their residuals. With the entropy H and the Kullback-Leibler divergence KL (both
summed over the classes for independent labels), all logits z satisfy

  loss_i(z) = r_i . z + H(q_i) + KL(q_i || probabilities at z).

Choose q such that the residuals of each class sum to zero, sum_i r_i = 0. Then
sum_i r_i . z_i does not depend on the bias. Since KL >= 0, all weights V and
biases c satisfy

  F(V, c) >= sum_i H(q_i) + sum_i r_i . V x_i + penalty / 2 * |V|^2
          >= sum_i H(q_i) - |sum_i r_i x_i'|^2 / (2 penalty).

The second line is the minimum of the first over V, at
V = -sum_i r_i x_i' / penalty. It is the dual objective, a lower bound on the
optimum. Its distance from F(W, b), the duality gap, follows from the equation
for the losses:

  gap = sum_i KL(q_i || p_i) + |penalty W + sum_i r_i x_i'|^2 / (2 penalty).

So F(W, b) - min F <= gap, whichever q was chosen.

*The choice of q.* The residuals of p sum to g_b, the gradient with respect to
the bias, which is small but not zero. Move all p_i along their curvatures by
one vector u [C]:

  q_i = p_i + A_i u,   u = -S^-1 g_b,   S = sum_i A_i.

Then sum_i r_i = g_b + S u = 0. As S is the Hessian with respect to the bias, u
is the bias's own Newton step.

The q_i are probabilities where u is small. For a softmax p_c is multiplied by
1 + u_c - p . u, which is positive where max u - min u <= 1. For independent
labels p is multiplied by 1 + (1 - p) u_c and 1 - p by 1 - p u_c, both positive
where |u_c| <= 1.

KL is at most the chi-squared distance, which is u . A_i u for these q_i:

  sum_i KL(q_i || p_i) <= u . S u = -u . g_b.

The vector in the gap's second term is

  penalty W + sum_i (p_i - y_i) x_i' + sum_i (A_i u) x_i',

the gradient with respect to W plus what the bias's step changes in it. That is
also the right side of Newton's system once the bias is eliminated from it (see
`hessian`). So the certificate costs nothing beyond Newton's method itself.

Where u is too large for q to be probabilities, or rounding keeps the residuals
from summing to zero, the bound is infinite: nothing is claimed.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from tf_transfer.runtime.devices import BATCH, DATA_AXIS, REPLICATED
from tf_transfer.transfer.logistic import blocks, float32
from tf_transfer.transfer.logistic import curvature as curvature_lib
from tf_transfer.transfer.logistic.curvature import Curvature
from tf_transfer.transfer.logistic.problem import Problem

# The sum of the residuals of q counts as zero up to this part of the sum of
# the residuals' absolute values.
_ZERO_SUM = 1e-12


class Point(NamedTuple):
  """Weights, and the derivatives there that Newton's method needs.

  Attributes:
    weights: [C, R].
    bias: [C].
    loss: the sum of the losses.
    objective: the same plus the penalty's term.
    gradient: [C, R], of the objective after a Newton step of the bias.
    curvature: in float32.
    bias_gradient: [C], g_b.
    bias_step: [C], u, the Newton step of the bias alone.
    bias_hessian: [C, C] or, for independent labels, its diagonal [C]: S.
    bound: at least the objective's distance from the optimum.
  """

  weights: jax.Array
  bias: jax.Array
  loss: jax.Array
  objective: jax.Array
  gradient: jax.Array
  curvature: Curvature
  bias_gradient: jax.Array
  bias_step: jax.Array
  bias_hessian: jax.Array
  bound: jax.Array


class _Derivatives(NamedTuple):
  """The sum of the losses and its derivatives.

  Attributes:
    loss: the sum.
    gradient: [C, R], with respect to the weights.
    curvature: of each example, in float32.
    residual_size: [C], the sum of the residuals' absolute values.
    bias_gradient: [C], the sum of the residuals.
    bias_hessian: [C, C] or [C], the sum of the curvatures.
  """

  loss: jax.Array
  gradient: jax.Array
  curvature: Curvature | None
  residual_size: jax.Array
  bias_gradient: jax.Array
  bias_hessian: jax.Array


def evaluate(
  problem: Problem, weights: jax.Array, bias: jax.Array, penalty: ArrayLike
) -> Point:
  """Computes objective, gradient and certificate; that is one evaluation."""
  sums = _differentiate(problem, weights, bias)
  bias_step = -curvature_lib.multiply_bias(
    curvature_lib.invert_bias_hessian(sums.bias_hessian), sums.bias_gradient
  )
  gradient_change, bias_change = _effect_of_bias_step(
    problem, sums.curvature, bias_step
  )
  gradient = penalty * weights + sums.gradient + gradient_change
  # No probability changes by more than the factor 1 + reach.
  is_diagonal = sums.bias_hessian.ndim == 1
  reach = jnp.max(jnp.abs(bias_step)) if is_diagonal else jnp.ptp(bias_step)
  sums_to_zero = jnp.all(
    jnp.abs(sums.bias_gradient + bias_change) <= _ZERO_SUM * sums.residual_size
  )
  gap = jnp.sum(gradient**2) / (2 * penalty) - bias_step @ sums.bias_gradient
  return Point(
    weights=weights,
    bias=bias,
    loss=sums.loss,
    objective=sums.loss + penalty / 2 * jnp.sum(weights**2),
    gradient=gradient,
    curvature=sums.curvature,
    bias_gradient=sums.bias_gradient,
    bias_step=bias_step,
    bias_hessian=sums.bias_hessian,
    bound=jnp.where(sums_to_zero & (reach <= 1), gap, jnp.inf),
  )


def total_loss(
  problem: Problem, weights: jax.Array, bias: jax.Array
) -> jax.Array:
  """Returns the sum of the losses, without the penalty."""
  return _differentiate(problem, weights, bias).loss


def gradient_norm(problem: Problem, point: Point) -> jax.Array:
  """Returns the largest absolute entry of the objective's gradient."""
  # The point's gradient is that after a step of the bias.
  change, _ = _effect_of_bias_step(problem, point.curvature, point.bias_step)
  gradient = point.gradient - change
  # With respect to the weights of rows that are not shifted.
  shift = jnp.where(problem.varies, problem.shift, 0)
  gradient += point.bias_gradient[:, None] * shift
  return jnp.maximum(
    jnp.max(jnp.abs(gradient)), jnp.max(jnp.abs(point.bias_gradient))
  )


def curvature_trace(point: Point) -> jax.Array:
  """Returns the trace of all examples' curvatures together."""
  hessian = point.bias_hessian
  return jnp.sum(hessian) if hessian.ndim == 1 else jnp.trace(hessian)


def _differentiate(
  problem: Problem, weights: jax.Array, bias: jax.Array
) -> _Derivatives:
  """Computes the losses and all of their derivatives in one pass."""
  weights, bias = weights.astype(jnp.float64), bias.astype(jnp.float64)

  def shard_sums(
    rows: jax.Array,
    targets: jax.Array,
    label_mask: jax.Array | None,
    row_mask: jax.Array,
  ) -> _Derivatives:
    def step(
      total: _Derivatives,
      start: jax.Array,
      is_new: jax.Array,
      block: jax.Array,
    ) -> _Derivatives:
      num_rows, block = len(block), block.astype(jnp.float64)
      loss, residual, curvature = curvature_lib.loss_and_derivatives(
        weights @ block.T + bias[:, None],
        blocks.slice_examples(targets, start, num_rows),
        blocks.slice_examples(label_mask, start, num_rows),
      )
      is_example = blocks.slice_examples(row_mask, start, num_rows)
      values = jnp.where(is_example, curvature.values, 0).astype(jnp.float32)
      curvature = curvature._replace(values=values)
      return _add_block(total, start, is_new, block, loss, residual, curvature)

    initial = _zero_derivatives(weights.shape, len(rows), problem.is_softmax)
    total = blocks.scan_blocks(problem, step, initial, rows, row_mask)
    # The curvature is per example and stays where it is.
    sums = lax.psum(total._replace(curvature=None), DATA_AXIS)
    # For features that do not vary only rounding is left of the residuals' sum.
    gradient = jnp.where(problem.varies, sums.gradient, 0)
    return sums._replace(gradient=gradient, curvature=total.curvature)

  out_specs = _Derivatives(
    REPLICATED,
    REPLICATED,
    curvature_lib.curvature_spec(problem),
    REPLICATED,
    REPLICATED,
    REPLICATED,
  )
  return blocks.map_shards(
    problem, shard_sums, problem.example_specs, out_specs
  )(problem.rows, problem.targets, problem.label_mask, problem.row_mask)


def _zero_derivatives(
  shape: tuple[int, int], num_rows: int, is_softmax: bool
) -> _Derivatives:
  """Returns sums over no examples, for weights of shape [C, R]."""
  num_classes, _ = shape
  values = jnp.zeros((num_classes, num_rows), jnp.float32)
  top_class = jnp.zeros(num_rows, jnp.int32) if is_softmax else None
  by_class = jnp.zeros(num_classes)
  return _Derivatives(
    loss=jnp.zeros(()),
    gradient=jnp.zeros(shape),
    curvature=Curvature(values, top_class),
    residual_size=by_class,
    bias_gradient=by_class,
    bias_hessian=(
      jnp.zeros((num_classes, num_classes)) if is_softmax else by_class
    ),
  )


def _add_block(
  total: _Derivatives,
  start: jax.Array,
  is_new: jax.Array,
  block: jax.Array,
  loss: jax.Array,
  residual: jax.Array,
  curvature: Curvature,
) -> _Derivatives:
  """Adds a block of rows to sums over the blocks before it.

  Args:
    total: the sums so far.
    start: the block's first row.
    is_new: [E] bool, False for rows that are not to be added.
    block: [E, R] float64.
    loss: [E].
    residual: [C, E].
    curvature: of the block's rows, in float32.
  """
  residual = jnp.where(is_new, residual, 0)
  # Of the float32 values, so that later products with them agree to the bit.
  values, top_class = curvature_lib.to_float64(curvature)
  return _Derivatives(
    loss=total.loss + jnp.sum(jnp.where(is_new, loss, 0)),
    gradient=total.gradient + residual @ block,
    curvature=jax.tree.map(
      lambda array, update: lax.dynamic_update_slice_in_dim(
        array, update, start, axis=-1
      ),
      total.curvature,
      curvature,
    ),
    residual_size=total.residual_size + jnp.sum(jnp.abs(residual), axis=1),
    bias_gradient=total.bias_gradient + jnp.sum(residual, axis=1),
    bias_hessian=total.bias_hessian
    + curvature_lib.bias_hessian(
      Curvature(jnp.where(is_new, values, 0), top_class)
    ),
  )


def _effect_of_bias_step(
  problem: Problem, curvature: Curvature, bias_step: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Computes what moving all residuals by A u changes in the gradients.

  The change of the weights' gradient is small, and float32 does for it, unless
  products are in float64.

  Args:
    problem: whose examples are meant.
    curvature: A, in float32.
    bias_step: u [C].

  Returns:
    Changes [C, R] of the weights' and [C] of the bias's gradient.
  """
  # To unit size: float32 must neither overflow nor underflow.
  size = float32.magnitude(bias_step)
  unit_step = (bias_step / size)[:, None]

  def shard_sums(
    rows: jax.Array, row_mask: jax.Array, curvature: Curvature
  ) -> tuple[jax.Array, jax.Array]:
    max_rows = blocks.product_block_rows(problem, len(rows))

    def step(
      carry: tuple[jax.Array, jax.Array],
      start: jax.Array,
      is_new: jax.Array,
      block: jax.Array,
    ) -> tuple[jax.Array, jax.Array]:
      gradient, total = carry
      part = blocks.slice_examples(curvature, start, len(block))
      change = curvature_lib.apply_curvature(
        curvature_lib.to_float64(part),
        jnp.broadcast_to(unit_step, part.values.shape),
      )
      change = jnp.where(is_new, change, 0)
      return (
        gradient + change.astype(problem.product_type) @ block,
        total + curvature_lib.sum_examples(change),
      )

    zeros = jnp.zeros((len(unit_step), rows.shape[1]), problem.product_type)
    initial = zeros, jnp.zeros(len(unit_step))
    sums = blocks.scan_blocks(problem, step, initial, rows, row_mask, max_rows)
    return lax.psum(sums, DATA_AXIS)

  in_specs = BATCH, BATCH, curvature_lib.curvature_spec(problem)
  gradient, total = blocks.map_shards(
    problem, shard_sums, in_specs, REPLICATED
  )(problem.product_rows, problem.row_mask, curvature)
  gradient = jnp.where(problem.varies, gradient, 0)
  return size * gradient.astype(jnp.float64), size * total
