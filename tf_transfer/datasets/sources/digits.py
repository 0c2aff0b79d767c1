"""scikit-learn's 1,797 handwritten digits, which come with the package."""

import numpy as np

from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import (
  Dataset,
  Progress,
  complete,
  gray_split,
)

CLASSES = tuple('0123456789')


def open_digits(
  name: str,
  *,
  metric: str,
  data_dir: str | None,
  draw: splits.Draw,
  progress: Progress,
) -> Dataset:
  """Opens the digits; `data_dir` and `progress` are of no use here."""
  del data_dir, progress
  images, labels = load()
  digests = splits.content_digests([image.tobytes() for image in images])
  chosen = splits.train_val_test(digests, draw)
  parts = [
    gray_split(part, images, labels, 'digits image', positions)
    for part, positions in chosen.items()
  ]
  return complete(name, CLASSES, metric, parts)


def load() -> tuple[np.ndarray, np.ndarray]:
  """The images as uint8 [1797, 8, 8] gray levels, and labels [1797]."""
  # scikit-learn takes a second to import: only for those who open digits.
  from sklearn.datasets import load_digits

  bunch = load_digits()
  # The pixels count 0 to 16 dark points of a 4 x 4 block.
  images = np.floor(bunch.images * (255 / 16) + 0.5).astype(np.uint8)
  return images, bunch.target.astype(np.int32)
