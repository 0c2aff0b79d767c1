"""Reads the image files of a folder, groups them, and draws its splits."""

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence

import numpy as np

from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import Progress, Split, listing
from tf_transfer.datasets.images import near_duplicates
from tf_transfer.datasets.sources import image_facts
from tf_transfer.datasets.sources.folder_counts import are
from tf_transfer.datasets.sources.image_files import (
  make_split,
  printable,
  whole_files,
)
from tf_transfer.errors import InputError
from tf_transfer.images.decoding import CorruptImage
from tf_transfer.runtime import commands
from tf_transfer.runtime.units import counted

# How many unreadable files an error names.
_MAX_NAMED = 12


@dataclasses.dataclass(frozen=True)
class FolderOptions:
  """How a folder is read and split.

  Attributes:
    corrupt: what happens to files that cannot be decoded: 'error' or 'skip'.
    split_version: 2 draws each class by itself and keeps near-duplicates on
      one side; 1 draws by each content alone, as older versions did.
    group_by: a regular expression on the path of a file relative to the folder
      of its class. Files in which it finds the same text, that of its first
      parentheses if it has some, stay on one side; '': none. Not for version 1.
    folds: number of folds of a cross-validation; 0: none.
    cache_dir: where the facts of files are cached; None: nowhere.
  """

  corrupt: str = 'error'
  split_version: int = 2
  group_by: str = ''
  folds: int = 0
  cache_dir: str | os.PathLike | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class FolderFiles:
  """Image files of one split of a folder, or of all.

  Attributes:
    paths: [N].
    labels: int [N].
    names: [N], the path of each file relative to the folder of its class.
    facts: of the N files.
    groups: int64 [N] as in `Split`; None: not grouped.
  """

  paths: tuple[str, ...]
  labels: np.ndarray
  names: tuple[str, ...]
  facts: image_facts.ImageFacts
  groups: np.ndarray | None = None

  def __len__(self) -> int:
    """Returns the number of files."""
    return len(self.paths)

  @property
  def digests(self) -> np.ndarray:
    """The SHA-256 of each file, uint8 [N, 32]."""
    return self.facts.digests

  def take(self, positions: np.ndarray) -> 'FolderFiles':
    """Returns the files at the given positions, in this order."""
    return FolderFiles(
      tuple(self.paths[i] for i in positions),
      self.labels[positions],
      tuple(self.names[i] for i in positions),
      self.facts.take(positions),
      None if self.groups is None else self.groups[positions],
    )

  def join(self, others: Sequence['FolderFiles']) -> 'FolderFiles':
    """Returns these files and others after them, without their groups."""
    parts = (self, *others)
    return FolderFiles(
      sum((part.paths for part in parts), ()),
      np.concatenate([part.labels for part in parts]),
      sum((part.names for part in parts), ()),
      image_facts.join([part.facts for part in parts]),
    )

  def to_split(self, name: str, root: str) -> Split:
    """Makes a split whose images are read when they are asked for.

    Args:
      name: of the split.
      root: the directory that the files are in.
    """
    names = [printable(os.path.relpath(path, root)) for path in self.paths]
    files = self.take(splits.sort_order(self.labels, self.digests, names))
    split = make_split(
      name, files.labels, files.digests, whole_files(files.paths)
    )
    return dataclasses.replace(split, groups=files.groups)


# Split -> class -> the folder of the class, and the paths of its images.
ImagesByClass = Mapping[str, Mapping[str, tuple[str, Sequence[str]]]]


def read_files(
  name: str,
  root: str,
  images: ImagesByClass,
  cache_dir: str | os.PathLike | None,
  progress: Progress,
) -> dict[str, FolderFiles]:
  """Reads every file, and decodes those whose facts are not cached.

  Args:
    name: of the dataset.
    root: the directory.
    images: all splits have the same classes.
    cache_dir: as in `FolderOptions`.
    progress: a wrapper of iterables like tqdm.

  Returns:
    The files of each split.

  Raises:
    InputError: a file cannot be read.
  """
  rows = [
    (split_name, label, path, path.removeprefix(os.path.join(folder, '')))
    for split_name, classes in images.items()
    for label, (folder, paths) in enumerate(classes.values())
    for path in paths
  ]
  split_names, labels, paths, names = zip(*rows, strict=True)
  facts = image_facts.find(paths, root, name, cache_dir, progress)
  everything = FolderFiles(paths, np.array(labels), names, facts)
  split_of = np.array(split_names)
  return {
    each: everything.take(np.flatnonzero(split_of == each)) for each in images
  }


