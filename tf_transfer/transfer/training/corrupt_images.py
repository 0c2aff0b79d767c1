"""Looks for corrupt images in all splits of a dataset before training starts.

Training meets an image when its turn comes, hours later perhaps, and a random
crop may miss the damage. One pass that decodes every image once costs less than
an epoch of training does.
"""

import dataclasses
import pathlib
from typing import Annotated

import jax
import msgspec
import numpy as np
from absl import logging
from jax.experimental import multihost_utils

from tf_transfer import datasets, errors
from tf_transfer.datasets.images import corruption
from tf_transfer.runtime import files, schemas

# The file in a job's directory that spares a second pass when it resumes.
FILE_NAME = 'corrupt_images.json'


class _CorruptImages(msgspec.Struct, forbid_unknown_fields=True):
  """By split: its hash, and the positions of its corrupt images."""

  hashes: dict[str, str]
  positions: dict[str, list[Annotated[int, msgspec.Meta(ge=0)]]]


@dataclasses.dataclass(frozen=True)
class CheckedDataset:
  """Holds a dataset whose images have all been decoded once.

  Attributes:
    dataset: its corrupt images are left out of training and evaluation.
    skipped: their names, those of train first, then of val and of test.
  """

  dataset: datasets.Dataset
  skipped: tuple[str, ...]


def check(
  dataset: datasets.Dataset, corrupt: str, directory: pathlib.Path
) -> CheckedDataset:
  """Decodes every image of a dataset, unless an earlier run has done so.

  All processes must call it together; each decodes its share.

  Args:
    dataset: train, val and test.
    corrupt: 'error', or 'skip' for images that cannot be decoded.
    directory: of the job, for what an interrupted run resumes from.

  Raises:
    InputError: images are corrupt and `corrupt` is 'error'. All are named or
      counted.
  """
  path = directory / FILE_NAME
  hashes = {name: split.hash for name, split in dataset.splits.items()}
  positions = _read(path, dataset)
  if positions is None:
    positions = _find(dataset)
  images = [
    (dataset.splits[name], i)
    for name, indices in positions.items()
    for i in indices
  ]
  skipped = tuple(split.describe(i) for split, i in images)
  if skipped and corrupt == 'error':
    total = sum(map(len, dataset.splits.values()))
    raise corruption.report(images, total)
  for name, split in dataset.splits.items():
    if len(positions[name]) == len(split):
      raise errors.InputError(
        f'{dataset.name}: none of the {len(split):,} images of {name} can be '
        f'decoded, such as {split.describe(0)}'
      )
  if jax.process_count() == 1:
    with files.atomic_write(path) as file:
      file.write(msgspec.json.encode(_CorruptImages(hashes, positions)))
  if not skipped:
    return CheckedDataset(dataset, ())
  splits = {
    name: corruption.leave_out(split, positions[name])
    for name, split in dataset.splits.items()
  }
  return CheckedDataset(dataclasses.replace(dataset, splits=splits), skipped)


def _find(dataset: datasets.Dataset) -> dict[str, list[int]]:
  """Finds the corrupt images of all processes' shares, by split."""
  total = sum(map(len, dataset.splits.values()))
  print(
    f'{dataset.name}: all {total:,} images are decoded once before training, '
    'to find corrupt ones',
    flush=True,
  )
  process = jax.process_index(), jax.process_count()
  positions = {}
  for name, split in dataset.splits.items():
    corrupt = corruption.find(
      split, f'{dataset.name}: corrupt images of {name}', process
    )
    if jax.process_count() > 1:
      is_corrupt = np.isin(np.arange(len(split)), corrupt)
      by_process = multihost_utils.process_allgather(is_corrupt)
      corrupt = np.flatnonzero(by_process.any(axis=0)).tolist()
    positions[name] = corrupt
  return positions


def _read(
  path: pathlib.Path, dataset: datasets.Dataset
) -> dict[str, list[int]] | None:
  """Reads what an earlier run found; None if it is of other images."""
  if jax.process_count() > 1:
    # All processes must look together, or none.
    return None
  try:
    content = schemas.decode(path.read_bytes(), _CorruptImages, str(path))
  except FileNotFoundError:
    return None
  except errors.InputError as error:
    logging.warning('%s: the images are decoded again', error)
    return None
  for name, split in dataset.splits.items():
    positions = content.positions.get(name)
    if content.hashes.get(name) != split.hash or positions is None:
      return None
    if any(i >= len(split) for i in positions):
      return None
  return {name: content.positions[name] for name in dataset.splits}
