"""Tests thumbnails: upright, of the right colors, and of a bounded size."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tf_transfer import datasets
from tf_transfer.datasets import splits
from tf_transfer.images import decoding
from tf_transfer.study.choice import thumbnails


def split_of(*files):
  """A split of image files, decoded as those of a folder are."""
  return datasets.Split(
    name='val',
    labels=np.zeros(len(files), int),
    digests=splits.content_digests(files),
    read=lambda i: decoding.decode(files[i], f'file {i}'),
    describe=lambda i: f'file {i}',
    encoded=files.__getitem__,
  )


def encoded(image, kind='png', **options):
  file = io.BytesIO()
  image.save(file, kind, **options)
  return file.getvalue()


def make(*files, limit=10**6):
  split = split_of(*files)
  return thumbnails.make([(split, i) for i in range(len(files))], limit)


def pixels(thumbnail):
  data = base64.b64decode(thumbnail.source.partition(',')[2])
  return np.asarray(Image.open(io.BytesIO(data)).convert('RGB')).astype(int)


def halves(width, height):
  """Red above, blue below."""
  image = Image.new('RGB', (width, height), (255, 0, 0))
  image.paste((0, 0, 255), (0, height // 2, width, height))
  return image


def test_a_photo_becomes_a_small_jpeg():
  (thumbnail,) = make(encoded(halves(640, 480), 'jpeg'))
  assert thumbnail.source.startswith('data:image/jpeg;base64,')
  assert pixels(thumbnail).shape == (96, 128, 3)
  assert thumbnail.size == '640 × 480'
  assert not thumbnail.crisp


def test_orientation_is_applied():
  exif = Image.Exif()
  exif[0x0112] = 6  # To be turned by 90 degrees to the right.
  (thumbnail,) = make(encoded(halves(400, 200), 'jpeg', exif=exif))
  turned = pixels(thumbnail)
  assert turned.shape == (128, 64, 3)
  assert turned[64, 60, 0] > 200  # What was above is on the right.
  assert turned[64, 4, 2] > 200
  assert thumbnail.size == '200 × 400'


def test_transparency_is_on_white():
  image = Image.new('RGBA', (300, 300), (0, 0, 0, 0))
  (thumbnail,) = make(encoded(image))
  assert pixels(thumbnail).min() >= 250


def test_16_bits_are_scaled():
  gray = np.full((200, 200), 40_000, np.uint16)
  (thumbnail,) = make(encoded(Image.fromarray(gray)))
  np.testing.assert_allclose(pixels(thumbnail), 40_000 / 257, atol=2)


def test_a_tiny_image_keeps_its_pixels():
  generator = np.random.default_rng(0)
  array = generator.integers(256, size=(8, 8, 3)).astype(np.uint8)
  (thumbnail,) = make(encoded(Image.fromarray(array)))
  assert thumbnail.crisp
  np.testing.assert_array_equal(pixels(thumbnail), array)


@pytest.mark.parametrize('size', [(3000, 2), (2, 3000), (1, 1)])
def test_extreme_shapes(size):
  (thumbnail,) = make(encoded(Image.new('RGB', size)))
  height, width, _ = pixels(thumbnail).shape
  assert max(height, width) <= 128
  assert min(height, width) >= 1


def test_an_image_that_cannot_be_read_has_no_picture():
  good = encoded(halves(20, 20))
  bad, other = make(good[:60], good)
  assert bad.source == ''
  assert bad.size == 'cannot be read'
  assert other.source


def noise(seed):
  generator = np.random.default_rng(seed)
  array = generator.integers(256, size=(128, 128, 3)).astype(np.uint8)
  return encoded(Image.fromarray(array))


@pytest.mark.parametrize('limit', [10**6, 60_000, 35_000])
def test_quality_is_lowered_until_a_limit_is_kept(limit):
  made = make(*map(noise, range(4)), limit=limit)
  assert all(thumbnail.source for thumbnail in made)
  assert sum(len(thumbnail.source) for thumbnail in made) <= limit


def test_where_no_quality_is_low_enough_some_have_no_picture():
  made = make(*map(noise, range(4)), limit=12_000)
  assert made[0].source
  assert not made[-1].source
  assert sum(len(thumbnail.source) for thumbnail in made) <= 12_000
