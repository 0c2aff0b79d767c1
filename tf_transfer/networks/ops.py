"""Forms of convolutions and pooling: XLA's own, and those that suit a platform.

On CPU, XLA runs a depthwise convolution 25 to 50 times slower than need be
and leaves speed behind in 1×1 and 3×3 ones, on the smallest images and in
pooling. All have an exact other form: a sum (or maximum) of shifted copies, a
matrix product or a sum of some, and fewer products of sums (Winograd's).

What XLA makes of the gradients of shifted copies is slow as well: images that
are padded one by one and added, and a pass over all images for each cell of a
window. Those are written out here.

On NVIDIA's GPUs XLA's own are the faster but for two: the gradient of a maximum
over windows, which adds to memory atomically, and the first convolution of a
network, whose three channels leave most of a matrix unit idle.
"""

import functools
import operator
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array
Padding = str | Sequence[tuple[int, int]]
# Rows before and after, columns before and after.
Pads = tuple[tuple[int, int], tuple[int, int]]


def native_convolution(
  x: Array,
  kernel: Array,
  *,
  strides: int = 1,
  padding: Padding = 'SAME',
  groups: int = 1,
) -> Array:
  """XLA's own convolution; arguments as those of `layers.convolution`."""
  return lax.conv_general_dilated(
    x,
    kernel,
    window_strides=(strides, strides),
    padding=padding,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    feature_group_count=groups,
  )


def explicit_padding(
  x: Array, window: Sequence[int], strides: int, padding: Padding
) -> Pads:
  """Rows before and after, columns before and after, as numbers."""
  if isinstance(padding, str):
    padding = lax.padtype_to_pads(
      x.shape[1:3], window, (strides, strides), padding
    )
  rows, columns = padding
  return tuple(rows), tuple(columns)


def _shifted_copies(
  x: Array,
  window: Sequence[int],
  *,
  strides: int,
  padding: Padding,
  fill: float = 0.0,
) -> Iterator[Array]:
  """What each cell of a window sees as it slides: rows * columns arrays.

  Args:
    x: [B, H, W, C].
    window: its rows and columns.
    strides: of both spatial axes.
    padding: as for `layers.convolution`.
    fill: what the padding holds.

  Yields:
    [B, H', W', C], the window's cells row by row.
  """
  height, width = window
  pads = explicit_padding(x, window, strides, padding)
  x = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
  rows = (x.shape[1] - height) // strides + 1
  columns = (x.shape[2] - width) // strides + 1
  for i in range(height):
    for j in range(width):
      yield lax.slice(
        x,
        (0, i, j, 0),
        (
          x.shape[0],
          i + (rows - 1) * strides + 1,
          j + (columns - 1) * strides + 1,
          x.shape[3],
        ),
        (1, strides, strides, 1),
      )


