"""From the bytes of an image file to the pixels that a network is given."""

import dataclasses
import functools
import io
import math
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from tf_transfer.contract import Contract
from tf_transfer.errors import InputError
from tf_transfer.runtime import tensorflow

try:
  # Pillow's resizing with the processor's vector instructions. There is no
  # wheel of it for every platform.
  import cykooz_resizer
except ModuleNotFoundError:
  cykooz_resizer = None

# Content decides, not the extension. The list is closed: some of Pillow's
# other readers start programs (Ghostscript) on what they are given.
FORMATS = ('JPEG', 'PNG', 'BMP', 'GIF', 'TIFF', 'WEBP', 'PPM')

# What Pillow's readers raise on bytes that are not what they promise.
_BROKEN = (
  OSError,
  SyntaxError,
  ValueError,
  TypeError,
  EOFError,
  IndexError,
  KeyError,
  OverflowError,
  MemoryError,
  struct.error,
  zlib.error,
  Image.DecompressionBombError,
)

_ORIENTATION = 0x0112  # EXIF and TIFF tag.
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262  # TIFF tags.

# Of a JPEG: where its size stands, baseline or progressive; what may turn it
# (EXIF and XMP), padding, and what has no place before the size.
_FRAME_MARKERS = (0xC0, 0xC1, 0xC2)
_UNUSUAL_MARKERS = (0xE1, 0xFF, 0x00, 0x01, *range(0xD0, 0xDB))

_PILLOW_FILTER = ('ignore', None, Warning, re.compile(r'PIL\.'), 0)

_PILLOW_KERNELS = {
  'bilinear': Image.Resampling.BILINEAR,
  'bicubic': Image.Resampling.BICUBIC,
}

# A resizer serves one thread at a time.
_RESIZER = threading.local()


class CorruptImage(InputError):
  """A file cannot be read as an image."""


def decode(data: bytes, name: str) -> np.ndarray:
  """Decodes an image file of any kind to RGB.

  EXIF orientation is applied; transparency is composited on white; gray,
  palette and CMYK become RGB; 16-bit gray is scaled to 8 bits (65535 becomes
  255); of an animation the first frame counts. Color profiles are ignored,
  as TensorFlow's decoders do.

  Args:
    data: the whole file.
    name: what to call it in an error.

  Returns:
    uint8 [H, W, 3].

  Raises:
    CorruptImage: the data is cut short, broken, larger than Pillow's limit
      for decompression bombs, or of a kind without agreed gray levels.
  """
  _quiet_pillow()
  if not data:
    raise _corrupt(name, 'the file is empty')
  try:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
      image.load()
      # After load: a TIFF has been turned by then, and says so.
      orientation = _orientation(image)
      rgb = _to_rgb(image)
  except Image.UnidentifiedImageError as error:
    raise _corrupt(name, f'none of {", ".join(FORMATS)}') from error
  except _BROKEN as error:
    raise _corrupt(name, str(error) or type(error).__name__) from error
  if not rgb.size:
    raise _corrupt(name, 'it has no pixels')
  return np.ascontiguousarray(_turn(rgb, orientation))


@dataclasses.dataclass(frozen=True)
class Box:
  """A part of an image, in pixels."""

  top: int
  left: int
  height: int
  width: int

  def cut(self, image: np.ndarray) -> np.ndarray:
    """The part [height, width, 3] of an image [H, W, 3]."""
    return image[
      self.top : self.top + self.height, self.left : self.left + self.width
    ]


def decode_part(
  data: bytes, name: str, choose: Callable[[int, int], Box]
) -> np.ndarray:
  """Decodes a part of an image file, of a JPEG hardly more than that part.

  The pixels are those of `decode`, to the bit.

  Args:
    data: the whole file.
    name: what to call it in an error.
    choose: choose(height, width) says which part of an image of that size; a
      function of nothing else.

  Returns:
    uint8 [h, w, 3].

  Raises:
    CorruptImage: as of `decode`. Damage behind the part may go unnoticed.
  """
  size = _upright_jpeg_size(data)
  if size is not None:
    part = _decode_jpeg_part(data, size, choose(*size))
    if part is not None:
      return part
  image = decode(data, name)
  return choose(*image.shape[:2]).cut(image)


