"""Layouts of TIFF: each is read as another library reads it, or refused."""

import io
import itertools
import struct

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, TiffImagePlugin

from tf_transfer.images.decoding import CorruptImage, decode

HEIGHT, WIDTH = 21, 35
COLORS = {'minisblack': 1, 'miniswhite': 1, 'rgb': 3, 'separated': 4}


def smooth(bands, height=HEIGHT, width=WIDTH, seed=0):
  rng = np.random.default_rng(seed)
  small = rng.integers(0, 256, (bands, 4, 5), dtype=np.uint8)
  planes = [
    Image.fromarray(x).resize((width, height), Image.BICUBIC) for x in small
  ]
  return np.stack([np.array(x) for x in planes], axis=-1)


def to_rgb(samples, photometric, extra):
  """Converts samples [H, W, bands] by the definitions of TIFF 6.0."""
  colors = COLORS[photometric]
  if samples.dtype == np.uint8:
    x = samples.astype(float)
  elif colors == 1:
    x = samples / 257
  else:
    x = (samples >> 8).astype(float)
  color = x[..., :colors]
  if photometric == 'miniswhite':
    color = 255 - color
  if photometric == 'separated':
    color = (255 - color[..., :3]) * (255 - color[..., 3:]) / 255
  for band, kind in enumerate(extra):
    if kind in (1, 2):
      alpha = x[..., [colors + band]] / 255
      color = (color if kind == 1 else color * alpha) + 255 * (1 - alpha)
      break
  return np.broadcast_to(color, (*color.shape[:2], 3)).clip(0, 255)


def written(samples, order, compression, predictor, tile, planar, **options):
  """Writes samples with tifffile; None if it has no such file."""
  if samples.shape[-1] == 1:
    samples, planar = samples[..., 0], None
  elif planar == 'separate':
    samples = np.moveaxis(samples, -1, 0)
  file = io.BytesIO()
  tifffile.imwrite(
    file,
    samples,
    byteorder=order,
    compression=compression,
    predictor=predictor or None,
    tile=(16, 32) if tile else None,
    rowsperstrip=None if tile else 10,
    planarconfig=planar,
    metadata=None,
    **options,
  )
  return file.getvalue()


ENCODINGS = [
  *itertools.product(
    '<>',
    [(None, False), ('lzw', True), ('packbits', False)],
    [False, True],
  ),
  ('<', ('lzw', False), False),
  ('>', ('deflate', True), True),
  ('<', ('zstd', False), False),
  ('>', ('lzma', False), False),
]


def pixels_or_message(data):
  try:
    return decode(data, 'x')
  except CorruptImage as error:
    return str(error)


def check_layout(photometric, extra, dtype, planar):
  """Compares all encodings of a layout with the definitions.

  Returns:
    How many are read; the others are refused by name.
  """
  num_read = 0
  samples = smooth(COLORS[photometric] + len(extra)).astype(dtype)
  if dtype == np.uint16:
    samples = samples * 256 + samples[::-1]
  if extra[:1] == (1,):
    colors = COLORS[photometric]
    alpha = samples[..., [colors]]
    samples[..., :colors] = np.minimum(samples[..., :colors], alpha)
  expected = to_rgb(samples, photometric, extra)
  for order, (compression, predictor), tile in ENCODINGS:
    data = written(
      samples,
      order,
      compression,
      predictor,
      tile,
      planar,
      photometric=photometric,
      extrasamples=extra or None,
    )
    case = order, compression, predictor, tile
    pixels = pixels_or_message(data)
    if isinstance(pixels, str):
      text = f'TIFF, unsupported layout: a TIFF with {samples.shape[-1]} band'
      assert text in pixels, case
      continue
    num_read += 1
    # Alpha and the inks are rounded on the way.
    assert np.abs(pixels - expected).max() <= 2, case
  return num_read


@pytest.mark.parametrize('planar', ['contig', 'separate'])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize(
  ('photometric', 'extra'),
  [
    *itertools.product(['minisblack', 'miniswhite'], [(), (0,), (1,), (2,)]),
    *itertools.product(['rgb'], [(), (0,), (1,), (2,)]),
    ('separated', ()),
  ],
)
def test_what_photographs_have_is_read_in_every_encoding(
  photometric, extra, dtype, planar
):
  num_read = check_layout(photometric, extra, dtype, planar)
  assert num_read == len(ENCODINGS)


