"""Finds and opens datasets by name."""

import os
from collections.abc import Callable

import ml_collections

from tf_transfer.datasets import folder_examination, folder_report, table
from tf_transfer.datasets.dataset import (
  Dataset,
  Progress,
  Split,
  few_examples,
  no_progress,
)
from tf_transfer.datasets.folds import has_test_error
from tf_transfer.datasets.sources import locations, official
from tf_transfer.datasets.sources.digits import open_digits
from tf_transfer.datasets.sources.fashion_mnist import (
  find_directory,
  is_prepared_folder,
  open_fashion_mnist,
)
from tf_transfer.datasets.sources.folder import (
  FolderContents,
  FolderOptions,
  check_folder,
  folder_name,
  open_folder,
  read_folder,
)
from tf_transfer.datasets.sources.labels import check_labels, open_labels
from tf_transfer.datasets.splits import RandomSplit
from tf_transfer.datasets.table import FOLDER, LABELS, Row
from tf_transfer.errors import InputError, unknown_name
from tf_transfer.runtime import progress as progress_lib


def names() -> tuple[str, ...]:
  """Returns the names that `open` accepts; PATH stands for a directory."""
  return (*(row.name for row in table.TABLE), f'{FOLDER.name}PATH')


def check_name(name: str) -> None:
  """Checks that a name is one of a dataset.

  Raises:
    InputError: it is not.
  """
  _find_row(name)


def name_of(text: str) -> str:
  """Returns the name of the dataset that a user means.

  Args:
    text: a name, or the path of a folder without 'folder:' ahead of it.
  """
  try:
    check_name(text)
  except InputError:
    if '/' in text or os.path.isdir(os.path.expanduser(text)):
      return f'{FOLDER.name}{text}'
  return text


def normalized_name(name: str) -> str:
  """Returns the name that an opened dataset has: it can be printed.

  Args:
    name: of the table, or 'folder:PATH'.
  """
  if name.startswith(FOLDER.name):
    return folder_name(name.removeprefix(FOLDER.name))
  return name


def available(data_dir: str | None = None) -> tuple[str, ...]:
  """Returns the names of the datasets that have files on this machine.

  A dataset counts even if some of its files are missing. ImageNet never
  counts: networks come from it and are not transferred to it.

  Args:
    data_dir: the directory of the datasets; None: that of TFDS.

  Raises:
    InputError: `data_dir` is no directory.
  """
  return tuple(row.name for row in table.TABLE if _is_available(row, data_dir))


def _is_available(row: Row, data_dir: str | None) -> bool:
  """Returns whether a dataset has files on this machine; see `available`."""
  if row.name == 'imagenet':
    return False
  if row.official:
    directory = locations.directory(data_dir)
    return locations.find(row, data_dir) is not None or (
      locations.is_incomplete(row, directory)
    )
  if row.name == 'fashion_mnist':
    return find_directory(data_dir) is not None or is_prepared_folder(
      locations.directory(data_dir)
    )
  return True


def check(
  name: str, data_dir: str | None = None, prepare: bool = False
) -> None:
  """Checks quickly, without reading data, whether `open` can succeed.

  Args:
    name: of the table, or 'folder:PATH'.
    data_dir: the directory of the datasets; None: that of TFDS.
    prepare: whether TFDS may download a dataset that is missing.

  Raises:
    InputError: there is no such dataset, or its files are missing.
  """
  row = _find_row(name)
  if row is FOLDER:
    check_folder(name.removeprefix(FOLDER.name))
  elif row is LABELS:
    check_labels(name.removeprefix(LABELS.name))
  elif row.name == 'fashion_mnist':
    find_directory(data_dir)
  elif row.official and locations.find(row, data_dir) is None and not prepare:
    raise locations.not_found_error(row, data_dir)


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
  corrupt: str = 'error',
  split_version: int = 2,
  group_by: str = '',
  folds: int = 0,
  inspect: Callable[[FolderContents], None] | None = None,
) -> Dataset:
  """Opens a dataset.

  Args:
    name: of the table, or 'folder:PATH'.
    data_dir: the directory of named datasets; None: that of TFDS.
    seed: of the random draw of splits that are not official.
    val_fraction: share of validation in `digits` and folders.
    test_fraction: share of test in `digits` and folders without a test split.
    cut_banner: whether to cut off the banner of the images of `aircraft`.
    prepare: whether TFDS may download a dataset of the paper that is missing.
    cache_dir: where to keep the digests of images; None: nowhere.
    progress: a wrapper of iterables like tqdm.
    corrupt: 'error' or 'skip', for undecodable files of a folder.
    split_version: of the draw of a folder's splits: 2 or 1.
    group_by: groups files of a folder; see `FolderOptions`.
    folds: number of folds of a cross-validation; 0: none.
    inspect: is called with what is in a folder, before it is split.

  Raises:
    InputError: there is no such dataset, or its data cannot be used.
  """
  row = _find_row(name)
  if folds and not _can_have_folds(row):
    raise has_test_error(name, folds)
  if row.official:
    options = official.Options(
      data_dir, seed, cache_dir, prepare, cut_banner, progress
    )
    return official.open_official(row, options)
  if row is LABELS:
    return open_labels(name, row.metric)
  common = {
    'metric': row.metric,
    'random_split': RandomSplit(seed, val_fraction, test_fraction),
    'progress': progress,
  }
  if row is FOLDER:
    options = FolderOptions(corrupt, split_version, group_by, folds, cache_dir)
    path = name.removeprefix(FOLDER.name)
    return open_folder(path, **common, options=options, inspect=inspect)
  if row.name == 'digits':
    return open_digits(name, data_dir=data_dir, num_folds=folds, **common)
  return open_fashion_mnist(name, data_dir=data_dir, **common)


