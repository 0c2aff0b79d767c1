"""Tests of resampling a position embedding, against PyTorch's arithmetic."""

import numpy as np
import pytest

from tests.golden import rule
from tests.networks import arrays, parity
from tf_transfer.networks import position_embedding

# What timm's resample_abs_pos_embed (1.0.31, PyTorch 2.13) makes of grids, in
# float32, and PyTorch's interpolate(mode='bicubic', antialias=True) in float64.
with np.load(rule.FOLDER / 'resized' / 'position_embedding.npz') as _file:
  GOLDEN = dict(_file)
NAMES = [name for name in GOLDEN if f'{name}_grid' in GOLDEN]


@pytest.mark.parametrize('name', NAMES)
def test_resample_against_timm(name):
  """Within the rounding of timm's, which places points in float32."""
  wanted = GOLDEN[name]
  found = arrays.run(
    lambda grid: position_embedding.resample(grid, *wanted.shape[:2]),
    GOLDEN[f'{name}_grid'],
  )
  assert found.shape == wanted.shape
  assert parity.relative_difference(found, wanted) < 2e-6


@pytest.mark.parametrize('name', NAMES)
def test_matrices_against_pytorch_in_float64(name):
  grid, wanted = np.float64(GOLDEN[f'{name}_grid']), GOLDEN[f'{name}_exact']
  rows, columns = (
    position_embedding.resampling_matrix(old, new)
    for old, new in zip(grid.shape[:2], wanted.shape[:2], strict=True)
  )
  found = np.einsum('ih,hwd,jw->ijd', rows, grid, columns)
  np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_grid_of_the_same_size_is_itself():
  grid = GOLDEN['14_to_14x14_grid']
  assert position_embedding.resample(grid, 14, 14) is grid
  np.testing.assert_allclose(
    position_embedding.resampling_matrix(14, 14), np.eye(14), atol=1e-15
  )


@pytest.mark.parametrize(('old', 'new'), [(37, 16), (14, 24), (5, 1), (1, 3)])
def test_matrix_averages(old, new):
  """A constant stays; what is mirrored becomes mirrored."""
  matrix = position_embedding.resampling_matrix(old, new)
  assert matrix.shape == (new, old)
  np.testing.assert_allclose(matrix.sum(axis=1), 1)
  np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-12)
