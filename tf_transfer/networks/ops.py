"""Convolutions and poolings in the forms that run fastest on a platform.

On CPU, XLA's depthwise convolution is 25 to 50 times slower than it could be.
Its 1×1 and 3×3 convolutions, those of the smallest images, and its pooling are
slow too. This module computes the same functions in other ways: as a sum or
maximum of shifted copies of the input, as one or several matrix products, or
with fewer multiplications (Winograd's).

XLA's gradients of shifted copies are slow as well: it pads and adds whole
images one by one, and passes over all images for each cell of a window. So the
gradients are written out here.

On NVIDIA's GPUs XLA's own forms are the fastest, with two exceptions: the
gradient of max pooling, which adds to memory atomically, and the first
convolution of a network, whose three channels leave most of a matrix unit idle.
"""

import functools
import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from tf_transfer.networks import windows
from tf_transfer.networks.windows import Padding, Pads

Array = jax.Array


def native_convolution(
  x: Array,
  kernel: Array,
  *,
  strides: int = 1,
  padding: Padding = 'SAME',
  groups: int = 1,
) -> Array:
  """Computes XLA's own convolution; arguments as for `layers.convolution`."""
  return lax.conv_general_dilated(
    x,
    kernel,
    window_strides=(strides, strides),
    padding=padding,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    feature_group_count=groups,
  )


