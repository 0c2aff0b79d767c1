"""Decoded images that are kept in memory."""

import collections

import numpy as np
import pytest

from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import Split
from tf_transfer.datasets.images.image_cache import cache_images


@pytest.fixture
def counted():
  """Five images of 300 bytes, and a count of how often each was read."""
  reads = collections.Counter()

  def read(i):
    reads[i] += 1
    return np.full((10, 10, 3), i, np.uint8)

  split = Split(
    name='train',
    labels=np.arange(5),
    digests=splits.content_digests([bytes([i]) for i in range(5)]),
    read=read,
    describe=str,
    encoded=lambda i: b'file %d' % i,
  )
  return split, reads


def test_images_that_fit_are_decoded_once(counted):
  split, reads = counted
  cached = cache_images(split, 1500)
  for _ in range(3):
    for i in range(5):
      np.testing.assert_array_equal(cached.read(i), np.full((10, 10, 3), i))
      assert cached.encoded(i) is None
  assert reads == dict.fromkeys(range(5), 1)
  assert cached.hash == split.hash


def test_images_that_do_not_fit_are_read_each_time(counted):
  split, reads = counted
  cached = cache_images(split, 700)
  # While there is room, the whole image is decoded, to be cached.
  assert cached.encoded(4) is None
  for _ in range(3):
    for i in range(5):
      np.testing.assert_array_equal(cached.read(i), np.full((10, 10, 3), i))
  assert reads == {0: 1, 1: 1, 2: 3, 3: 3, 4: 3}
  assert cached.encoded(0) is None
  assert cached.encoded(2) == b'file 2'


def test_no_memory(counted):
  split, _ = counted
  assert cache_images(split, 0).encoded(0) == b'file 0'


def test_a_cached_image_cannot_be_changed(counted):
  split, _ = counted
  image = cache_images(split, 1500).read(0)
  with pytest.raises(ValueError, match='read-only'):
    image[0] = 1
