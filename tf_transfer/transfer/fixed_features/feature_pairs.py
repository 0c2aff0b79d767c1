"""Extracts the features of two splits, as of train and val, into one matrix."""

import numpy as np

from tf_transfer import datasets
from tf_transfer.runtime import devices
from tf_transfer.transfer.fixed_features import features


def extract_pair(
  extract: features.Extractor,
  first: tuple[datasets.Split, str],
  second: tuple[datasets.Split, str],
) -> tuple[features.Features, features.Features, features.Features]:
  """Extracts the features of two splits into one matrix.

  The matrix, 620 MB for Food-101, is thus in memory once only, though it is
  needed whole and in parts.

  Args:
    extract: the network's extractor.
    first: a split and its name, as for `Extractor.__call__`.
    second: likewise.

  Returns:
    The features of the first split, of the second, and of the first followed by
    the second. Their values share memory.
  """
  num_first, num_second = len(first[0]), len(second[0])
  values = devices.empty_aligned(
    (num_first + num_second, extract.feature_dim), np.float32
  )
  one = extract(*first, out=values[:num_first])
  # Corrupt images may have left the first part shorter.
  two = extract(*second, out=values[len(one) :][:num_second])
  both = features.Features(
    values[: len(one) + len(two)],
    np.concatenate([one.labels, two.labels]),
    np.concatenate([one.indices, two.indices]),
    one.skipped + two.skipped,
    one.num_computed + two.num_computed,
  )
  return one, two, both
