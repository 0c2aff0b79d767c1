import collections

import numpy as np
import pytest

from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import Split
from tf_transfer.datasets.images.image_cache import keep_decoded


@pytest.fixture
def counted():
  """Five images of 300 bytes and how often each was read."""
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


def test_all_are_decoded_once_where_they_fit(counted):
  split, reads = counted
  kept = keep_decoded(split, 1500)
  for _ in range(3):
    for i in range(5):
      np.testing.assert_array_equal(kept.read(i), np.full((10, 10, 3), i))
      assert kept.encoded(i) is None
  assert reads == dict.fromkeys(range(5), 1)
  assert kept.hash == split.hash


def test_what_does_not_fit_is_read_each_time(counted):
  split, reads = counted
  kept = keep_decoded(split, 700)
  # While there is room, decoding the whole image is an investment.
  assert kept.encoded(4) is None
  for _ in range(3):
    for i in range(5):
      np.testing.assert_array_equal(kept.read(i), np.full((10, 10, 3), i))
  assert reads == {0: 1, 1: 1, 2: 3, 3: 3, 4: 3}
  assert kept.encoded(0) is None
  assert kept.encoded(2) == b'file 2'


def test_no_budget(counted):
  split, _ = counted
  assert keep_decoded(split, 0).encoded(0) == b'file 0'


def test_a_kept_image_cannot_be_changed(counted):
  split, _ = counted
  image = keep_decoded(split, 1500).read(0)
  with pytest.raises(ValueError, match='read-only'):
    image[0] = 1
