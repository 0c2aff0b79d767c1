"""Examines a folder of images before anything is trained on it."""

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import Dataset, few_examples
from tf_transfer.datasets.folder_report import (
  NOWHERE,
  RANKS,
  TINY,
  USUAL,
  Alike,
  File,
  FolderReport,
  Sizes,
)
from tf_transfer.datasets.images import near_duplicates
from tf_transfer.datasets.sources.folder import (
  FolderContents,
  FolderOptions,
  open_contents,
)
from tf_transfer.datasets.sources.folder_draw import FolderFiles
from tf_transfer.datasets.sources.folder_layout import UNDIVIDED
from tf_transfer.datasets.sources.image_files import printable
from tf_transfer.errors import InputError
from tf_transfer.runtime.units import counted

# Name of a file, and what is wrong with it; for each of several files.
_Reasons = tuple[tuple[str, str], ...]


def examine(
  contents: FolderContents,
  metric: str,
  random_split: splits.RandomSplit,
  options: FolderOptions,
  examples_per_class: int = 0,
  subset_seed: int = 0,
) -> FolderReport:
  """Examines what was read from a folder; reads no file again.

  Args:
    contents: of the folder.
    metric: of the dataset.
    random_split: as in `open_folder`.
    options: how jobs open it.
    examples_per_class: as in `few_examples`; 0: all.
    subset_seed: likewise.
  """
  first, *others = contents.files.values()
  everything = first.join(others)
  unopened, undecodable = _unreadable(contents.root, everything)
  dataset, stops = None, list(contents.problems)
  if unopened:
    stops.append(
      f'{counted(len(unopened), "file")} cannot be opened: make them readable, '
      'or remove them'
    )
  can_be_opened = not stops
  if undecodable and options.corrupt == 'error':
    stops.append(
      f'{counted(len(undecodable), "file")} cannot be decoded: replace or '
      'remove them, or leave them out with --config.data.corrupt=skip'
    )
  if can_be_opened:
    skipping = dataclasses.replace(options, corrupt='skip')
    try:
      dataset = open_contents(contents, metric, random_split, skipping)
      if examples_per_class:
        dataset = few_examples(dataset, examples_per_class, subset_seed)
    except InputError as error:
      stops.append(str(error))
  files = _describe(contents, dataset)
  is_readable = everything.facts.is_readable
  return FolderReport(
    name=contents.name,
    classes=contents.classes,
    counts=_counts(dataset),
    num_files=_by_class(everything.labels, contents.classes),
    num_unreadable=_by_class(everything.labels[~is_readable], contents.classes),
    unopened=unopened,
    undecodable=undecodable,
    identical=_identical(everything, files),
    similar=_similar(everything, files),
    left_out=contents.left_out,
    notes=contents.notes,
    sizes=_sizes(everything, files),
    num_folds=len(dataset.folds) if dataset else 0,
    stops=tuple(stops),
  )


def _unreadable(root: str, files: FolderFiles) -> list[_Reasons]:
  """Lists the files that cannot be opened, and those that cannot be decoded."""
  facts = files.facts
  unopened, undecodable = [], []
  for path, problem, is_opened in zip(
    files.paths, facts.problems, facts.is_opened, strict=True
  ):
    if problem:
      name = printable(os.path.relpath(path, root))
      reason = problem.removeprefix(f'{printable(path)}: ')
      (undecodable if is_opened else unopened).append((name, reason))
  return [tuple(sorted(each)) for each in (unopened, undecodable)]


def _by_class(labels: np.ndarray, classes: Sequence[str]) -> tuple[int, ...]:
  """Counts labels by class."""
  return tuple(np.bincount(labels, minlength=len(classes)).tolist())


def _counts(dataset: Dataset | None) -> dict[str, tuple[int, ...]]:
  """Counts the images of each split, or the test images of each fold."""
  if dataset is None:
    return {}
  parts = dataset.splits
  if dataset.folds:
    parts = {
      f'fold {number}': fold.splits['test']
      for number, fold in enumerate(dataset.folds, 1)
    }
  return {
    name: _by_class(split.labels, dataset.classes)
    for name, split in parts.items()
  }


def _describe(contents: FolderContents, dataset: Dataset | None) -> list[File]:
  """Describes every file, in the order of their splits."""
  drawn = {}
  if dataset is not None and not dataset.folds:
    drawn = {
      name: {digest.tobytes() for digest in split.digests}
      for name, split in dataset.splits.items()
    }
  files = []
  for directory, each in contents.files.items():
    has_val = 'val' in contents.files
    for path, label, digest in zip(
      each.paths, each.labels, each.digests, strict=True
    ):
      split = _place(directory, digest.tobytes(), drawn, has_val)
      name = printable(os.path.relpath(path, contents.root))
      files.append(File(name, contents.classes[label], split))
  return files


def _place(
  directory: str, digest: bytes, drawn: Mapping[str, set[bytes]], has_val: bool
) -> str:
  """Returns the split of a file.

  Args:
    directory: the split whose folder it is in, or UNDIVIDED.
    digest: of the file.
    drawn: split -> digests; empty if there are folds, or nothing was drawn.
    has_val: whether there is a folder of val.
  """
  if directory == UNDIVIDED and not drawn:
    return 'not drawn'
  places = [directory]
  if directory == UNDIVIDED:
    places = ['train', 'val', 'test']
  elif directory == 'train' and not has_val:
    places = ['train', 'val']
  # A copy of a file of another split is where its folder says.
  default = NOWHERE if directory == UNDIVIDED else directory
  return next((x for x in places if digest in drawn.get(x, ())), default)


def _identical(
  everything: FolderFiles, files: Sequence[File]
) -> tuple[Alike, ...]:
  """Finds files of the same content."""
  by_digest = {}
  for row in np.flatnonzero(everything.facts.is_opened):
    digest = everything.digests[row].tobytes()
    by_digest.setdefault(digest, []).append(files[row])
  return _ordered(tuple(same) for same in by_digest.values() if len(same) > 1)


def _similar(
  everything: FolderFiles, files: Sequence[File]
) -> tuple[Alike, ...]:
  """Finds pairs of readable images that look alike, each content once."""
  _, first = np.unique(everything.digests, axis=0, return_index=True)
  first = first[everything.facts.is_readable[first]]
  facts = everything.facts
  pairs, _ = near_duplicates.find_pairs(
    facts.hashes[first], facts.thumbnails[first]
  )
  return _ordered(
    tuple(files[i] for i in first[pair].tolist()) for pair in pairs
  )


def _ordered(groups: Iterable[tuple[File, ...]]) -> tuple[Alike, ...]:
  """Sorts files that are alike: those in several classes or splits first."""
  alike = [Alike(tuple(sorted(each, key=lambda x: x.name))) for each in groups]
  return tuple(sorted(alike, key=lambda x: (RANKS[x.places], x.files[0].name)))


def _sizes(everything: FolderFiles, files: Sequence[File]) -> Sizes | None:
  """Measures the readable images."""
  rows = np.flatnonzero(everything.facts.is_readable)
  if not len(rows):
    return None
  heights, widths = everything.facts.heights, everything.facts.widths
  shorter = np.minimum(heights, widths)
  rows = rows[np.lexsort((np.maximum(heights, widths)[rows], shorter[rows]))]
  smallest, median, largest = (
    (int(heights[i]), int(widths[i]))
    for i in (rows[0], rows[(len(rows) - 1) // 2], rows[-1])
  )
  tiny = tuple(files[i].name for i in rows if shorter[i] < TINY)
  below = int((shorter[rows] < USUAL).sum())
  return Sizes(smallest, median, largest, tiny, below)
