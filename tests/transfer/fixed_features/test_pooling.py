"""Tests pyramid pooling on numbers worked out by hand."""

import numpy as np

from tf_transfer.transfer.fixed_features import pooling


def test_cells_share_the_middle_row_and_column():
  """3 × 5 positions in 2 × 2 cells."""
  x = np.arange(15.0).reshape(1, 3, 5, 1)
  rows, columns = (slice(0, 2), slice(1, 3)), (slice(0, 3), slice(2, 5))
  expected = [7.0] + [x[0, r, c, 0].mean() for r in rows for c in columns]
  assert expected[1:] == [3.5, 5.5, 8.5, 10.5]
  pooled = pooling.pyramid_pool(x, (1, 2))
  np.testing.assert_allclose(pooled, [expected], rtol=1e-6)


def test_more_cells_than_positions():
  x = np.arange(15.0).reshape(1, 3, 5, 1)
  assert pooling.pyramid_pool(x, (1, 2, 4)).shape == (1, 21)
