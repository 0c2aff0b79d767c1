"""Layer norm, layer scale and GELU, of networks without batch norm."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

Array = jax.Array


def gelu(x: Array) -> Array:
  """Computes x Φ(x), with the normal distribution function itself.

  It is computed in float32 at least and returned in the type of x, as PyTorch
  does. JAX's own takes erfc, which is more exact far below zero, where the
  value is next to nothing, and more than twice as slow on CPUs.
  """
  precise = x.astype(jnp.promote_types(x.dtype, jnp.float32))
  return (0.5 * precise * (1 + lax.erf(precise * 0.5**0.5))).astype(x.dtype)


class LayerNorm(nn.Module):
  """Layer norm over the last axis, in float32 at least.

  Its parameters are `scale` and `bias`. Under bfloat16 it computes in float32
  and returns bfloat16: so do PyTorch's under autocast and Keras's.

  Attributes:
    epsilon: added to the variance.
  """

  epsilon: float = 1e-6

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Normalizes x [..., C]."""
    width = x.shape[-1:]
    scale = self.param('scale', nn.initializers.ones, width, jnp.float32)
    bias = self.param('bias', nn.initializers.zeros, width, jnp.float32)
    # Of two axes: sums over the last of four take twice as long on CPUs.
    rows = x.reshape(-1, *width)
    rows = rows.astype(jnp.promote_types(x.dtype, jnp.float32))
    centered = rows - rows.mean(axis=1, keepdims=True)
    variance = (centered**2).mean(axis=1, keepdims=True)
    y = centered * lax.rsqrt(variance + self.epsilon) * scale + bias
    return y.reshape(x.shape).astype(x.dtype)


class LayerScale(nn.Module):
  """Multiplies each channel by a parameter `scale` (Touvron et al., 2021).

  Attributes:
    initial: value of the parameter before training.
  """

  initial: float = 1e-6

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Scales x [..., C]."""
    initial = nn.initializers.constant(self.initial)
    return x * self.param('scale', initial, x.shape[-1:], jnp.float32)
