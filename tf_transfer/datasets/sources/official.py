"""The paper's datasets: found, read, and divided as published.

A directory -> the official layout in it, or what TFDS has prepared in it ->
the parts that the authors define, counted -> validation held out where they
define none -> train, val and test.
"""

import dataclasses
import hashlib
import os
from collections.abc import Collection

import numpy as np

from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import Dataset, Progress, Split, complete
from tf_transfer.datasets.sources import digest_cache, tfds_records
from tf_transfer.datasets.sources.image_files import (
  Contents,
  Examples,
  ImageFiles,
  shown,
  split_of,
)
from tf_transfer.datasets.sources.layouts import LAYOUTS, recognize
from tf_transfer.datasets.table import Row
from tf_transfer.errors import InputError

BANNER = 20  # Pixels at the bottom of each image of `aircraft`.


@dataclasses.dataclass(frozen=True)
class Found:
  """Where a dataset is.

  Attributes:
    path: the directory.
    layout: whether it has the official layout; else TFDS prepared it.
  """

  path: str
  layout: bool


@dataclasses.dataclass(frozen=True)
class Options:
  """How the paper's datasets are opened.

  Attributes:
    data_dir: where they are; None: TFDS's own place.
    seed: of what is held out; 0 is the published draw.
    cache_dir: where the digests of images are remembered; None: nowhere.
    prepare: whether TFDS may download and prepare what is not there.
    cut_banner: whether `aircraft` loses the lowest 20 rows of each image.
    progress: a wrapper of iterables like tqdm.
  """

  data_dir: str | None
  seed: int
  cache_dir: str | os.PathLike | None
  prepare: bool
  cut_banner: bool
  progress: Progress


def find(row: Row, data_dir: str | None) -> Found | None:
  """Finds a dataset: its official layout first, then TFDS's.

  The layout is looked for in DIR/NAME, in DIR/NAME/FOLDER and in DIR/FOLDER,
  FOLDER being what the archive unpacks to; TFDS's in DIR. Without a DIR it is
  where TFDS puts things by default.

  Raises:
    InputError: `data_dir` is no directory.
  """
  where = directory(data_dir)
  for path in places(row.name, where):
    if os.path.isdir(path) and not LAYOUTS[row.name].missing(path):
      return Found(path, layout=True)
  path = tfds_records.find(row.tfds, data_dir)
  return None if path is None else Found(path, layout=False)


def directory(data_dir: str | None) -> str:
  """Where datasets are looked for.

  Raises:
    InputError: `data_dir` is no directory.
  """
  where = tfds_records.directory(data_dir)
  if data_dir is not None and not os.path.isdir(where):
    raise InputError(
      f'data_dir {shown(where)}: no such directory: name the one that holds '
      'the datasets'
    )
  return where


def places(name: str, data_dir: str) -> list[str]:
  """Where the official layout of a dataset may be, in order."""
  folder = LAYOUTS[name].folder
  return [
    os.path.join(data_dir, name),
    os.path.join(data_dir, name, folder),
    os.path.join(data_dir, folder),
  ]


def how_to_get(row: Row) -> str:
  """Says in a few lines how one comes by a dataset."""
  layout = LAYOUTS[row.name]
  folder = f'DIR/{row.name} or DIR/{layout.folder}'
  return (
    f'unpack the official archives (about {row.size}; {row.page}) so that '
    f'{folder} holds {", ".join(layout.needs)}, and give '
    f'--config.data.dir=DIR; or have TFDS prepare it there: {by_tfds(row)}'
  )


def by_tfds(row: Row) -> str:
  """How TFDS is made to prepare a dataset; for one it lacks, by our builder."""
  command = (
    f'python -m tf_transfer.main --config=configs/datasets.py:{row.name} '
    '--config.data.dir=DIR --config.data.prepare=True'
  )
  if not row.tfds.manual:
    return command
  return f'put {row.tfds.manual} in DIR/downloads/manual, then {command}'


