"""Decoding of files of every format, damaged ones too."""

import functools
import io
import resource
import struct
import sys
import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageCms

from tf_transfer.errors import InputError
from tf_transfer.images import decoding, formats
from tf_transfer.images.decoding import CorruptImage, decode

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


def encode(image, kind, **options):
  file = io.BytesIO()
  image.save(file, kind, **options)
  return file.getvalue()


@pytest.fixture(scope='module')
def photo():
  """A smooth picture, uint8 [48, 64, 3], with no symmetry."""
  rng = np.random.default_rng(0)
  small = rng.integers(30, 226, (6, 8, 3), dtype=np.uint8)
  return np.array(Image.fromarray(small).resize((64, 48), Image.BICUBIC))


def assert_near(pixels, expected, levels):
  assert pixels.dtype == np.uint8
  assert pixels.shape == expected.shape
  assert np.abs(pixels.astype(int) - expected).max() <= levels


def test_lossless_kinds_are_exact(photo):
  image = Image.fromarray(photo)
  for kind, options in (
    ('PNG', {}),
    ('BMP', {}),
    ('PPM', {}),
    ('TIFF', {}),
    ('TIFF', {'compression': 'tiff_lzw'}),
    ('WEBP', {'lossless': True}),
  ):
    pixels = decode(encode(image, kind, **options), 'x')
    np.testing.assert_array_equal(pixels, photo)


FINE = {'quality': 100, 'subsampling': 0}  # Of a JPEG.


def test_lossy_kinds_are_near(photo):
  pixels = decode(encode(Image.fromarray(photo), 'JPEG', **FINE), 'x')
  # Rounding to whole levels of brightness and of two colors, and back.
  assert np.abs(pixels.astype(int) - photo).mean() < 1
  # WebP has one color for four pixels: only gray can be near.
  gray = np.stack([photo[..., 0]] * 3, axis=-1)
  image = Image.fromarray(gray)
  assert_near(decode(encode(image, 'WEBP', quality=100), 'x'), gray, 6)


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'TIFF', 'PPM', 'WEBP', 'BMP'])
def test_gray_becomes_three_equal_channels(photo, kind):
  options = {'WEBP': {'lossless': True}, 'JPEG': FINE}.get(kind, {})
  data = encode(Image.fromarray(photo[..., 0]), kind, **options)
  pixels = decode(data, 'x')
  assert_near(pixels, np.stack([photo[..., 0]] * 3, axis=-1), 3)
  assert (pixels[..., 0] == pixels[..., 2]).all()


@pytest.mark.parametrize('kind', ['PNG', 'TIFF', 'BMP', 'PPM'])
def test_one_bit(kind):
  bits = np.array([[0, 1, 1], [1, 0, 0]], bool)
  pixels = decode(encode(Image.fromarray(bits), kind), 'x')
  np.testing.assert_array_equal(pixels, bits[..., None] * [255, 255, 255])


@pytest.mark.parametrize('kind', ['PNG', 'WEBP', 'TIFF'])
def test_alpha_is_composited_on_white(kind):
  pixels = np.zeros((1, 3, 4), np.uint8)
  pixels[0] = [(*RED, 255), (0, 0, 0, 0), (*RED, 51)]
  options = {'lossless': True, 'exact': True} if kind == 'WEBP' else {}
  pixels = decode(encode(Image.fromarray(pixels), kind, **options), 'x')
  np.testing.assert_array_equal(pixels, [[RED, WHITE, (255, 204, 204)]])


def test_gray_with_alpha():
  pixels = np.array([[[0, 255], [0, 0], [100, 102]]], np.uint8)
  pixels = decode(encode(Image.fromarray(pixels, 'LA'), 'PNG'), 'x')
  assert pixels[..., 0].tolist() == [[0, 255, 193]]


@pytest.mark.parametrize(
  'transparency', [bytes([255, 0, 51]), 1], ids=['levels', 'one color']
)
def test_palette_with_transparency(transparency):
  image = Image.new('P', (3, 1))
  image.putpalette([*RED, *GREEN, *RED])
  image.putdata([0, 1, 2])
  pixels = decode(encode(image, 'PNG', transparency=transparency), 'x')
  last = (255, 204, 204) if isinstance(transparency, bytes) else RED
  np.testing.assert_array_equal(pixels, [[RED, WHITE, last]])
  plain = decode(encode(image, 'PNG'), 'x')
  np.testing.assert_array_equal(plain, [[RED, GREEN, RED]])