def resize_fast(image: np.ndarray, contract: Contract) -> np.ndarray:
  """`whole_image` for training: several times as fast.

  It differs from it by at most one gray level, but for antialiased bicubic
  overshoots, which may be clipped in another order.

  Args:
    image: uint8 [H, W, 3].
    contract: image size S, interpolation, antialiasing, place of samples.

  Returns:
    uint8 [S, S, 3].
  """
  if not contract.antialias:
    return _resize_by_tensorflow(image, contract)
  if cykooz_resizer is None:
    return whole_image(image, contract)
  if not hasattr(_RESIZER, 'resizer'):
    _RESIZER.resizer = cykooz_resizer.Resizer()
  pixel_type = cykooz_resizer.PixelType.U8x3
  height, width = image.shape[:2]
  size = contract.image_size
  source = cykooz_resizer.ImageData(width, height, pixel_type, image.tobytes())
  resized = cykooz_resizer.ImageData(size, size, pixel_type)
  options = _fast_options(contract.interpolation)
  _RESIZER.resizer.resize(source, resized, options)
  return np.frombuffer(resized.get_buffer(), np.uint8).reshape(size, size, 3)


def whole_image(image: np.ndarray, contract: Contract) -> np.ndarray:
  """Resizes the whole image to a network's input, not keeping its aspect.

  This is how the paper shows images to fixed networks: nothing is cropped
  away.

  Args:
    image: uint8 [H, W, 3].
    contract: image size S, interpolation and antialiasing.

  Returns:
    uint8 [S, S, 3].
  """
  return _resize(image, contract.image_size, contract.image_size, contract)


def resize_then_crop(image: np.ndarray, contract: Contract) -> np.ndarray:
  """Resizes the shorter side to S / crop_fraction; the central S x S of that.

  The aspect is kept. This is how torchvision and timm evaluate, whose rounding
  it is, and TF-Slim its ResNets, which rounds the longer side to the nearest.

  Args:
    image: uint8 [H, W, 3].
    contract: image size S, crop fraction, interpolation and antialiasing.

  Returns:
    uint8 [S, S, 3].
  """
  size = contract.image_size
  # A fraction that is a quotient, such as 299 / 342, must give 342 again.
  side = math.floor(size / contract.crop_fraction + 1e-6)
  height, width = image.shape[:2]
  short = min(height, width)
  height, width = side * height // short, side * width // short
  resized = _resize(image, height, width, contract)
  top, left = round((height - size) / 2), round((width - size) / 2)
  return resized[top : top + size, left : left + size]


def crop_then_resize(image: np.ndarray, contract: Contract) -> np.ndarray:
  """Resizes the center of the image, crop_fraction of each side, to S x S.

  The aspect is not kept. This is how TF-Slim evaluates its Inceptions,
  MobileNets and NASNets, with a fraction of 87.5 %.

  Args:
    image: uint8 [H, W, 3].
    contract: image size S, crop fraction, interpolation and antialiasing.

  Returns:
    uint8 [S, S, 3].
  """
  height, width = image.shape[:2]
  top, left = (
    int((side - side * contract.crop_fraction) / 2) for side in (height, width)
  )
  return whole_image(image[top : height - top, left : width - left], contract)


# How an image becomes a network's input when nothing is left to chance.
RESIZES: Mapping[str, Callable[[np.ndarray, Contract], np.ndarray]] = {
  'whole_image': whole_image,
  'resize_then_crop': resize_then_crop,
  'crop_then_resize': crop_then_resize,
}


