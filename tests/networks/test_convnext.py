"""Tests of ConvNeXt: its blocks, drop path, and each source's outputs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.networks import parity
from tf_transfer import networks
from tf_transfer.networks import convnext, layers

SMALL = convnext.ConvNeXt((1, 1, 2, 1), (4, 8, 12, 16))


def drawn(model, size):
  """An image, and variables of which none is next to nothing."""
  rng = np.random.default_rng(0)
  x = np.float32(rng.normal(size=(8, size, size, 3)))
  shapes = jax.eval_shape(model.init, jax.random.key(0), x)
  return x, jax.tree.map(
    lambda s: np.float32(rng.normal(size=s.shape) * 0.3), shapes
  )


def test_drop_path_grows_to_its_value_at_the_last_block():
  """From 0 at the first; none is dropped by default, or in evaluation."""

  def rates(model):
    found = []

    def record(call, args, kwargs, context):
      if isinstance(context.module, layers.DropPath):
        found.append(context.module.rate)
      return call(*args, **kwargs)

    x, variables = drawn(SMALL, 32)
    with nn.intercept_methods(record):
      jax.eval_shape(model.apply, variables, x)
    return found

  assert rates(SMALL) == [0, 0, 0, 0, 0]
  assert rates(SMALL.clone(drop_path=0.4)) == pytest.approx(
    [0, 0.1, 0.2, 0.3, 0.4]
  )


def test_drop_path_leaves_out_whole_examples():
  rng = np.random.default_rng(0)
  x = np.float32(rng.normal(size=(32, 8, 8, 4)))
  plain = convnext.Block(0.5, 0.0)
  variables = jax.jit(plain.init)(jax.random.key(0), x)

  @functools.partial(jax.jit, static_argnums=(0, 1))
  def branch(block, train=True):
    rngs = {'dropout': jax.random.key(1)}
    return block.apply(variables, x, train=train, rngs=rngs) - x

  wanted, dropped = branch(plain), branch(convnext.Block(0.5, 0.75))
  gone = np.abs(dropped).max(axis=(1, 2, 3)) == 0
  assert 16 < gone.sum() < 32
  np.testing.assert_allclose(dropped[~gone], 4 * wanted[~gone], atol=1e-6)
  # Evaluation drops nothing.
  np.testing.assert_array_equal(
    branch(convnext.Block(0.5, 0.75), False), branch(plain, False)
  )


def test_smallest_images_in_both_precisions():
  size = networks.min_image_size('convnext_tiny')
  x, variables = drawn(SMALL, size)
  features = jax.jit(SMALL.apply)(variables, x)
  assert features.shape == (8, 16)
  assert np.all(np.isfinite(features))
  half = jax.tree.map(lambda v: jnp.asarray(v, jnp.bfloat16), (variables, x))
  rounded = jax.jit(SMALL.apply)(*half)
  assert rounded.dtype == jnp.bfloat16
  # Eight bits, through eleven layers.
  assert 0 < parity.relative_difference(rounded, features) < 0.05


@pytest.mark.parametrize(('source', 'network'), parity.cases(convnext.ConvNeXt))
def test_golden_outputs(source, network, golden_input):
  parity.check_golden_outputs(source, network, golden_input)
