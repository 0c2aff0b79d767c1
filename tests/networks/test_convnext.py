"""Tests of ConvNeXt: its blocks, drop path, and each source's outputs."""

import functools

import jax
import numpy as np
import pytest

from tests.networks import parity
from tf_transfer import networks
from tf_transfer.networks import convnext

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
  x, variables = drawn(SMALL, 64)

  @functools.partial(jax.jit, static_argnums=0)
  def outputs(model):
    return model.apply(
      variables,
      x,
      train=True,
      rngs={'dropout': jax.random.key(1)},
      capture_intermediates=lambda m, _: isinstance(m, convnext.Block),
      mutable=['intermediates'],
    )[1]['intermediates']

  model = SMALL.clone(drop_path=0.9)
  names = [convnext.block_name(*n) for n in [(1, 1), (2, 1), (3, 1), (3, 2)]]
  rates = {}
  for name in names:
    rates[name] = model.apply(
      variables, x, capture_intermediates=True, mutable=['intermediates']
    )[1]['intermediates'][name]
  plain, dropped = outputs(SMALL), outputs(model)
  # The first block never drops: its outputs are the same.
  first = 'stage1_block1'
  np.testing.assert_array_equal(
    plain[first]['__call__'][0], dropped[first]['__call__'][0]
  )


def test_images_may_be_as_small_as_the_table_says():
  size = networks.min_image_size('convnext_tiny')
  x, variables = drawn(SMALL, size)
  found = jax.jit(SMALL.apply)(variables, x)
  assert found.shape == (8, 16)
  assert np.all(np.isfinite(found))


@pytest.mark.parametrize(('source', 'network'), parity.cases(convnext.ConvNeXt))
def test_golden_outputs(source, network, golden_input):
  parity.check_golden_outputs(source, network, golden_input)
