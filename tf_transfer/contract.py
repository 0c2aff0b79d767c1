"""Defines what a network expects of its input."""

import dataclasses
from typing import Any

import numpy as np

# Fields whose names in weights files and feature caches differ from these.
_FILE_NAMES = {'pixel_centers': 'pixel_centres'}


@dataclasses.dataclass(frozen=True)
class Contract:
  """How an image becomes the input of a network.

  Attributes:
    image_size: height and width in pixels.
    mean: is subtracted from each channel, on the scale 0 to 255.
    std: each channel is divided by it afterwards, on the same scale.
    channels: order of the channels, 'rgb' or 'bgr'.
    interpolation: 'bilinear' or 'bicubic' (Keys' cubic, a = -0.5).
    antialias: whether the kernel widens when an image shrinks. Pillow does
      this, TensorFlow by default does not.
    pixel_centers: whether samples are taken at the centers of the output
      pixels or at their corners. Only the bilinear resize of TensorFlow 1
      without antialiasing uses corners.
    crop_fraction: side of the central crop for ImageNet evaluation, as a
      fraction of the image's shorter side.
  """

  image_size: int
  mean: tuple[float, float, float]
  std: tuple[float, float, float]
  channels: str = 'rgb'
  interpolation: str = 'bilinear'
  antialias: bool = True
  pixel_centers: bool = True
  crop_fraction: float = 0.875

  def __post_init__(self):
    """Checks the attributes, and makes mean and std tuples of floats.

    Raises:
      ValueError: an attribute is out of range.
    """
    for name in ('mean', 'std'):
      values = tuple(float(v) for v in getattr(self, name))
      if len(values) != 3 or not np.all(np.isfinite(values)):
        raise ValueError(f'{name}: expected three numbers, got {values}')
      object.__setattr__(self, name, values)
    if min(self.std) <= 0:
      raise ValueError(f'std: expected positive numbers, got {self.std}')
    if not (isinstance(self.image_size, int) and self.image_size > 0):
      raise ValueError(f'image_size: {self.image_size!r} is no size in pixels')
    for name, allowed in (
      ('channels', ('rgb', 'bgr')),
      ('interpolation', ('bilinear', 'bicubic')),
      ('antialias', (True, False)),
      ('pixel_centers', (True, False)),
    ):
      if getattr(self, name) not in allowed:
        raise ValueError(
          f'{name}: expected one of {allowed}, got {getattr(self, name)!r}'
        )
    if not self.pixel_centers and (
      self.antialias or self.interpolation != 'bilinear'
    ):
      raise ValueError(
        'pixel_centers: samples at corners are bilinear without antialiasing, '
        f'not {self.interpolation} with antialias={self.antialias}'
      )
    if not 0 < self.crop_fraction <= 1:
      raise ValueError(
        f'crop_fraction: expected 0 to 1, got {self.crop_fraction}'
      )

  def scale(self, image: Any) -> Any:
    """Scales RGB pixels to the input of the network.

    Args:
      image: [..., 3] NumPy or JAX array of RGB values in 0 to 255.

    Returns:
      [..., 3] float32, NumPy or JAX as `image`; channels in the order of the
      contract.
    """
    if self.channels == 'bgr':
      image = image[..., ::-1]
    mean = np.asarray(self.mean, np.float32)
    std = np.asarray(self.std, np.float32)
    return (image.astype(np.float32) - mean) / std

  def to_json(self) -> dict[str, Any]:
    """Converts to a dict that JSON can hold."""
    fields = dataclasses.asdict(self)
    return {_FILE_NAMES.get(name, name): v for name, v in fields.items()}

  @classmethod
  def from_json(cls, fields: dict[str, Any]) -> 'Contract':
    """Converts from the dict that `to_json` returns.

    Raises:
      ValueError: a field is missing or unknown.
    """
    names = {file_name: name for name, file_name in _FILE_NAMES.items()}
    fields = {names.get(name, name): value for name, value in fields.items()}
    expected = {field.name for field in dataclasses.fields(cls)}
    if set(fields) != expected:
      raise ValueError(
        f'contract: missing {sorted(expected - set(fields))}, '
        f'unknown {sorted(set(fields) - expected)}'
      )
    return cls(**fields)