@pytest.mark.parametrize(
  ('pixels', 'key', 'expected'),
  [
    (np.array([[RED, GREEN]], np.uint8), RED, [[WHITE, GREEN]]),
    (np.array([[9, 200]], np.uint8), 9, [[WHITE, (200,) * 3]]),
    (np.array([[257, 514]], np.uint16), 257, [[WHITE, (2,) * 3]]),
  ],
  ids=['RGB', 'L', 'I;16'],
)
def test_one_transparent_color(pixels, key, expected):
  data = encode(Image.fromarray(pixels), 'PNG', transparency=key)
  np.testing.assert_array_equal(decode(data, 'x'), expected)


def test_cmyk_in_both_conventions(photo):
  image = Image.fromarray(photo).convert('CMYK')
  tiff = decode(encode(image, 'TIFF'), 'x')
  assert_near(tiff, photo, 1)
  # Pillow writes what Adobe writes: inverted, and marked so.
  jpeg = encode(image, 'JPEG', **FINE)
  assert b'Adobe' in jpeg
  assert_near(decode(jpeg, 'x'), photo, 3)


def test_ycbcr_tiff(photo):
  image = Image.fromarray(photo).convert('YCbCr')
  assert_near(decode(encode(image, 'TIFF'), 'x'), photo, 4)


WIDE = np.array([[0, 128, 129, 257], [32768, 65406, 65407, 65535]], np.uint16)
NARROW = np.array([[0, 0, 1, 1], [128, 254, 255, 255]])


@pytest.mark.parametrize('kind', ['PNG', 'TIFF', 'PPM'])
def test_16_bit_gray_is_scaled(kind):
  pixels = decode(encode(Image.fromarray(WIDE), kind), 'x')
  np.testing.assert_array_equal(pixels[..., 1], NARROW)
  assert pixels.shape == (2, 4, 3)


def tiff(pixels, photometric, order='<', bits=16):
  """An uncompressed gray TIFF of 16-bit (or packed) samples, by hand."""
  data = pixels if isinstance(pixels, bytes) else pixels.astype(f'{order}u2')
  height, width = (1, 2) if isinstance(pixels, bytes) else pixels.shape
  data = bytes(data) if isinstance(pixels, bytes) else data.tobytes()
  tags = [(256, width), (257, height), (258, bits), (259, 1)]
  tags += [(262, photometric), (273, 8), (277, 1), (278, height)]
  tags += [(279, len(data))]
  start = 8 + len(data) + len(data) % 2
  head = (b'II*\0' if order == '<' else b'MM\0*') + struct.pack(
    f'{order}I', start
  )
  directory = struct.pack(f'{order}H', len(tags))
  for tag, value in tags:
    if tag == 273 or tag == 279:
      directory += struct.pack(f'{order}HHII', tag, 4, 1, value)
    else:
      directory += struct.pack(f'{order}HHIHH', tag, 3, 1, value, 0)
  return head + data.ljust(start - 8, b'\0') + directory + bytes(4)


@pytest.mark.parametrize('order', ['<', '>'])
def test_16_bit_tiff_of_either_byte_order(order):
  pixels = decode(tiff(WIDE, photometric=1, order=order), 'x')
  np.testing.assert_array_equal(pixels[..., 0], NARROW)


def test_16_bit_tiff_with_white_as_zero():
  pixels = decode(tiff(WIDE, photometric=0), 'x')
  np.testing.assert_array_equal(pixels[..., 0], 255 - NARROW)


def test_12_bit_tiff_is_scaled_by_its_own_peak():
  # Two samples, 4095 and 2048, packed into three bytes.
  pixels = decode(tiff(b'\xff\xf8\x00', photometric=1, bits=12), 'x')
  assert pixels[..., 0].tolist() == [[255, 128]]


@pytest.mark.parametrize('dtype', [np.int32, np.float32])
def test_gray_without_an_agreed_range_is_refused(dtype):
  data = encode(Image.fromarray(np.ones((2, 2), dtype)), 'TIFF')
  with pytest.raises(CorruptImage, match=r'scan\.tif.*no agreed range'):
    decode(data, 'scan.tif')