def missing(row: Row, data_dir: str | None) -> InputError:
  """The error to raise where a dataset is not there."""
  where = tfds_records.directory(data_dir)
  for path in places(row.name, where):
    if not os.path.isdir(path):
      continue
    if not os.access(path, os.R_OK | os.X_OK):
      return InputError(
        f'{row.name}: {shown(path)} cannot be read: make it readable'
      )
    lacking = ', '.join(LAYOUTS[row.name].missing(path))
    other = recognize(path)
    like = f'; it looks like {other}' if other else ''
    return InputError(
      f'{row.name}: {shown(path)} has no {lacking}{like}: '
      'the archives are perhaps half unpacked, or it is another dataset. '
      f'To get it, {how_to_get(row)}'
    )
  return InputError(
    f'{row.name} is not in {shown(where)}: {how_to_get(row)}. '
    f'What goes wrong with it: {row.traps}'
  )


def open_official(row: Row, options: Options) -> Dataset:
  """Opens one of the paper's datasets.

  Raises:
    InputError: it is not there, or not whole, or not what it should be.
  """
  found = find(row, options.data_dir)
  if found is None and options.prepare:
    tfds_records.prepare(row.tfds, options.data_dir)
    found = find(row, options.data_dir)
  if found is None:
    raise missing(row, options.data_dir)
  contents = read(row, found, options)
  notes = list(contents.notes) + check_counts(row, found, contents)
  parts = divide(row, contents.parts, options)
  made = [
    _split(name, examples, digests)
    for name, (examples, digests) in parts.items()
  ]
  if options.cut_banner and row.name == 'aircraft':
    made = [_without_banner(split) for split in made]
    notes.append(f'the lowest {BANNER} rows of each image are cut off')
  return complete(row.name, contents.classes, row.metric, made, notes)


def open_test(row: Row, options: Options) -> Split:
  """Opens what a dataset is tested on and nothing else, as much as is there.

  For networks that are not trained on it any more. Its train, of ImageNet
  140 GB, is not read, and of a layout it need not be there.

  Raises:
    InputError: it is not there, or classes are missing.
  """
  found = find(row, options.data_dir)
  if found is None:
    raise missing(row, options.data_dir)
  contents = read(row, found, options, wanted=('test',))
  _check_classes(row, found, contents)
  examples = contents.parts['test']
  digests = digests_of(row.name, 'test', examples, options)
  return _split('test', examples, digests)


def read(
  row: Row,
  found: Found,
  options: Options,
  wanted: Collection[str] | None = None,
) -> Contents:
  """Reads what is where a dataset was found; no image, of a layout.

  Args:
    row: of the dataset.
    found: where it is.
    options: how it is opened.
    wanted: the parts that matter, where reading others costs time.
  """
  if found.layout:
    return LAYOUTS[row.name].read(found.path)
  return tfds_records.read(
    row, found.path, options.cache_dir, options.progress, wanted
  )


def _check_classes(row: Row, found: Found, contents: Contents) -> None:
  if len(contents.classes) != row.classes:
    raise InputError(
      f'{row.name} in {shown(found.path)}: {len(contents.classes)} classes, '
      f'expected {row.classes}: this is another dataset or another version of '
      'it'
    )


def check_counts(row: Row, found: Found, contents: Contents) -> list[str]:
  """Compares classes and counts with the table.

  Returns:
    A note, where a dataset whose images get lost lacks some.

  Raises:
    InputError: they differ.
  """
  where = f'{row.name} in {shown(found.path)}'
  _check_classes(row, found, contents)
  official = official_counts(row)
  counts = {part: len(examples) for part, examples in contents.parts.items()}
  wrong = {part for part in official if counts.get(part) != official[part]}
  if wrong and row.may_lack:
    if any(counts[part] > official[part] for part in wrong):
      raise _wrong_counts(where, counts, official, wrong)
    return [
      f'only {counts["train"]:,} of {official["train"]:,} images of train and '
      f'val and {counts["test"]:,} of {official["test"]:,} of test survive; '
      'these are what is used'
    ]
  if wrong:
    raise _wrong_counts(where, counts, official, wrong)
  return []