@pytest.mark.parametrize('planar', ['contig', 'separate'])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize(
  ('photometric', 'extra'),
  [
    ('minisblack', (0, 0)),
    ('minisblack', (0,) * 4),
    ('minisblack', (2, 0)),
    ('rgb', (0, 0)),
    ('rgb', (2, 0)),
    ('rgb', (0, 2)),
    ('separated', (0,)),
    ('separated', (2,)),
  ],
)
def test_more_bands_are_read_right_or_refused_by_their_number(
  photometric, extra, dtype, planar
):
  check_layout(photometric, extra, dtype, planar)


def test_planes_apart_are_to_the_bit_those_together():
  for bands, options in (
    (3, {'photometric': 'rgb'}),
    (4, {'photometric': 'rgb', 'extrasamples': (2,)}),
    (4, {'photometric': 'separated'}),
  ):
    rng = np.random.default_rng(bands)
    samples = rng.integers(0, 65536, (9, 7, bands), dtype=np.uint16)
    together, apart = (
      decode(written(samples, '<', None, False, False, x, **options), 'x')
      for x in ('contig', 'separate')
    )
    np.testing.assert_array_equal(together, apart)


# Files by hand.


def directory_tiff(order, tags, strips):
  """Writes a TIFF of strips; tags are {number: (format, values)}."""
  data = b''.join(strips)
  places = np.cumsum([8, *map(len, strips[:-1])]).tolist()
  tags = {**tags, 273: ('I', places), 279: ('I', [len(x) for x in strips])}
  start = 8 + len(data) + len(data) % 2
  beyond = start + 2 + 12 * len(tags) + 4
  directory, values = struct.pack(order + 'H', len(tags)), b''
  for tag, (form, numbers) in sorted(tags.items()):
    packed = struct.pack(order + form * len(numbers), *numbers)
    code = {'B': 1, 'H': 3, 'I': 4, 'd': 12}[form]
    directory += struct.pack(order + 'HHI', tag, code, len(numbers))
    if len(packed) > 4:
      directory += struct.pack(order + 'I', beyond + len(values))
      values += packed + bytes(len(packed) % 2)
    else:
      directory += packed.ljust(4, b'\0')
  head = (b'II*\0' if order == '<' else b'MM\0*') + struct.pack(
    order + 'I', start
  )
  return head + data.ljust(start - 8, b'\0') + directory + bytes(4) + values


def plain_tags(shape, photometric, bits=8, compression=1, **tags):
  """Returns the tags of an image in one strip."""
  height, width, bands = shape
  return {
    256: ('I', [width]),
    257: ('I', [height]),
    258: ('H', [bits] * bands),
    259: ('H', [compression]),
    262: ('H', [photometric]),
    277: ('H', [bands]),
    278: ('I', [height]),
    **{int(name.removeprefix('tag')): x for name, x in tags.items()},
  }


REVERSED_BITS = bytes(int(f'{i:08b}'[::-1], 2) for i in range(256))
COMPRESSIONS = {
  1: bytes,
  5: imagecodecs.lzw_encode,
  8: imagecodecs.deflate_encode,
  32773: imagecodecs.packbits_encode,
}


