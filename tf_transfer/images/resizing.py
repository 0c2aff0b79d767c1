"""Resizes images to the input size of a network.

`whole_image`, `resize_then_crop` and `crop_then_resize` are for evaluation,
`resize_for_training` is for random crops.
"""

import functools
import math
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from tf_transfer.contract import Contract
from tf_transfer.images import resampling
from tf_transfer.images.decoding import Box
from tf_transfer.runtime import tensorflow

try:
  # Pillow's resizing with vector instructions of the processor. It has no
  # wheel for some platforms.
  import cykooz_resizer
except ModuleNotFoundError:
  cykooz_resizer = None

_PILLOW_KERNELS = {
  'bilinear': Image.Resampling.BILINEAR,
  'bicubic': Image.Resampling.BICUBIC,
}

# How many times the pixels of the image and of the result may be made on the
# way, and how many are always allowed (of 4 bytes each). Images that need more
# have an extreme shape, and are resized otherwise.
_MAX_EXCESS, _MAX_PIXELS = 16, 2**24

# One resizer of cykooz per thread: it is not thread-safe.
_THREAD = threading.local()


def whole_image(image: np.ndarray, contract: Contract) -> np.ndarray:
  """Resizes the whole image to S x S; its aspect ratio changes.

  The paper shows images to fixed networks in this way: nothing is cropped.

  Args:
    image: uint8 [H, W, 3].
    contract: image size S, interpolation, antialiasing and pixel centers.

  Returns:
    uint8 [S, S, 3].
  """
  size = contract.image_size
  return _resize(image, size, size, Box(0, 0, size, size), contract)


def resize_then_crop(image: np.ndarray, contract: Contract) -> np.ndarray:
  """Resizes the shorter side to S / crop_fraction and crops the central S x S.

  The aspect ratio is kept. torchvision and timm evaluate in this way, and the
  rounding is theirs. TF-Slim evaluates its ResNets in this way too, but rounds
  the longer side to the nearest integer.

  Args:
    image: uint8 [H, W, 3].
    contract: image size S, crop fraction, interpolation, antialiasing and
      pixel centers.

  Returns:
    uint8 [S, S, 3].
  """
  size = contract.image_size
  # A fraction that is a quotient, such as 299 / 342, must give 342 again.
  side = math.floor(size / contract.crop_fraction + 1e-6)
  height, width = image.shape[:2]
  short = min(height, width)
  height, width = side * height // short, side * width // short
  part = Box(round((height - size) / 2), round((width - size) / 2), size, size)
  return _resize(image, height, width, part, contract)


def crop_then_resize(image: np.ndarray, contract: Contract) -> np.ndarray:
  """Crops the central crop_fraction of each side and resizes it to S x S.

  The aspect ratio changes. TF-Slim evaluates its Inceptions, MobileNets and
  NASNets in this way, with a fraction of 87.5 %.

  Args:
    image: uint8 [H, W, 3].
    contract: image size S, crop fraction, interpolation, antialiasing and
      pixel centers.

  Returns:
    uint8 [S, S, 3].
  """
  height, width = image.shape[:2]
  top, left = (
    int((side - side * contract.crop_fraction) / 2) for side in (height, width)
  )
  return whole_image(image[top : height - top, left : width - left], contract)


# The ways to resize an image for evaluation, by the name that configs use.
RESIZES: Mapping[str, Callable[[np.ndarray, Contract], np.ndarray]] = {
  'whole_image': whole_image,
  'resize_then_crop': resize_then_crop,
  'crop_then_resize': crop_then_resize,
}


def resize_for_training(image: np.ndarray, contract: Contract) -> np.ndarray:
  """Resizes an image as `whole_image` does, several times as fast.

  The result differs from that of `whole_image` by at most one gray level.
  Overshoots of antialiased bicubic interpolation are an exception: they may be
  clipped in another order.

  Args:
    image: uint8 [H, W, 3].
    contract: image size S, interpolation, antialiasing and pixel centers.

  Returns:
    uint8 [S, S, 3].
  """
  if not contract.antialias:
    return _resize_by_tensorflow(image, contract)
  size = contract.image_size
  is_extreme = _is_extreme(image, size, size, size**2)
  if cykooz_resizer is None or is_extreme:
    return whole_image(image, contract)
  return _resize_by_cykooz(image, contract)


def _resize(
  image: np.ndarray, height: int, width: int, part: Box, contract: Contract
) -> np.ndarray:
  """Resizes as the contract says, the same on every machine; returns a part.

  With antialiasing the result is Pillow's to the bit: Pillow rounds and clips
  to 0..255 after each of its two passes. Without antialiasing it is that of
  TensorFlow within one gray level: both round and clip once, at the end.

  The memory is bounded by the image and the part, however large the whole
  result is. Pixels of images of such extreme shapes may differ from Pillow's
  by a level: see `resampling`.

  Args:
    image: uint8 [H, W, 3].
    height: of the whole result.
    width: of the whole result.
    part: of the result, to be returned.
    contract: interpolation, antialiasing and pixel centers.

  Returns:
    uint8 [h, w, 3], the size of `part`.
  """
  if not contract.antialias:
    return _resize_without_antialiasing(image, height, width, part, contract)
  if _is_extreme(image, height, width, part.height * part.width):
    return resampling.resize_part(
      image, height, width, part, contract.interpolation
    )
  kernel = _PILLOW_KERNELS[contract.interpolation]
  resized = Image.fromarray(image).resize((width, height), kernel)
  return part.crop(np.array(resized))


