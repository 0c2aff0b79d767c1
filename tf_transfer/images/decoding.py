"""Decodes image files to RGB pixels."""

import dataclasses
import io
import math
import re
import struct
import warnings
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from tf_transfer.errors import InputError
from tf_transfer.images import png, tiff
from tf_transfer.images.formats import (
  FORMATS,
  foreign_format,
  image_format,
)
from tf_transfer.runtime import tensorflow

# Exceptions that Pillow's readers raise on damaged files.
_PILLOW_ERRORS = (
  OSError,
  SyntaxError,
  ValueError,
  TypeError,
  EOFError,
  IndexError,
  KeyError,
  OverflowError,
  struct.error,
  zlib.error,
  Image.DecompressionBombError,
)

_ORIENTATION = 0x0112  # EXIF and TIFF tag.
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262  # TIFF tags.

# JPEG markers of a baseline or progressive frame: the image size is in them.
_FRAME_MARKERS = (0xC0, 0xC1, 0xC2)
# JPEG markers that leave the quick search for the size to Pillow: EXIF and
# XMP, which may turn the image; padding; markers that never precede a frame.
_UNUSUAL_MARKERS = (0xE1, 0xFF, 0x00, 0x01, *range(0xD0, 0xDB))

_PILLOW_FILTER = ('ignore', None, Warning, re.compile(r'PIL\.'), 0)


class CorruptImage(InputError):
  """A file cannot be read as an image.

  Attributes:
    reason: what is wrong with it; '' if that is not known.
  """

  def __init__(self, message: str, reason: str = '') -> None:
    super().__init__(message)
    self.reason = reason


@dataclasses.dataclass(frozen=True)
class Box:
  """A rectangle in an image, in pixels."""

  top: int
  left: int
  height: int
  width: int

  def crop(self, image: np.ndarray) -> np.ndarray:
    """Returns the box's pixels [height, width, 3] of an image [H, W, 3]."""
    return image[
      self.top : self.top + self.height, self.left : self.left + self.width
    ]


def decode(data: bytes, name: str) -> np.ndarray:
  """Decodes an image file of any format to RGB.

  EXIF orientation is applied. Transparency is composited on white. Gray,
  palette and CMYK become RGB. 16-bit gray is scaled to 8 bits (65535 becomes
  255). Of an animation the first frame is decoded. Color profiles are ignored,
  as TensorFlow's decoders do.

  Args:
    data: all bytes of the file.
    name: of the image, for error messages.

  Returns:
    uint8 [H, W, 3].

  Raises:
    CorruptImage: the data is cut short or damaged, larger than Pillow's limit
      for decompression bombs, or of a format without agreed gray levels.
    InputError: there is too little memory. The image may be a good one.
  """
  _silence_pillow()
  if not data:
    raise _corrupt_image(name, 'the file is empty')
  if image_format(data) is None:
    raise _corrupt_image(name, _describe_stranger(data))
  try:
    rgb, orientation = _decode_tiff(data) or _decode_with_pillow(data)
  except Image.UnidentifiedImageError as error:
    raise _corrupt_image(
      name, f'{image_format(data)} of an unknown kind, or its header is damaged'
    ) from error
  except MemoryError as error:
    raise _out_of_memory(name) from error
  except _PILLOW_ERRORS as error:
    reason = str(error) or type(error).__name__
    if 'out of memory' in reason:
      # Of Pillow's decoders in C, which have no MemoryError.
      raise _out_of_memory(name) from error
    raise _corrupt_image(name, reason) from error
  if not rgb.size:
    raise _corrupt_image(name, 'it has no pixels')
  return np.ascontiguousarray(_turn_upright(rgb, orientation))


def _decode_with_pillow(data: bytes) -> tuple[np.ndarray, int]:
  """Decodes an image to RGB as it is stored, and reads its orientation."""
  with Image.open(io.BytesIO(data), formats=FORMATS) as image:
    image.load()
    if image.format == 'PNG':
      png.correct_transparency(image, data)
    # After load: loading a TIFF turns it and updates its orientation.
    return _to_rgb(image), _orientation(image)


def _decode_tiff(data: bytes) -> tuple[np.ndarray, int] | None:
  """Does the same for a TIFF; None if the file is none."""
  if image_format(data) != 'TIFF':
    return None
  unpacked = tiff.unpack(data)
  if unpacked is not None:
    return _to_rgb(unpacked.image), unpacked.orientation
  try:
    return _decode_with_pillow(data)
  except (Image.UnidentifiedImageError, ValueError, OSError) as error:
    raise tiff.explain(data, error) from error


def decode_box(
  data: bytes, name: str, choose_box: Callable[[int, int], Box]
) -> np.ndarray:
  """Decodes a part of an image file.

  The pixels are those of `decode`, to the bit. Of a JPEG hardly more than the
  part is decoded.

  Args:
    data: all bytes of the file.
    name: of the image, for error messages.
    choose_box: (height, width) -> the part to decode. It must depend on
      nothing else, because it may be called again.

  Returns:
    uint8 [h, w, 3].

  Raises:
    CorruptImage: as `decode`. Damage behind the part may go unnoticed.
  """
  size = _upright_jpeg_size(data)
  if size is not None:
    pixels = _decode_jpeg_box(data, size, choose_box(*size))
    if pixels is not None:
      return pixels
  image = decode(data, name)
  return choose_box(*image.shape[:2]).crop(image)


