"""Tests which images are computed again."""

import numpy as np
import pytest

from tf_transfer.transfer.fixed_features import verification


def draw(
  num_examples: int, batch_size: int, invalid: tuple[int, ...] = ()
) -> verification.Sample:
  """Returns the sample of a shard whose images hold their row."""
  sample = verification.Sample(num_examples, batch_size)
  for start in range(0, num_examples, batch_size):
    rows = np.arange(start, min(start + batch_size, num_examples))
    rows = rows[~np.isin(rows, invalid)]
    sample.add(rows.astype(np.uint16)[:, None, None, None], rows)
  return sample


@pytest.mark.parametrize(
  ('num_examples', 'batch_size'),
  [(2048, 64), (2048, 256), (2048, 16), (2048, 1), (100, 64), (3, 64), (1, 1)],
)
def test_two_shards_fit_one_batch(num_examples, batch_size):
  sample = draw(num_examples, batch_size)
  batches = {row // batch_size for row in sample.rows}
  num_batches = -(-num_examples // batch_size)
  most = max(1, batch_size // 2)
  assert len(batches) == len(sample.rows) <= min(num_batches, most)
  # Half of the most, at least, where not every batch is in it.
  assert 2 * len(batches) > min(num_batches, most)
  assert [int(image.item()) for image in sample.images] == sample.rows


def test_images_are_from_different_rows_of_their_batches():
  sample = draw(2048, 64)
  assert len({row % 64 for row in sample.rows}) == 32


def test_corrupt_images_are_not_in_the_sample():
  sample = draw(8, 4, invalid=(0, 1, 2, 4, 5, 6, 7))
  assert sample.rows == [3]
