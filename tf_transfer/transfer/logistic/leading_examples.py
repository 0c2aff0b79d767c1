"""Approximates the Hessian by the few examples that have most of its curvature.

At small penalties nearly all examples are classified with certainty, and their
curvature A (see `curvature`) vanishes. The few that are left are each uncertain
between few classes. For a softmax, with p_a the probability of the most likely
class a and q the others' shares of 1 - p_a (q_a = 0), A is exactly

  A = p_a (1 - p_a) v v' + (1 - p_a) (diag(q) - q q'),   v = e_a - q.

The matrix in the second term is of the same form as A, so that it can be split
likewise: with the second likeliest class b, its first term is

  p_b (1 - p_a - p_b) / (1 - p_a) w w'

with w = e_b - (shares of the other classes). Of an independent label, A has one
direction per class, e_c with p_c (1 - p_c).

So each example contributes rank-one terms s (v v') ⊗ (x x'). The M with the
largest s become columns sqrt(s) v ⊗ x of a matrix U. What they leave is spread
evenly over all examples and over the classes (for labels, within each class):

  Hessian ~ B + U U',   B = rest ⊗ Gram matrix + penalty,

and Woodbury's identity inverts it with a matrix of M × M:

  (B + U U')^-1 = B^-1 - B^-1 U (1 + U' B^-1 U)^-1 U' B^-1.

The bias is taken in as the weight of a constant value next to x. Newton's
system has the bias eliminated; the inverse of its matrix is the weights' part
of the inverse of the Hessian with the bias.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from tf_transfer.runtime.devices import BATCH
from tf_transfer.transfer.logistic import blocks, float32
from tf_transfer.transfer.logistic import curvature as curvature_lib
from tf_transfer.transfer.logistic import objective as objective_lib
from tf_transfer.transfer.logistic import spectrum as spectrum_lib
from tf_transfer.transfer.logistic.block_cholesky import inverse_cholesky
from tf_transfer.transfer.logistic.curvature import Curvature
from tf_transfer.transfer.logistic.objective import Point
from tf_transfer.transfer.logistic.problem import CLASSES_BY_EXAMPLES, Problem
from tf_transfer.transfer.logistic.spectrum import Spectrum

# The share of the leading curvature that is added to the bias's, so that the
# bias is determined where `rest` is zero.
_BIAS_RIDGE = 1e-3


class LeadingExamples(NamedTuple):
  """The Hessian as B + U U', factored.

  Columns of U are Kronecker products of rows of `classes` and of `rows`.

  Attributes:
  All are in the spectrum's type.

    classes: [M, C], v: between which classes.
    rows: [M, R], sqrt(s) x, centered, in the eigenbasis.
    root: [M, M], Q with Q' Q = (1 + U' B^-1 U)^-1, the bias included.
    rest: [C], the mean curvature of all else; the same for all classes
      of a softmax.
  """

  classes: jax.Array
  rows: jax.Array
  root: jax.Array
  rest: jax.Array


def find_leading_examples(
  problem: Problem,
  spectrum: Spectrum,
  point: Point,
  penalty: ArrayLike,
  num_leading: int,
) -> LeadingExamples:
  """Finds the M directions of examples with the largest curvature.

  Args:
    problem: whose examples are meant.
    spectrum: of its rows.
    point: where.
    penalty: of the objective.
    num_leading: M, at most 2 N for a softmax and C N for labels.
  """
  curvature = point.curvature
  num_examples = jnp.sum(problem.row_mask)
  if problem.is_softmax:
    sizes, index, classes = _leading_pairs(problem, curvature, num_leading)
    leading_trace = sizes @ jnp.sum(classes**2, axis=1)
    num_classes = len(curvature.values)
    trace = objective_lib.curvature_trace(point)
    per_class = jnp.maximum(trace - leading_trace, 0) / (num_classes - 1)
    rest = jnp.full(num_classes, per_class / num_examples)
  else:
    sizes, index, classes = _leading_labels(curvature.values, num_leading)
    leading_diagonal = classes.T @ sizes
    rest = jnp.maximum(point.bias_hessian - leading_diagonal, 0) / num_examples
  roots = jnp.sqrt(sizes)
  rows = spectrum_lib.centered_rows(problem, spectrum, index)
  dtype = spectrum.values.dtype
  rows = roots.astype(dtype)[:, None] * rows
  rest, classes = rest.astype(dtype), classes.astype(dtype)
  # B^-1/2 U. With one-hot classes each row has its own class's scale; those of
  # a softmax are all the same.
  scale = jnp.sqrt(spectrum_lib.kronecker_inverse(spectrum, rest, penalty))
  scale = scale[0] if problem.is_softmax else classes @ scale
  scaled = rows * scale
  bias = num_examples * rest + _BIAS_RIDGE * jnp.sum(sizes) / len(rest)
  bias = bias[0] if problem.is_softmax else classes @ bias
  constant = (roots / jnp.sqrt(bias)).astype(dtype)
  scaled = jnp.concatenate([scaled, constant[:, None]], axis=1)
  root = _inverse_root(classes, scaled)
  return LeadingExamples(classes, rows, root, rest)


def woodbury_inverse(
  spectrum: Spectrum, leading: LeadingExamples, penalty: ArrayLike
) -> Callable[[jax.Array], jax.Array]:
  """Returns a function that applies (B + U U')^-1 to [C, R] float64.

  Its argument and result are in the eigenbasis.
  """
  scale = spectrum_lib.kronecker_inverse(spectrum, leading.rest, penalty)

  def correction(vector: jax.Array) -> jax.Array:
    """Computes B^-1 U (1 + U' B^-1 U)^-1 U' of a vector [C, R]."""
    along = jnp.sum((leading.rows @ vector.T) * leading.classes, axis=1)
    # (Q x)' Q, as XLA would transpose Q in memory, each time.
    coefficients = (leading.root @ along) @ leading.root
    return scale * ((leading.classes * coefficients[:, None]).T @ leading.rows)

  def apply(vector: jax.Array) -> jax.Array:
    dtype = scale.dtype
    scaled = float32.apply(lambda v: scale * v, vector, dtype)
    return scaled - float32.apply(correction, scaled, dtype)

  return apply


def _inverse_root(classes: jax.Array, scaled: jax.Array) -> jax.Array:
  """Returns Q [M, M] with Q' Q = (1 + U' B^-1 U)^-1.

  Args:
    classes: [M, C].
    scaled: [M, R + 1], the second factors of B^-1/2 U's columns.
  """
  products = (classes @ classes.T) * (scaled @ scaled.T)
  # More than rounding can take away from the least eigenvalue.
  largest = jnp.max(jnp.sum(jnp.abs(products), axis=1))
  products += (1 + 2e-7 * largest) * jnp.eye(len(products), dtype=scaled.dtype)
  return inverse_cholesky(products)


def _leading_labels(
  values: jax.Array, num_leading: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Finds the largest curvatures of independent labels.

  Args:
    values: [C, N], p (1 - p).
    num_leading: M.

  Returns:
    Curvatures [M], indices of examples [M], and one-hot classes [M, C].
  """
  sizes, position = lax.top_k(values.ravel(), num_leading)
  num_classes, num_examples = values.shape
  classes = jax.nn.one_hot(position // num_examples, num_classes)
  return sizes, position % num_examples, classes


def _leading_pairs(
  problem: Problem, curvature: Curvature, num_leading: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Finds the largest rank-one terms of a softmax's curvatures.

  Returns:
    Curvatures s [M], indices of examples [M], and v [M, C].
  """
  sizes = _pair_sizes(problem, curvature)
  num_examples = sizes.shape[1]
  leading_sizes, position = lax.top_k(sizes.ravel(), num_leading)
  index = position % num_examples
  # The vectors of the leading terms alone: all of them would take C N values.
  first = curvature.top_class[index]
  _, others, total = _split_off(curvature.values[:, index], first)
  second = jnp.argmax(others, axis=0)
  _, next_others, next_total = _split_off(others, second)

  def vectors(
    top_class: jax.Array, others: jax.Array, total: jax.Array
  ) -> jax.Array:
    shares = others / jnp.where(total > 0, total, 1)
    return jax.nn.one_hot(top_class, len(others), axis=0) - shares

  classes = jnp.where(
    position < num_examples,
    vectors(first, others, total),
    vectors(second, next_others, next_total),
  )
  return leading_sizes, index, classes.T


def _split_off(
  probabilities: jax.Array, class_index: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Splits one class of each example off the others.

  Args:
    probabilities: [C, N].
    class_index: [N].

  Returns:
    The class's probabilities [N], those of the other classes [C, N], where its
    own is zero, and their sums [N].
  """
  probability = jnp.take_along_axis(probabilities, class_index[None], axis=0)[0]
  is_class = jnp.arange(len(probabilities))[:, None] == class_index
  others = jnp.where(is_class, 0, probabilities)
  return probability, others, curvature_lib.sum_classes(others)


def _pair_sizes(problem: Problem, curvature: Curvature) -> jax.Array:
  """Computes s [2, N] of the terms of the two likeliest classes."""

  def shard_sizes(row_mask: jax.Array, curvature: Curvature) -> jax.Array:
    num_rows = len(row_mask)
    num_blocks, block_rows = blocks.block_sizes(num_rows)

    def step(index: jax.Array, sizes: jax.Array) -> jax.Array:
      start, _ = blocks.locate_block(index, block_rows, num_rows, row_mask)
      values, top_class = blocks.slice_examples(curvature, start, block_rows)
      first, others, total = _split_off(values, top_class)
      second, _, next_total = _split_off(others, jnp.argmax(others, axis=0))
      next_size = second * next_total / jnp.where(total > 0, total, 1)
      return lax.dynamic_update_slice_in_dim(
        sizes, jnp.stack([first * total, next_size]), start, axis=1
      )

    zeros = jnp.zeros((2, num_rows), jnp.float32)
    return lax.fori_loop(0, num_blocks, step, zeros)

  in_specs = BATCH, curvature_lib.curvature_spec(problem)
  return blocks.map_shards(problem, shard_sizes, in_specs, CLASSES_BY_EXAMPLES)(
    problem.row_mask, curvature
  )
