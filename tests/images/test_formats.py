"""The format of a file, told by its first bytes."""

import io

import numpy as np
import pytest
from PIL import Image, features

from tf_transfer.images import decoding, formats

READ_BY_NAME = ('JPEG', 'PNG', 'BMP', 'GIF', 'TIFF', 'WEBP', 'PPM', 'AVIF')


def encode(kind, mode='RGB', **options):
  if kind == 'AVIF' and not features.check('avif'):
    pytest.skip('Pillow is built without AVIF')
  file = io.BytesIO()
  pixels = np.arange(75, dtype=np.uint8).reshape(5, 5, 3)
  image = Image.fromarray(pixels).convert(mode)
  image.save(file, kind, **options)
  return file.getvalue()


@pytest.mark.parametrize('kind', READ_BY_NAME)
@pytest.mark.parametrize('mode', ['RGB', 'L'])
def test_every_format_is_told_by_its_first_bytes(kind, mode):
  data = encode(kind, mode)
  assert formats.image_format(data[:64]) == kind
  assert formats.image_format(data) == kind
  assert formats.foreign_format(data[:64]) is None
  assert decoding.decode(data, 'x').shape == (5, 5, 3)


def test_several_photographs_in_one_file_are_a_jpeg():
  image = Image.new('RGB', (8, 8))
  file = io.BytesIO()
  image.save(file, 'MPO', save_all=True, append_images=[image])
  assert formats.image_format(file.getvalue()[:64]) == 'JPEG'


def test_big_tiff_and_either_byte_order():
  for head in (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+'):
    assert formats.image_format(head + bytes(60)) == 'TIFF'
  assert formats.image_format(encode('TIFF', big_tiff=True)) == 'TIFF'


def container(major, *others):
  brands = b''.join(others)
  length = (16 + len(brands)).to_bytes(4, 'big')
  return length + b'ftyp' + major + bytes(4) + brands + bytes(40)


@pytest.mark.parametrize(
  ('head', 'expected'),
  [
    (container(b'heic', b'mif1', b'heic'), 'HEIC'),
    (container(b'mif1', b'mif1', b'heic'), 'HEIC'),
    (container(b'msf1'), 'HEIC'),
    (container(b'crx ', b'isom'), 'camera raw'),
    (b'\xff\x0a\xfa\x7f', 'JPEG XL'),
    (b'\0\0\0\x0cJXL \r\n\x87\n', 'JPEG XL'),
    (b'\0\0\0\x0cjP  \r\n\x87\n', 'JPEG 2000'),
    (b'\xff\x4f\xff\x51\0\x2f', 'JPEG 2000'),
    (b'8BPS\0\1' + bytes(20), 'PSD'),
    (b'\0\0\1\0\1\0\x10\x10', 'ICO'),
    (b'<svg xmlns="http://www.w3.org/2000/svg">', 'SVG'),
    (b'<?xml version="1.0" encoding="UTF-8"?>\n<svg width="4">', 'SVG'),
    (b'II*\0\x10\0\0\0CR\2\0', 'camera raw'),
    (b'IIU\0\x18\0\0\0', 'camera raw'),
    (b'FUJIFILMCCD-RAW 0201', 'camera raw'),
    (b'%PDF-1.7', 'PDF'),
    (b'%!PS-Adobe-3.0 EPSF-3.0', 'PostScript'),
  ],
)
def test_images_that_are_not_read_are_named(head, expected):
  assert formats.foreign_format(head) == expected
  assert formats.image_format(head) is None
  with pytest.raises(decoding.CorruptImage, match=f'{expected}'):
    decoding.decode(head, 'x.jpg')


@pytest.mark.parametrize('kind', ['JPEG2000', 'ICO', 'DDS', 'TGA', 'PDF'])
def test_what_pillow_writes_and_is_not_read(kind):
  data = encode(kind)
  assert formats.image_format(data) is None


@pytest.mark.parametrize(
  'head',
  [
    b'',
    b'\xff\xd8',
    b'BM',
    b'BMW is a maker of cars, as everyone knows.',
    b'P6',
    b'P3 is a name of this section',
    b'GIFTS',
    b'RIFF\x24\0\0\0WAVEfmt ',
    container(b'isom', b'avc1'),
    b'<!DOCTYPE html><html>',
    b'<?xml version="1.0"?><annotation>',
    b'version https://git-lfs.github.com/spec/v1\noid sha256:4d',
    bytes(64),
    b'PK\3\4',
  ],
)
def test_what_is_no_image(head):
  assert formats.image_format(head) is None
  assert formats.foreign_format(head) is None


def test_avif_without_pillows_reader_is_named_as_not_read(monkeypatch):
  monkeypatch.setattr(formats, '_READS_AVIF', False)
  head = container(b'avif', b'mif1', b'miaf')
  assert formats.image_format(head) is None
  assert formats.foreign_format(head) == 'AVIF'
