"""Reads the TIFFs that Pillow misreads, and refuses those that nobody reads.

TIFF leaves the layout of pixels to the writer. Pillow reads the common ones.
Of the others it refuses many and misreads some without an error: samples of 16
bits in planes apart, for instance. `unpack` tells them apart by the tags of the
first image. Where Pillow is wrong it has libtiff decompress the bytes alone,
which is the same for every layout, and arranges them here.
"""

import dataclasses
import io
import math
import struct
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

# Tags (TIFF 6.0, section 8 and the sections on extensions).
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION = 254, 256, 257, 258, 259
_PHOTOMETRIC, _FILL_ORDER, _STRIP_OFFSETS, _ORIENTATION = 262, 266, 273, 274
_SAMPLES, _ROWS, _STRIP_BYTES, _PLANAR, _PREDICTOR = 277, 278, 279, 284, 317
_COLOR_MAP, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS = 320, 322, 323, 324
_TILE_BYTES, _INK_SET, _EXTRA, _FORMAT, _BLACK_WHITE = 325, 332, 338, 339, 532
_DNG_VERSION = 50706

# Pillow takes it for a plain TIFF, and reads its tags from wrong places.
_BIG_ENDIAN_BIGTIFF = b'MM\0+'

_PHOTOMETRICS = {
  0: 'gray, white is zero',
  1: 'gray',
  2: 'RGB',
  3: 'a palette',
  4: 'a mask',
  5: 'CMYK',
  6: 'YCbCr',
  8: 'Lab',
  9: 'Lab of ICC',
  10: 'Lab of ITU',
  32803: 'a color filter array',
  34892: 'linear raw',
}
_GRAY, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = (0, 1), 2, 3, 5, 6, 8
_KINDS = {1: 'integers', 2: 'signed integers', 3: 'floating point'}
_JPEG = 7
# Compressions that give back the bytes of a strip, whatever they mean.
_LOSSLESS = {1, 5, 8, 32946, 32773, 34925, 50000}
_WITH_PREDICTOR = _LOSSLESS - {1, 32773}
_FULL_RANGE = (0, 255, 128, 255, 128, 255)  # Of luma and of two colors.


class UnsupportedLayout(ValueError):
  """A TIFF's pixels are arranged in a way that is not read."""


@dataclasses.dataclass(frozen=True)
class Unpacked:
  """A TIFF that was read here.

  Attributes:
    image: with 8 bits, of mode RGB, RGBA, RGBa, CMYK or LAB.
    orientation: as EXIF says it, 1 to 8.
  """

  image: Image.Image
  orientation: int


@dataclasses.dataclass(frozen=True)
class _Layout:
  """The tags of the first image, with their defaults."""

  tags: TiffImagePlugin.ImageFileDirectory_v2
  order: str

  def get(self, tag: int, default: int | None = None) -> Any:
    """Returns a tag's integer, the first of several."""
    value = self.tags.get(tag, default)
    value = value[0] if isinstance(value, tuple) and value else value
    if value is not default and not isinstance(value, int):
      raise ValueError(f'TIFF whose tag {tag} is {value!r}, not an integer')
    return value

  def values(self, tag: int) -> tuple:
    """Returns all values of a tag; () if it is missing."""
    value = self.tags.get(tag, ())
    return value if isinstance(value, tuple) else (value,)

  @property
  def samples(self) -> int:
    """Number of bands, those beside the colors too."""
    return self.get(_SAMPLES, 1)

  @property
  def bits(self) -> tuple[int, ...]:
    """The different numbers of bits of a sample."""
    return tuple(sorted(set(self.values(_BITS) or (1,))))

  @property
  def photometric(self) -> int | None:
    """What the samples mean."""
    return self.get(_PHOTOMETRIC)

  @property
  def compression(self) -> int:
    """How strips and tiles are compressed."""
    return self.get(_COMPRESSION, 1)

  @property
  def is_planar(self) -> bool:
    """Whether each band is stored on its own."""
    return self.get(_PLANAR, 1) == 2 and self.samples > 1

  @property
  def kinds(self) -> set[int]:
    """The sample formats; undefined ones (4) are taken as integers."""
    return {1 if x == 4 else x for x in self.values(_FORMAT) or (1,)}

  def describe(self) -> str:
    """Describes the layout for people."""
    bits = ' and '.join(map(str, self.bits))
    kinds = ' and '.join(_KINDS.get(x, f'format {x}') for x in self.kinds)
    color = _PHOTOMETRICS.get(self.photometric, f'color {self.photometric}')
    name = TiffImagePlugin.COMPRESSION_INFO.get(
      self.compression, str(self.compression)
    )
    text = (
      f'a TIFF with {self.samples} band{"s"[: self.samples > 1]} of {bits} '
      f'bits ({kinds}, {color}'
    )
    if self.is_planar:
      text += ', planes apart'
    return f'{text}, compression {name.removeprefix("tiff_")})'