def _resize(
  image: np.ndarray, height: int, width: int, contract: Contract
) -> np.ndarray:
  """Resizes as the contract says.

  With antialiasing it is Pillow's resize to the bit, which rounds and clips
  to 0..255 between its two passes; without, it is TensorFlow's, which does so
  once, at the end.

  Args:
    image: uint8 [H, W, 3].
    height: of the result.
    width: of the result.
    contract: interpolation and antialiasing.

  Returns:
    uint8 [height, width, 3].
  """
  if contract.antialias:
    kernel = _PILLOW_KERNELS[contract.interpolation]
    return np.array(Image.fromarray(image).resize((width, height), kernel))
  how = contract.interpolation, contract.pixel_centers
  rows, row_weights = _taps(image.shape[0], height, *how)
  cols, col_weights = _taps(image.shape[1], width, *how)
  # Channels as columns of their own, of which there are three times as many:
  # NumPy is several times slower with an innermost axis of three.
  flat = image.reshape(len(image), -1)
  cols = (cols[:, None] * 3 + np.arange(3)[:, None]).reshape(width * 3, -1)
  col_weights = np.repeat(col_weights, 3, axis=0)
  # Rows first: only those that some tap needs are ever converted to float.
  tall = sum(
    row_weights[:, k, None] * flat[rows[:, k]] for k in range(rows.shape[1])
  )
  result = sum(
    col_weights[:, k] * tall[:, cols[:, k]] for k in range(cols.shape[1])
  )
  pixels = np.clip(np.rint(result), 0, 255).astype(np.uint8)
  return pixels.reshape(height, width, 3)


@functools.lru_cache(maxsize=1024)
def _taps(
  length: int, size: int, interpolation: str, centers: bool = True
) -> tuple[np.ndarray, np.ndarray]:
  """Which samples make each output sample, and with what weights.

  The kernel is never widened; taps beyond the edge do not count and the
  others are scaled up to sum to 1, as TensorFlow does.

  Args:
    length: samples of the input.
    size: samples of the output.
    interpolation: 'bilinear' or 'bicubic'.
    centers: whether a sample lies at the center of its pixel, or the corner.

  Returns:
    int64 [size, K] positions in the input and float32 [size, K] weights.
  """
  shift = 0.5 if centers else 0.0
  center = (np.arange(size) + shift) * (length / size) - shift
  reach = {'bilinear': 1, 'bicubic': 2}[interpolation]
  first = np.floor(center).astype(np.int64) - (reach - 1)
  position = first[:, None] + np.arange(2 * reach)
  distance = np.abs(position - center[:, None])
  if interpolation == 'bilinear':
    weight = np.maximum(1 - distance, 0)
  else:
    weight = _keys(distance)
  weight = np.where((position >= 0) & (position < length), weight, 0)
  weight /= weight.sum(axis=1, keepdims=True)
  return np.clip(position, 0, length - 1), weight.astype(np.float32)


def _keys(distance: np.ndarray) -> np.ndarray:
  """Keys' cubic convolution kernel with a = -0.5, at distances >= 0."""
  a, d = -0.5, distance
  near = ((a + 2) * d - (a + 3)) * d * d + 1
  far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
  return np.where(d <= 1, near, np.where(d < 2, far, 0))


def _upright_jpeg_size(data: bytes) -> tuple[int, int] | None:
  """Height and width, if it is a JPEG whose pixels are stored as shown.

  Pillow tells that of any; of a plain one it takes several times as long as
  looking for the frame header (ITU-T T.81, B.1.1.3).
  """
  position = 2
  while data.startswith(b'\xff\xd8') and position + 10 <= len(data):
    start, marker = data[position], data[position + 1]
    if start != 0xFF or marker in _UNUSUAL_MARKERS:
      break
    if marker in _FRAME_MARKERS:
      height, width, components = struct.unpack_from('>HHB', data, position + 5)
      if not (height and width and components in (1, 3)):
        break
      return height, width
    position += 2 + int.from_bytes(data[position + 2 : position + 4], 'big')
  return _upright_jpeg_size_by_pillow(data)


def _upright_jpeg_size_by_pillow(data: bytes) -> tuple[int, int] | None:
  _quiet_pillow()
  try:
    with Image.open(io.BytesIO(data), formats=('JPEG',)) as image:
      if image.mode not in ('RGB', 'L') or _orientation(image) != 1:
        return None
      return image.height, image.width
  except _BROKEN:
    # To be named by whoever decodes it.
    return None


