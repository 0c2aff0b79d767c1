"""Makes thumbnails that a page holds, of a bounded size."""

import base64
import dataclasses
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from tf_transfer import datasets
from tf_transfer.errors import InputError

SIDE = 128  # pixels of the longer side
_TINY = 64  # pixels: smaller images are kept as they are
_QUALITIES = (80, 65, 50, 35, 20)  # of JPEG, the best first


@dataclasses.dataclass(frozen=True)
class Thumbnail:
  """A small copy of an image.

  Attributes:
    source: a data URL; '' if the image cannot be read.
    crisp: whether its pixels are to be seen when it is enlarged.
    size: of the image itself, as '640 × 480'; or why it cannot be read.
  """

  source: str
  crisp: bool
  size: str


def make(
  images: Sequence[tuple[datasets.Split, int]], limit: int
) -> list[Thumbnail]:
  """Makes thumbnails that together are not larger than a limit.

  Args:
    images: a split and a position in it, of each.
    limit: of all data URLs, in bytes. Quality is lowered until it is kept;
      those that it leaves no room for have no picture.
  """
  small = [_shrink(split, position) for split, position in images]
  result: list[Thumbnail] = []
  for quality in _QUALITIES:
    result = [_encode(pixels, size, quality) for pixels, size in small]
    if sum(len(t.source) for t in result) <= limit:
      return result
  total = 0
  for i, thumbnail in enumerate(result):
    total += len(thumbnail.source)
    if total > limit:
      result[i] = dataclasses.replace(thumbnail, source='')
  return result


def _shrink(
  split: datasets.Split, position: int
) -> tuple[np.ndarray | None, str]:
  """Reads and shrinks an image, uint8 [h, w, 3]; None if it cannot be read."""
  try:
    pixels = split.read(position)
  except InputError:
    return None, 'cannot be read'
  height, width = pixels.shape[:2]
  scale = SIDE / max(height, width)
  if scale < 1:
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    image = Image.fromarray(pixels)
    pixels = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
  return pixels, f'{width:,} × {height:,}'


def _encode(pixels: np.ndarray | None, size: str, quality: int) -> Thumbnail:
  """Encodes a small image: a tiny one without loss, others as JPEG."""
  if pixels is None:
    return Thumbnail('', False, size)
  crisp = max(pixels.shape) <= _TINY
  kind = 'png' if crisp else 'jpeg'
  options = {'optimize': True} if crisp else {'quality': quality}
  file = io.BytesIO()
  Image.fromarray(pixels).save(file, kind, **options)
  text = base64.b64encode(file.getvalue()).decode()
  return Thumbnail(f'data:image/{kind};base64,{text}', crisp, size)