def unpack(data: bytes) -> Unpacked | None:
  """Reads a TIFF that Pillow misreads or refuses.

  Args:
    data: all bytes of the file.

  Returns:
    The first image; None if Pillow reads it right.

  Raises:
    UnsupportedLayout: nothing here reads it; the message describes it.
    ValueError, TypeError, struct.error, OSError, ...: the file is damaged, in
      any way in which Pillow's readers raise.
  """
  layout = _read_layout(data)
  _check_subfile(layout)
  _check_samples(layout)
  if _is_unpacked(layout):
    return Unpacked(_unpack(data, layout), _orientation(layout))
  _check_bytes(layout)
  return None


def explain(data: bytes, error: Exception) -> Exception:
  """Returns an error in place of that with which Pillow refused a TIFF."""
  text = str(error)
  if isinstance(error, Image.UnidentifiedImageError) or 'raw mode' in text:
    return _unsupported(_read_layout(data))
  if text.startswith('decoder error'):
    return ValueError(
      'TIFF that cannot be decompressed: it is damaged, or libtiff does not '
      f'know {_read_layout(data).describe()}'
    )
  return error


def palette_of_8_bits(image: Image.Image) -> bytes | None:
  """Returns a palette that Pillow misreads: its colors have 8 bits, not 16.

  libtiff takes a palette so, too, if no value is larger than 255.

  Returns:
    All reds, all greens, all blues; None if the palette is right.
  """
  values = image.tag_v2.get(_COLOR_MAP, ())
  if image.mode not in ('P', 'PA') or not 0 < max(values, default=0) < 256:
    return None
  return bytes(values)


def _unsupported(layout: _Layout, detail: str = '') -> UnsupportedLayout:
  """Returns the error on a layout; `detail` is what it stumbles over."""
  return UnsupportedLayout(
    f'TIFF, unsupported layout: {layout.describe()}{detail}'
  )


def _read_layout(data: bytes) -> _Layout:
  """Reads the tags of the first image."""
  if data.startswith(_BIG_ENDIAN_BIGTIFF):
    raise UnsupportedLayout(
      'TIFF, unsupported layout: a BigTIFF in big-endian byte order; save it '
      'in little-endian'
    )
  file = io.BytesIO(data)
  head = file.read(8)
  # BigTIFF.
  head += file.read(8) if 43 in head[2:4] else b''
  tags = TiffImagePlugin.ImageFileDirectory_v2(head)
  file.seek(tags.next)
  tags.load(file)
  layout = _Layout(tags, '<' if head.startswith(b'II') else '>')
  if layout.get(_WIDTH, 0) < 1 or layout.get(_HEIGHT, 0) < 1:
    raise ValueError('TIFF without an image size')
  return layout


def _check_subfile(layout: _Layout) -> None:
  """Refuses files whose first image is not the photograph."""
  if _DNG_VERSION in layout.tags:
    raise UnsupportedLayout('TIFF, unsupported layout: camera raw (DNG)')
  if layout.get(_SUBFILE, 0) & 1:
    raise UnsupportedLayout(
      'TIFF, unsupported layout: the first image is a thumbnail of another, '
      'as in camera raw'
    )


def _check_samples(layout: _Layout) -> None:
  """Refuses samples that have no agreed range, and inks of no agreed color."""
  bits = max(layout.bits)
  if layout.kinds != {1} or bits > 16:
    raise _unsupported(
      layout, ', which have no agreed range; save it with 8 or 16 bits'
    )
  if layout.photometric == _CMYK and layout.get(_INK_SET, 1) != 1:
    raise _unsupported(
      layout, ', whose inks are not cyan, magenta, yellow and black'
    )
  is_raw_ycbcr = layout.photometric == _YCBCR and layout.compression == 1
  scale = tuple(float(x) for x in layout.values(_BLACK_WHITE))
  if is_raw_ycbcr and scale not in ((), _FULL_RANGE):
    raise _unsupported(layout, ', whose luma has not the range 0 to 255')


def _check_bytes(layout: _Layout) -> None:
  """Refuses pixels that are cut short: Pillow reads on in what follows.

  Of compressed data libtiff notices.
  """
  counts = layout.values(_STRIP_BYTES)
  if layout.compression != 1 or layout.values(_TILE_OFFSETS) or not counts:
    return
  row = math.ceil(layout.get(_WIDTH) * layout.samples * min(layout.bits) / 8)
  missing = row * layout.get(_HEIGHT) - sum(counts)
  # Some writers leave the counts at 0.
  if sum(counts) and missing > 0:
    raise _unsupported(layout, f', {missing} bytes short of its size')


