"""Images that are damaged, too large, or of no format that is read."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.faults import inputs, programs

pytestmark = pytest.mark.slow

_FORMATS = ('JPEG', 'PNG', 'GIF', 'BMP', 'TIFF', 'WEBP', 'PPM')


def _encode(form: str) -> bytes:
  stream = io.BytesIO()
  Image.fromarray(inputs.pixels(0, 99, 48)).save(stream, form)
  return stream.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
  """Returns a chunk of a PNG."""
  checksum = struct.pack('>I', zlib.crc32(name + data))
  return struct.pack('>I', len(data)) + name + data + checksum


def _png(width: int, height: int, *chunks: bytes) -> bytes:
  """Returns a PNG of 8-bit RGB with a header of any size."""
  header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
  ends = _chunk(b'IHDR', header), _chunk(b'IEND', b'')
  return b'\x89PNG\r\n\x1a\n' + ends[0] + b''.join(chunks) + ends[1]


def _tiff(array: np.ndarray, photometric: int, sample_format: int) -> bytes:
  """Returns an uncompressed TIFF of [H, W, C] samples."""
  height, width, channels = array.shape
  data = array.astype(array.dtype.newbyteorder('<')).tobytes()
  tags = {
    256: (4, width),
    257: (4, height),
    259: (3, 1),
    262: (3, photometric),
    277: (3, channels),
    278: (4, height),
    279: (4, len(data)),
  }
  lists = {
    258: [array.itemsize * 8] * channels,
    339: [sample_format] * channels,
  }
  count = len(tags) + len(lists) + 1
  place = 8 + 2 + 12 * count + 4
  entries, extra = [], b''
  for tag, (kind, value) in tags.items():
    entries.append((tag, struct.pack('<HHII', tag, kind, 1, value)))
  for tag, values in lists.items():
    packed = struct.pack(f'<{len(values)}H', *values)
    if len(packed) <= 4:
      entries.append(
        (tag, struct.pack('<HHI', tag, 3, len(values)) + packed.ljust(4, b'\0'))
      )
      continue
    entries.append(
      (tag, struct.pack('<HHII', tag, 3, len(values), place + len(extra)))
    )
    extra += packed
  entries.append((273, struct.pack('<HHII', 273, 4, 1, place + len(extra))))
  directory = b''.join(entry for _, entry in sorted(entries))
  return (
    b'II*\0'
    + struct.pack('<IH', 8, count)
    + directory
    + struct.pack('<I', 0)
    + extra
    + data
  )


def _faults() -> dict[str, bytes]:
  """Returns the bytes of each bad image."""
  rng = np.random.default_rng(0)
  faults = {}
  for form in _FORMATS:
    data = _encode(form)
    faults[f'{form}_cut_in_half'] = data[: len(data) // 2]
    faults[f'{form}_cut_in_the_header'] = data[:10]
  deep = rng.integers(0, 2**16, (9, 8, 5)).astype(np.uint16)
  wrong_checksum = bytearray(_encode('PNG'))
  wrong_checksum[-20] ^= 255
  return faults | {
    'empty': b'',
    'text': b'IMG_0001 is on the other disk\n',
    'web_page': b'<!DOCTYPE html><html><title>Sign in</title></html>',
    'git_lfs_pointer': b'version https://git-lfs.github.com/spec/v1\n',
    'noise': rng.bytes(5000),
    'zeros': bytes(5000),
    'jpeg_start_alone': b'\xff\xd8\xff\xe0',
    'heic': struct.pack('>I', 24) + b'ftypheic' + bytes(200),
    'jpeg_xl': b'\xff\x0a' + bytes(200),
    'numpy': b'\x93NUMPY\x01\x00' + bytes(200),
    'pdf': b'%PDF-1.7\n' + bytes(200),
    'postscript': b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n',
    'svg': b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    'png_of_terabytes': _png(10**6, 10**6, _chunk(b'IDAT', b'x')),
    'png_of_no_width': _png(0, 5, _chunk(b'IDAT', zlib.compress(b''))),
    'png_without_pixels': _png(9, 9),
    'png_wrong_checksum': bytes(wrong_checksum),
    'tiff_5_bands': _tiff(deep, 1, 1),
    'tiff_float_rgb': _tiff(deep[..., :3].astype(np.float32), 2, 3),
    'tiff_signed': _tiff(deep[..., :1].astype(np.int16), 1, 2),
    'tiff_complex_header': b'II*\0' + struct.pack('<IH', 8, 65535),
    'tiff_that_points_to_itself': b'II*\0'
    + struct.pack('<IH', 8, 0)
    + struct.pack('<I', 8),
  }


_FAULTS = _faults()


@pytest.fixture
def bad_image(copy, request):
  """A folder with one bad image, whatever its name says."""
  root = copy('photos', 'weights')
  (root / 'photos' / 'red' / 'bad.png').write_bytes(_FAULTS[request.param])
  return root


@pytest.mark.parametrize('bad_image', _FAULTS, indirect=True)
def test_refused(program, bad_image):
  outcome = program.study(seconds=60)
  programs.judge_refused(outcome, r'red/bad\.png.*corrupt=skip')
  assert outcome.peak_bytes < 1.5 * 2**30
  assert not program.records()


@pytest.mark.parametrize(
  'bad_image', ['JPEG_cut_in_half', 'noise', 'png_of_terabytes'], indirect=True
)
@pytest.mark.parametrize('setting', ['logistic_regression', 'fine_tuned'])
def test_left_out_and_said(program, bad_image, setting):
  outcome = program.study('--config.data.corrupt=skip', setting=setting)
  programs.judge_said(outcome, r'1 corrupt image left out.*red/bad\.png')
  [record] = program.records()
  assert [name for name in record['skipped'] if 'red/bad.png' in name]


@pytest.mark.parametrize(
  'bad_image', ['JPEG_cut_in_half', 'heic', 'empty'], indirect=True
)
def test_found_before_training(program, bad_image):
  outcome = program.study(setting='fine_tuned')
  programs.judge_refused(outcome, r'red/bad\.png.*corrupt=skip')
  assert 'steps/s' not in outcome.output


def test_strip(program, copy):
  root = copy('photos', 'weights')
  strip = np.tile(inputs.pixels(0, 0)[:1], (1, 800, 1))
  Image.fromarray(strip).save(root / 'photos' / 'red' / 'strip.png')
  outcome = program.study('--config.features.resize=resize_then_crop')
  programs.judge_said(outcome, 'test')
  assert outcome.peak_bytes < 1.0 * 2**30
