"""The CPU forms of convolutions against XLA's own, values and gradients."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_transfer.networks import layers, ops


def native(x, kernel, strides, padding, groups):
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    (strides, strides),
    padding,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    feature_group_count=groups,
    precision='highest',
  )


def random(shape, seed=0):
  return jnp.asarray(
    np.random.default_rng(seed).normal(size=shape).astype(np.float32)
  )


def gradients(function, *arguments):
  """Those of a sum that weighs every value of the function otherwise."""

  def loss(*arguments):
    value = function(*arguments)
    return jnp.sum(value * jnp.cos(jnp.arange(value.size)).reshape(value.shape))

  return jax.grad(loss, argnums=tuple(range(len(arguments))))(*arguments)


@settings(deadline=None, max_examples=30)
@given(
  height=st.integers(5, 12),
  width=st.integers(5, 12),
  channels=st.integers(2, 5),
  kernel_size=st.sampled_from([(1, 1), (3, 3), (5, 5), (1, 3), (3, 1)]),
  strides=st.integers(1, 3),
  padding=st.sampled_from(['SAME', 'VALID', ((1, 1), (0, 2))]),
)
def test_depthwise(height, width, channels, kernel_size, strides, padding):
  x = random((2, height, width, channels))
  kernel = random((*kernel_size, 1, channels), seed=1)

  def ours(x, kernel):
    return layers.convolution(
      x, kernel, strides=strides, padding=padding, groups=channels
    )

  def theirs(x, kernel):
    return native(x, kernel, strides, padding, channels)

  np.testing.assert_allclose(ours(x, kernel), theirs(x, kernel), atol=1e-5)
  for found, expected in zip(
    gradients(ours, x, kernel), gradients(theirs, x, kernel), strict=True
  ):
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize('strides', [1, 2, 3])
@pytest.mark.parametrize('padding', ['SAME', 'VALID', ((1, 1), (0, 2))])
def test_pointwise(strides, padding):
  x, kernel = random((2, 5, 6, 7)), random((1, 1, 7, 9), seed=1)
  np.testing.assert_allclose(
    layers.convolution(x, kernel, strides=strides, padding=padding),
    native(x, kernel, strides, padding, 1),
    atol=1e-5,
  )


@settings(deadline=None, max_examples=20)
@given(
  height=st.integers(7, 12),
  width=st.integers(7, 12),
  padding=st.sampled_from(['SAME', 'VALID', ((1, 1), (0, 2))]),
)
def test_three_by_three(height, width, padding):
  x, kernel = random((2, height, width, 40)), random((3, 3, 40, 33), seed=1)
  assert layers._suits_winograd(x, kernel)
  ours = layers.convolution(x, kernel, padding=padding)
  theirs = native(x, kernel, 1, padding, 1)
  assert ours.shape == theirs.shape
  assert np.abs(ours - theirs).max() < 2e-6 * np.abs(theirs).max()


@settings(deadline=None, max_examples=30)
@given(
  height=st.integers(7, 12),
  width=st.integers(7, 12),
  side=st.sampled_from([1, 2, 3, 5, 7]),
  padding=st.sampled_from(
    ['SAME', 'VALID', ((3, 3), (0, 2)), ((0, 1), (1, 0))]
  ),
)
def test_in_blocks(height, width, side, padding):
  """As the first convolution of a network is computed on NVIDIA's GPUs."""
  x, kernel = random((2, height, width, 3)), random((side, side, 3, 6), seed=1)

  def ours(x, kernel):
    return ops.in_blocks(x, kernel, padding=padding, channels=4)

  def theirs(x, kernel):
    return native(x, kernel, 2, padding, 1)

  np.testing.assert_allclose(ours(x, kernel), theirs(x, kernel), atol=1e-5)
  for found, expected in zip(
    gradients(ours, x, kernel), gradients(theirs, x, kernel), strict=True
  ):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('strides', [1, 2])