def _is_extreme(
  image: np.ndarray, height: int, width: int, num_pixels: int
) -> bool:
  """Tells whether Pillow would need far more memory than is necessary.

  Args:
    image: uint8 [H, W, 3].
    height: of the resized image.
    width: of the resized image.
    num_pixels: of the part that is asked for.
  """
  # The first pass resizes each row.
  first_pass, result = len(image) * width, height * width
  necessary = image.shape[0] * image.shape[1] + num_pixels
  return first_pass + result > max(_MAX_EXCESS * necessary, _MAX_PIXELS)


def _resize_without_antialiasing(
  image: np.ndarray, height: int, width: int, part: Box, contract: Contract
) -> np.ndarray:
  """Does the same as `_resize`, for contracts without antialiasing."""
  options = contract.interpolation, contract.pixel_centers
  rows, row_weights = _interpolation_weights(
    image.shape[0], height, part.top, part.height, *options
  )
  cols, col_weights = _interpolation_weights(
    image.shape[1], width, part.left, part.width, *options
  )
  if image.shape[1] > _MAX_EXCESS * part.width:
    # Most columns have no weight.
    used, cols = np.unique(cols, return_inverse=True)
    image = image[:, used]
  # Each channel of a column becomes a column: NumPy is several times slower
  # with an innermost axis of length 3.
  flat = image.reshape(len(image), -1)
  cols = cols[:, None] * 3 + np.arange(3)[:, None]
  cols = cols.reshape(part.width * 3, -1)
  col_weights = np.repeat(col_weights, 3, axis=0)
  # Rows come first: only rows with a weight are converted to float.
  tall = sum(
    row_weights[:, k, None] * flat[rows[:, k]] for k in range(rows.shape[1])
  )
  result = sum(
    col_weights[:, k] * tall[:, cols[:, k]] for k in range(cols.shape[1])
  )
  pixels = np.clip(np.rint(result), 0, 255).astype(np.uint8)
  return pixels.reshape(part.height, part.width, 3)


@functools.lru_cache(maxsize=1024)
def _interpolation_weights(
  length: int,
  size: int,
  first: int,
  count: int,
  interpolation: str,
  pixel_centers: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
  """Computes which input samples make each output sample, and their weights.

  The kernel is never widened. As in TensorFlow, samples beyond the edge do not
  count, and the weights of the others are scaled to a sum of 1.

  Args:
    length: number of input samples.
    size: number of output samples.
    first: the first output sample that is asked for.
    count: of those that are asked for.
    interpolation: 'bilinear' or 'bicubic'.
    pixel_centers: whether a sample is at the center of its pixel or at the
      corner.

  Returns:
    int64 [count, K] positions in the input, and float32 [count, K] weights.
  """
  shift = 0.5 if pixel_centers else 0.0
  center = (np.arange(first, first + count) + shift) * (length / size) - shift
  radius = {'bilinear': 1, 'bicubic': 2}[interpolation]
  start = np.floor(center).astype(np.int64) - (radius - 1)
  position = start[:, None] + np.arange(2 * radius)
  distance = np.abs(position - center[:, None])
  if interpolation == 'bilinear':
    weight = np.maximum(1 - distance, 0)
  else:
    weight = _keys_cubic(distance)
  weight = np.where((position >= 0) & (position < length), weight, 0)
  weight /= weight.sum(axis=1, keepdims=True)
  return np.clip(position, 0, length - 1), weight.astype(np.float32)


def _keys_cubic(distance: np.ndarray) -> np.ndarray:
  """Evaluates Keys' cubic kernel with a = -0.5 at distances of 0 or more."""
  a, d = -0.5, distance
  near = ((a + 2) * d - (a + 3)) * d * d + 1
  far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
  return np.where(d <= 1, near, np.where(d < 2, far, 0))


def _resize_by_tensorflow(image: np.ndarray, contract: Contract) -> np.ndarray:
  """Resizes to S x S without antialiasing.

  `_resize` could do this too, but takes twice as long. A random crop of a
  500 x 375 JPEG, decoded and resized to 224 pixels, then takes 22 % more time
  (bilinear) or 37 % more (bicubic). TensorFlow cannot replace `_resize`
  either: its results differ in the last bit of some pixels.
  """
  tf = tensorflow.import_without_gpu()
  resize = {
    'bilinear': tf.raw_ops.ResizeBilinear,
    'bicubic': tf.raw_ops.ResizeBicubic,
  }[contract.interpolation]
  pixels = resize(
    images=image[None],
    size=[contract.image_size] * 2,
    half_pixel_centers=contract.pixel_centers,
  )
  return np.clip(np.rint(pixels.numpy()[0]), 0, 255).astype(np.uint8)


def _resize_by_cykooz(image: np.ndarray, contract: Contract) -> np.ndarray:
  """Resizes to S x S with antialiasing."""
  if not hasattr(_THREAD, 'resizer'):
    _THREAD.resizer = cykooz_resizer.Resizer()
  pixel_type = cykooz_resizer.PixelType.U8x3
  height, width = image.shape[:2]
  size = contract.image_size
  source = cykooz_resizer.ImageData(width, height, pixel_type, image.tobytes())
  resized = cykooz_resizer.ImageData(size, size, pixel_type)
  options = _cykooz_options(contract.interpolation)
  _THREAD.resizer.resize(source, resized, options)
  return np.frombuffer(resized.get_buffer(), np.uint8).reshape(size, size, 3)


@functools.cache
def _cykooz_options(interpolation: str) -> Any:
  """Returns the ResizeOptions of cykooz_resizer for an interpolation."""
  kernel = {
    'bilinear': cykooz_resizer.FilterType.bilinear,
    'bicubic': cykooz_resizer.FilterType.catmull_rom,
  }[interpolation]
  return cykooz_resizer.ResizeOptions(
    resize_alg=cykooz_resizer.ResizeAlg.convolution(kernel)
  )
