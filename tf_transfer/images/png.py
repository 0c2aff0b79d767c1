"""Corrects what Pillow misreads of PNGs: the color that is transparent."""

import numpy as np
from PIL import Image

from tf_transfer.runtime import tensorflow

# Of the header: bits of a sample (PNG specification, section 11.2.2).
_BIT_DEPTH = 24


def correct_transparency(image: Image.Image, data: bytes) -> None:
  """Corrects the transparent color of a PNG in gray or RGB without alpha.

  The color is stored with the bits of the file, but Pillow compares it with
  pixels of 8 bits: gray of 2 and 4 bits, which it has scaled, and RGB of 16
  bits, whose lower bytes it has dropped.

  Args:
    image: a loaded PNG. Its transparent color is corrected in place, or it
      gets an alpha band.
    data: all bytes of the file.

  Raises:
    ValueError: the file cannot be decoded with 16 bits.
  """
  key, depth = image.info.get('transparency'), data[_BIT_DEPTH]
  if image.mode == 'L' and isinstance(key, int) and depth in (2, 4):
    image.info['transparency'] = key * 255 // (2**depth - 1)
  if image.mode == 'RGB' and isinstance(key, tuple) and depth == 16:
    opaque = _opaque_by_16_bits(data)
    del image.info['transparency']
    image.putalpha(Image.fromarray(opaque))


def _opaque_by_16_bits(data: bytes) -> np.ndarray:
  """Finds the pixels that are not transparent; uint8 [H, W], 255 or 0."""
  tf = tensorflow.import_without_gpu()
  try:
    pixels = tf.raw_ops.DecodePng(contents=data, channels=4, dtype=tf.uint16)
  except tf.errors.InvalidArgumentError as error:
    raise ValueError(f'PNG with 16 bits: {error.message}') from error
  return ((pixels.numpy()[..., 3] > 0) * 255).astype(np.uint8)
