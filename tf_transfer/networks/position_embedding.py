"""Resamples a position embedding from one grid of patches to another.

The weights of a vision transformer have a vector for each patch of the images
that it was trained on. Images of another size have other patches: their vectors
are interpolated as timm does it, which is PyTorch's bicubic interpolation with
antialiasing, of half-pixel centers.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

# Of Keys's cubic kernel; PyTorch has this one where it antialiases.
_SHARPNESS = -0.5
_SUPPORT = 2  # the kernel is zero from here on


def _cubic(distance: np.ndarray) -> np.ndarray:
  """Computes the cubic kernel of Keys (1981)."""
  x = np.abs(distance)
  near = ((_SHARPNESS + 2) * x - (_SHARPNESS + 3)) * x**2 + 1
  far = _SHARPNESS * (((x - 5) * x + 8) * x - 4)
  return np.where(x < 1, near, np.where(x < _SUPPORT, far, 0))


@functools.cache
def resampling_matrix(old: int, new: int) -> np.ndarray:
  """Returns the matrix [new, old] that resamples a row of points.

  Args:
    old: number of points of the row.
    new: number of points wanted; where there are fewer, the kernel is widened.
  """
  scale = old / new
  width = max(scale, 1.0)
  centers = scale * (np.arange(new)[:, np.newaxis] + 0.5)
  points = np.arange(old) + 0.5
  weights = _cubic((points - centers) / width)
  return weights / weights.sum(axis=1, keepdims=True)


def resample(grid: jax.Array, height: int, width: int) -> jax.Array:
  """Resamples vectors on a grid.

  Args:
    grid: [H, W, D], the vectors of the weights.
    height: rows wanted.
    width: columns wanted.

  Returns:
    [height, width, D]; the grid itself where that is its size.
  """
  if grid.shape[:2] == (height, width):
    return grid
  rows, columns = (
    jnp.asarray(resampling_matrix(old, new), grid.dtype)
    for old, new in zip(grid.shape[:2], (height, width), strict=True)
  )
  return jnp.einsum('ih,hwd,jw->ijd', rows, grid, columns)