def without_corrupt(
  name: str,
  classes: Sequence[str],
  files: Mapping[str, FolderFiles],
  corrupt: str,
) -> tuple[dict[str, FolderFiles], tuple[str, ...], list[str]]:
  """Leaves out the files that cannot be decoded.

  Args:
    name: of the dataset.
    classes: their names.
    files: of each split.
    corrupt: 'error' or 'skip'.

  Returns:
    The remaining files of each split, the names of those left out, and a note
    if there are any.

  Raises:
    CorruptImage: there are some, and `corrupt` is 'error'.
    InputError: no file of a class remains.
  """
  problems = {
    printable(path): problem
    for each in files.values()
    for path, problem in zip(each.paths, each.facts.problems, strict=True)
    if problem
  }
  if not problems:
    return dict(files), (), []
  total = counted(sum(map(len, files.values())), 'file')
  count = f'{len(problems):,} of {total} cannot be decoded'
  named = [f'{path} ({problem})' for path, problem in problems.items()]
  if corrupt == 'error':
    raise CorruptImage(
      f'{name}: {count}: {listing(named, _MAX_NAMED)}: not a readable image: '
      'replace or remove the files, or set --config.data.corrupt=skip; '
      f'{commands.join(f"--config=datasets:{name}")} lists all'
    )
  remaining = {
    split_name: each.take(np.flatnonzero(each.facts.is_readable))
    for split_name, each in files.items()
  }
  for split_name, each in remaining.items():
    present = set(each.labels.tolist())
    empty = [x for i, x in enumerate(classes) if i not in present]
    lost = set(empty) & {classes[i] for i in files[split_name].labels.tolist()}
    if lost:
      raise InputError(
        f'{name}: no image of {listing(sorted(lost))} can be decoded: replace '
        'the files, or remove the class'
      )
  note = f'{count} and {are(len(problems))} left out, the first {named[0]}'
  return remaining, tuple(problems), [note]


def group_files(
  files: Mapping[str, FolderFiles], group_by: str
) -> tuple[dict[str, FolderFiles], list[str]]:
  """Groups files that must stay on one side; see `FolderOptions`.

  Returns:
    The files of each split with their groups, and notes.
  """
  names = [name for each in files.values() for name in each.names]
  keys = group_keys(names, group_by)
  digests = np.concatenate([each.digests for each in files.values()])
  labels = np.concatenate([each.labels for each in files.values()])
  groups = near_duplicates.group(
    digests,
    labels,
    np.concatenate([each.facts.hashes for each in files.values()]),
    np.concatenate([each.facts.thumbnails for each in files.values()]),
    keys,
  )
  notes = []
  if group_by and (alone := sum(not key for key in keys)):
    notes.append(
      f'group_by finds nothing in the names of {alone:,} of '
      f'{counted(len(keys), "file")}: each of these is alone'
    )
  grouped, start = {}, 0
  split_of = np.repeat(np.arange(len(files)), list(map(len, files.values())))
  for split_name, each in files.items():
    numbers = groups.numbers[start : start + len(each)]
    grouped[split_name] = dataclasses.replace(each, groups=numbers)
    start += len(each)
  return grouped, notes + _similar_notes(groups, labels, split_of)


def _similar_notes(
  groups: near_duplicates.Groups, labels: np.ndarray, split_of: np.ndarray
) -> list[str]:
  """Returns notes on near-duplicates.

  Args:
    groups: of all files.
    labels: int [N].
    split_of: int [N], the number of the split that a file was put in by its
      folder.
  """
  if not len(groups.similar):
    return []
  members = np.unique(groups.similar)
  count = len(np.unique(groups.numbers[members]))
  first, second = groups.similar.T
  notes = [
    f'{counted(len(members), "image")} look like another, recoded or resized, '
    f'in {counted(count, "group")}'
  ]
  if across := int((labels[first] != labels[second]).sum()):
    notes.append(
      f'{counted(across, "pair")} of images that look alike {are(across)} in '
      'two classes'
    )
  if across := int((split_of[first] != split_of[second]).sum()):
    notes.append(
      f'{counted(across, "pair")} of images that look alike {are(across)} in '
      'two of the given splits'
    )
  if groups.num_refused:
    notes.append(
      f'{counted(groups.num_refused, "pair")} of images that look alike may be '
      'in two splits: no group holds more than half of a class'
    )
  return notes


def group_keys(names: Sequence[str], group_by: str) -> list[str]:
  """Finds the text by which each file is grouped; '' if there is none.

  Args:
    names: paths of the files relative to the folders of their classes.
    group_by: a regular expression; '' groups none.

  Raises:
    InputError: it is none.
  """
  if not group_by:
    return [''] * len(names)
  try:
    pattern = re.compile(group_by)
  except re.error as error:
    raise InputError(
      f'data.group_by: {group_by!r} is no regular expression: {error}'
    ) from error
  number = min(pattern.groups, 1)
  matches = map(pattern.search, names)
  return [match[number] or '' if match else '' for match in matches]


def draw_splits(
  files: FolderFiles, random_split: splits.RandomSplit, version: int
) -> dict[str, FolderFiles]:
  """Divides files into train, val and test by the draw of a version."""
  if version == 1:
    positions = splits.train_val_test(files.digests, random_split)
  else:
    positions = splits.stratified(
      files.digests, files.labels, files.groups, random_split
    )
  return {each: files.take(positions[each]) for each in positions}


def draw_val(
  files: FolderFiles, random_split: splits.RandomSplit, version: int
) -> dict[str, FolderFiles]:
  """Divides files into train and val by the draw of a version."""
  seed, fraction = random_split.seed, random_split.val_fraction
  if version == 1:
    positions = splits.train_val(files.digests, seed, fraction)
  else:
    positions = splits.stratified_val(
      files.digests, files.labels, files.groups, seed, fraction
    )
  return {each: files.take(positions[each]) for each in positions}
