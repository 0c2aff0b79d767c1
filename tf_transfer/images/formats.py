"""Tells the format of a file from its first bytes, without decoding it.

Names say nothing: a PNG may be called `cat.jpg`, and a JPEG `cat` or
`cat.jfif`.
"""

import re

from PIL import features

# Bytes at the start of a file that are enough for the functions here.
HEAD_BYTES = 64

_TIFF = rb'II\*\0|MM\0\*|MM\*\0|II\0\*|II\+\0|MM\0\+'

# What camera makers made of TIFF, by marks that TIFF itself never has.
_RAW = (
  rb'II\*\0\x10\0\0\0CR\x02\0|IIRO|IIRS|MMOR|IIU\0|FUJIFILMCCD-RAW|FOVb|\0MRM'
)

# A regular expression of the start for each format that `decoding` reads.
_READABLE = {
  'JPEG': rb'\xff\xd8\xff',
  'PNG': rb'\x89PNG\r\n\x1a\n',
  # The size of the header that follows tells it from text that starts 'BM'.
  'BMP': rb'BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0',
  'GIF': rb'GIF8[79]a',
  'TIFF': _TIFF,
  'WEBP': rb'RIFF.{4}WEBP',
  'PPM': rb'P[1-6]\s+[0-9#]',
}

# Images that are no photographs of a data set as a rule, or that need a
# decoder that is not part of this project.
_FOREIGN = {
  'camera raw': _RAW,
  'JPEG XL': rb'\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n',
  'JPEG 2000': rb'\xff\x4f\xff\x51|\0\0\0\x0cjP  ',
  'JPEG XR': rb'II\xbc\x01',
  'JPEG-LS': rb'\xff\xd8\xff\xf7',
  'PSD': rb'8BPS',
  'ICO': rb'\0\0[\x01\x02]\0[^\0]\0',
  'SVG': rb'(\xef\xbb\xbf)?\s*(<\?xml.*|<!--.*)?(<svg\b|<!DOCTYPE svg\b)',
  'PDF': rb'%PDF-',
  'PostScript': rb'%!PS|\xc5\xd0\xd3\xc6',
  'OpenEXR': rb'\x76\x2f\x31\x01',
  'Radiance HDR': rb'#\?RADIANCE',
  'PFM': rb'P[fF]\s+[0-9]',
  'PAM': rb'P7\n',
  'XCF': rb'gimp xcf',
  'QOI': rb'qoif',
  'DDS': rb'DDS ',
  'FITS': rb'SIMPLE  =',
}

# Brands of the ISO base media file format (ISO/IEC 23008-12, annex B).
_BRANDS = {
  'AVIF': (b'avif', b'avis'),
  'HEIC': (
    b'heic',
    b'heix',
    b'hevc',
    b'hevx',
    b'heim',
    b'heis',
    b'hevm',
    b'hevs',
  ),
  'camera raw': (b'crx ',),
}
# Brands of any kind of image in this container: the others tell which.
_GENERAL_BRANDS = (b'mif1', b'msf1', b'miaf')


def _compile(formats: dict[str, bytes]) -> list[tuple[str, re.Pattern]]:
  """Compiles the expressions of formats."""
  return [(name, re.compile(x, re.DOTALL)) for name, x in formats.items()]


_READABLE_PATTERNS, _FOREIGN_PATTERNS = _compile(_READABLE), _compile(_FOREIGN)

# Pillow is built without AVIF for some platforms, and old ones do not know it.
_READS_AVIF = 'avif' in features.modules and features.check('avif')

# The formats that `decoding` reads. The list is closed because some of
# Pillow's other readers start programs (Ghostscript) on a file.
FORMATS = (*_READABLE, *(('AVIF',) if _READS_AVIF else ()))


def image_format(head: bytes) -> str | None:
  """Tells the format of an image that `decoding` reads.

  Args:
    head: the first `HEAD_BYTES` bytes of the file, or more.

  Returns:
    One of `FORMATS`, or None. The rest of the file may still be damaged.
  """
  if foreign_format(head) is not None:
    return None
  if _container_format(head) == 'AVIF':
    return 'AVIF'
  return _match(head, _READABLE_PATTERNS)


def foreign_format(head: bytes) -> str | None:
  """Tells the format of an image that `decoding` does not read.

  Args:
    head: the first `HEAD_BYTES` bytes of the file, or more.

  Returns:
    A name for people, such as 'HEIC' or 'camera raw'; None if the file is an
    image that is read, or no image that this module knows.
  """
  container = _container_format(head)
  if container is not None:
    return None if container == 'AVIF' and _READS_AVIF else container
  return _match(head, _FOREIGN_PATTERNS)


def _match(head: bytes, patterns: list[tuple[str, re.Pattern]]) -> str | None:
  """Returns the first format whose expression the start of a file matches."""
  for name, pattern in patterns:
    if pattern.match(head[:HEAD_BYTES]):
      return name
  return None


def _container_format(head: bytes) -> str | None:
  """Tells the format of an image in the ISO base media file format."""
  if head[4:8] != b'ftyp':
    return None
  length = min(int.from_bytes(head[:4], 'big'), HEAD_BYTES)
  major, others = head[8:12], head[16:length]
  brands = [others[i : i + 4] for i in range(0, len(others), 4)]
  if major not in _GENERAL_BRANDS:
    brands = [major]
  for name, own in _BRANDS.items():
    if any(brand in own for brand in brands):
      return name
  return 'HEIC' if major in _GENERAL_BRANDS else None