def _decode_jpeg_part(
  data: bytes, size: tuple[int, int], box: Box
) -> np.ndarray | None:
  """A part of a JPEG as uint8 [h, w, 3]; None if TensorFlow cannot read it."""
  tf = tensorflow.without_accelerator()
  # Colors are interpolated between neighbors: the pixels at the edge need
  # those beyond it.
  top, left = max(box.top - 1, 0), max(box.left - 1, 0)
  bottom = min(box.top + box.height + 1, size[0])
  right = min(box.left + box.width + 1, size[1])
  try:
    pixels = tf.raw_ops.DecodeAndCropJpeg(
      contents=data,
      crop_window=[top, left, bottom - top, right - left],
      channels=3,
      dct_method='INTEGER_ACCURATE',
    ).numpy()
  except tf.errors.InvalidArgumentError:
    return None
  return Box(box.top - top, box.left - left, box.height, box.width).cut(pixels)


def _resize_by_tensorflow(image: np.ndarray, contract: Contract) -> np.ndarray:
  """Resizes to S x S without antialiasing."""
  tf = tensorflow.without_accelerator()
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


@functools.cache
def _fast_options(interpolation: str):
  kernel = {
    'bilinear': cykooz_resizer.FilterType.bilinear,
    'bicubic': cykooz_resizer.FilterType.catmull_rom,
  }[interpolation]
  return cykooz_resizer.ResizeOptions(
    resize_alg=cykooz_resizer.ResizeAlg.convolution(kernel)
  )


def _corrupt(name: str, reason: str) -> CorruptImage:
  return CorruptImage(
    f'{name}: not a readable image ({reason}): replace or remove the file, '
    'or have corrupt images skipped'
  )


def _quiet_pillow() -> None:
  """Keeps Pillow's remarks on odd metadata off the screen, for good.

  warnings.catch_warnings would put the filters back, but it is not safe where
  several threads decode at once.
  """
  if _PILLOW_FILTER not in warnings.filters:
    warnings.filterwarnings('ignore', module=r'PIL\.')


def _orientation(image: Image.Image) -> int:
  """The EXIF orientation, 1 to 8; 1 where there is none or it is broken."""
  try:
    value = image.getexif().get(_ORIENTATION, 1)
  except _BROKEN:
    # The pixels are whole; only the remarks about them are not.
    return 1
  return value if value in range(1, 9) else 1


def _turn(image: np.ndarray, orientation: int) -> np.ndarray:
  """Puts [H, W, 3] pixels upright, as an EXIF orientation of 1 to 8 says."""
  if orientation >= 5:
    image = image.swapaxes(0, 1)
  if orientation in (2, 3, 6, 7):
    image = image[:, ::-1]
  if orientation in (3, 4, 7, 8):
    image = image[::-1]
  return image


def _to_rgb(image: Image.Image) -> np.ndarray:
  """A loaded image of any mode as uint8 [H, W, 3]."""
  if image.mode == 'I' or image.mode.startswith('I;16'):
    return _wide_grey_to_rgb(image)
  if image.mode == 'F':
    raise ValueError(
      'floating-point pixels have no agreed range; save it with 8 or 16 bits'
    )
  if image.mode == 'RGB' and 'transparency' not in image.info:
    return np.array(image)
  if image.has_transparency_data:
    image = image.convert('RGBA')
    white = Image.new('RGBA', image.size, 'white')
    image = Image.alpha_composite(white, image)
  return np.array(image.convert('RGB'))


def _wide_grey_to_rgb(image: Image.Image) -> np.ndarray:
  """Gray of more than 8 bits as uint8 [H, W, 3], scaled and not clipped."""
  bits, white_is_zero = 16, False
  if image.format == 'TIFF':
    if image.mode == 'I':
      raise ValueError(
        'signed or 32-bit gray has no agreed range; save it with 8 or 16 bits'
      )
    bits = image.tag_v2.get(_BITS_PER_SAMPLE, (16,))[0]
    white_is_zero = image.tag_v2.get(_PHOTOMETRIC) == 0
  gray = np.array(image).astype(np.int64)
  peak = 2**bits - 1
  if gray.size and not 0 <= gray.min() <= gray.max() <= peak:
    raise ValueError(f'gray levels outside 0 to {peak}')
  scaled = (gray * 255 + peak // 2) // peak
  if white_is_zero:
    scaled = 255 - scaled
  key = image.info.get('transparency')
  if key is not None:
    scaled = np.where(gray == key, 255, scaled)
  return np.repeat(scaled.astype(np.uint8)[..., None], 3, axis=-1)
