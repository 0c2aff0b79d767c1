"""Tests of the layers that the backbones are made of."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.networks import arrays
from tf_transfer.networks import layers, ops


def test_relu6_has_no_derivative_at_its_bounds():
  x = jnp.array([-1.0, 0.0, 1.0, 6.0, 7.0])
  np.testing.assert_array_equal(layers.relu6(x), [0, 0, 1, 6, 6])
  np.testing.assert_array_equal(
    jax.vmap(jax.grad(layers.relu6))(x), [0, 0, 1, 0, 0]
  )


@pytest.mark.parametrize('use_scale', [True, False])
@pytest.mark.parametrize('dtype', ['float64', 'float32', 'bfloat16'])
def test_batch_norm(dtype, use_scale):
  """Values, statistics and gradients against Flax's, float64 to rounding."""
  fields = {'momentum': 0.8, 'epsilon': 1e-3, 'use_scale': use_scale}
  with jax.enable_x64(dtype == 'float64'):
    x = (2 + 3 * arrays.random((4, 5, 6, 7))).astype(dtype)
    params = {'bias': arrays.random((7,), seed=1).astype(dtype)}
    if use_scale:
      params['scale'] = 1 + arrays.random((7,), seed=2).astype(dtype)
    stats = {
      'mean': arrays.random((7,), seed=3),
      'var': 1 + arrays.random((7,), seed=4) ** 2,
    }
    tolerance = {'float64': 1e-9, 'float32': 1e-5, 'bfloat16': 0.1}[dtype]

    def close(found, expected):
      assert jax.tree.structure(found) == jax.tree.structure(expected)
      for one, other in zip(
        *map(jax.tree.leaves, (found, expected)), strict=True
      ):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(
          one.astype(float), other.astype(float), atol=tolerance, rtol=tolerance
        )

    def applied(params, x, module):
      variables = {'params': params, 'batch_stats': stats}
      return module.apply(variables, x, mutable=['batch_stats'])

    def evaluate(module, x, params):
      gradients = arrays.gradients(
        lambda x, p: applied(p, x, module)[0].astype(float), x, params
      )
      return applied(params, x, module), gradients

    for running in (False, True):
      modules = [
        kind(use_running_average=running, **fields)
        for kind in (layers.BatchNorm, nn.BatchNorm)
      ]
      close(*(m.init(jax.random.key(0), x) for m in modules))
      close(
        *(
          arrays.run(functools.partial(evaluate, m), x, params) for m in modules
        )
      )


def test_get_padding():
  assert layers.get_padding('symmetric', 7) == ((3, 3), (3, 3))
  assert layers.get_padding('same', 3) == 'SAME'
  with pytest.raises(ValueError, match="pad: expected one of .*got 'full'"):
    layers.check_option('pad', 'full', ('same', 'symmetric'))


def test_grouped_but_not_depthwise_keeps_its_meaning():
  x, kernel = arrays.random((1, 5, 5, 4)), arrays.random((3, 3, 2, 6), seed=1)
  np.testing.assert_allclose(
    layers.convolution(x, kernel, groups=2),
    ops.native_convolution(x, kernel, groups=2),
    atol=1e-5,
  )


def lowered(platform, kernel_shape, groups):
  x = jax.ShapeDtypeStruct((1, 8, 8, 32), jnp.float32)
  kernel = jax.ShapeDtypeStruct(kernel_shape, jnp.float32)
  function = jax.jit(lambda x, k: layers.convolution(x, k, groups=groups))
  traced = function.trace(x, kernel)
  return traced.lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize(
  ('kernel_shape', 'groups'),
  [((3, 3, 1, 32), 32), ((1, 1, 32, 6), 1), ((3, 3, 32, 32), 1)],
)
@pytest.mark.parametrize(
  ('platform', 'native'), [('cpu', False), ('cuda', True), ('tpu', True)]
)
def test_only_cpu_leaves_the_native_operation(
  platform, native, kernel_shape, groups
):
  text = lowered(platform, kernel_shape, groups)
  assert ('stablehlo.convolution' in text) == native


@pytest.mark.parametrize(
  ('platform', 'in_blocks'), [('cpu', False), ('cuda', True), ('tpu', False)]
)
def test_only_cuda_convolves_blocks_of_an_image(platform, in_blocks):
  x = jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)
  kernel = jax.ShapeDtypeStruct((3, 3, 3, 8), jnp.float32)
  function = jax.jit(lambda x, k: layers.convolution(x, k, strides=2))
  text = (
    function.trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()
  )
  assert text.count('stablehlo.convolution') == 1
  assert ('tensor<2x2x16x8xf32>' in text) == in_blocks


@pytest.mark.parametrize(
  ('platform', 'maximum', 'average'),
  [('cpu', False, False), ('cuda', False, True), ('tpu', True, True)],
)
def test_platforms_of_native_pooling(platform, maximum, average):
  x = jax.ShapeDtypeStruct((1, 8, 8, 4), jnp.float32)
  pools = {
    lambda x: layers.max_pool(x, 3, 2, 'SAME'): maximum,
    lambda x: layers.average_pool(x, 3, 1, 'SAME', count_padding=True): average,
  }
  for pool, native in pools.items():
    traced = jax.jit(pool).trace(x)
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert ('stablehlo.reduce_window' in text) == native


def test_relu6():
  np.testing.assert_array_equal(
    layers.relu6(jnp.array([-1.0, 3.0, 7.0])), [0, 3, 6]
  )


@pytest.mark.parametrize(
  ('channels', 'features', 'groups'),
  [(8, 512, 1), (512, 512, 512), (8, 512, 4)],
)
def test_kernels_start_with_the_deviation_of_their_groups_fan_out(
  channels, features, groups
):
  conv = layers.Conv(features, (3, 3), groups=groups)
  x = jnp.zeros((1, 4, 4, channels))
  kernel = conv.init(jax.random.key(0), x)['params']['kernel']
  assert kernel.shape == (3, 3, channels // groups, features)
  wanted = np.sqrt(2 / (9 * features // groups))
  assert np.std(kernel) == pytest.approx(wanted, rel=0.05)


@pytest.mark.parametrize('shape', [(400, 5), (400, 2, 5), (400, 2, 2, 5)])
def test_drop_path_drops_whole_examples_and_scales_the_others(shape):
  x = 1 + np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
  drop = layers.DropPath(0.2)
  y = drop.apply({}, x, train=True, rngs={'dropout': jax.random.key(0)})
  gone = np.asarray(y == 0).reshape(len(x), -1)
  assert set(gone.mean(axis=1)) == {0, 1}
  # Five standard deviations about the share.
  assert abs(gone.mean() - 0.2) < 5 * 0.02
  kept = ~gone[:, 0]
  np.testing.assert_allclose(y[kept], x[kept] / 0.8, rtol=1e-6)


def test_drop_path_without_training_or_rate_draws_nothing():
  x = arrays.random((4, 3))
  np.testing.assert_array_equal(layers.DropPath(0.5).apply({}, x), x)
  np.testing.assert_array_equal(layers.DropPath(0.0).apply({}, x, True), x)