def _upright_jpeg_size(data: bytes) -> tuple[int, int] | None:
  """Reads height and width of a JPEG that needs no turning.

  Pillow can do this for every JPEG, but for common ones it takes several times
  as long as a search for the frame header (ITU-T T.81, B.1.1.3).

  Returns:
    Height and width; None if the data is no JPEG in color or gray, or if its
    EXIF orientation turns it.
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
      # Pillow refuses what is larger: TensorFlow would allocate it.
      limit = 2 * (Image.MAX_IMAGE_PIXELS or math.inf)
      return (height, width) if height * width <= limit else None
    position += 2 + int.from_bytes(data[position + 2 : position + 4], 'big')
  return _upright_jpeg_size_by_pillow(data)


def _upright_jpeg_size_by_pillow(data: bytes) -> tuple[int, int] | None:
  """Does the same as `_upright_jpeg_size` with Pillow."""
  _silence_pillow()
  try:
    with Image.open(io.BytesIO(data), formats=('JPEG',)) as image:
      if image.mode not in ('RGB', 'L') or _orientation(image) != 1:
        return None
      return image.height, image.width
  except _PILLOW_ERRORS:
    # `decode` raises the error that names the file.
    return None


def _decode_jpeg_box(
  data: bytes, size: tuple[int, int], box: Box
) -> np.ndarray | None:
  """Decodes a part of a JPEG with TensorFlow.

  Returns:
    uint8 [h, w, 3]; None if TensorFlow cannot read the file.
  """
  tf = tensorflow.import_without_gpu()
  # Decoders interpolate colors between neighboring pixels. Pixels at the edge
  # of the box need those one beyond it.
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
  inner = Box(box.top - top, box.left - left, box.height, box.width)
  return inner.crop(pixels)


def _corrupt_image(name: str, reason: str) -> CorruptImage:
  """Returns the error to raise for an image that cannot be decoded."""
  return CorruptImage(
    f'{name}: not a readable image ({reason}): replace or remove the file, '
    'or set --config.data.corrupt=skip',
    reason,
  )


def _out_of_memory(name: str) -> InputError:
  """Returns the error to raise where memory ends; the image may be good."""
  return InputError(
    f'{name}: too little memory to decode this image: free some, or lift the '
    'limit of this process'
  )


def _describe_stranger(data: bytes) -> str:
  """Says what a file is that is no image of a format that is read."""
  known = foreign_format(data)
  if known is not None:
    return f'{known}, which is not among {", ".join(FORMATS)}'
  if data.startswith(b'version https://git-lfs'):
    return 'a Git LFS pointer in place of the file: fetch it with git lfs pull'
  if re.match(rb'\s*<(!doctype )?html', data[:200], re.IGNORECASE):
    return 'a web page'
  return f'none of {", ".join(FORMATS)}'


def _silence_pillow() -> None:
  """Silences Pillow's warnings on odd metadata, for the whole process.

  warnings.catch_warnings would restore the filters, but it is not safe where
  several threads decode at once.
  """
  if _PILLOW_FILTER not in warnings.filters:
    warnings.filterwarnings('ignore', module=r'PIL\.')


def _orientation(image: Image.Image) -> int:
  """Reads the EXIF orientation, 1 to 8; 1 if it is missing or damaged."""
  try:
    value = image.getexif().get(_ORIENTATION, 1)
  except _PILLOW_ERRORS:
    # Only the metadata is damaged; the pixels are not.
    return 1
  return value if value in range(1, 9) else 1


def _turn_upright(image: np.ndarray, orientation: int) -> np.ndarray:
  """Turns pixels [H, W, 3] as an EXIF orientation of 1 to 8 says."""
  if orientation >= 5:
    image = image.swapaxes(0, 1)
  if orientation in (2, 3, 6, 7):
    image = image[:, ::-1]
  if orientation in (3, 4, 7, 8):
    image = image[::-1]
  return image


def _to_rgb(image: Image.Image) -> np.ndarray:
  """Converts a loaded image of any mode to uint8 [H, W, 3]."""
  if image.format == 'TIFF' and (palette := tiff.palette_of_8_bits(image)):
    image.putpalette(palette, 'RGB;L')
  if image.mode == 'I' or image.mode.startswith('I;16'):
    return _deep_gray_to_rgb(image)
  if image.mode == 'CMYK' and _is_unmarked_jpeg(image):
    raise ValueError(
      'CMYK without the mark of Adobe, so it is open whether 0 is no ink or '
      'all; save it as RGB'
    )
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


def _is_unmarked_jpeg(image: Image.Image) -> bool:
  """Tells whether an image is a JPEG without the mark of Adobe.

  Inks with the mark are inverted. Decoders disagree on those without.
  """
  return image.format in ('JPEG', 'MPO') and 'adobe' not in image.info


def _deep_gray_to_rgb(image: Image.Image) -> np.ndarray:
  """Converts gray of more than 8 bits to uint8 [H, W, 3], scaled to 0..255."""
  bits, white_is_zero = 16, False
  if image.format == 'TIFF':
    bits = image.tag_v2.get(_BITS_PER_SAMPLE, (16,))[0]
    white_is_zero = image.tag_v2.get(_PHOTOMETRIC) == 0
  gray = np.array(image).astype(np.int64)
  peak = 2**bits - 1
  if gray.size and not 0 <= gray.min() <= gray.max() <= peak:
    raise ValueError(f'gray levels outside 0 to {peak}')
  scaled = (gray * 255 + peak // 2) // peak
  if white_is_zero:
    scaled = 255 - scaled
  transparent_level = image.info.get('transparency')
  if transparent_level is not None:
    scaled = np.where(gray == transparent_level, 255, scaled)
  return np.repeat(scaled.astype(np.uint8)[..., None], 3, axis=-1)
