"""Distorts colors as TF-Slim does for Inception, on the devices.

On a GPU it costs next to nothing; on the host it would take longer than
decoding the image. Its random numbers are drawn on the host and come with the
batch.
"""

import functools

import jax
import jax.numpy as jnp

from tf_transfer.datasets.images import augmentation

# What a training does to colors; TF-Slim's default is its fast mode.
MODES = ('none', *augmentation.COLOR_ORDERS)


def distort(
  image: jax.Array, color: jax.Array, mode: str = 'slow'
) -> jax.Array:
  """Distorts colors as TF-Slim does for Inception.

  Args:
    image: [B, H, W, 3], RGB in 0 to 255.
    color: [B, 5], from `augmentation.draw_color` for each image.
    mode: 'fast', brightness and saturation, or 'slow', hue and contrast too.

  Returns:
    float32 [B, H, W, 3] in 0 to 255.
  """
  pixels = image.astype(jnp.float32) / 255
  distort_one = functools.partial(_distort, augmentation.COLOR_ORDERS[mode])
  distorted = jax.vmap(distort_one)(pixels, color)
  return jnp.clip(distorted, 0, 1) * 255


def _distort(
  orders: tuple[tuple[str, ...], ...], pixels: jax.Array, color: jax.Array
) -> jax.Array:
  """Distorts one image [H, W, 3] of 0 to 1, which may leave that range."""
  amounts = dict(zip(_CHANGES, color[1:], strict=True))

  def apply(order: tuple[str, ...], pixels: jax.Array) -> jax.Array:
    for name in order:
      pixels = _CHANGES[name](pixels, amounts[name])
    return pixels

  # An order that is there several times is computed once.
  distinct = tuple(dict.fromkeys(orders))
  branches = [functools.partial(apply, order) for order in distinct]
  branch = jnp.array([distinct.index(order) for order in orders])
  return jax.lax.switch(branch[color[0].astype(jnp.int32)], branches, pixels)


def _change_brightness(pixels: jax.Array, delta: jax.Array) -> jax.Array:
  """Adds to all values."""
  return pixels + delta


def _change_saturation(pixels: jax.Array, factor: jax.Array) -> jax.Array:
  """Multiplies the saturation, which stays in 0 to 1."""
  hue, value, spread = _to_hue(pixels)
  saturation = jnp.where(value > 0, spread / jnp.where(value > 0, value, 1), 0)
  return _to_rgb(hue, value, value * jnp.clip(saturation * factor, 0, 1))


def _change_hue(pixels: jax.Array, delta: jax.Array) -> jax.Array:
  """Adds to the hue, in turns of the color circle."""
  hue, value, spread = _to_hue(pixels)
  return _to_rgb((hue + delta) % 1, value, spread)


def _change_contrast(pixels: jax.Array, factor: jax.Array) -> jax.Array:
  """Multiplies the distance of values from their mean."""
  mean = pixels.mean(axis=(0, 1))
  return (pixels - mean) * factor + mean


_CHANGES = {
  'brightness': _change_brightness,
  'saturation': _change_saturation,
  'hue': _change_hue,
  'contrast': _change_contrast,
}


def _to_hue(pixels: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Converts RGB [H, W, 3] to hue, value and spread [H, W].

  Hue is in turns of the color circle. Value is the largest of the three. The
  spread, from the smallest to the largest, is saturation times value; unlike
  saturation, it works for negative values.
  """
  red, green, blue = jnp.moveaxis(pixels, -1, 0)
  value = pixels.max(axis=-1)
  spread = value - pixels.min(axis=-1)
  divisor = jnp.where(spread > 0, spread, 1)
  sixths = jnp.where(
    value == red,
    (green - blue) / divisor,
    jnp.where(
      value == green, (blue - red) / divisor + 2, (red - green) / divisor + 4
    ),
  )
  return jnp.where(spread > 0, sixths / 6 % 1, 0), value, spread


def _to_rgb(hue: jax.Array, value: jax.Array, spread: jax.Array) -> jax.Array:
  """Inverts `_to_hue`."""
  sixths = (jnp.array([5, 3, 1]) + hue[..., None] * 6) % 6
  below = jnp.clip(jnp.minimum(sixths, 4 - sixths), 0, 1)
  return value[..., None] - spread[..., None] * below
