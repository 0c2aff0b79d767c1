"""Opens the datasets with official splits: the paper's, and ImageNet.

A dataset is found in its official layout or as TFDS has prepared it, its
official splits are read and counted, and validation is held out of train if
its authors define none.
"""

import dataclasses
import os
from collections.abc import Collection, Mapping

import numpy as np

from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import (
  Dataset,
  Progress,
  Split,
  build_dataset,
)
from tf_transfer.datasets.sources import digest_cache, tfds_records
from tf_transfer.datasets.sources.image_files import (
  Contents,
  Examples,
  ImageFiles,
  make_split,
  printable,
)
from tf_transfer.datasets.sources.layouts import LAYOUTS
from tf_transfer.datasets.sources.locations import (
  Location,
  find,
  not_found_error,
)
from tf_transfer.datasets.table import Row
from tf_transfer.errors import InputError
from tf_transfer.runtime.units import counted

BANNER = 20  # Rows at the bottom of each image of `aircraft`.


@dataclasses.dataclass(frozen=True)
class Options:
  """How datasets with official splits are opened.

  Attributes:
    data_dir: the directory of the datasets; None: that of TFDS.
    seed: of the draw of validation; results with 0 can be compared.
    cache_dir: where to keep the digests of images; None: nowhere.
    prepare: whether TFDS may download and prepare a missing dataset.
    cut_banner: whether to cut the lowest 20 rows off the images of `aircraft`.
    progress: a wrapper of iterables like tqdm.
  """

  data_dir: str | None
  seed: int
  cache_dir: str | os.PathLike | None
  prepare: bool
  cut_banner: bool
  progress: Progress


def find_or_prepare(row: Row, options: Options) -> Location | None:
  """Finds a dataset, or has TFDS prepare it if `options` allows that.

  Raises:
    InputError: `data_dir` is no directory, or TFDS cannot prepare the dataset.
  """
  location = find(row, options.data_dir)
  if location is None and options.prepare:
    tfds_records.prepare(row.tfds, options.data_dir)
    location = find(row, options.data_dir)
  return location


def open_official(row: Row, options: Options) -> Dataset:
  """Opens a dataset with official splits.

  Raises:
    InputError: it is missing, incomplete, or another dataset.
  """
  location = find_or_prepare(row, options)
  if location is None:
    raise not_found_error(row, options.data_dir)
  contents = read(row, location, options)
  notes = list(contents.notes) + check_counts(row, location, contents)
  dataset_splits = [
    _make_split(name, examples, digests)
    for name, (examples, digests) in divide(
      row, contents.splits, options
    ).items()
  ]
  if options.cut_banner and row.name == 'aircraft':
    dataset_splits = [_without_banner(split) for split in dataset_splits]
    notes.append(f'the lowest {BANNER} rows of each image are cut off')
  classes = tuple(printable(name) for name in contents.classes)
  return build_dataset(row.name, classes, row.metric, dataset_splits, notes)


def open_test(row: Row, options: Options) -> Split:
  """Opens only the test split of a dataset, with the images that are there.

  This is for networks that are already trained on the dataset. Train, which is
  140 GB of ImageNet, is not read, and may be missing from a layout.

  Raises:
    InputError: the dataset is missing, or classes are.
  """
  location = find(row, options.data_dir)
  if location is None:
    raise not_found_error(row, options.data_dir)
  contents = read(row, location, options, split_names=('test',))
  _check_classes(row, location, contents)
  examples, digests = with_digests(
    row.name, 'test', contents.splits['test'], options
  )
  return _make_split('test', examples, digests)


def read(
  row: Row,
  location: Location,
  options: Options,
  split_names: Collection[str] | None = None,
) -> Contents:
  """Reads which examples a dataset holds; reads no image of a layout.

  Args:
    row: of the dataset.
    location: where it is.
    options: how it is opened.
    split_names: official splits that are needed; None: all. Others may be read
      too if that is quick.

  Raises:
    InputError: files are missing or damaged.
  """
  if location.has_layout:
    return LAYOUTS[row.name].read(location.path)
  return tfds_records.read(
    row, location.path, options.cache_dir, options.progress, split_names
  )


def _check_classes(row: Row, location: Location, contents: Contents) -> None:
  """Raises an InputError if there are more or fewer classes than expected."""
  if len(contents.classes) != row.classes:
    number = counted(len(contents.classes), 'class', 'classes')
    raise InputError(
      f'{row.name} in {printable(location.path)}: {number}, expected '
      f'{row.classes}: this is another dataset or another version of it'
    )


def check_counts(row: Row, location: Location, contents: Contents) -> list[str]:
  """Compares the numbers of classes and images with the table's.

  Returns:
    A note, if images are missing from a dataset that may be incomplete.

  Raises:
    InputError: the numbers differ.
  """
  _check_classes(row, location, contents)
  expected = official_counts(row)
  counts = {name: len(examples) for name, examples in contents.splits.items()}
  wrong = {name for name in expected if counts.get(name) != expected[name]}
  if not wrong:
    return []
  if not row.may_be_incomplete or any(
    counts[name] > expected[name] for name in wrong
  ):
    raise _wrong_counts_error(row, location, counts, wrong)
  return [
    f'only {counts["train"]:,} of {expected["train"]:,} images of train and '
    f'val and {counts["test"]:,} of {expected["test"]:,} of test survive; '
    'these are what is used'
  ]


