"""Finds the images of a split that cannot be decoded, and leaves them out."""

import dataclasses
import os
import weakref
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tf_transfer.datasets.dataset import Split, listing
from tf_transfer.images.decoding import CorruptImage
from tf_transfer.runtime import progress

# With more threads Python's lock costs more than they gain.
_MAX_WORKERS = 16
# Images that wait for a thread at once.
_CHUNK_SIZE = 1024

# The corrupt images of each split: the cells of a study share their splits.
_CORRUPT: weakref.WeakKeyDictionary[Split, dict[tuple[int, int], list[int]]]
_CORRUPT = weakref.WeakKeyDictionary()


def find(
  split: Split, description: str, process: tuple[int, int] = (0, 1)
) -> list[int]:
  """Decodes every image of a split, once for each split.

  Args:
    split: the examples.
    description: for the progress bar.
    process: number of this process and count of processes; each decodes its
      share.

  Returns:
    The positions of those that cannot be decoded.
  """
  corrupt_by_process = _CORRUPT.setdefault(split, {})
  if process not in corrupt_by_process:
    positions = range(process[0], len(split), process[1])
    corrupt_by_process[process] = _find_among(split, positions, description)
  return corrupt_by_process[process]


def _find_among(
  split: Split, positions: Sequence[int], description: str
) -> list[int]:
  """Decodes the images at some positions of a split."""

  def is_corrupt(i: int) -> bool:
    try:
      split.read(i)
    except CorruptImage:
      return True
    return False

  corrupt = []
  workers = min(os.cpu_count() or 1, _MAX_WORKERS)
  with (
    ThreadPoolExecutor(workers, thread_name_prefix='decode') as pool,
    progress.bar(total=len(positions), desc=description, unit=' images') as bar,
  ):
    for start in range(0, len(positions), _CHUNK_SIZE):
      chunk = positions[start : start + _CHUNK_SIZE]
      for i, value in zip(chunk, pool.map(is_corrupt, chunk), strict=True):
        if value:
          corrupt.append(i)
        bar.update()
  return corrupt


def leave_out(split: Split, positions: Collection[int]) -> Split:
  """Returns a split whose images at some positions cannot be decoded.

  A random crop may lie before the damage of a file: without this, the same
  image would be left out of some epochs and not of others.
  """
  left_out = frozenset(positions)
  if not left_out:
    return split

  def read(i: int) -> np.ndarray:
    if i in left_out:
      raise CorruptImage(f'{split.describe(i)}: left out')
    return split.read(i)

  def encoded(i: int) -> bytes | None:
    return None if i in left_out else split.encoded(i)

  return dataclasses.replace(split, read=read, encoded=encoded)


def report_all(splits: Mapping[str, Split], dataset: str) -> CorruptImage:
  """Returns the error that names all corrupt images, once one is met.

  Nobody should have to mend one file after another.

  Args:
    splits: by name; every image of them is decoded.
    dataset: its name, for the progress bar.
  """
  corrupt = [
    (split, i)
    for name, split in splits.items()
    for i in find(split, f'{dataset}: corrupt images of {name}')
  ]
  return report(corrupt, sum(map(len, splits.values())))


def report(corrupt: Sequence[tuple[Split, int]], total: int) -> CorruptImage:
  """Returns the error on all corrupt images at once.

  Args:
    corrupt: the split of each, and its position there; one or more.
    total: number of images that were looked at.
  """
  noun = 'image' if total == 1 else 'images'
  names = listing(split.describe(i) for split, i in corrupt)
  reason = _reason(*corrupt[0])
  which = 'the first: ' if len(corrupt) > 1 else ''
  return CorruptImage(
    f'{len(corrupt):,} of {total:,} {noun} cannot be decoded: {names}'
    f'{f" ({which}{reason})" if reason else ""}; replace or remove the files, '
    'or have them left out with --config.data.corrupt=skip',
    reason,
  )


def _reason(split: Split, i: int) -> str:
  """Returns why an image cannot be decoded; '' if that is not known."""
  try:
    split.read(i)
  except CorruptImage as error:
    return error.reason
  return ''
