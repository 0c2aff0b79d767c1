"""Computes losses of logits and their derivatives.

For one example with logits z [C] the two losses are

  softmax, class y:    loss = log(sum_c exp(z_c)) - z_y
                       p = softmax(z)
                       residual = p - e_y
                       A = diag(p) - p p'
  independent labels:  loss = sum_c log(1 + exp(s_c z_c)),  s_c = -1 where the
                       label is set, else 1
                       p = sigmoid(z)
                       residual = p - label
                       A = diag(p (1 - p))

The residual is the loss's gradient with respect to z, and A, its *curvature*,
is the Hessian. With rows x the whole Hessian is sum_i A_i ⊗ x_i x_i' + penalty.

At the smallest penalties nearly all losses are far below float64's rounding
error of one. So neither losses, residuals nor products with A are computed as
differences of numbers of size one: what is small is a sum of small terms.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from tf_transfer.runtime.devices import BATCH
from tf_transfer.transfer.logistic.problem import CLASSES_BY_EXAMPLES, Problem

# Eigenvalues of the bias's scaled Hessian that count as zero.
_ZERO_EIGENVALUE = 1e-13


class Curvature(NamedTuple):
  """The curvature A of each example.

  Attributes:
    values: [C, N]; for a softmax the probabilities p, for independent labels
      p (1 - p). Zero for rows of padding.
    top_class: [N], the most probable class; None for independent labels.
  """

  values: jax.Array
  top_class: jax.Array | None


def curvature_spec(problem: Problem) -> Curvature:
  """Returns how a curvature is laid out on the devices."""
  return Curvature(CLASSES_BY_EXAMPLES, BATCH if problem.is_softmax else None)


def sum_classes(values: jax.Array) -> jax.Array:
  """Sums [C, N] to [N]: on CPUs far faster as a product than as a sum."""
  return jnp.ones(len(values), values.dtype) @ values


def sum_examples(values: jax.Array) -> jax.Array:
  """Sums [C, N] to [C], where the values go into a matrix product too.

  XLA would fuse a sum into that product, which then takes three times as long
  on CPUs. So the sum is a product as well.
  """
  return values @ jnp.ones(values.shape[1], values.dtype)


def loss_and_derivatives(
  logits: jax.Array, targets: jax.Array, label_mask: jax.Array | None
) -> tuple[jax.Array, jax.Array, Curvature]:
  """Computes losses of logits and their derivatives to relative precision.

  Args:
    logits: [C, N] float64.
    targets: [C, N] bool.
    label_mask: [C, N] bool, False where a label is ignored; None for a softmax.

  Returns:
    Losses [N], residuals [C, N], and the curvature.
  """
  if label_mask is None:
    return _softmax_loss(logits, targets)
  sign = jnp.where(targets, -1.0, 1.0)
  loss = jnp.where(label_mask, jax.nn.softplus(sign * logits), 0)
  # The probability of the wrong answer, which is the residual's size.
  wrong = jnp.where(label_mask, jax.nn.sigmoid(sign * logits), 0)
  variance = wrong * jax.nn.sigmoid(-sign * logits)
  return sum_classes(loss), sign * wrong, Curvature(variance, None)


def _softmax_loss(
  logits: jax.Array, targets: jax.Array
) -> tuple[jax.Array, jax.Array, Curvature]:
  """Computes what `loss_and_derivatives` does, for a softmax.

  With margins m_c = z_c - z_y the loss is log(1 + sum_{c != y} exp(m_c)), and
  the residual of y is minus the sum of those of the other classes.
  """
  margins = logits - sum_classes(jnp.where(targets, logits, 0))
  largest = jnp.max(margins, axis=0)
  powers = jnp.exp(margins - largest)
  others = jnp.where(targets, 0, powers)
  total = sum_classes(powers)
  loss = jnp.where(
    largest > 0, largest + jnp.log(total), jnp.log1p(sum_classes(others))
  )
  others = others / total
  residual = jnp.where(targets, -sum_classes(others), others)
  probabilities = powers / total
  top_class = jnp.argmax(probabilities, axis=0).astype(jnp.int32)
  return loss, residual, Curvature(probabilities, top_class)


def to_float64(curvature: Curvature) -> Curvature:
  """Converts to float64, such that probabilities sum to one in that type."""
  values, top_class = curvature
  values = values.astype(jnp.float64)
  if top_class is not None:
    is_top = jnp.arange(len(values))[:, None] == top_class
    top_value = 1 - sum_classes(jnp.where(is_top, 0, values))
    values = jnp.where(is_top & (values > 0), top_value, values)
  return Curvature(values, top_class)


def apply_curvature(curvature: Curvature, change: jax.Array) -> jax.Array:
  """Multiplies changes of the logits [C, N] by each example's A.

  For a softmax A change = p * (change - p . change). The change is taken
  relative to that of the most probable class: where that has nearly all of the
  probability, the difference would otherwise be mere rounding error.
  """
  values, top_class = curvature
  if top_class is None:
    return values * change
  change = change - jnp.take_along_axis(change, top_class[None], axis=0)
  return values * (change - sum_classes(values * change))


def bias_hessian(curvature: Curvature) -> jax.Array:
  """Sums A over the examples: [C, C], or the diagonal [C] of labels.

  That is the Hessian with respect to the bias.
  """
  values, top_class = curvature
  if top_class is None:
    return jnp.sum(values, axis=1)
  # Rows of the matrix sum to zero: the other entries determine the diagonal.
  products = values @ values.T * ~jnp.eye(len(values), dtype=bool)
  return jnp.diag(jnp.sum(products, axis=1)) - products


def invert_bias_hessian(hessian: jax.Array) -> jax.Array:
  """Returns the pseudo-inverse of `bias_hessian`, of the same shape.

  A softmax's is singular: the same bias for all classes changes nothing.
  """
  if hessian.ndim == 1:
    return jnp.where(hessian > 0, 1 / jnp.where(hessian > 0, hessian, 1), 0)
  # Classes differ by many powers of ten: scale the diagonal to one first.
  diagonal = jnp.diagonal(hessian)
  scale = inverse_root(diagonal)
  values, vectors = jnp.linalg.eigh(scale[:, None] * hessian * scale)
  is_nonzero = values > _ZERO_EIGENVALUE
  values = jnp.where(is_nonzero, 1 / jnp.where(is_nonzero, values, 1), 0)
  vectors = scale[:, None] * vectors
  return (vectors * values) @ vectors.T


def inverse_root(values: jax.Array) -> jax.Array:
  """Returns 1 / sqrt(values), and zero where they are not positive."""
  is_positive = values > 0
  return jnp.where(is_positive, lax.rsqrt(jnp.where(is_positive, values, 1)), 0)


def multiply_bias(matrix: jax.Array, vector: jax.Array) -> jax.Array:
  """Multiplies a matrix [C, C], or a diagonal [C], by a vector [C]."""
  return matrix @ vector if matrix.ndim == 2 else matrix * vector
