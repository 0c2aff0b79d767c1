"""Inception's distortion of colors, on the devices.

On a GPU it costs next to nothing; on the host it would take longer than to
decode the image. What it draws at random comes with the batch.
"""

import functools

import jax
import jax.numpy as jnp

from tf_transfer.datasets.images import augmentation


def distort(image: jax.Array, color: jax.Array) -> jax.Array:
  """Distorts colors as TF-Slim does for Inception.

  Args:
    image: [B, H, W, 3], RGB in 0 to 255.
    color: [B, 5], what `augmentation.draw_color` gives for each image.

  Returns:
    float32 [B, H, W, 3] in 0 to 255.
  """
  pixels = image.astype(jnp.float32) / 255
  distorted = jax.vmap(_distort)(pixels, color)
  return jnp.clip(distorted, 0, 1) * 255


def _distort(pixels: jax.Array, color: jax.Array) -> jax.Array:
  """One image [H, W, 3] of 0 to 1, which may leave that range."""
  by = dict(zip(_CHANGES, color[1:], strict=True))

  def in_order(order: tuple[str, ...], pixels: jax.Array) -> jax.Array:
    for name in order:
      pixels = _CHANGES[name](pixels, by[name])
    return pixels

  branches = [
    functools.partial(in_order, order) for order in augmentation.COLOR_ORDERS
  ]
  return jax.lax.switch(color[0].astype(jnp.int32), branches, pixels)


def _brighten(pixels: jax.Array, by: jax.Array) -> jax.Array:
  return pixels + by


def _saturate(pixels: jax.Array, factor: jax.Array) -> jax.Array:
  hue, value, spread = _to_hue(pixels)
  saturation = jnp.where(value > 0, spread / jnp.where(value > 0, value, 1), 0)
  return _to_rgb(hue, value, value * jnp.clip(saturation * factor, 0, 1))


def _turn_hue(pixels: jax.Array, by: jax.Array) -> jax.Array:
  hue, value, spread = _to_hue(pixels)
  return _to_rgb((hue + by) % 1, value, spread)


def _contrast(pixels: jax.Array, factor: jax.Array) -> jax.Array:
  mean = pixels.mean(axis=(0, 1))
  return (pixels - mean) * factor + mean


_CHANGES = {
  'brightness': _brighten,
  'saturation': _saturate,
  'hue': _turn_hue,
  'contrast': _contrast,
}


def _to_hue(pixels: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Of RGB [H, W, 3] the hue in turns, the largest value and the spread.

  The spread, from the smallest value to the largest, is saturation times
  value; unlike it, it is of use where values are negative.
  """
  red, green, blue = jnp.moveaxis(pixels, -1, 0)
  value = pixels.max(axis=-1)
  spread = value - pixels.min(axis=-1)
  some = jnp.where(spread > 0, spread, 1)
  sixths = jnp.where(
    value == red,
    (green - blue) / some,
    jnp.where(
      value == green, (blue - red) / some + 2, (red - green) / some + 4
    ),
  )
  return jnp.where(spread > 0, sixths / 6 % 1, 0), value, spread


def _to_rgb(hue: jax.Array, value: jax.Array, spread: jax.Array) -> jax.Array:
  """The inverse of `_to_hue`."""
  sixths = (jnp.array([5, 3, 1]) + hue[..., None] * 6) % 6
  below = jnp.clip(jnp.minimum(sixths, 4 - sixths), 0, 1)
  return value[..., None] - spread[..., None] * below