def test_lab():
  to_lab = ImageCms.buildTransform(
    ImageCms.createProfile('sRGB'), ImageCms.createProfile('LAB'), 'RGB', 'LAB'
  )
  grays = np.array([[[0] * 3, [128] * 3, [255] * 3]], np.uint8)
  lab = ImageCms.applyTransform(Image.fromarray(grays), to_lab)
  assert_near(decode(encode(lab, 'TIFF'), 'x'), grays, 1)


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'TIFF'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_orientation(photo, kind, orientation):
  """Undoes, with Pillow's own operations, what the tag says was done."""
  operations = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
  }
  image = Image.fromarray(photo)
  exif = Image.Exif()
  exif[0x0112] = orientation
  options = {'WEBP': {'lossless': True}, 'JPEG': FINE}.get(kind, {})
  pixels = decode(encode(image, kind, exif=exif, **options), 'x')
  # What is stored, as a lossy format has it.
  image = Image.fromarray(decode(encode(image, kind, **options), 'x'))
  if orientation > 1:
    image = image.transpose(operations[orientation])
  np.testing.assert_array_equal(pixels, np.array(image))
  assert pixels.flags.c_contiguous


@pytest.mark.parametrize('exif', [b'Exif\0\0nonsense', b'Exif\0\0II*\0\x08'])
def test_broken_exif_does_not_matter(photo, exif):
  plain, odd = (
    decode(encode(Image.fromarray(photo), 'JPEG', **options), 'x')
    for options in ({}, {'exif': exif})
  )
  np.testing.assert_array_equal(odd, plain)


def test_first_frame_of_an_animation():
  frames = [Image.new('RGB', (4, 3), color) for color in (RED, GREEN)]
  for kind in ('GIF', 'PNG', 'WEBP'):
    options = {'lossless': True} if kind == 'WEBP' else {}
    data = encode(
      frames[0], kind, save_all=True, append_images=frames[1:], **options
    )
    np.testing.assert_array_equal(decode(data, 'x'), np.full((3, 4, 3), RED))


def test_transparent_gif():
  image = Image.new('P', (2, 1))
  image.putpalette([*RED, *GREEN])
  image.putdata([0, 1])
  data = encode(image, 'GIF', transparency=1)
  np.testing.assert_array_equal(decode(data, 'x'), [[RED, WHITE]])


def test_extension_does_not_matter(photo):
  data = encode(Image.fromarray(photo), 'BMP')
  np.testing.assert_array_equal(decode(data, 'cat.jpg'), photo)


@pytest.mark.parametrize(
  ('kind', 'share'),
  [
    (kind, share)
    for kind in ('JPEG', 'PNG', 'BMP', 'GIF', 'TIFF', 'WEBP', 'PPM')
    for share in (0, 0.02, 0.5, 0.9)
  ],
)
def test_truncated(photo, kind, share):
  data = encode(Image.fromarray(photo), kind)
  with pytest.raises(CorruptImage, match=r'some/cat\.jpg: not a readable'):
    decode(data[: int(len(data) * share)], 'some/cat.jpg')


@pytest.mark.parametrize(
  'data',
  [
    b'this is no image',
    b'<html></html>',
    b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage',
    bytes(1000),
  ],
  ids=['text', 'html', 'postscript', 'zeros'],
)
def test_no_image(data):
  with pytest.raises(InputError, match=r'x\.png: not a readable image'):
    decode(data, 'x.png')


def test_broken_bytes_never_escape(photo):
  """Random damage gives pixels or CorruptImage, no other error or warning."""
  rng = np.random.default_rng(1)
  image = Image.fromarray(photo)
  exif = Image.Exif()
  exif[0x0112] = 6
  files = [
    encode(image, 'JPEG', exif=exif),
    encode(image, 'PNG', exif=exif),
    encode(image.quantize(64), 'PNG', transparency=bytes(range(64))),
    encode(image, 'GIF'),
    encode(image, 'TIFF', exif=exif),
    encode(image, 'WEBP', exif=exif),
    encode(image, 'BMP'),
    encode(image, 'PPM'),
  ]
  corrupt = 0
  for data in files:
    for _ in range(60):
      broken = np.frombuffer(data, np.uint8).copy()
      reach = rng.choice([40, 200, len(data)])
      where = rng.integers(0, min(reach, len(data)), rng.integers(1, 9))
      broken[where] = rng.integers(0, 256, len(where))
      try:
        pixels = decode(broken.tobytes(), 'x')
      except CorruptImage:
        corrupt += 1
      else:
        assert pixels.ndim == 3
  assert corrupt > 50


