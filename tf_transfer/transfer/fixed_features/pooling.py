"""Pools the output of a layer over the cells of a spatial pyramid."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def pyramid_pool(x: jax.Array, pyramid: Sequence[int]) -> jax.Array:
  """Averages over the cells of a spatial pyramid (Lazebnik et al., 2006).

  Cell i of n covers the positions from floor(i H / n) to ceil((i + 1) H / n),
  as in SPP-net (He et al., 2014). So there can be more cells than positions.

  Args:
    x: [B, H, W, C].
    pyramid: the cells per side, n, of each level.

  Returns:
    [B, sum of n² × C], ordered by level, then row, then column of the cell.
  """

  def cell(i: int, n: int, size: int) -> slice:
    return slice(i * size // n, -(-(i + 1) * size // n))

  _, height, width, _ = x.shape
  return jnp.concatenate(
    [
      x[:, cell(i, n, height), cell(j, n, width)].mean(axis=(1, 2))
      for n in pyramid
      for i in range(n)
      for j in range(n)
    ],
    axis=-1,
  )
