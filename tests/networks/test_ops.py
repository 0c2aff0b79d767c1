"""Tests of the forms of convolutions and poolings, beside XLA's own.

Values and gradients of both are computed by one program: compiling takes most
of the time.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.networks import arrays
from tf_transfer.networks import layers, ops, windows


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
  x = arrays.random((2, height, width, channels))
  kernel = arrays.random((*kernel_size, 1, channels), seed=1)

  def ours(x, kernel):
    return layers.convolution(
      x, kernel, strides=strides, padding=padding, groups=channels
    )

  def theirs(x, kernel):
    return native(x, kernel, strides, padding, channels)

  (value, gradients), (expected, expected_gradients) = arrays.differentiate(
    (ours, theirs), x, kernel
  )
  np.testing.assert_allclose(value, expected, atol=1e-5)
  for a, b in zip(gradients, expected_gradients, strict=True):
    np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.parametrize('strides', [1, 2, 3])
@pytest.mark.parametrize('padding', ['SAME', 'VALID', ((1, 1), (0, 2))])
def test_pointwise(strides, padding):
  x, kernel = arrays.random((2, 5, 6, 7)), arrays.random((1, 1, 7, 9), seed=1)
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
  x, kernel = (
    arrays.random((2, height, width, 40)),
    arrays.random((3, 3, 40, 33), seed=1),
  )
  assert layers._suits_winograd(x, kernel)

  def both(x, kernel):
    ours = layers.convolution(x, kernel, padding=padding)
    return ours, native(x, kernel, 1, padding, 1)

  ours, theirs = arrays.run(both, x, kernel)
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
  x, kernel = (
    arrays.random((2, height, width, 3)),
    arrays.random((side, side, 3, 6), seed=1),
  )

  def ours(x, kernel):
    return ops.in_blocks(x, kernel, padding=padding, channels=4)

  def theirs(x, kernel):
    return native(x, kernel, 2, padding, 1)

  (value, gradients), (expected, expected_gradients) = arrays.differentiate(
    (ours, theirs), x, kernel
  )
  np.testing.assert_allclose(value, expected, atol=1e-5)
  for a, b in zip(gradients, expected_gradients, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('strides', [1, 2])
@pytest.mark.parametrize('padding', ['SAME', ((1, 1), (0, 2))])
def test_kernel_as_large_as_the_image(strides, padding):
  """The sum of products is the convolution, and so are its gradients."""
  x, kernel = arrays.random((2, 2, 3, 4)), arrays.random((3, 3, 4, 5), seed=1)

  def ours(x, kernel):
    return layers.convolution(x, kernel, strides=strides, padding=padding)

  def theirs(x, kernel):
    return native(x, kernel, strides, padding, 1)

  def evaluate(function, x, kernel):
    def loss(*arguments):
      return jnp.sum(function(*arguments) ** 2)

    return function(x, kernel), jax.grad(loss, argnums=(0, 1))(x, kernel)

  def both(x, kernel):
    return evaluate(ours, x, kernel), evaluate(theirs, x, kernel)

  (value, gradients), (expected, expected_gradients) = arrays.run(
    both, x, kernel
  )
  np.testing.assert_allclose(value, expected, atol=1e-5)
  for a, b in zip(gradients, expected_gradients, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('size', [1, 3])
def test_gradient_of_a_product_writes_no_transposed_copy(size):
  """Those were a third of a step of ResNet-50."""
  shape = (4, 14, 14, 32)
  x, kernel = arrays.random(shape), arrays.random((size, size, 32, 48), seed=1)

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
  x = arrays.random((2, 7, 8, 3)) - 2  # Mostly negative: zeros would be seen.
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
  x = arrays.random((2, 7, 8, 3))
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
  x = jnp.round(arrays.random((2, 7, 8, 3))) - 1
  pads = windows.explicit_padding(x, (window, window), strides, padding)

  def theirs(x):
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
    return nn.max_pool(x, (window, window), (strides, strides), 'VALID')

  def ours(x):
    return layers.max_pool(x, window, strides, padding, fill)

  (_, gradient), (_, expected) = arrays.differentiate((ours, theirs), x)
  np.testing.assert_allclose(gradient[0], expected[0], atol=1e-6)


@POOLS
@pytest.mark.parametrize('count_padding', [False, True])
def test_gradient_of_average_pool(window, strides, padding, count_padding):
  x = arrays.random((2, 7, 8, 3))

  def theirs(x):
    return nn.avg_pool(
      x,
      (window, window),
      (strides, strides),
      padding,
      count_include_pad=count_padding,
    )

  def ours(x):
    return layers.average_pool(x, window, strides, padding, count_padding)

  (_, gradient), (_, expected) = arrays.differentiate((ours, theirs), x)
  np.testing.assert_allclose(gradient[0], expected[0], atol=1e-6)


@pytest.mark.parametrize(
  ('kernel_shape', 'groups'),
  [((3, 3, 1, 32), 32), ((1, 1, 32, 6), 1), ((3, 3, 32, 32), 1)],
)
def test_gradients(kernel_shape, groups):
  x, kernel = (
    arrays.random((2, 7, 7, 32)),
    0.1 * arrays.random(kernel_shape, seed=1),
  )

  def loss(convolve):
    return jax.grad(lambda x, k: jnp.sum(convolve(x, k) ** 2), argnums=(0, 1))

  def both(x, kernel):
    ours = loss(lambda x, k: layers.convolution(x, k, groups=groups))
    theirs = loss(lambda x, k: native(x, k, 1, 'SAME', groups))
    return ours(x, kernel), theirs(x, kernel)

  for a, b in zip(*arrays.run(both, x, kernel), strict=True):
    assert np.abs(a - b).max() < 1e-5 * np.abs(b).max()
