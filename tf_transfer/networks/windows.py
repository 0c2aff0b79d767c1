"""Windows that slide over images: their pixels, and sums over them."""

import functools
import operator
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array
Padding = str | Sequence[tuple[int, int]]
# Rows before and after, and columns before and after.
Pads = tuple[tuple[int, int], tuple[int, int]]


def explicit_padding(
  x: Array, window: Sequence[int], strides: int, padding: Padding
) -> Pads:
  """Returns a padding as numbers of rows and columns before and after."""
  if isinstance(padding, str):
    padding = lax.padtype_to_pads(
      x.shape[1:3], window, (strides, strides), padding
    )
  rows, columns = padding
  return tuple(rows), tuple(columns)


def shifted_copies(
  x: Array,
  window: Sequence[int],
  *,
  strides: int,
  padding: Padding,
  fill: float = 0.0,
) -> Iterator[Array]:
  """Yields the pixels under each cell of a sliding window.

  Of a window of 3×3 these are nine copies of the image, each shifted by some
  rows and columns.

  Args:
    x: [B, H, W, C].
    window: its rows and columns.
    strides: of both spatial axes.
    padding: as for `layers.convolution`.
    fill: what the padding holds.

  Yields:
    [B, H', W', C] for each cell of the window, row by row.
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


def _pad_spatial(
  array: Array, before: Sequence[int], sizes: Sequence[int]
) -> Array:
  """Pads rows and columns: `before` of them, and behind up to `sizes`."""
  pads = [
    (first, max(0, size - n))
    for first, size, n in zip(before, sizes, array.shape[1:3], strict=True)
  ]
  return jnp.pad(array, ((0, 0), *pads, (0, 0)))


def sum_over_windows(
  term: Callable[..., Array],
  arrays: Sequence[Array],
  shape: Sequence[int],
  window: Sequence[int],
  strides: int,
  pads: Pads,
) -> Array:
  """Sums gradients over the windows in which each pixel lies.

  This is the transpose of `shifted_copies`. Pixels of the padded image that
  are a multiple of the strides apart lie under the same cells of their windows.
  Such pixels are computed together, and interleaved with the others at the end.

  Args:
    term: (cell, *arrays) -> the gradient of the pixel under a cell of the
      window, numbered row by row; zero where the arrays are.
    arrays: [B, H', W', C] each, an entry for each window.
    shape: [B, H, W, C], of the image.
    window: its rows and columns.
    strides: of both spatial axes.
    pads: of the image.

  Returns:
    [B, H, W, C], for each pixel the sum of its terms.
  """
  sizes = [n + sum(pad) for n, pad in zip(shape[1:3], pads, strict=True)]
  counts = [-(-size // strides) for size in sizes]
  # A pixel's windows begin up to this many strides before it.
  reach = [(side - 1) // strides for side in window]
  padded = [_pad_spatial(array, reach, counts) for array in arrays]

  def sum_phase(first_row: int, first_column: int) -> Array:
    """Sums for the pixels a multiple of the strides from this first one."""
    terms = []
    for row in range(first_row, window[0], strides):
      for column in range(first_column, window[1], strides):
        top, left = reach[0] - row // strides, reach[1] - column // strides
        shifted = [
          array[:, top : top + counts[0], left : left + counts[1]]
          for array in padded
        ]
        terms.append(term(row * window[1] + column, *shifted))
    if not terms:  # Strides longer than the window.
      like = jax.eval_shape(term, 0, *arrays)
      return jnp.zeros((shape[0], *counts, shape[3]), like.dtype)
    return functools.reduce(operator.add, terms)

  rows = [
    jnp.stack([sum_phase(i, j) for j in range(strides)], axis=3)
    for i in range(strides)
  ]  # [B, rows, columns, strides, C] each
  image = jnp.stack(rows, axis=2).reshape(
    shape[0], counts[0] * strides, counts[1] * strides, shape[3]
  )
  top, left = pads[0][0], pads[1][0]
  return image[:, top : top + shape[1], left : left + shape[2]]