@pytest.mark.parametrize('padding', ['SAME', ((1, 1), (0, 2))])
def test_kernel_as_large_as_the_image(strides, padding):
  """The sum of products is the convolution, and so are its gradients."""
  x, kernel = random((2, 2, 3, 4)), random((3, 3, 4, 5), seed=1)

  def ours(x, kernel):
    return layers.convolution(x, kernel, strides=strides, padding=padding)

  def theirs(x, kernel):
    return native(x, kernel, strides, padding, 1)

  np.testing.assert_allclose(ours(x, kernel), theirs(x, kernel), atol=1e-5)
  found, expected = (
    jax.grad(lambda *a, f=f: jnp.sum(f(*a) ** 2), argnums=(0, 1))(x, kernel)
    for f in (ours, theirs)
  )
  for ours_, theirs_ in zip(found, expected, strict=True):
    np.testing.assert_allclose(ours_, theirs_, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('size', [1, 3])
def test_gradient_of_a_product_writes_no_transposed_copy(size):
  """Those were a third of a step of ResNet-50."""
  shape = (4, 14, 14, 32)
  x, kernel = random(shape), random((size, size, 32, 48), seed=1)

  def loss(x, kernel):
    return jnp.sum(layers.convolution(jnp.tanh(x), kernel) ** 2)

  compiled = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(x, kernel).compile()
  # [channels, positions]: of what is [positions, channels].
  positions = 4 * (14 // (1 if size == 1 else 2)) ** 2
  assert not re.search(rf'f32\[(32|48),{positions}\]', compiled.as_text())


POOLS = pytest.mark.parametrize(
  ('window', 'strides', 'padding'),
  [
    (3, 1, 'SAME'),
    (3, 2, 'SAME'),
    (3, 2, 'VALID'),
    (2, 2, 'VALID'),
    (2, 2, 'SAME'),
    (1, 2, 'VALID'),
    (3, 2, layers.symmetric(3)),
  ],
)


@POOLS
@pytest.mark.parametrize('fill', [-np.inf, 0.0])
def test_max_pool(window, strides, padding, fill):
  x = random((2, 7, 8, 3)) - 2  # Mostly negative: zeros would be seen.
  pads = (
    jax.lax.padtype_to_pads(
      (7, 8), (window, window), (strides, strides), padding
    )
    if isinstance(padding, str)
    else padding
  )
  padded = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
  np.testing.assert_array_equal(
    layers.max_pool(x, window, strides, padding, fill),
    nn.max_pool(padded, (window, window), (strides, strides), 'VALID'),
  )


@POOLS
@pytest.mark.parametrize('count_padding', [False, True])
def test_average_pool(window, strides, padding, count_padding):
  x = random((2, 7, 8, 3))
  np.testing.assert_allclose(
    layers.average_pool(x, window, strides, padding, count_padding),
    nn.avg_pool(
      x,
      (window, window),
      (strides, strides),
      padding,
      count_include_pad=count_padding,
    ),
    atol=1e-6,
  )


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('count_padding', [False, True])
def test_average_pool_keeps_the_type_of_its_input(dtype, count_padding):
  with jax.enable_x64(True):
    x = jnp.ones((2, 7, 8, 3), dtype)
    pool = jax.jit(
      lambda x: layers.average_pool(x, 3, 2, 'SAME', count_padding)
    )
    assert pool(x).dtype == dtype


@POOLS
@pytest.mark.parametrize('fill', [-np.inf, 0.0])
def test_gradient_of_max_pool(window, strides, padding, fill):
  """Of equal ones the first takes it all, as XLA's own has it."""
  x = jnp.round(random((2, 7, 8, 3))) - 1
  pads = ops.explicit_padding(x, (window, window), strides, padding)

  def theirs(x):
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
    return nn.max_pool(x, (window, window), (strides, strides), 'VALID')

  np.testing.assert_allclose(
    gradients(lambda x: layers.max_pool(x, window, strides, padding, fill), x)[
      0
    ],
    gradients(theirs, x)[0],
    atol=1e-6,
  )


@POOLS
@pytest.mark.parametrize('count_padding', [False, True])
def test_gradient_of_average_pool(window, strides, padding, count_padding):
  x = random((2, 7, 8, 3))

  def theirs(x):
    return nn.avg_pool(
      x,
      (window, window),
      (strides, strides),
      padding,
      count_include_pad=count_padding,
    )

  np.testing.assert_allclose(
    gradients(
      lambda x: layers.average_pool(x, window, strides, padding, count_padding),
      x,
    )[0],
    gradients(theirs, x)[0],
    atol=1e-6,
  )


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
    x = (2 + 3 * random((4, 5, 6, 7))).astype(dtype)
    params = {'bias': random((7,), seed=1).astype(dtype)}
    if use_scale:
      params['scale'] = 1 + random((7,), seed=2).astype(dtype)
    stats = {
      'mean': random((7,), seed=3),
      'var': 1 + random((7,), seed=4) ** 2,
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

    for running in (False, True):
      ours, theirs = (
        kind(use_running_average=running, **fields)
        for kind in (layers.BatchNorm, nn.BatchNorm)
      )
      close(*(m.init(jax.random.key(0), x) for m in (ours, theirs)))

      def applied(params, x, module):
        variables = {'params': params, 'batch_stats': stats}
        return module.apply(variables, x, mutable=['batch_stats'])

      close(*(applied(params, x, m) for m in (ours, theirs)))
      close(
        *(
          gradients(
            lambda x, p, m=m: applied(p, x, m)[0].astype(float), x, params
          )
          for m in (ours, theirs)
        )
      )


def test_get_padding():
  assert layers.get_padding('symmetric', 7) == ((3, 3), (3, 3))
  assert layers.get_padding('same', 3) == 'SAME'
  with pytest.raises(ValueError, match="pad: expected one of .*got 'full'"):
    layers.check_option('pad', 'full', ('same', 'symmetric'))


@pytest.mark.parametrize(
  ('kernel_shape', 'groups'),
  [((3, 3, 1, 32), 32), ((1, 1, 32, 6), 1), ((3, 3, 32, 32), 1)],
)
def test_gradients(kernel_shape, groups):
  x, kernel = random((2, 7, 7, 32)), 0.1 * random(kernel_shape, seed=1)

  def loss(convolve):
    return jax.grad(lambda x, k: jnp.sum(convolve(x, k) ** 2), argnums=(0, 1))

  ours = loss(lambda x, k: layers.convolution(x, k, groups=groups))(x, kernel)
  theirs = loss(lambda x, k: native(x, k, 1, 'SAME', groups))(x, kernel)
  for a, b in zip(ours, theirs, strict=True):
    assert np.abs(a - b).max() < 1e-5 * np.abs(b).max()


def test_grouped_but_not_depthwise_keeps_its_meaning():
  x, kernel = random((1, 5, 5, 4)), random((3, 3, 2, 6), seed=1)
  np.testing.assert_allclose(
    layers.convolution(x, kernel, groups=2),
    native(x, kernel, 1, 'SAME', 2),
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
