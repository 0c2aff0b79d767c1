"""Applies linear functions in float32 to float64 vectors of any magnitude.

Along the path, gradients span more orders of magnitude than float32 can hold.
A linear function f needs no more than its direction: f(v) = s f(v / s).
Where float32 has not been exact enough (see `Problem.product_type`) the same is
done in float64.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike


def magnitude(values: jax.Array) -> jax.Array:
  """Returns the largest absolute value, or 1e-300 if that is larger."""
  return jnp.maximum(jnp.max(jnp.abs(values)), 1e-300)


def apply(
  function: Callable[[jax.Array], jax.Array],
  vector: jax.Array,
  dtype: DTypeLike = jnp.float32,
) -> jax.Array:
  """Computes a linear function in float32 without over- or underflow.

  Args:
    function: linear, of an array of the type.
    vector: float64.
    dtype: float32 or float64.

  Returns:
    function(vector) as float64.
  """
  size = magnitude(vector)
  result = function((vector / size).astype(dtype))
  return size * result.astype(jnp.float64)
