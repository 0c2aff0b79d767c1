"""Tests of layer norm, layer scale and GELU, beside float64."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from tf_transfer.networks import modern_layers


def test_gelu_is_the_exact_one():
  x = np.linspace(-6, 6, 1001, dtype=np.float32)
  exact = x * special.ndtr(x)
  tanh = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
  found = modern_layers.gelu(jnp.asarray(x, jnp.float32))
  assert np.abs(found - exact).max() < 2e-7 * 6
  assert np.abs(found - tanh).max() > 1e-4


def test_gradient_of_gelu():
  x = np.linspace(-6, 6, 1001)
  density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
  found = jax.vmap(jax.grad(modern_layers.gelu))(jnp.asarray(x, jnp.float32))
  assert np.abs(found - (special.ndtr(x) + x * density)).max() < 1e-6


def test_gelu_of_bfloat16_is_rounded_once():
  x = jnp.linspace(-6, 0, 501).astype(jnp.bfloat16)
  found = modern_layers.gelu(x)
  assert found.dtype == jnp.bfloat16
  wanted = modern_layers.gelu(x.astype(jnp.float32)).astype(jnp.bfloat16)
  np.testing.assert_array_equal(found, wanted)


def normalized(x, scale, bias, epsilon):
  """In float64."""
  x = np.asarray(x, np.float64)
  mean, variance = (f(x, axis=-1, keepdims=True) for f in (np.mean, np.var))
  return (x - mean) / np.sqrt(variance + epsilon) * scale + bias


def variables(width):
  rng = np.random.default_rng(0)
  scale, bias = (rng.normal(size=width).astype(np.float32) for _ in range(2))
  return {'params': {'scale': scale, 'bias': bias}}


def test_layer_norm():
  """Also of pixels whose mean is large beside their deviation."""
  x = np.float32(np.random.default_rng(1).normal(size=(2, 3, 4, 24)) + 30)
  x[0, 0, 0] /= 1e3  # so that epsilon matters
  for epsilon in (1e-6, 1e-5):
    layer = modern_layers.LayerNorm(epsilon)
    shapes = jax.eval_shape(layer.init, jax.random.key(0), x)['params']
    assert {name: s.shape for name, s in shapes.items()} == {
      'scale': (24,),
      'bias': (24,),
    }
    found = layer.apply(variables(24), x)
    wanted = normalized(x, **variables(24)['params'], epsilon=epsilon)
    assert found.shape == x.shape
    assert np.abs(found - wanted).max() < 2e-5
  other = normalized(x, **variables(24)['params'], epsilon=1e-6)
  assert np.abs(found - other).max() > 1e-4


def test_layer_norm_of_bfloat16_computes_in_float32():
  x = np.random.default_rng(1).normal(size=(5, 384)) + 8
  x = jnp.asarray(x, jnp.bfloat16)
  params = variables(384)
  found = modern_layers.LayerNorm().apply(params, x)
  assert found.dtype == jnp.bfloat16
  wanted = normalized(x.astype(np.float32), **params['params'], epsilon=1e-6)
  # Half a unit in the last place of its eight bits, and float32's rounding.
  assert np.all(np.abs(found - wanted) <= 2**-8 * np.abs(wanted) + 1e-5)


def test_layer_scale_is_a_parameter():
  layer = modern_layers.LayerScale(0.25)
  x = jnp.ones((2, 3, 3, 5))
  initial = layer.init(jax.random.key(0), x)
  np.testing.assert_array_equal(initial['params']['scale'], np.full(5, 0.25))
  gradient = jax.grad(lambda v: layer.apply(v, x).sum())(initial)
  np.testing.assert_array_equal(gradient['params']['scale'], np.full(5, 18.0))
