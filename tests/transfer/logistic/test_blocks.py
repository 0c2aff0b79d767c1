"""Passes through the examples in blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.transfer.logistic import small
from tf_transfer.transfer.logistic import blocks


@pytest.mark.parametrize(
  ('num_rows', 'max_rows', 'sizes'),
  [
    (24, 2, (12, 2)),
    (25, 10, (3, 9)),
    (5, 10, (1, 5)),
    (4097, None, (3, 1366)),
  ],
)
def test_blocks_have_one_size(num_rows, max_rows, sizes):
  assert blocks.block_sizes(num_rows, max_rows) == sizes


def test_each_row_is_new_once(x64):
  """Of 25 rows in blocks of 9, of which the last two overlap; 24 is padding."""
  row_mask = jnp.arange(25) < 24
  num_blocks, block_rows = blocks.block_sizes(25, 10)
  seen = np.zeros(25, int)
  for index in range(num_blocks):
    start, is_new = blocks.locate_block(index, block_rows, 25, row_mask)
    seen[start : start + block_rows] += is_new
  np.testing.assert_array_equal(seen, row_mask)


@pytest.fixture
def case(layout, monkeypatch):
  """A problem whose passes are in blocks of two rows."""
  case = small.case(True, layout)
  monkeypatch.setattr(blocks, 'BLOCK_ROWS', 2)
  return case


def test_mean_is_that_of_all_rows(case):
  # Traced anew: what is compiled already has the usual blocks.
  mean = jax.jit(lambda problem: blocks.mean_row.__wrapped__(problem))
  np.testing.assert_allclose(
    mean(case.problem), case.features.astype(float).mean(0), rtol=1e-14
  )


def test_rows_are_gathered_from_wherever_they_are(case):
  index = jnp.array([23, 0, 7, 7, 12])
  gather = jax.jit(lambda problem: blocks.gather_rows(problem, index))
  rows = gather(case.problem)
  np.testing.assert_array_equal(rows, case.features[index])


def test_products_take_blocks_that_caches_hold(x64):
  problem = small.case(True).problem
  assert blocks.product_block_rows(problem, 10**9) == 2**18 // 3