def _can_have_folds(row: Row) -> bool:
  """Whether a dataset has no test split of its own, or may have none."""
  return row is FOLDER or row.name == 'digits'


def open_test(
  name: str,
  *,
  data_dir: str | None = None,
  cache_dir: str | os.PathLike | None = None,
  progress: Progress = no_progress,
) -> Split:
  """Opens only the test split of a dataset of the paper, or of ImageNet.

  This is for networks that are already trained on the dataset. Images may be
  missing: the split holds those that are there.

  Args:
    name: of the table.
    data_dir: the directory of the datasets; None: that of TFDS.
    cache_dir: where to keep the digests of images; None: nowhere.
    progress: a wrapper of iterables like tqdm.

  Raises:
    InputError: there is no such dataset, or its data cannot be used.
  """
  row = _find_row(name)
  if not row.official:
    raise InputError(f"{name}: expected one of the paper's datasets")
  options = official.Options(
    data_dir,
    seed=0,
    cache_dir=cache_dir,
    prepare=False,
    cut_banner=False,
    progress=progress,
  )
  return official.open_test(row, options)


def open_from_config(
  name: str,
  data: ml_collections.ConfigDict,
  digest_cache_dir: str | os.PathLike | None,
  show_report: Callable[[folder_report.FolderReport], None] | None = None,
) -> Dataset:
  """Opens a dataset as a job's config says, and prints what it holds.

  Every job opens datasets with this function. All of them see the same
  examples then, and share one cache of digests.

  Args:
    name: of the table, or 'folder:PATH'.
    data: the `data` of the config: dir, split_seed, val_fraction,
      test_fraction, cut_banner, prepare, cache_dir, corrupt, split_version,
      group_by, folds, examples_per_class and subset_seed.
    digest_cache_dir: where to keep the digests of images if `data.cache_dir`
      is empty.
    show_report: is called with the report of a folder, before anything in it
      is an error.

  Raises:
    InputError: there is no such dataset, or its data cannot be used.
  """

  def inspect(contents: FolderContents) -> None:
    if show_report is not None:
      show_report(_report(contents, data))

  dataset = open(
    name,
    data_dir=data.dir or None,
    seed=data.split_seed,
    val_fraction=data.val_fraction,
    test_fraction=data.test_fraction,
    cut_banner=data.cut_banner,
    prepare=data.prepare,
    cache_dir=os.path.expanduser(data.cache_dir) or digest_cache_dir,
    progress=progress_lib.bar,
    corrupt=data.corrupt,
    split_version=data.split_version,
    group_by=data.group_by,
    folds=data.folds,
    inspect=inspect,
  )
  if data.examples_per_class:
    dataset = few_examples(dataset, data.examples_per_class, data.subset_seed)
  counts = ', '.join(
    f'{len(split):,} {split_name}'
    for split_name, split in dataset.splits.items()
  )
  print(f'{dataset.name}: {len(dataset.classes)} classes, {counts}')
  for note in dataset.notes:
    print(f'  note: {note}')
  return dataset


def report_folder(
  name: str,
  data: ml_collections.ConfigDict,
  digest_cache_dir: str | os.PathLike | None,
) -> folder_report.FolderReport:
  """Examines a folder as `open_from_config` opens it.

  Args:
    name: 'folder:PATH'.
    data: as for `open_from_config`.
    digest_cache_dir: likewise.

  Raises:
    InputError: the folder cannot be read, or has no folders of classes.
  """
  cache_dir = os.path.expanduser(data.cache_dir) or digest_cache_dir
  path = name.removeprefix(FOLDER.name)
  return _report(read_folder(path, cache_dir, progress_lib.bar), data)


def _report(
  contents: FolderContents, data: ml_collections.ConfigDict
) -> folder_report.FolderReport:
  """Examines what was read from a folder as a job's config says."""
  return folder_examination.examine(
    contents,
    FOLDER.metric,
    RandomSplit(data.split_seed, data.val_fraction, data.test_fraction),
    FolderOptions(data.corrupt, data.split_version, data.group_by, data.folds),
    data.examples_per_class,
    data.subset_seed,
  )


def open_test_from_config(
  name: str,
  data: ml_collections.ConfigDict,
  digest_cache_dir: str | os.PathLike,
) -> Split:
  """Opens only a test split as a job's config says; see `open_test`.

  Args:
    name: of the table.
    data: the `data` of the config: dir and cache_dir.
    digest_cache_dir: where to keep the digests of images if `data.cache_dir`
      is empty.

  Raises:
    InputError: there is no such dataset, or its data cannot be used.
  """
  return open_test(
    name,
    data_dir=data.dir or None,
    cache_dir=os.path.expanduser(data.cache_dir) or digest_cache_dir,
    progress=progress_lib.bar,
  )


def _find_row(name: str) -> Row:
  """Returns the row of a dataset.

  Raises:
    InputError: there is no such name.
  """
  if name.startswith(FOLDER.name):
    return FOLDER
  if name.startswith(LABELS.name):
    return LABELS
  row = table.row(name)
  if row is None and os.path.isdir(os.path.expanduser(name)):
    raise InputError(
      f'unknown dataset {name!r}: it is a directory; for the images in it, '
      f'write folder:{name}'
    )
  if row is None:
    raise unknown_name('dataset', name, names())
  return row