def _wrong_counts_error(
  row: Row,
  location: Location,
  counts: Mapping[str, int],
  wrong: Collection[str],
) -> InputError:
  """Returns the error to raise if official splits have wrong counts.

  Args:
    row: of the dataset.
    location: where it is.
    counts: images of each official split.
    wrong: the splits whose counts are wrong.
  """
  expected = official_counts(row)
  differences = ', '.join(
    f'{counted(counts.get(name, 0), "image")} of {name} where there should be '
    f'{expected[name]:,}'
    for name in sorted(wrong)
  )
  has_fewer = all(counts.get(name, 0) < expected[name] for name in wrong)
  half = 'an archive is perhaps half unpacked, or ' if has_fewer else ''
  return InputError(
    f'{row.name} in {printable(location.path)}: {differences}: {half}it is '
    'another version; unpack or prepare it again'
  )


def official_counts(row: Row) -> dict[str, int]:
  """Returns the number of images of each official split, from the table."""
  counts = row.counts
  if row.holdout is None:
    return dict(counts)
  if row.holdout.trainval_per_class is not None:
    return {'whole': sum(counts.values())}
  return {'train': counts['train'] + counts['val'], 'test': counts['test']}


def with_digests(
  name: str, split_name: str, examples: Examples, options: Options
) -> tuple[Examples, np.ndarray]:
  """Computes the SHA-256 of every image; uses the cache.

  Args:
    name: of the dataset.
    split_name: of the official split.
    examples: of the split.
    options: how the dataset is opened.

  Returns:
    The examples, which know where their digests are from, and the digests,
    uint8 [N, 32].
  """
  images = examples.images
  description = f'{name} {split_name}'
  if (
    options.cache_dir is None
    or not isinstance(images, ImageFiles)
    or images.known_digests is not None
  ):
    return examples, images.digests(description, options.progress)
  key = {'digests of': digest_cache.state(images.paths)}
  digests = digest_cache.arrays(
    options.cache_dir,
    key,
    lambda: {'digests': images.digests(description, options.progress)},
    max_bytes=splits.DIGEST_SIZE * len(images),
  )['digests']
  entry = str(digest_cache.entry_path(options.cache_dir, key))
  images = dataclasses.replace(images, cache_entries=(entry,))
  return dataclasses.replace(examples, images=images), digests


def divide(
  row: Row, official_splits: Mapping[str, Examples], options: Options
) -> dict[str, tuple[Examples, np.ndarray]]:
  """Divides official splits into train, val and test.

  Args:
    row: of the dataset.
    official_splits: the examples of each.
    options: how the dataset is opened.

  Returns:
    The examples of train, val and test, each with their digests.
  """
  divided = {
    name: with_digests(row.name, name, examples, options)
    for name, examples in official_splits.items()
  }
  rule = row.holdout
  if rule is None:
    return divided
  source = 'train' if rule.trainval_per_class is None else 'whole'
  examples, digests = divided.pop(source)
  ids = digests
  if rule.by == 'name':
    ids = splits.content_digests(os.fsencode(name) for name in examples.names)
  masks = _draw(row, ids, examples.labels, options.seed)
  for split_name, is_drawn in masks.items():
    positions = np.flatnonzero(is_drawn)
    divided[split_name] = examples.take(positions), digests[positions]
  return divided


def _draw(
  row: Row, ids: np.ndarray, labels: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
  """Draws validation, and test if it is not official, by the row's rule.

  Args:
    row: of the dataset.
    ids: uint8 [N, 32], digests of the names or contents of all examples that
      may be drawn.
    labels: int [N].
    seed: any integer.

  Returns:
    bool [N] for each split that is drawn.
  """
  rule = row.holdout
  if rule.per_class is None:
    # If images are missing, the share that the complete dataset would give.
    complete_count = row.counts['train'] + row.counts['val']
    count = round(row.counts['val'] * len(ids) / complete_count)
    val = splits.draw_lowest(ids, seed, count)
  else:
    val = splits.draw_lowest(ids, seed, rule.per_class, labels)
  if rule.trainval_per_class is None:
    return {'train': ~val, 'val': val}
  trainval = splits.draw_lowest(ids, seed, rule.trainval_per_class, labels)
  return {'train': trainval & ~val, 'val': val, 'test': ~trainval}


def _make_split(name: str, examples: Examples, digests: np.ndarray) -> Split:
  """Makes a split in its fixed order: by label, then content, then name."""
  order = splits.sort_order(examples.labels, digests, examples.names)
  examples = examples.take(order)
  return make_split(name, examples.labels, digests[order], examples.images)


def _without_banner(split: Split) -> Split:
  """Cuts the lowest rows off the images, which gives them other digests."""
  suffix = f' without the lowest {BANNER} rows'.encode()
  digests = splits.content_digests(
    row.tobytes() + suffix for row in split.digests
  )
  return dataclasses.replace(
    split,
    digests=digests,
    read=lambda i: split.read(i)[:-BANNER],
    encoded=lambda i: None,
  )
