"""To what networks are transferred: datasets, each with three splits."""

import os

from tf_transfer.datasets import table
from tf_transfer.datasets.dataset import (
  Dataset,
  Progress,
  Split,
  few_examples,
  no_progress,
)
from tf_transfer.datasets.images.decoding import CorruptImage
from tf_transfer.datasets.sources import official
from tf_transfer.datasets.sources.digits import open_digits
from tf_transfer.datasets.sources.fashion_mnist import (
  find_directory,
  open_fashion_mnist,
)
from tf_transfer.datasets.sources.folder import check_folder, open_folder
from tf_transfer.datasets.splits import Draw
from tf_transfer.datasets.table import FOLDER, ROWS, Row, row
from tf_transfer.errors import InputError, unknown_name

__all__ = [
  'ROWS',
  'CorruptImage',
  'Dataset',
  'Row',
  'Split',
  'available',
  'check',
  'check_name',
  'few_examples',
  'names',
  'open',
  'open_test',
  'row',
]


def names() -> tuple[str, ...]:
  """What `open` takes; PATH stands for a directory of images."""
  return (*(row.name for row in ROWS), f'{FOLDER.name}PATH')


def check_name(name: str) -> None:
  """Raises an InputError for what is no name of a dataset."""
  _row(name)


def available(data_dir: str | None = None) -> tuple[str, ...]:
  """The named datasets to transfer to whose files are there, if not all whole.

  Not ImageNet, which networks come from.

  Raises:
    InputError: `data_dir` is no directory.
  """
  return tuple(row.name for row in table.ROWS if _is_available(row, data_dir))


def _is_available(given: Row, data_dir: str | None) -> bool:
  if given.name == 'imagenet':
    return False
  if given.published:
    where = official.directory(data_dir)
    return official.find(given, data_dir) is not None or any(
      os.path.isdir(path) for path in official.places(given.name, where)
    )
  if given.name == 'fashion_mnist':
    return find_directory(data_dir) is not None or os.path.isdir(
      os.path.join(official.directory(data_dir), 'fashion_mnist')
    )
  return True


def check(
  name: str, data_dir: str | None = None, prepare: bool = False
) -> None:
  """Finds out in an instant whether `open` has a chance; opens nothing.

  Raises:
    InputError: no such dataset, or its files are plainly not there.
  """
  given = _row(name)
  if given is FOLDER:
    check_folder(name.removeprefix(FOLDER.name))
  elif given.name == 'fashion_mnist':
    find_directory(data_dir)
  elif given.published:
    found = official.find(given, data_dir)
    if found is None and not prepare:
      raise official.missing(given, data_dir)


def open(
  name: str,
  *,
  data_dir: str | None = None,
  seed: int = 0,
  val_fraction: float = 0.2,
  test_fraction: float = 0.2,
  cut_banner: bool = False,
  prepare: bool = False,
  cache_dir: str | os.PathLike | None = None,
  progress: Progress = no_progress,
) -> Dataset:
  """Opens a dataset.

  Args:
    name: of the table, or 'folder:PATH'.
    data_dir: where the files of named datasets are, if not where TFDS puts
      them by default.
    seed: of what is held out where there is no official split.
    val_fraction: share of validation in `digits` and folders; elsewhere the
      protocol says it.
    test_fraction: share of test in `digits` and folders without test.
    cut_banner: whether the banner of `aircraft` is cut off.
    prepare: whether TFDS may download one of the paper's datasets that is
      not there.
    cache_dir: where digests of images are remembered, so that they need not
      all be read again the next time; None: nowhere.
    progress: a wrapper of iterables like tqdm, for what takes long.

  Raises:
    InputError: no such dataset, or its data cannot be used.
  """
  given = _row(name)
  draw = Draw(seed, val_fraction, test_fraction)
  if given.published:
    options = official.Options(
      data_dir, seed, cache_dir, prepare, cut_banner, progress
    )
    return official.open_published(given, options)
  common = {'metric': given.metric, 'draw': draw, 'progress': progress}
  if given is FOLDER:
    return open_folder(name, name.removeprefix(FOLDER.name), **common)
  opener = {'digits': open_digits, 'fashion_mnist': open_fashion_mnist}[name]
  return opener(name, data_dir=data_dir, **common)


def open_test(
  name: str,
  *,
  data_dir: str | None = None,
  cache_dir: str | os.PathLike | None = None,
  progress: Progress = no_progress,
) -> Split:
  """Opens what one of the paper's datasets, or ImageNet, is tested on.

  For networks that are trained on it already: nothing else is read, and what
  is left of the split will do. Arguments as for `open`.

  Raises:
    InputError: no such dataset, or its data cannot be used.
  """
  given = _row(name)
  if not given.published:
    raise InputError(f"{name}: expected one of the paper's datasets")
  return official.open_test(
    given,
    official.Options(
      data_dir,
      seed=0,
      cache_dir=cache_dir,
      prepare=False,
      cut_banner=False,
      progress=progress,
    ),
  )


def _row(name: str) -> Row:
  if name.startswith(FOLDER.name):
    return FOLDER
  found = row(name)
  if found is None:
    raise unknown_name('dataset', name, names())
  return found