def _orientation(layout: _Layout) -> int:
  """Returns the orientation, 1 to 8; 1 if it is missing or wrong."""
  value = layout.get(_ORIENTATION, 1)
  return value if value in range(1, 9) else 1


def _is_unpacked(layout: _Layout) -> bool:
  """Tells whether a layout is unpacked here; Pillow has all others.

  Raises:
    UnsupportedLayout: neither reads it.
  """
  bits, colors = layout.bits, _num_colors(layout)
  num_extra = layout.samples - colors
  is_plain = bits in ((8,), (16,)) and layout.compression in _LOSSLESS
  if layout.photometric == _LAB:
    is_plain = is_plain and bits == (8,)
  # More bands of 16 bits, or beside gray, are rather those of another camera.
  most_extra = 3 if bits == (8,) and layout.photometric not in _GRAY else 1
  if layout.photometric == _CMYK and {1, 2} & set(layout.values(_EXTRA)):
    most_extra = 0
  if layout.is_planar:
    if is_plain and colors and 0 <= num_extra <= most_extra:
      return True
    is_jpeg = layout.photometric == _RGB and layout.compression == _JPEG
    if (is_jpeg and bits == (8,) and layout.samples == 3) or (
      layout.photometric == _YCBCR
      and layout.compression in _LOSSLESS - {1}
      and layout.values(530) == (1, 1)
    ):
      return False
    raise _unsupported(layout)
  if layout.photometric in _GRAY and is_plain:
    is_pillows = (layout.photometric, bits) == (1, (8,)) and layout.values(
      _EXTRA
    ) in ((0,), (2,))
    is_deep_inverse = (layout.photometric, bits, num_extra) == (0, (16,), 0)
    return is_deep_inverse or (num_extra == 1 and not is_pillows)
  return False


def _num_colors(layout: _Layout) -> int:
  """Returns how many bands hold the colors; 0 if they are not unpacked here."""
  photometric = layout.photometric
  if photometric in _GRAY:
    return 1
  return {_RGB: 3, _CMYK: 4, _LAB: 3}.get(photometric, 0)


def _unpack(data: bytes, layout: _Layout) -> Image.Image:
  """Unpacks the first image."""
  if layout.is_planar:
    offsets = layout.values(_TILE_OFFSETS) or layout.values(_STRIP_OFFSETS)
    if not offsets or len(offsets) % layout.samples:
      raise ValueError(f'TIFF with {len(offsets)} strips of its planes')
    planes = [
      _read_plane(data, layout, plane, 1)[..., 0]
      for plane in range(layout.samples)
    ]
    return _to_image(np.stack(planes, axis=-1), layout)
  return _to_image(_read_plane(data, layout, 0, layout.samples), layout)


def _read_plane(
  data: bytes, layout: _Layout, plane: int, samples: int
) -> np.ndarray:
  """Reads what is stored together: all bands, or one of several planes.

  libtiff decompresses it as gray of 8 bits: each byte is a pixel.

  Returns:
    Of the file's type, [H, W, samples].
  """
  dtype = np.dtype(f'{layout.order}u{layout.bits[0] // 8}')
  pixel = samples * dtype.itemsize
  height, width = layout.get(_HEIGHT), layout.get(_WIDTH)
  tile_width, tile_height = layout.get(_TILE_WIDTH), layout.get(_TILE_HEIGHT)
  is_tiled = bool(layout.values(_TILE_OFFSETS))
  if not is_tiled:
    tile_width, tile_height = width, height
  elif not (tile_width and tile_height):
    raise ValueError('TIFF with tiles of no size')
  rows = math.ceil(height / tile_height) * tile_height
  columns = math.ceil(width / tile_width) * tile_width
  view = _gray_view(data, layout, plane, (rows, columns * pixel), pixel)
  with Image.open(io.BytesIO(view), formats=('TIFF',)) as image:
    image.load()
    stored = np.array(image)
  stored = stored.view(dtype).reshape(rows, -1, tile_width, samples)
  if layout.get(_PREDICTOR, 1) == 2 and layout.compression in _WITH_PREDICTOR:
    stored = stored.astype(dtype.newbyteorder('='))
    stored = np.cumsum(stored, axis=2, dtype=stored.dtype)
  return stored.reshape(rows, columns, samples)[:height, :width]