# Networks repeat their shapes: one trace serves all layers of a shape.
@functools.partial(jax.jit, static_argnames=('strides', 'padding'))
def depthwise(
  x: Array, kernel: Array, *, strides: int, padding: Padding
) -> Array:
  """Computes a depthwise convolution as a sum of shifted, scaled copies.

  Args:
    x: [B, H, W, C].
    kernel: [K, L, 1, C].
    strides: of both spatial axes.
    padding: as for `layers.convolution`.

  Returns:
    [B, H', W', C].
  """
  pads = windows.explicit_padding(x, kernel.shape[:2], strides, padding)
  return _shifted_products(strides, pads, x, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _shifted_products(
  strides: int, pads: Pads, x: Array, kernel: Array
) -> Array:
  """Sums the shifted copies of x, each times its cell of the kernel."""
  cells = kernel.reshape(-1, kernel.shape[-1])
  copies = windows.shifted_copies(
    x, kernel.shape[:2], strides=strides, padding=pads
  )
  return functools.reduce(
    operator.add, (copy * cells[i] for i, copy in enumerate(copies))
  )


def _products_forward(
  strides: int, pads: Pads, x: Array, kernel: Array
) -> tuple[Array, tuple[Array, Array]]:
  """Returns the value and what the gradients need."""
  return _shifted_products(strides, pads, x, kernel), (x, kernel)


def _products_backward(
  strides: int, pads: Pads, residuals: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
  """Returns the gradients of x and of the kernel."""
  x, kernel = residuals
  cells = kernel.reshape(-1, kernel.shape[-1])
  window = kernel.shape[:2]
  x_gradient = windows.sum_over_windows(
    lambda cell, array: array * cells[cell],
    [gradient],
    x.shape,
    window,
    strides,
    pads,
  )
  # Sums over rows of pixels, in one pass for all cells of a row of the window:
  # a pass for each cell takes three to five times as long.
  precise = jnp.promote_types(x.dtype, jnp.float32)
  products = [
    copy.astype(precise) * gradient
    for copy in windows.shifted_copies(x, window, strides=strides, padding=pads)
  ]
  sums = []
  for start in range(0, len(products), window[1]):
    row = products[start : start + window[1]]
    sums += lax.reduce(
      row, [jnp.zeros((), precise)] * len(row), _add_all, dimensions=(2,)
    )
  kernel_gradient = jnp.stack([rows.sum(axis=(0, 1)) for rows in sums])
  kernel_gradient = kernel_gradient.reshape(kernel.shape)
  return x_gradient, kernel_gradient.astype(kernel.dtype)


def _add_all(left: Sequence[Array], right: Sequence[Array]) -> list[Array]:
  """Adds two lists of arrays, one by one."""
  return [a + b for a, b in zip(left, right, strict=True)]


_shifted_products.defvjp(_products_forward, _products_backward)


def matrix_product(x: Array, kernel: Array, strides: int) -> Array:
  """Computes a 1×1 convolution without padding as a matrix product.

  Args:
    x: [B, H, W, C].
    kernel: [1, 1, C, D].
    strides: of both spatial axes.

  Returns:
    [B, H', W', D].
  """
  return _product(x[:, ::strides, ::strides], kernel[0, 0])


def _product(x: Array, matrix: Array) -> Array:
  """Multiplies x [..., C] with a matrix [C, D].

  x is reshaped to two axes first. With more, XLA writes transposed copies for
  the gradient of the matrix, slowly: they were a third of a step of ResNet-50.
  """
  product = x.reshape(-1, x.shape[-1]) @ matrix
  return product.reshape(*x.shape[:-1], matrix.shape[-1])


@functools.partial(jax.jit, static_argnames=('strides', 'padding'))
def sum_of_products(
  x: Array, kernel: Array, *, strides: int, padding: Padding
) -> Array:
  """Computes a convolution as a sum of matrix products of shifted copies.

  Args:
    x: [B, H, W, C].
    kernel: [K, L, C, D].
    strides: of both spatial axes.
    padding: as for `layers.convolution`.

  Returns:
    [B, H', W', D].
  """
  copies = windows.shifted_copies(
    x, kernel.shape[:2], strides=strides, padding=padding
  )
  matrices = kernel.reshape(-1, *kernel.shape[2:])
  return functools.reduce(
    operator.add, (_product(copy, matrices[i]) for i, copy in enumerate(copies))
  )


@functools.partial(jax.jit, static_argnames=('padding', 'channels'))
def in_blocks(
  x: Array, kernel: Array, *, padding: Padding, channels: int
) -> Array:
  """Computes a convolution of strides 2 as one of stride 1 over 2×2 blocks.

  A matrix unit takes several channels at once, and an image's three leave most
  of it idle. A block of 2×2 pixels has four times as many channels.

  Args:
    x: [B, H, W, C].
    kernel: [K, L, C, D].
    padding: as for `layers.convolution`.
    channels: number of channels to which zeros first extend C.

  Returns:
    [B, H', W', D].
  """
  window = kernel.shape[:2]
  pads = windows.explicit_padding(x, window, 2, padding)
  counts = [
    (n + sum(pad) - side) // 2 + 1
    for n, pad, side in zip(x.shape[1:3], pads, window, strict=True)
  ]
  sides = [-(-side // 2) for side in window]  # of the kernel, in blocks
  extra_channels = (0, channels - x.shape[3], 0)
  # Pixels that no window reaches are cut off.
  edges = [
    (before, 2 * (count + side - 1) - n - before, 0)
    for n, (before, _), count, side in zip(
      x.shape[1:3], pads, counts, sides, strict=True
    )
  ]
  x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *edges, extra_channels))
  edges = [(0, 2 * a - b, 0) for a, b in zip(sides, window, strict=True)]
  kernel = lax.pad(
    kernel, jnp.zeros((), kernel.dtype), (*edges, extra_channels, (0, 0, 0))
  )
  kernel = kernel.reshape(sides[0], 2, sides[1], 2, channels, -1)
  kernel = kernel.transpose(0, 2, 1, 3, 4, 5)
  x = x.reshape(x.shape[0], x.shape[1] // 2, 2, x.shape[2] // 2, 2, channels)
  x = x.transpose(0, 1, 3, 2, 4, 5)
  return native_convolution(
    x.reshape(*x.shape[:3], -1),
    kernel.reshape(*sides, 4 * channels, -1),
    padding='VALID',
  )


# Winograd's F(2×2, 3×3) as Lavin and Gray (2016) give it.
_TO_TILE = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
_TO_KERNEL = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
_FROM_PRODUCTS = ((1, 1, 1, 0), (0, 1, -1, -1))


def _transformed(
  matrix: Sequence[Sequence[float]], grid: Sequence[Sequence[Array]]
) -> list[list[Array]]:
  """Returns matrix · grid · matrixᵀ, for a grid of arrays of one shape."""

  def combine(arrays: Sequence[Array]) -> list[Array]:
    return [
      sum(factor * x for factor, x in zip(row, arrays, strict=True) if factor)
      for row in matrix
    ]

  columns = [combine(column) for column in zip(*grid, strict=True)]
  return [combine(row) for row in zip(*columns, strict=True)]


@functools.partial(jax.jit, static_argnames='padding')
def winograd(x: Array, kernel: Array, *, padding: Padding) -> Array:
  """Computes a 3×3 convolution of stride 1 with Winograd's F(2×2, 3×3).

  It takes 16 products for 4 outputs, where a convolution takes 36. Its rounding
  errors are three to four times larger: up to a few parts in ten million of the
  largest output.

  Args:
    x: [B, H, W, C].
    kernel: [3, 3, C, D].
    padding: as for `layers.convolution`.

  Returns:
    [B, H', W', D].
  """
  pads = windows.explicit_padding(x, (3, 3), 1, padding)
  return _convolve_tiles(pads, x, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _convolve_tiles(pads: Pads, x: Array, kernel: Array) -> Array:
  """Computes tiles of 2×2 outputs, each from 4×4 pixels."""
  batch, *size, _ = x.shape
  height, width = (n + sum(pad) - 2 for n, pad in zip(size, pads, strict=True))
  # An odd row or column is computed too, and cut off at the end.
  even = [
    (before, after + n % 2)
    for (before, after), n in zip(pads, (height, width), strict=True)
  ]
  cells = list(windows.shifted_copies(x, (4, 4), strides=2, padding=even))
  tiles = _transformed(_TO_TILE, [cells[4 * i : 4 * i + 4] for i in range(4)])
  kernels = _transformed(_TO_KERNEL, kernel)
  products = [
    [_product(a, b) for a, b in zip(*pair, strict=True)]
    for pair in zip(tiles, kernels, strict=True)
  ]
  outputs = _transformed(_FROM_PRODUCTS, products)
  # [B, H' / 2, W' / 2, 2, D] each
  rows = [jnp.stack(row, axis=3) for row in outputs]
  x = jnp.stack(rows, axis=2)
  x = x.reshape(batch, 2 * x.shape[1], 2 * x.shape[3], -1)
  return x[:, :height, :width]


def _tiles_forward(
  pads: Pads, x: Array, kernel: Array
) -> tuple[Array, tuple[Array, Array]]:
  """Returns the value and what the gradients need."""
  return _convolve_tiles(pads, x, kernel), (x, kernel)


def _tiles_backward(
  pads: Pads, residuals: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
  """Returns the gradients of a plain convolution.

  Winograd's form would be slower: its sums cost more than it saves in products.
  """
  convolve = functools.partial(native_convolution, padding=pads)
  return jax.vjp(convolve, *residuals)[1](gradient)


_convolve_tiles.defvjp(_tiles_forward, _tiles_backward)


@functools.partial(
  jax.jit, static_argnames=('window', 'strides', 'pads', 'fill')
)
def maximum(
  x: Array, *, window: int, strides: int, pads: Pads, fill: float
) -> Array:
  """Computes the maximum over square windows, as `layers.max_pool`."""
  return _shifted_maximum(window, strides, pads, fill, x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2, 3))
def _shifted_maximum(
  window: int, strides: int, pads: Pads, fill: float, x: Array
) -> Array:
  """Computes the maximum of the shifted copies."""
  copies = windows.shifted_copies(
    x, (window, window), strides=strides, padding=pads, fill=fill
  )
  return functools.reduce(jnp.maximum, copies)


def _maximum_forward(
  window: int, strides: int, pads: Pads, fill: float, x: Array
) -> tuple[Array, tuple[Array, Array]]:
  """Returns the value and what the gradient needs."""
  largest = _shifted_maximum(window, strides, pads, fill, x)
  return largest, (x, largest)


def _maximum_backward(
  window: int,
  strides: int,
  pads: Pads,
  fill: float,
  residuals: tuple[Array, Array],
  gradient: Array,
) -> tuple[Array]:
  """Returns the gradient of x.

  Of several equal largest pixels in a window the first gets all of it, as on
  other devices.
  """
  x, largest = residuals
  copies = windows.shifted_copies(
    x, (window, window), strides=strides, padding=pads, fill=fill
  )
  first = jnp.zeros(largest.shape, jnp.int32)
  for cell, copy in reversed(list(enumerate(copies))):
    first = jnp.where(copy == largest, cell, first)
  x_gradient = windows.sum_over_windows(
    lambda cell, array, first: jnp.where(first == cell, array, 0),
    [gradient, first],
    x.shape,
    (window, window),
    strides,
    pads,
  )
  return (x_gradient,)


_shifted_maximum.defvjp(_maximum_forward, _maximum_backward)


@functools.partial(jax.jit, static_argnames=('window', 'strides', 'pads'))
def window_sum(x: Array, *, window: int, strides: int, pads: Pads) -> Array:
  """Computes the sum over square windows, as for `layers.average_pool`."""
  return _shifted_sum(window, strides, pads, x.shape, x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2, 3))
def _shifted_sum(
  window: int, strides: int, pads: Pads, shape: tuple[int, ...], x: Array
) -> Array:
  """Computes the sum of the shifted copies; `shape` is that of x."""
  del shape  # Only the gradient needs it.
  copies = windows.shifted_copies(
    x, (window, window), strides=strides, padding=pads
  )
  return functools.reduce(operator.add, copies)


def _sum_forward(
  window: int, strides: int, pads: Pads, shape: tuple[int, ...], x: Array
) -> tuple[Array, None]:
  """Returns the value; the gradient needs nothing."""
  return _shifted_sum(window, strides, pads, shape, x), None


def _sum_backward(
  window: int,
  strides: int,
  pads: Pads,
  shape: tuple[int, ...],
  residuals: None,
  gradient: Array,
) -> tuple[Array]:
  """Returns the gradient of x."""
  del residuals
  x_gradient = windows.sum_over_windows(
    lambda cell, array: array,
    [gradient],
    shape,
    (window, window),
    strides,
    pads,
  )
  return (x_gradient,)


_shifted_sum.defvjp(_sum_forward, _sum_backward)
