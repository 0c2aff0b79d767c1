"""Resizes images as Pillow does, but computes a part of the result alone.

Pillow makes the whole result of its first pass before it starts the second: of
an image of 1 x 19,200 pixels, scaled to 256 rows, 4.9 million columns. The
functions here compute the part that is asked for, one block of columns after
another. Each pass is Pillow's to the bit. The horizontal one is always first;
Pillow changes the order for some shapes, which moves some pixels by a level.
They are slower, and so are meant for images of extreme shapes.
"""

from collections.abc import Callable

import numpy as np

from tf_transfer.images.decoding import Box

# Pillow's weights are integers with so many bits after the point.
_PRECISION_BITS = 22
_HALF = 1 << (_PRECISION_BITS - 1)
# Values of a block of columns after the first pass.
_BLOCK_SIZE = 2**20


def resize_part(
  image: np.ndarray, height: int, width: int, part: Box, interpolation: str
) -> np.ndarray:
  """Returns a part of an image that Pillow would resize.

  Args:
    image: uint8 [H, W, 3].
    height: of the whole result.
    width: of the whole result.
    part: of the result, to be computed.
    interpolation: 'bilinear' or 'bicubic', with antialiasing.

  Returns:
    uint8 [h, w, 3], the size of `part`.
  """
  rows = _windows(len(image), height, part.top, part.height, interpolation)
  columns = _windows(
    image.shape[1], width, part.left, part.width, interpolation
  )
  # Only rows that count, as Pillow does.
  first, last = rows[0][0], rows[-1][0] + len(rows[-1][1])
  image = image[first:last]
  rows = [(start - first, weights) for start, weights in rows]
  step = max(1, _BLOCK_SIZE // (3 * len(image)))
  result = np.empty((part.height, part.width, 3), np.uint8)
  for left in range(0, part.width, step):
    block = _resample(image.swapaxes(0, 1), columns[left : left + step])
    result[:, left : left + step] = _resample(block.swapaxes(0, 1), rows)
  return result


def _resample(
  image: np.ndarray, windows: list[tuple[int, np.ndarray]]
) -> np.ndarray:
  """Weighs rows of an image.

  Args:
    image: uint8 [H, W, 3].
    windows: of each row of the result: the first row of the image, and the
      weights of it and of those that follow.

  Returns:
    uint8 [len(windows), W, 3].
  """
  rows = image.reshape(len(image), -1)
  result = np.empty((len(windows), rows.shape[1]), np.uint8)
  for row, (start, weights) in enumerate(windows):
    # Integers below 2^53: sums of floats are exact, and fast.
    pixels = rows[start : start + len(weights)].astype(np.float64)
    total = (weights.astype(np.float64) @ pixels).astype(np.int64)
    result[row] = np.clip((total + _HALF) >> _PRECISION_BITS, 0, 255)
  return result.reshape(len(windows), *image.shape[1:])


def _windows(
  length: int, size: int, first: int, count: int, interpolation: str
) -> list[tuple[int, np.ndarray]]:
  """Computes Pillow's weights of some of the output samples.

  Args:
    length: number of input samples.
    size: number of output samples.
    first: the first output sample that is asked for.
    count: of those that are asked for.
    interpolation: 'bilinear' or 'bicubic'.

  Returns:
    For each output sample the first input sample that counts, and the integer
    weights of it and of those that follow.
  """
  kernel, support = _KERNELS[interpolation]
  scale = length / size
  stretch = max(scale, 1.0)
  radius = support * stretch
  windows = []
  for position in range(first, first + count):
    center = (position + 0.5) * scale
    # int() rounds toward zero, as C does.
    start = max(int(center - radius + 0.5), 0)
    stop = min(int(center + radius + 0.5), length)
    distance = np.abs((np.arange(start, stop) - center + 0.5) * (1.0 / stretch))
    weights = kernel(distance)
    # One after another, as C adds.
    total = np.cumsum(weights)[-1]
    if total:
      weights = weights / total
    weights = weights * (1 << _PRECISION_BITS)
    weights = np.trunc(weights + np.where(weights < 0, -0.5, 0.5))
    windows.append((start, weights.astype(np.int64)))
  return windows


def _triangle(distance: np.ndarray) -> np.ndarray:
  """Evaluates the kernel of linear interpolation at distances of 0 or more."""
  return np.where(distance < 1, 1 - distance, 0)


def _cubic(distance: np.ndarray) -> np.ndarray:
  """Evaluates Keys' cubic kernel in Pillow's order of operations."""
  a, x = -0.5, distance
  near = ((a + 2) * x - (a + 3)) * x * x + 1
  far = (((x - 5) * x + 8) * x - 4) * a
  return np.where(x < 1, near, np.where(x < 2, far, 0))


_Kernel = Callable[[np.ndarray], np.ndarray]
# Each kernel with the distance at which it ends.
_KERNELS: dict[str, tuple[_Kernel, float]] = {
  'bilinear': (_triangle, 1.0),
  'bicubic': (_cubic, 2.0),
}