def _pulled_back(
  term: Callable[..., Array],
  arrays: Sequence[Array],
  shape: Sequence[int],
  window: Sequence[int],
  strides: int,
  pads: Pads,
) -> Array:
  """What the cells of all windows send back to the pixels that they saw.

  The transpose of `_shifted_copies`. Pixels (of the padded image) that lie
  whole strides apart are seen by the same cells: those are found together, and
  interleaved with the others in the end.

  Args:
    term: (cell, *arrays) -> what a cell of the window, numbered row by row,
      sends back; zero where the arrays are.
    arrays: [B, H', W', C] each, by window.
    shape: [B, H, W, C], of the image.
    window: its rows and columns.
    strides: of both spatial axes.
    pads: of the image.

  Returns:
    [B, H, W, C], the sums.
  """
  sizes = [n + sum(pad) for n, pad in zip(shape[1:3], pads, strict=True)]
  counts = [-(-size // strides) for size in sizes]
  # A pixel's windows begin up to this many strides before it.
  reach = [(side - 1) // strides for side in window]
  padded = [
    jnp.pad(
      array,
      (
        (0, 0),
        *(
          (before, max(0, count - n))
          for before, count, n in zip(
            reach, counts, array.shape[1:3], strict=True
          )
        ),
        (0, 0),
      ),
    )
    for array in arrays
  ]

  def phase(first_row, first_column):
    """The pixels that lie whole strides from one of the first ones."""
    terms = []
    for row in range(first_row, window[0], strides):
      for column in range(first_column, window[1], strides):
        top, left = reach[0] - row // strides, reach[1] - column // strides
        seen = [
          array[:, top : top + counts[0], left : left + counts[1]]
          for array in padded
        ]
        terms.append(term(row * window[1] + column, *seen))
    if not terms:  # Strides longer than the window.
      like = jax.eval_shape(term, 0, *arrays)
      return jnp.zeros((shape[0], *counts, shape[3]), like.dtype)
    return functools.reduce(operator.add, terms)

  rows = [
    jnp.stack([phase(i, j) for j in range(strides)], axis=3)
    for i in range(strides)
  ]  # [B, rows, columns, strides, C] each
  image = jnp.stack(rows, axis=2).reshape(
    shape[0], counts[0] * strides, counts[1] * strides, shape[3]
  )
  top, left = pads[0][0], pads[1][0]
  return image[:, top : top + shape[1], left : left + shape[2]]


# Networks repeat their shapes: one trace serves all layers of a shape.
@functools.partial(jax.jit, static_argnames=('strides', 'padding'))
def depthwise(
  x: Array, kernel: Array, *, strides: int, padding: Padding
) -> Array:
  """Depthwise convolution as a sum of shifted, scaled copies of the input.

  Args:
    x: [B, H, W, C].
    kernel: [K, L, 1, C].
    strides: of both spatial axes.
    padding: as for `layers.convolution`.

  Returns:
    [B, H', W', C].
  """
  pads = explicit_padding(x, kernel.shape[:2], strides, padding)
  return _shifted_products(strides, pads, x, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _shifted_products(
  strides: int, pads: Pads, x: Array, kernel: Array
) -> Array:
  cells = kernel.reshape(-1, kernel.shape[-1])
  copies = _shifted_copies(x, kernel.shape[:2], strides=strides, padding=pads)
  return functools.reduce(
    operator.add, (copy * cells[i] for i, copy in enumerate(copies))
  )


def _products_kept(strides, pads, x, kernel):
  return _shifted_products(strides, pads, x, kernel), (x, kernel)


def _products_gradients(strides, pads, kept, gradient):
  x, kernel = kept
  cells = kernel.reshape(-1, kernel.shape[-1])
  window = kernel.shape[:2]
  of_x = _pulled_back(
    lambda cell, sent: sent * cells[cell],
    [gradient],
    x.shape,
    window,
    strides,
    pads,
  )
  # Sums over a row of pixels, those of a row of cells in one pass: one pass for
  # each sum takes three to five times as long.
  precise = jnp.promote_types(x.dtype, jnp.float32)
  products = [
    copy.astype(precise) * gradient
    for copy in _shifted_copies(x, window, strides=strides, padding=pads)
  ]
  sums = []
  for start in range(0, len(products), window[1]):
    row = products[start : start + window[1]]
    sums += lax.reduce(
      row, [jnp.zeros((), precise)] * len(row), _sums, dimensions=(2,)
    )
  of_kernel = jnp.stack([rows.sum(axis=(0, 1)) for rows in sums])
  return of_x, of_kernel.reshape(kernel.shape).astype(kernel.dtype)


def _sums(some, others):
  return [a + b for a, b in zip(some, others, strict=True)]


_shifted_products.defvjp(_products_kept, _products_gradients)


def matrix_product(x: Array, kernel: Array, strides: int) -> Array:
  """1×1 convolution without padding: x [B, H, W, C], kernel [1, 1, C, D]."""
  return _product(x[:, ::strides, ::strides], kernel[0, 0])


def _product(x: Array, matrix: Array) -> Array:
  """x [..., C] times a matrix [C, D].

  Two axes and no more: the gradient of the matrix is then a product of what is
  there, of which XLA would otherwise write a transposed copy, slowly. Those
  copies were a third of a step of ResNet-50.
  """
  product = x.reshape(-1, x.shape[-1]) @ matrix
  return product.reshape(*x.shape[:-1], matrix.shape[-1])


@functools.partial(jax.jit, static_argnames=('strides', 'padding'))
def sum_of_products(
  x: Array, kernel: Array, *, strides: int, padding: Padding
) -> Array:
  """Convolution as a sum of matrix products of shifted copies of the input."""
  copies = _shifted_copies(
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
  """Convolution of strides 2 as one of stride 1 over blocks of 2×2 pixels.

  Units that take several channels at once are idle for most of an image's
  three; a block has four times as many.

  Args:
    x: [B, H, W, C].
    kernel: [K, L, C, D].
    padding: as for `layers.convolution`.
    channels: to which C is filled up with zeros first.

  Returns:
    [B, H', W', D].
  """
  window = kernel.shape[:2]
  pads = explicit_padding(x, window, 2, padding)
  counts = [
    (n + sum(pad) - side) // 2 + 1
    for n, pad, side in zip(x.shape[1:3], pads, window, strict=True)
  ]
  sides = [-(-side // 2) for side in window]  # In blocks.
  lacking = (0, channels - x.shape[3], 0)
  # What no window reaches is cut off.
  edges = [
    (before, 2 * (count + side - 1) - n - before, 0)
    for n, (before, _), count, side in zip(
      x.shape[1:3], pads, counts, sides, strict=True
    )
  ]
  x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *edges, lacking))
  edges = [(0, 2 * a - b, 0) for a, b in zip(sides, window, strict=True)]
  kernel = lax.pad(
    kernel, jnp.zeros((), kernel.dtype), (*edges, lacking, (0, 0, 0))
  )
  kernel = kernel.reshape(sides[0], 2, sides[1], 2, channels, -1)
  kernel = kernel.transpose(0, 2, 1, 3, 4, 5)
  x = x.reshape(len(x), x.shape[1] // 2, 2, x.shape[2] // 2, 2, channels)
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
  """matrix · grid · matrixᵀ, of a grid of arrays of one shape."""

  def combined(arrays):
    return [
      sum(factor * x for factor, x in zip(row, arrays, strict=True) if factor)
      for row in matrix
    ]

  columns = [combined(column) for column in zip(*grid, strict=True)]
  return [combined(row) for row in zip(*columns, strict=True)]


@functools.partial(jax.jit, static_argnames='padding')
def winograd(x: Array, kernel: Array, *, padding: Padding) -> Array:
  """3×3 convolution of stride 1, with 16 products for 4 outputs and not 36.

  Its sums round off three to four times more than those of a convolution do:
  the largest error is a few parts in ten million of the largest output.

  Args:
    x: [B, H, W, C].
    kernel: [3, 3, C, D].
    padding: as for `layers.convolution`.

  Returns:
    [B, H', W', D].
  """
  pads = explicit_padding(x, (3, 3), 1, padding)
  return _tiled(pads, x, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _tiled(pads: Pads, x: Array, kernel: Array) -> Array:
  batch, *size, _ = x.shape
  height, width = (n + sum(pad) - 2 for n, pad in zip(size, pads, strict=True))
  # An odd row or column is computed too, and cut off at the end.
  even = [
    (before, after + n % 2)
    for (before, after), n in zip(pads, (height, width), strict=True)
  ]
  cells = list(_shifted_copies(x, (4, 4), strides=2, padding=even))
  tiles = _transformed(_TO_TILE, [cells[4 * i : 4 * i + 4] for i in range(4)])
  kernels = _transformed(_TO_KERNEL, kernel)
  products = [
    [_product(a, b) for a, b in zip(*pair, strict=True)]
    for pair in zip(tiles, kernels, strict=True)
  ]
  found = _transformed(_FROM_PRODUCTS, products)
  rows = [jnp.stack(row, axis=3) for row in found]  # [B, H' / 2, W' / 2, 2, D]
  x = jnp.stack(rows, axis=2)
  x = x.reshape(batch, 2 * x.shape[1], 2 * x.shape[3], -1)
  return x[:, :height, :width]


def _tiled_kept(pads, x, kernel):
  return _tiled(pads, x, kernel), (x, kernel)


def _tiled_gradients(pads, kept, gradient):
  """Those of the convolution itself: in them, sums outweigh products saved."""
  convolve = functools.partial(native_convolution, padding=pads)
  return jax.vjp(convolve, *kept)[1](gradient)


_tiled.defvjp(_tiled_kept, _tiled_gradients)


@functools.partial(
  jax.jit, static_argnames=('window', 'strides', 'pads', 'fill')
)
def maximum(
  x: Array, *, window: int, strides: int, pads: Pads, fill: float
) -> Array:
  """The maximum over square windows; arguments as for `layers.max_pool`."""
  return _shifted_maximum(window, strides, pads, fill, x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2, 3))
def _shifted_maximum(
  window: int, strides: int, pads: Pads, fill: float, x: Array
) -> Array:
  copies = _shifted_copies(
    x, (window, window), strides=strides, padding=pads, fill=fill
  )
  return functools.reduce(jnp.maximum, copies)


def _maximum_kept(window, strides, pads, fill, x):
  found = _shifted_maximum(window, strides, pads, fill, x)
  return found, (x, found)


def _maximum_gradient(window, strides, pads, fill, kept, gradient):
  """All goes to the first of the largest, as on other devices."""
  x, found = kept
  copies = _shifted_copies(
    x, (window, window), strides=strides, padding=pads, fill=fill
  )
  first = jnp.zeros(found.shape, jnp.int32)
  for cell, copy in reversed(list(enumerate(copies))):
    first = jnp.where(copy == found, cell, first)
  back = _pulled_back(
    lambda cell, sent, to: jnp.where(to == cell, sent, 0),
    [gradient, first],
    x.shape,
    (window, window),
    strides,
    pads,
  )
  return (back,)


_shifted_maximum.defvjp(_maximum_kept, _maximum_gradient)


@functools.partial(jax.jit, static_argnames=('window', 'strides', 'pads'))
def window_sum(x: Array, *, window: int, strides: int, pads: Pads) -> Array:
  """The sum over square windows; arguments as for `layers.average_pool`."""
  return _shifted_sum(window, strides, pads, x.shape, x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2, 3))
def _shifted_sum(
  window: int, strides: int, pads: Pads, shape: tuple[int, ...], x: Array
) -> Array:
  del shape  # What the gradient needs of x.
  copies = _shifted_copies(x, (window, window), strides=strides, padding=pads)
  return functools.reduce(operator.add, copies)


def _sum_kept(window, strides, pads, shape, x):
  return _shifted_sum(window, strides, pads, shape, x), None


def _sum_gradient(window, strides, pads, shape, kept, gradient):
  del kept
  back = _pulled_back(
    lambda cell, sent: sent,
    [gradient],
    shape,
    (window, window),
    strides,
    pads,
  )
  return (back,)


_shifted_sum.defvjp(_sum_kept, _sum_gradient)
