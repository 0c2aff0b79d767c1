"""Parts of resized images, to the bit those of Pillow."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from tf_transfer.images import resampling
from tf_transfer.images.decoding import Box

PILLOW = {
  'bilinear': Image.Resampling.BILINEAR,
  'bicubic': Image.Resampling.BICUBIC,
}


def by_pillow(image, height, width, kernel):
  """Resizes with Pillow, the columns first; it may change the order itself."""
  image = Image.fromarray(image)
  return np.array(
    image.resize((width, image.height), kernel).resize((width, height), kernel)
  )


@pytest.mark.parametrize('interpolation', PILLOW)
def test_parts_are_to_the_bit_those_of_pillow(interpolation, monkeypatch):
  # Several blocks.
  monkeypatch.setattr(resampling, '_BLOCK_SIZE', 500)
  rng = np.random.default_rng(0)
  for _ in range(60):
    old, new = rng.integers(1, 90, 2), rng.integers(1, 70, 2).tolist()
    image = rng.integers(0, 256, (*old, 3), dtype=np.uint8)
    top, left = (int(rng.integers(0, n)) for n in new)
    part = Box(
      top,
      left,
      int(rng.integers(1, new[0] - top + 1)),
      int(rng.integers(1, new[1] - left + 1)),
    )
    whole = by_pillow(image, *new, PILLOW[interpolation])
    np.testing.assert_array_equal(
      resampling.resize_part(image, *new, part, interpolation),
      part.crop(whole),
    )


def test_photographs_of_usual_sizes_are_to_the_bit_those_of_pillow():
  rng = np.random.default_rng(1)
  small = Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8))
  image = np.array(small.resize((500, 375), Image.BICUBIC))
  for interpolation, kernel in PILLOW.items():
    whole = by_pillow(image, 256, 341, kernel)
    part = Box(16, 58, 224, 224)
    np.testing.assert_array_equal(
      resampling.resize_part(image, 256, 341, part, interpolation),
      part.crop(whole),
    )


@pytest.mark.parametrize('shape', [(1, 300_000), (300_000, 1)])
def test_memory_is_bounded_by_the_part(shape):
  image = np.random.default_rng(2).integers(0, 256, (*shape, 3), np.uint8)
  scale = 256
  height, width = scale * shape[0], scale * shape[1]
  part = Box(height // 2, width // 2, 8, 8)
  tracemalloc.start()
  pixels = resampling.resize_part(image, height, width, part, 'bicubic')
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert pixels.shape == (8, 8, 3)
  assert peak < 2 * 2**20
