"""Opens scikit-learn's 1,797 handwritten digits, part of the package."""

import numpy as np

from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import (
  Dataset,
  Progress,
  build_dataset,
  gray_split,
)
from tf_transfer.datasets.folds import build_folds

CLASSES = tuple('0123456789')


def open_digits(
  name: str,
  *,
  metric: str,
  data_dir: str | None,
  random_split: splits.RandomSplit,
  progress: Progress,
  num_folds: int = 0,
) -> Dataset:
  """Opens the digits.

  Args:
    name: of the dataset.
    metric: of the dataset.
    data_dir: not used.
    random_split: seed and fractions of the splits.
    progress: not used.
    num_folds: of a cross-validation; 0: none.

  Raises:
    InputError: a split is empty.
  """
  del data_dir, progress
  images, labels = load()
  if num_folds:
    everything = gray_split(
      'test', images, labels, 'digits image', np.arange(len(images))
    )
    return build_folds(
      name, CLASSES, metric, everything, num_folds, random_split
    )
  digests = splits.content_digests([image.tobytes() for image in images])
  positions = splits.train_val_test(digests, random_split)
  digit_splits = [
    gray_split(
      split_name, images, labels, 'digits image', positions[split_name]
    )
    for split_name in positions
  ]
  return build_dataset(name, CLASSES, metric, digit_splits)


def load() -> tuple[np.ndarray, np.ndarray]:
  """Loads the images, uint8 [1797, 8, 8], and labels, int32 [1797]."""
  # scikit-learn takes a second to import: only who opens digits pays for it.
  from sklearn.datasets import load_digits

  bunch = load_digits()
  # A pixel is the number of dark points in a block of 4 x 4, 0 to 16.
  images = np.floor(bunch.images * (255 / 16) + 0.5).astype(np.uint8)
  return images, bunch.target.astype(np.int32)