def packed_bits(samples, bits):
  """Packs samples [H, W] row by row."""
  text = [''.join(f'{x:0{bits}b}' for x in row) for row in samples]
  text = [x + '0' * (-len(x) % 8) for x in text]
  return b''.join(int(x, 2).to_bytes(len(x) // 8, 'big') for x in text)


@pytest.mark.parametrize(
  ('photometric', 'bits'),
  [
    *itertools.product([0, 1], [1, 2, 4, 8, 12, 16]),
    *itertools.product([3], [1, 2, 4, 8]),
  ],
)
def test_gray_and_palettes_of_any_number_of_bits(photometric, bits):
  rng = np.random.default_rng(bits)
  levels = rng.integers(0, 2**bits, (9, 13))
  colors = rng.integers(0, 65536, (3, 2 ** min(bits, 8)))
  extra = {}
  if photometric == 3:
    expected = (colors[:, levels] >> 8).transpose(1, 2, 0)
    extra = {'tag320': ('H', colors.reshape(-1).tolist())}
  else:
    expected = np.rint(levels * 255 / (2**bits - 1))
    expected = 255 - expected if photometric == 0 else expected
    expected = np.repeat(expected[..., None], 3, axis=-1)
  num_read = 0
  for order, fill, compression in itertools.product('<>', [1, 2], COMPRESSIONS):
    data = packed_bits(levels, bits)
    if bits == 16:
      data = levels.astype(order + 'u2').tobytes()
    data = bytes(COMPRESSIONS[compression](data))
    if fill == 2:
      data = data.translate(REVERSED_BITS)
    tags = plain_tags((9, 13, 1), photometric, bits, compression, **extra)
    tags[266] = ('H', [fill])
    pixels = pixels_or_message(directory_tiff(order, tags, [data]))
    if isinstance(pixels, str):
      assert 'TIFF, unsupported layout: a TIFF with 1 band' in pixels
      continue
    num_read += 1
    assert np.abs(pixels - expected).max() <= 1
  least = {(0, 12): 0, (1, 12): 4}.get((photometric, bits), 12)
  assert num_read >= least


@pytest.mark.parametrize('planar', [1, 2])
@pytest.mark.parametrize(('photometric', 'bands'), [(1, 1), (1, 2), (2, 3)])
@pytest.mark.parametrize('dtype', ['i1', 'i2', 'i4', 'u4', 'f2', 'f4', 'f8'])
def test_samples_without_an_agreed_range_are_refused(
  dtype, photometric, bands, planar
):
  dtype = np.dtype(dtype).newbyteorder('<')
  samples = (np.arange(12 * bands) % 99).astype(dtype).reshape(3, 4, bands)
  tags = plain_tags(samples.shape, photometric, dtype.itemsize * 8)
  tags[339] = ('H', [{'u': 1, 'i': 2, 'f': 3}[dtype.kind]] * bands)
  tags[284] = ('H', [planar])
  strips = [samples.tobytes()]
  if planar == 2:
    strips = [samples[..., i].tobytes() for i in range(bands)]
  data = directory_tiff('<', tags, strips)
  match = r'TIFF, unsupported layout: a TIFF with \d band.*no agreed range'
  with pytest.raises(CorruptImage, match=match):
    decode(data, 'x')


def ycbcr_strip(ycbcr, subsampling):
  """Arranges YCbCr as TIFF 6.0, section 21; returns it and its colors."""
  height, width = ycbcr.shape[:2]
  sub = subsampling
  blocks = (height // sub, sub, width // sub, sub)
  luma = ycbcr[..., 0].reshape(blocks).transpose(0, 2, 1, 3)
  luma = luma.reshape(height // sub, width // sub, sub * sub)
  chroma = ycbcr[..., 1:].reshape(*blocks, 2).mean((1, 3)).astype(np.uint8)
  seen = ycbcr.copy()
  seen[..., 1:] = chroma.repeat(sub, axis=0).repeat(sub, axis=1)
  return np.concatenate([luma, chroma], axis=-1).tobytes(), seen


def rgb_of_ycbcr(ycbcr):
  y, b, r = np.moveaxis(ycbcr.astype(float), -1, 0) - [[[0]], [[128]], [[128]]]
  green = y - (0.114 * 1.772 * b + 0.299 * 1.402 * r) / 0.587
  return np.stack([y + 1.402 * r, green, y + 1.772 * b], -1).clip(0, 255)


@pytest.mark.parametrize('compression', [1, 5, 8])
@pytest.mark.parametrize('subsampling', [1, 2])
def test_ycbcr(subsampling, compression):
  photo = Image.fromarray(smooth(3, 16, 32) // 2 + 60).convert('YCbCr')
  data, seen = ycbcr_strip(np.array(photo), subsampling)
  tags = plain_tags((16, 32, 3), 6, 8, compression)
  tags[530] = ('H', [subsampling] * 2)
  data = bytes(COMPRESSIONS[compression](data))
  file = directory_tiff('<', tags, [data])
  if (subsampling, compression) == (2, 1):
    with pytest.raises(CorruptImage, match='TIFF, unsupported layout'):
      decode(file, 'x')
    return
  assert np.abs(decode(file, 'x') - rgb_of_ycbcr(seen)).max() <= 2


def test_ycbcr_of_another_range_is_refused_or_honored():
  tags = plain_tags((2, 2, 3), 6)
  tags[530] = ('H', [1, 1])
  tags[532] = ('I', [16, 235, 128, 240, 128, 240])
  file = directory_tiff('<', tags, [bytes([16, 128, 128] * 4)])
  with pytest.raises(CorruptImage, match='not the range 0 to 255'):
    decode(file, 'x')


@pytest.mark.parametrize('planar', [1, 2])
@pytest.mark.parametrize('compression', [1, 5])
def test_lab(planar, compression):
  photo = smooth(3, 8, 12) // 4 + 96
  lab, srgb = (ImageCms.createProfile(x) for x in ('LAB', 'sRGB'))
  transform = ImageCms.buildTransform(srgb, lab, 'RGB', 'LAB')
  # a and b are signed, as in TIFF.
  image = ImageCms.applyTransform(Image.fromarray(photo), transform)
  samples = np.array(image)
  tags = plain_tags(samples.shape, 8, 8, compression)
  tags[284] = ('H', [planar])
  strips = [samples] if planar == 1 else list(np.moveaxis(samples, -1, 0))
  strips = [bytes(COMPRESSIONS[compression](x.tobytes())) for x in strips]
  pixels = decode(directory_tiff('<', tags, strips), 'x')
  assert np.abs(pixels.astype(int) - photo).max() <= 3


@pytest.mark.parametrize('photometric', [2, 6])
def test_jpeg_within(photometric):
  photo = smooth(3, 16, 32) // 2 + 60
  space = {2: 'RGB', 6: 'YCBCR'}[photometric]
  data = imagecodecs.jpeg8_encode(
    photo, 100, outcolorspace=space, subsampling='444'
  )
  tags = plain_tags(photo.shape, photometric, 8, 7)
  tags[530] = ('H', [1, 1])
  pixels = decode(directory_tiff('<', tags, [data]), 'x')
  assert np.abs(pixels.astype(int) - imagecodecs.jpeg8_decode(data)).max() <= 1


def test_jpeg_in_planes_apart():
  photo = smooth(3, 16, 32)
  planes = [np.ascontiguousarray(photo[..., i]) for i in range(3)]
  tags = plain_tags(photo.shape, 2, 8, 7, tag284=('H', [2]))
  strips = [imagecodecs.jpeg8_encode(x, 100) for x in planes]
  pixels = decode(directory_tiff('<', tags, strips), 'x')
  assert np.abs(pixels.astype(int) - photo).max() <= 2


@pytest.mark.parametrize('kind', ['group3', 'group4', 'tiff_ccitt'])
def test_fax(kind):
  bits = smooth(1)[..., 0] > 120
  file = io.BytesIO()
  Image.fromarray(bits).save(file, 'TIFF', compression=kind)
  pixels = decode(file.getvalue(), 'x')
  np.testing.assert_array_equal(pixels, bits[..., None] * [255, 255, 255])


def test_palette_of_8_bits():
  rng = np.random.default_rng(0)
  colors = rng.integers(0, 256, (3, 256))
  levels = rng.integers(0, 256, (4, 5, 1), dtype=np.uint8)
  tags = plain_tags(levels.shape, 3)
  tags[320] = ('H', colors.reshape(-1).tolist())
  pixels = decode(directory_tiff('<', tags, [levels.tobytes()]), 'x')
  np.testing.assert_array_equal(
    pixels, colors[:, levels[..., 0]].transpose(1, 2, 0)
  )


@pytest.mark.parametrize('kind', [0, 2])
@pytest.mark.parametrize('compression', [1, 5])
def test_palette_with_alpha(kind, compression):
  rng = np.random.default_rng(0)
  colors = rng.integers(0, 256, (3, 256))
  samples = rng.integers(0, 256, (4, 5, 2), dtype=np.uint8)
  tags = plain_tags(samples.shape, 3, 8, compression)
  tags[320] = ('H', (colors * 257).reshape(-1).tolist())
  tags[338] = ('H', [kind])
  data = bytes(COMPRESSIONS[compression](samples.tobytes()))
  alpha = samples[..., 1:] / 255 if kind else 1.0
  expected = colors[:, samples[..., 0]].transpose(1, 2, 0) * alpha
  pixels = decode(directory_tiff('<', tags, [data]), 'x')
  assert np.abs(pixels - expected - 255 * (1 - alpha)).max() <= 1


RGB_BYTES = smooth(3, 4, 6).tobytes()


@pytest.mark.parametrize(
  ('photometric', 'changes', 'match'),
  [
    (2, {254: ('I', [1])}, 'a thumbnail of another'),
    (2, {50706: ('B', [1, 4, 0, 0])}, r'camera raw \(DNG\)'),
    (32803, {}, 'a color filter array'),
    (9, {}, 'Lab of ICC'),
    (5, {}, '3 bands of 8 bits .*CMYK'),
    (2, {258: ('H', [8, 16, 8])}, '8 and 16 bits'),
    (2, {258: ('H', [4, 4, 4])}, '3 bands of 4 bits'),
    (2, {259: ('H', [34887])}, 'compression 34887'),
    (2, {257: ('I', [5])}, '18 bytes short of its size'),
    (6, {284: ('H', [2]), 530: ('H', [1, 1])}, 'YCbCr, planes apart'),
  ],
)
def test_unsupported_layouts_say_what_they_are(photometric, changes, match):
  tags = {**plain_tags((4, 6, 3), photometric), **changes}
  data = directory_tiff('<', tags, [RGB_BYTES])
  with pytest.raises(
    CorruptImage, match=f'TIFF, unsupported layout: .*{match}'
  ):
    decode(data, 'x')


@pytest.mark.parametrize('compression', [None, 'deflate'])
@pytest.mark.parametrize('photometric', ['rgb', 'minisblack'])
def test_bigtiff_is_read_or_refused_by_its_byte_order(photometric, compression):
  samples = smooth(3) if photometric == 'rgb' else smooth(1)[..., 0]
  files = {}
  for order in '<>':
    file = io.BytesIO()
    tifffile.imwrite(
      file,
      samples,
      bigtiff=True,
      byteorder=order,
      photometric=photometric,
      compression=compression,
    )
    files[order] = file.getvalue()
  expected = samples if samples.ndim == 3 else samples[..., None]
  np.testing.assert_array_equal(
    decode(files['<'], 'x'), np.broadcast_to(expected, (HEIGHT, WIDTH, 3))
  )
  with pytest.raises(
    CorruptImage, match='TIFF, unsupported layout: a BigTIFF in big-endian'
  ):
    decode(files['>'], 'x')


def test_inks_that_are_not_those_of_cmyk_are_refused():
  tags = plain_tags((2, 3, 4), 5, tag332=('H', [2]))
  with pytest.raises(CorruptImage, match='inks are not cyan'):
    decode(directory_tiff('<', tags, [bytes(24)]), 'x')


def deep_planes(**changes):
  samples = smooth(3, 8, 12).astype('<u2') * 257
  tags = plain_tags(samples.shape, 2, 16, tag284=('H', [2]))
  tags |= {int(name.removeprefix('tag')): x for name, x in changes.items()}
  strips = [samples[..., i].tobytes() for i in range(3)]
  return directory_tiff('<', tags, strips)


@pytest.mark.parametrize('orientation', range(1, 9))
def test_orientation_of_what_is_unpacked(orientation):
  upright = decode(deep_planes(), 'x')
  pixels = decode(deep_planes(tag274=('H', [orientation])), 'x')
  exif = Image.Exif()
  exif[274] = orientation
  file = io.BytesIO()
  Image.fromarray(upright).save(file, 'PNG', exif=exif)
  np.testing.assert_array_equal(pixels, decode(file.getvalue(), 'x'))


@pytest.mark.parametrize(
  'changes',
  [
    {'tag256': ('I', [0])},
    {'tag257': ('I', [2**31])},
    {'tag256': ('I', [10**5]), 'tag257': ('I', [10**5])},
    {'tag277': ('H', [65535])},
    {'tag256': ('d', [12.5])},
    {'tag278': ('I', [0])},
    {'tag322': ('I', [16])},
  ],
)
def test_impossible_tags_are_one_error(changes):
  try:
    pixels = decode(deep_planes(**changes), 'x')
  except CorruptImage:
    return
  np.testing.assert_array_equal(pixels, decode(deep_planes(), 'x'))


def test_random_damage_gives_pixels_or_an_error():
  rng = np.random.default_rng(1)
  samples = smooth(3).astype(np.uint16) * 257
  files = [
    written(
      samples, order, compression, False, tile, 'separate', photometric='rgb'
    )
    for order, compression, tile in (
      ('<', None, False),
      ('>', 'lzw', True),
      ('<', 'deflate', False),
    )
  ]
  refused = 0
  for data in files:
    reach = [range(16), range(len(data) - 300, len(data)), range(16, 500)]
    for _ in range(150):
      broken = bytearray(data)
      places = reach[rng.integers(3)]
      for place in rng.choice(places, rng.integers(1, 6)):
        broken[place] = rng.integers(0, 256)
      try:
        pixels = decode(bytes(broken), 'x')
      except CorruptImage:
        refused += 1
      else:
        assert pixels.dtype == np.uint8
  assert refused > 50


@pytest.mark.parametrize('share', [0.1, 0.5, 0.9])
@pytest.mark.parametrize('compression', [None, 'lzw'])
def test_a_file_cut_short_is_refused(compression, share):
  samples = smooth(3).astype(np.uint16) * 257
  data = written(
    samples, '<', compression, False, False, 'separate', photometric='rgb'
  )
  with pytest.raises(CorruptImage):
    decode(data[: int(len(data) * share)], 'x')


def test_the_table_of_pillow_holds_no_layout_that_is_not_tested():
  """A newer Pillow may read more: hold it against tifffile first."""
  colors = {key[1] for key in TiffImagePlugin.OPEN_INFO}
  assert colors == {0, 1, 2, 3, 5, 6, 8}