def test_decompression_bomb(monkeypatch, photo):
  data = encode(Image.fromarray(photo), 'PNG')
  monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 48 * 64 // 2 - 1)
  with pytest.raises(CorruptImage, match='decompression bomb'):
    decode(data, 'x')
  # From the limit to twice the limit Pillow warns: a large image, no bomb.
  monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 48 * 64 - 1)
  np.testing.assert_array_equal(decode(data, 'x'), photo)


# Parts of images.


def large(rng, height=67, width=93):
  small = rng.integers(0, 256, (height // 7, width // 7, 3), dtype=np.uint8)
  return Image.fromarray(small).resize((width, height), Image.BICUBIC)


JPEGS = [
  {},
  {'subsampling': 0},
  {'subsampling': 1},
  {'quality': 30},
  {'progressive': True},
  {'restart_marker_blocks': 2},
]


@pytest.mark.parametrize('options', JPEGS)
@pytest.mark.parametrize('mode', ['RGB', 'L'])
def test_a_part_of_a_jpeg_is_to_the_bit_that_of_the_whole(options, mode):
  rng = np.random.default_rng(4)
  data = encode(large(rng).convert(mode), 'JPEG', **options)
  whole = decode(data, 'x')
  height, width = whole.shape[:2]
  for _ in range(25):
    top, left = rng.integers(0, height), rng.integers(0, width)
    box = decoding.Box(
      int(top),
      int(left),
      int(rng.integers(1, height - top + 1)),
      int(rng.integers(1, width - left + 1)),
    )
    sizes = []

    def choose(*size, box=box, sizes=sizes):
      sizes.append(size)
      return box

    pixels = decoding.decode_box(data, 'x', choose)
    np.testing.assert_array_equal(pixels, box.crop(whole))
    assert sizes == [(height, width)]


def test_only_the_part_of_a_jpeg_is_decoded(monkeypatch):
  def forbidden(*_):
    raise AssertionError('decoded as a whole')

  data = encode(large(np.random.default_rng(5)), 'JPEG')
  monkeypatch.setattr(decoding, 'decode', forbidden)
  decoding.decode_box(data, 'x', lambda *_: decoding.Box(3, 4, 5, 6))


def odd_files():
  image = large(np.random.default_rng(6))
  exif = Image.Exif()
  exif[0x0112] = 6
  return {
    'turned': encode(image, 'JPEG', exif=exif),
    'CMYK': encode(image.convert('CMYK'), 'JPEG'),
    'PNG': encode(image, 'PNG'),
    'GIF': encode(image, 'GIF'),
  }


@pytest.mark.parametrize('kind', ['turned', 'CMYK', 'PNG', 'GIF'])
def test_a_part_of_anything_else_is_cut_out_of_the_whole(kind):
  data = odd_files()[kind]
  box = decoding.Box(3, 20, 40, 30)
  np.testing.assert_array_equal(
    decoding.decode_box(data, 'x', lambda *_: box), box.crop(decode(data, 'x'))
  )


def test_a_part_of_a_corrupt_file_is_an_error_that_names_it():
  data = encode(large(np.random.default_rng(7)), 'JPEG')
  for broken in (b'', b'\xff\xd8', data[:200], data[:-40], b'text'):
    with pytest.raises(CorruptImage, match=r'cat\.jpg: not a readable image'):
      decoding.decode_box(
        broken, 'cat.jpg', lambda h, w: decoding.Box(0, 0, h, w)
      )


def test_a_part_of_broken_bytes_is_pixels_or_an_error():
  rng = np.random.default_rng(9)
  image = large(rng)
  box = decoding.Box(3, 4, 5, 6)
  corrupt = 0
  for options in ({}, {'progressive': True}):
    data = encode(image, 'JPEG', **options)
    for _ in range(40):
      broken = np.frombuffer(data, np.uint8).copy()
      reach = rng.choice([30, 700, len(data)])
      where = rng.integers(0, min(reach, len(data)), rng.integers(1, 5))
      broken[where] = rng.integers(0, 256, len(where))
      try:
        pixels = decoding.decode_box(broken.tobytes(), 'x', lambda *_: box)
      except CorruptImage:
        corrupt += 1
      else:
        # Sizes that damage has changed may be smaller than the box.
        assert pixels.ndim == 3
  assert corrupt > 5


# Held against another library, or against bytes by hand.


@pytest.mark.parametrize('magic', [b'P2', b'P3', b'P5', b'P6'])
@pytest.mark.parametrize('peak', [1, 100, 255, 1000, 4095, 65535])
def test_netpbm_of_any_peak(magic, peak):
  bands = 3 if magic in (b'P3', b'P6') else 1
  rng = np.random.default_rng(peak)
  samples = rng.integers(0, peak + 1, (5, 7, bands))
  data = b' '.join(b'%d' % x for x in samples.ravel())
  if magic in (b'P5', b'P6'):
    data = samples.astype('u1' if peak < 256 else '>u2').tobytes()
  pixels = decode(b'%s\n# a comment\n7 5\n%d\n' % (magic, peak) + data, 'x')
  assert np.abs(pixels - samples * 255 / peak).max() <= 0.51


def bmp(data, bits, header=40, masks=(), rows=4):
  """A BMP of 8 columns; rows < 0 start at the top."""
  head = struct.pack(
    '<IiiHHIIiiII',
    header,
    8,
    rows,
    1,
    bits,
    3 if masks else 0,
    len(data),
    2835,
    2835,
    0,
    0,
  )
  packed_masks = struct.pack(f'<{len(masks)}I', *masks)
  if header > 40:
    head = (head + packed_masks).ljust(header, b'\0')
  else:
    head += packed_masks
  start = 14 + len(head)
  return (
    b'BM' + struct.pack('<IHHI', start + len(data), 0, 0, start) + (head + data)
  )


ARGB = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)


@pytest.mark.parametrize(
  ('header', 'masks', 'has_alpha'),
  [
    (40, (), False),
    (40, ARGB[:3], False),
    (124, (), False),
    (124, (*ARGB[:3], 0), False),
    (56, ARGB, True),
    (124, ARGB, True),
  ],
)
def test_bmp_of_32_bits(header, masks, has_alpha):
  rng = np.random.default_rng(0)
  pixels = rng.integers(0, 256, (4, 8, 4), dtype=np.uint8)
  data = pixels[::-1, :, [2, 1, 0, 3]].tobytes()
  alpha = pixels[..., 3:] / 255 if has_alpha else 1.0
  expected = pixels[..., :3] * alpha + 255 * (1 - alpha)
  assert np.abs(decode(bmp(data, 32, header, masks), 'x') - expected).max() <= 1


@pytest.mark.parametrize('rows', [4, -4])
@pytest.mark.parametrize(
  ('masks', 'widths'), [((), (5, 5, 5)), ((0xF800, 0x7E0, 0x1F), (5, 6, 5))]
)
def test_bmp_of_16_bits(masks, widths, rows):
  words = np.random.default_rng(0).integers(0, 2**16, (4, 8))
  shifts = widths[1] + widths[2], widths[2], 0
  expected = np.stack(
    [
      ((words >> shift) & (2**width - 1)) * 255 / (2**width - 1)
      for shift, width in zip(shifts, widths, strict=True)
    ],
    axis=-1,
  )
  stored = words[::-1] if rows > 0 else words
  data = bmp(stored.astype('<u2').tobytes(), 16, masks=masks, rows=rows)
  assert np.abs(decode(data, 'x') - expected).max() <= 1


def test_cmyk_jpeg_is_read_where_adobes_mark_says_how(photo):
  cmyk = np.array(Image.fromarray(photo).convert('CMYK'))
  options = {'colorspace': 'CMYK', 'outcolorspace': 'CMYK'}
  adobe = imagecodecs.jpeg8_encode(255 - cmyk, 100, **options)
  assert_near(decode(adobe, 'x'), photo, 3)
  place = adobe.index(b'\xff\xee')
  unmarked = adobe[:place] + adobe[place + 16 :]
  with pytest.raises(CorruptImage, match='without the mark of Adobe'):
    decode(unmarked, 'x')


@pytest.mark.skipif('AVIF' not in formats.FORMATS, reason='Pillow without AVIF')
def test_avif_is_read_as_another_library_reads_it(photo):
  alpha = photo[..., :1]
  rgba = np.concatenate([photo, alpha], axis=-1)
  data = imagecodecs.avif_encode(rgba, 100)
  other = imagecodecs.avif_decode(data) / 255
  expected = 255 * (other[..., :3] * other[..., 3:] + 1 - other[..., 3:])
  assert np.abs(decode(data, 'x') - expected).max() <= 3
  deep = imagecodecs.avif_encode(
    photo.astype(np.uint16) * 4, 100, bitspersample=10
  )
  assert_near(decode(deep, 'x'), imagecodecs.avif_decode(deep) >> 2, 2)


def test_the_first_photograph_of_several(photo):
  for kind in ('MPO', 'TIFF', 'WEBP', *({'AVIF'} & set(formats.FORMATS))):
    options = {'lossless': True} if kind == 'WEBP' else {'quality': 100}
    data = encode(
      Image.fromarray(photo),
      kind,
      save_all=True,
      append_images=[Image.fromarray(255 - photo)],
      **options,
    )
    pixels = decode(data, 'x')
    assert np.abs(pixels.astype(int) - photo).mean() < 3


# Headers that claim more than a computer has.


def huge_files():
  size = 10**5
  side = 65535
  png = encode(Image.new('RGB', (1, 1)), 'PNG')
  head = b'IHDR' + struct.pack('>IIBBBBB', size, size, 8, 2, 0, 0, 0)
  jpeg = encode(Image.new('RGB', (8, 8)), 'JPEG')
  frame = jpeg.index(b'\xff\xc0') + 5
  gif = encode(Image.new('P', (1, 1)), 'GIF')
  block = gif.index(b',') + 5
  return {
    'PNG': png[:12] + head + struct.pack('>I', zlib.crc32(head)) + png[33:],
    'JPEG': jpeg[:frame] + struct.pack('>HH', side, side) + jpeg[frame + 4 :],
    'GIF': gif[:6]
    + struct.pack('<HH', side, side)
    + gif[10:block]
    + struct.pack('<HH', side, side)
    + gif[block + 4 :],
    'BMP': bmp(bytes(96), 24).replace(
      struct.pack('<ii', 8, 4), struct.pack('<ii', size, size)
    ),
    'PPM': b'P6 %d %d 255\n' % (size, size) + bytes(99),
    'PPM of text': b'P3 %d %d 255\n' % (size, size) + b'1 ' * 99,
    'TIFF': tiff(np.zeros((1, 1)), 1)
    .replace(
      struct.pack('<HHIHH', 256, 3, 1, 1, 0),
      struct.pack('<HHII', 256, 4, 1, size),
    )
    .replace(
      struct.pack('<HHIHH', 257, 3, 1, 1, 0),
      struct.pack('<HHII', 257, 4, 1, size),
    ),
  }


@pytest.mark.parametrize('kind', huge_files())
def test_a_header_that_claims_too_much_allocates_nothing(kind):
  def largest(height, width):
    return decoding.Box(0, 0, height, width)

  data = huge_files()[kind]
  decode_box = functools.partial(decoding.decode_box, choose_box=largest)
  before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  for read in (decode, decode_box):
    with pytest.raises(CorruptImage) as error:
      read(data, name='x.img')
    assert 'x.img: not a readable image' in str(error.value)
    assert '\n' not in str(error.value)
  grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
  assert grown < 64 * 1024  # KiB.


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
@pytest.mark.parametrize('kind', ['PNG', 'TIFF'])
def test_a_good_image_is_not_called_corrupt_where_memory_ends(kind):
  """With 'skip' it would be left out, on this machine and not on others."""
  data = encode(Image.new('L', (9000, 9000)), kind)
  with open('/proc/self/statm') as file:
    pages = int(file.read().split()[0])
  before = resource.getrlimit(resource.RLIMIT_AS)
  limit = pages * resource.getpagesize() + 2**26
  resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
  try:
    with pytest.raises(InputError, match='x: too little memory') as error:
      decode(data, 'x')
  finally:
    resource.setrlimit(resource.RLIMIT_AS, before)
  assert not isinstance(error.value, CorruptImage)
  assert decode(data, 'x').shape == (9000, 9000, 3)
