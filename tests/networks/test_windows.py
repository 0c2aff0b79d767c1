"""Tests of sliding windows: their pixels, and the transpose of taking them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.networks import arrays
from tf_transfer.networks import windows


def test_explicit_padding():
  x = jnp.zeros((1, 7, 8, 3))
  assert windows.explicit_padding(x, (3, 3), 2, 'SAME') == ((1, 1), (0, 1))
  assert windows.explicit_padding(x, (3, 3), 2, 'VALID') == ((0, 0), (0, 0))
  given = [(1, 2), (3, 4)]
  assert windows.explicit_padding(x, (3, 3), 1, given) == ((1, 2), (3, 4))


def test_shifted_copies_are_the_cells_of_the_windows():
  x = jnp.arange(16.0).reshape(1, 4, 4, 1)
  copies = list(windows.shifted_copies(x, (2, 2), strides=2, padding='VALID'))
  assert [copy[0, :, :, 0].tolist() for copy in copies] == [
    [[0, 2], [8, 10]],
    [[1, 3], [9, 11]],
    [[4, 6], [12, 14]],
    [[5, 7], [13, 15]],
  ]


@pytest.mark.parametrize('strides', [1, 2, 3])
def test_sum_over_windows_is_the_transpose(strides):
  """As JAX differentiates the sum of the copies, each with a weight."""
  x, pads = arrays.random((2, 5, 6, 3)), ((1, 0), (0, 2))
  weights = arrays.random((6,), seed=1)

  def weighted(x):
    copies = windows.shifted_copies(x, (2, 3), strides=strides, padding=pads)
    return sum(copy * weights[i] for i, copy in enumerate(copies))

  value, transpose = jax.vjp(weighted, x)
  gradient = arrays.random(value.shape, seed=2)
  found = windows.sum_over_windows(
    lambda cell, array: array * weights[cell],
    [gradient],
    x.shape,
    (2, 3),
    strides,
    pads,
  )
  np.testing.assert_allclose(found, transpose(gradient)[0], atol=1e-6)