def _wrong_counts(where, counts, official, wrong) -> InputError:
  each = ', '.join(
    f'{counts.get(part, 0):,} images of {part} where there should be '
    f'{official[part]:,}'
    for part in sorted(wrong)
  )
  return InputError(
    f'{where}: {each}: an archive is perhaps half unpacked, or it is another '
    'version; unpack or prepare it again'
  )


def official_counts(row: Row) -> dict[str, int]:
  """Images of each part that the authors define, from the table."""
  counts = row.counts
  if row.held_out is None:
    return dict(counts)
  if row.held_out.test_from is not None:
    return {'whole': sum(counts.values())}
  return {'train': counts['train'] + counts['val'], 'test': counts['test']}


def digests_of(
  name: str, part: str, examples: Examples, options: Options
) -> np.ndarray:
  """The SHA-256 of every image, uint8 [N, 32], remembered if need be."""
  images = examples.images
  label = f'{name} {part}'
  if not isinstance(images, ImageFiles) or images.known is not None:
    return images.digests(label, options.progress)
  return digest_cache.arrays(
    options.cache_dir,
    {'digests of': digest_cache.state(images.paths)},
    lambda: {'digests': images.digests(label, options.progress)},
  )['digests']


def divide(
  row: Row, parts: dict[str, Examples], options: Options
) -> dict[str, tuple[Examples, np.ndarray]]:
  """Official parts -> train, val and test, each with its digests."""
  digests = {
    part: digests_of(row.name, part, examples, options)
    for part, examples in parts.items()
  }
  rule = row.held_out
  divided = {part: (parts[part], digests[part]) for part in parts}
  if rule is None:
    return divided
  source = 'train' if rule.test_from is None else 'whole'
  given, known = divided.pop(source)
  ids = known
  if rule.by == 'name':
    ids = splits.content_digests([os.fsencode(name) for name in given.names])
  for part, drawn in _draw(row, ids, given.labels, options.seed).items():
    positions = np.flatnonzero(drawn)
    divided[part] = given.take(positions), known[positions]
  return divided


def _draw(
  row: Row, ids: np.ndarray, labels: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
  """Draws validation, and where it is not official test, by the row's rule.

  Args:
    row: with its rule.
    ids: uint8 [N, 32], of the names or contents of all that may be drawn.
    labels: int [N].
    seed: any integer.

  Returns:
    bool [N] for each part that is drawn.
  """
  rule = row.held_out
  if rule.each is None:
    # Of what survives, the share that the whole would give.
    whole = row.counts['train'] + row.counts['val']
    count = round(row.counts['val'] * len(ids) / whole)
    val = splits.lowest(ids, seed, count)
  else:
    val = splits.lowest(ids, seed, rule.each, labels)
  if rule.test_from is None:
    return {'train': ~val, 'val': val}
  kept = splits.lowest(ids, seed, rule.test_from, labels)
  return {'train': kept & ~val, 'val': val, 'test': ~kept}


def _split(name: str, examples: Examples, digests: np.ndarray) -> Split:
  """A split in its fixed order: by label, then content, then name."""
  order = splits.content_order(examples.labels, digests, examples.names)
  examples = examples.take(order)
  return split_of(name, examples.labels, digests[order], examples.images)


def _without_banner(split: Split) -> Split:
  """The same images with the lowest rows cut off, which are other images."""
  suffix = f' without the lowest {BANNER} rows'.encode()
  joined = b''.join(
    hashlib.sha256(row.tobytes() + suffix).digest() for row in split.digests
  )
  digests = np.frombuffer(joined, np.uint8).reshape(len(split), -1)
  return dataclasses.replace(
    split,
    digests=digests,
    read=lambda i: split.read(i)[:-BANNER],
    encoded=lambda i: None,
  )
