"""Computes the fingerprint of a weights file, to compare with a table.

It is a few features of one fixed image. The image is made by arithmetic of
whole numbers, so it is the same everywhere. Only the largest features are
printed, in four digits: float noise between machines is about 1e-6 of the
largest, and would show in small ones.
"""

import os

import numpy as np

from tf_transfer import networks

_PRINTED = 4  # features


def make_image(size: int) -> np.ndarray:
  """Makes the fixed image: [size, size, 3] uint8, waves of several lengths."""
  row, column, channel = np.ogrid[:size, :size, :3]
  return ((row * column + 3 * row + 5 * column + 85 * channel) % 256).astype(
    np.uint8
  )


def compute_fingerprint(path: os.PathLike | str) -> str:
  """Computes the fingerprint of a weights file.

  Returns:
    The norm of the features, and the largest with their indices.

  Raises:
    InputError: the file is no weights file, damaged or of another network.
  """
  net = networks.load(path)
  x = net.contract.scale(make_image(net.contract.image_size))
  features = np.asarray(net.features(x[None]))[0]
  norm = np.linalg.norm(features.astype(np.float64))
  largest = np.argsort(-features, kind='stable')[:_PRINTED]
  printed = ', '.join(f'[{i}] {features[i]:#.4g}' for i in largest)
  return f'norm {norm:#.4g}; {printed}'
