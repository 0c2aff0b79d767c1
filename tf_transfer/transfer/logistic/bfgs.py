"""Corrects a preconditioner by what earlier products with the Hessian showed.

Conjugate gradients multiply the Hessian H by directions. The last K of them are
kept with their images H d, from one Newton step and one penalty to the next.
With the directions as rows of D [K, C R], the images as rows of Y = D H, and
E = (D Y')^-1, the block BFGS update of a preconditioner M is

  D' E D + (1 - D' E Y) M (1 - Y' E D).

It is the exact inverse of H on what the directions span, and M on the rest.

Between penalties H changes. Images are kept without the penalty's part, which
is known, and are scaled with the trace of all curvatures.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from tf_transfer.transfer.logistic import float32
from tf_transfer.transfer.logistic import objective as objective_lib
from tf_transfer.transfer.logistic.curvature import inverse_root
from tf_transfer.transfer.logistic.objective import Point

# Eigenvalues of the scaled D Y' below this part of the largest, or of one, are
# left out: those directions are nearly combinations of the others.
_LEAST_EIGENVALUE = 1e-2


class BfgsHistory(NamedTuple):
  """Directions and their products with the losses' Hessian, newest first.

  Attributes:
    directions: [K, C R], in the type of products, with d' H d = 1; zero where
      there is none yet.
    images: [K, C R] in the same type, without the penalty's part.
    curvature: the trace of all curvatures that the images belong to.
  """

  directions: jax.Array
  images: jax.Array
  curvature: jax.Array


def empty_history(
  num_directions: int, num_weights: int, dtype: DTypeLike = jnp.float32
) -> BfgsHistory:
  """Returns a history with room for K directions of C R weights."""
  zeros = jnp.zeros((num_directions, num_weights), dtype)
  return BfgsHistory(zeros, zeros, jnp.ones(()))


def write_row(
  array: jax.Array, vector: jax.Array, index: ArrayLike
) -> jax.Array:
  """Returns the array [K, C R] with a vector [C, R] in the row of an index."""
  row = vector.astype(array.dtype).reshape(1, -1)
  return lax.dynamic_update_slice_in_dim(array, row, index, axis=0)


def update_history(
  history: BfgsHistory,
  point: Point,
  directions: jax.Array,
  images: jax.Array,
  num_new: jax.Array,
) -> BfgsHistory:
  """Puts new directions ahead of the old ones, of which the last drop out.

  Args:
    history: the old ones.
    point: where the new images were computed.
    directions: [K, C R], the first rows new.
    images: [K, C R], the first rows new.
    num_new: products that were computed; K or more mean that all rows are new.
  """
  num_directions = len(history.directions)
  num_new = jnp.minimum(num_new, num_directions)
  index = jnp.arange(num_directions)
  curvature = objective_lib.curvature_trace(point)
  growth = curvature / history.curvature

  def merge(
    new: jax.Array, old: jax.Array, scale: jax.Array | float
  ) -> jax.Array:
    shifted = jnp.take(old, jnp.maximum(index - num_new, 0), axis=0)
    return jnp.where((index < num_new)[:, None], new, scale * shifted)

  return BfgsHistory(
    merge(directions, history.directions, 1).astype(directions.dtype),
    merge(images, history.images, growth).astype(images.dtype),
    curvature,
  )


def correct(
  precondition: Callable[[jax.Array], jax.Array],
  history: BfgsHistory,
  point: Point,
  penalty: ArrayLike,
) -> Callable[[jax.Array], jax.Array]:
  """Returns the block BFGS update of a preconditioner.

  Args:
    precondition: M, of vectors [C, R] float64.
    history: with at least one row.
    point: where Newton's system is solved.
    penalty: of the objective.
  """
  directions, images, inverse = _solve_history(history, point, penalty)

  def precondition_corrected(vector: jax.Array) -> jax.Array:
    size = float32.magnitude(vector)
    flat = (vector / size).astype(images.dtype).ravel()
    coefficients = inverse @ (directions @ flat)
    rest = (flat - coefficients @ images).reshape(vector.shape)
    step = precondition(rest.astype(jnp.float64))
    step_size = float32.magnitude(step)
    flat_step = (step / step_size).astype(images.dtype).ravel()
    overlap = inverse @ (images @ flat_step)
    result = step.ravel() - step_size * (overlap @ directions)
    result += (coefficients @ directions).astype(jnp.float64)
    return size * result.reshape(vector.shape)

  return precondition_corrected


def _solve_history(
  history: BfgsHistory, point: Point, penalty: ArrayLike
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Returns D, Y and E at a point, in the history's type."""
  directions, dtype = history.directions, history.directions.dtype
  growth = objective_lib.curvature_trace(point) / history.curvature
  images = (growth * history.images + penalty * directions).astype(dtype)
  products = (directions @ images.T).astype(jnp.float64)
  products = (products + products.T) / 2
  # Rows without a direction are zero, and stay so.
  scale = inverse_root(jnp.diagonal(products))
  values, vectors = jnp.linalg.eigh(scale[:, None] * products * scale)
  is_used = values > _LEAST_EIGENVALUE * jnp.maximum(jnp.max(values), 1)
  values = jnp.where(is_used, 1 / jnp.where(is_used, values, 1), 0)
  vectors = scale[:, None] * vectors
  inverse = ((vectors * values) @ vectors.T).astype(dtype)
  return directions, images, inverse
