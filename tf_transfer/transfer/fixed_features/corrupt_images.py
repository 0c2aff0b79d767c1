"""Looks for corrupt images of test before a classifier is fitted.

Those of train and val are found when their features are extracted, which comes
before the fit. The features of test are looked at after it.
"""

import numpy as np

from tf_transfer import datasets, errors
from tf_transfer.datasets.images import corruption
from tf_transfer.images import decoding
from tf_transfer.transfer.fixed_features import features


def check_test(
  extract: features.Extractor, dataset: datasets.Dataset, corrupt: str
) -> None:
  """Finds the corrupt images of the test split.

  The features of test are computed into the cache, where they are read once the
  classifier is chosen. If they do not fit, the images are decoded here, and
  again later.

  Args:
    extract: the network's feature extractor.
    dataset: its train and test.
    corrupt: 'error', or 'skip' for images that cannot be decoded.

  Raises:
    CorruptImage: there are some and `corrupt` is 'error'; it names or counts
      all of the dataset.
    InputError: no image of test can be decoded, or features cannot be computed
      or cached.
  """
  if not extract.sees_images:
    return
  train, test = dataset.splits['train'], dataset.splits['test']
  if train.base and test.base and train.base[0] is test.base[0]:
    # The features of train are computed with those of test.
    return
  name = f'{dataset.name} test'
  try:
    is_corrupt = _find(extract, test, name)
  except decoding.CorruptImage as error:
    raise corruption.report_all(dataset.splits, dataset.name) from error
  if is_corrupt.any() and corrupt == 'error':
    raise corruption.report_all(dataset.splits, dataset.name)
  if is_corrupt.all():
    raise errors.InputError(
      f'{dataset.name}: none of the {len(test):,} images of test can be '
      f'decoded, such as {test.describe(0)}'
    )


def _find(
  extract: features.Extractor, split: datasets.Split, name: str
) -> np.ndarray:
  """Finds the corrupt images of a split: bool [N].

  Args:
    extract: the network's feature extractor.
    split: the examples.
    name: of the dataset and split, for the progress bar.

  Raises:
    CorruptImage: there is one, and the extractor takes none.
  """
  features.prefetch([extract], split, name)
  whole, positions = split.base or (split, slice(None))
  is_corrupt = np.zeros(len(whole), bool)
  with extract.cache_entry(whole) as entry:
    for start in range(0, len(whole), features.SHARD_SIZE):
      count = min(features.SHARD_SIZE, len(whole) - start)
      values = np.empty((count, extract.feature_dim), np.float32)
      valid = entry.read(start, values)
      if valid is None:
        # They did not fit the cache.
        corrupt = corruption.find(split, f'{name}: corrupt images')
        return np.isin(np.arange(len(split)), corrupt)
      is_corrupt[start : start + count] = ~valid
  return is_corrupt[positions]
