"""Attention in the form that runs fastest on a platform.

On CPU XLA's softmax passes over the scores five times, and over a thousand
tokens they no longer fit a cache: there the scores of one head of one image are
computed at a time. On NVIDIA's GPUs cuDNN computes bfloat16 without ever
writing the scores. Elsewhere, and in float32, XLA's own form runs.
"""

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array

# From this many scores of a head on, heads are computed one by one on CPU.
_MANY_SCORES = 400**2


def attention(query: Array, key: Array, value: Array) -> Array:
  """Computes softmax(query · key / √D) · value for each image and head.

  Args:
    query: [B, M, H, D] float.
    key: [B, N, H, D].
    value: [B, N, H, D].

  Returns:
    [B, M, H, D] in the type of the query; the softmax is in float32 at least.
  """
  implementation = None
  if query.dtype == jnp.bfloat16 and jax.default_backend() == 'gpu':
    implementation = 'cudnn'

  def native(query: Array, key: Array, value: Array) -> Array:
    return jax.nn.dot_product_attention(
      query, key, value, implementation=implementation
    )

  if implementation:
    return native(query, key, value)
  return lax.platform_dependent(query, key, value, cpu=on_cpu, default=native)


def on_cpu(query: Array, key: Array, value: Array) -> Array:
  """Computes attention in the form for CPUs; arguments as for `attention`."""
  dtype = query.dtype
  query, key, value = (
    x.swapaxes(1, 2).astype(jnp.promote_types(dtype, jnp.float32))
    for x in (query, key, value)
  )
  query = query * query.shape[-1] ** -0.5
  if query.shape[2] * key.shape[2] < _MANY_SCORES:
    result = _attend(query, key, value)
  else:
    heads = [x.reshape(-1, *x.shape[2:]) for x in (query, key, value)]
    # A gradient computes the scores again: kept, they would take gigabytes.
    one_head = jax.checkpoint(lambda head: _attend(*head))
    result = lax.map(one_head, heads).reshape(query.shape)
  return result.swapaxes(1, 2).astype(dtype)


def _attend(query: Array, key: Array, value: Array) -> Array:
  """Computes attention over the last two axes, dividing at the end.

  The sum of a softmax divides D values in place of N.
  """
  scores = query @ key.swapaxes(-1, -2)
  largest = lax.stop_gradient(scores.max(axis=-1, keepdims=True))
  shares = jnp.exp(scores - largest)
  return shares @ value / shares.sum(axis=-1, keepdims=True)
