"""PNGs of every depth and their transparency, held against hand-made bytes."""

import struct
import zlib

import numpy as np
import pytest

from tf_transfer.images.decoding import CorruptImage, decode


def chunk(name, data):
  check = struct.pack('>I', zlib.crc32(name + data))
  return struct.pack('>I', len(data)) + name + data + check


def png(rows, size, color, depth, *extra):
  """Writes a PNG of packed rows; `extra` are chunks before the pixels."""
  head = struct.pack('>IIBBBBB', size[1], size[0], depth, color, 0, 0, 0)
  data = b''.join(b'\0' + row for row in rows)
  return b'\x89PNG\r\n\x1a\n' + b''.join(
    (
      chunk(b'IHDR', head),
      *extra,
      chunk(b'IDAT', zlib.compress(data)),
      chunk(b'IEND', b''),
    )
  )


def packed(levels, depth):
  if depth == 16:
    return [row.astype('>u2').tobytes() for row in levels]
  text = [''.join(f'{x:0{depth}b}' for x in row) for row in levels]
  text = [x + '0' * (-len(x) % 8) for x in text]
  return [int(x, 2).to_bytes(len(x) // 8, 'big') for x in text]


def random(depth, bands=1, height=5, width=7):
  rng = np.random.default_rng(depth)
  return rng.integers(0, 2**depth, (height, width, bands))


def on_white(color, alpha):
  return color * alpha + 255 * (1 - alpha)


@pytest.mark.parametrize('depth', [1, 2, 4, 8, 16])
def test_one_level_of_gray_is_transparent(depth):
  levels = random(depth)
  keys = range(2**depth) if depth < 8 else levels[0, :, 0].tolist()
  for key in keys:
    data = png(
      packed(levels[..., 0], depth),
      levels.shape,
      0,
      depth,
      chunk(b'tRNS', struct.pack('>H', key)),
    )
    gray = np.rint(levels * 255 / (2**depth - 1))
    expected = np.where(levels == key, 255, gray).repeat(3, axis=-1)
    np.testing.assert_array_equal(decode(data, 'x'), expected)


@pytest.mark.parametrize('depth', [8, 16])
def test_one_color_is_transparent_and_its_neighbors_are_not(depth):
  samples = random(depth, bands=3)
  key = samples[0, 0].copy()
  samples[1, 1] = key
  # Neighbors, which are the same color in the upper byte.
  samples[2, 2] = key ^ [0, 0, 1]
  samples[2, 3] = key ^ [1, 0, 0]
  data = png(
    packed(samples.reshape(len(samples), -1), depth),
    samples.shape,
    2,
    depth,
    chunk(b'tRNS', key.astype('>u2').tobytes()),
  )
  expected = samples >> (depth - 8)
  expected[(samples == key).all(axis=-1)] = 255
  np.testing.assert_array_equal(decode(data, 'x'), expected)


def test_rgb_of_16_bits_with_broken_pixels_is_refused():
  samples = random(16, bands=3)
  data = png(
    packed(samples.reshape(5, -1), 16)[:3],
    samples.shape,
    2,
    16,
    chunk(b'tRNS', bytes(6)),
  )
  with pytest.raises(CorruptImage):
    decode(data, 'x')


@pytest.mark.parametrize('num_alphas', [1, 2])
@pytest.mark.parametrize('depth', [1, 2, 4, 8])
def test_palette_with_alpha(depth, num_alphas):
  rng = np.random.default_rng(depth)
  levels = random(depth)[..., 0]
  colors = rng.integers(0, 256, (2**depth, 3), dtype=np.uint8)
  alphas = np.full(2**depth, 255, np.uint8)
  alphas[:num_alphas] = rng.integers(0, 256, num_alphas)
  data = png(
    packed(levels, depth),
    levels.shape,
    3,
    depth,
    chunk(b'PLTE', colors.tobytes()),
    chunk(b'tRNS', alphas[:num_alphas].tobytes()),
  )
  expected = on_white(colors[levels], alphas[levels][..., None] / 255)
  assert np.abs(decode(data, 'x') - expected).max() <= 1


@pytest.mark.parametrize('depth', [8, 16])
@pytest.mark.parametrize(('color', 'bands'), [(4, 1), (6, 3)])
def test_gray_and_rgb_with_alpha(color, bands, depth):
  samples = random(depth, bands + 1)
  data = png(packed(samples.reshape(5, -1), depth), samples.shape, color, depth)
  peak = 2**depth - 1
  expected = on_white(samples[..., :-1] * 255 / peak, samples[..., -1:] / peak)
  # The lower bytes are dropped, and the result is rounded.
  pixels = decode(data, 'x')
  assert np.abs(pixels - expected.repeat(3 // bands, axis=-1)).max() <= 2