def _gray_view(
  data: bytes,
  layout: _Layout,
  plane: int,
  size: tuple[int, int],
  pixel: int,
) -> bytes:
  """Makes a TIFF that shows bytes of another as gray of 8 bits.

  Args:
    data: the other file.
    layout: of the other file.
    plane: number of the plane; 0 if there is one.
    size: height and width in bytes.
    pixel: bytes of a pixel.
  """
  is_tiled = bool(layout.values(_TILE_OFFSETS))
  names = (
    (_TILE_OFFSETS, _TILE_BYTES) if is_tiled else (_STRIP_OFFSETS, _STRIP_BYTES)
  )
  num_planes = layout.samples if layout.is_planar else 1
  offsets, counts = (layout.values(name) for name in names)
  if len(offsets) != len(counts):
    raise ValueError('TIFF with other numbers of strips and of their sizes')
  each = len(offsets) // num_planes
  part = slice(plane * each, (plane + 1) * each)
  _check_part(data, layout, offsets[part], counts[part], size)
  tags = {
    _WIDTH: [size[1]],
    _HEIGHT: [size[0]],
    _BITS: [8],
    _COMPRESSION: [layout.compression],
    _PHOTOMETRIC: [1],
    _FILL_ORDER: [layout.get(_FILL_ORDER, 1)],
    names[0]: offsets[part],
    _SAMPLES: [1],
    names[1]: counts[part],
  }
  if is_tiled:
    tags[_TILE_WIDTH] = [layout.get(_TILE_WIDTH) * pixel]
    tags[_TILE_HEIGHT] = [layout.get(_TILE_HEIGHT)]
  else:
    tags[_ROWS] = [min(layout.get(_ROWS, size[0]), size[0])]
  return _with_directory(data, layout.order, tags)


def _check_part(
  data: bytes,
  layout: _Layout,
  offsets: tuple[int, ...],
  counts: tuple[int, ...],
  size: tuple[int, int],
) -> None:
  """Raises a ValueError if strips or tiles are not all in the file."""
  for offset, count in zip(offsets, counts, strict=True):
    if offset + count > len(data):
      raise ValueError('TIFF cut short: a strip ends beyond the file')
  missing = size[0] * size[1] - sum(counts)
  if layout.compression == 1 and missing > 0:
    raise ValueError(f'TIFF cut short: {missing} bytes of a plane are missing')


def _with_directory(
  data: bytes, order: str, tags: dict[int, list[int] | tuple[int, ...]]
) -> bytes:
  """Returns a file with another directory, whose values are 32-bit integers."""
  start = len(data) + len(data) % 2
  beyond = start + 2 + 12 * len(tags) + 4
  directory, values = struct.pack(f'{order}H', len(tags)), b''
  for tag, numbers in sorted(tags.items()):
    packed = struct.pack(f'{order}{len(numbers)}I', *numbers)
    directory += struct.pack(f'{order}HHI', tag, 4, len(numbers))
    if len(numbers) == 1:
      directory += packed
    else:
      directory += struct.pack(f'{order}I', beyond + len(values))
      values += packed
  head = struct.pack(
    f'{order}2sHI', b'II' if order == '<' else b'MM', 42, start
  )
  return b''.join(
    (head, data[8:], bytes(start - len(data)), directory, bytes(4), values)
  )


def _to_image(bands: np.ndarray, layout: _Layout) -> Image.Image:
  """Makes an image of 8 bits of bands [H, W, samples].

  Gray of 16 bits is scaled and rounded; of other colors the upper byte counts,
  as Pillow has it.
  """
  colors = _num_colors(layout)
  extra = layout.values(_EXTRA)
  if layout.photometric == _RGB and layout.samples == 4 and not extra:
    extra = (2,)
  # The first band that holds alpha: 1 is multiplied with the colors already.
  alphas = [(i, x) for i, x in enumerate(extra) if x in (1, 2)]
  keep = list(range(colors))
  if alphas and colors + alphas[0][0] < layout.samples and colors in (1, 3):
    keep.append(colors + alphas[0][0])
  bands = bands[..., keep]
  if bands.dtype.itemsize == 2:
    if colors == 1:
      bands = (bands.astype(np.uint32) * 255 + 32767) // 65535
    else:
      bands = bands >> 8
  bands = bands.astype(np.uint8)
  if colors == 1:
    gray, alpha = bands[..., :1], bands[..., 1:]
    gray = 255 - gray if layout.photometric == 0 else gray
    bands = np.concatenate([gray, gray, gray, alpha], axis=-1)
  mode = {_CMYK: 'CMYK', _LAB: 'LAB'}.get(layout.photometric, 'RGB')
  if bands.shape[-1] == 4 and mode == 'RGB':
    mode = 'RGBa' if alphas[0][1] == 1 else 'RGBA'
  size = bands.shape[1], bands.shape[0]
  return Image.frombytes(mode, size, np.ascontiguousarray(bands).tobytes())
