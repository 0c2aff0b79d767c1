"""Opens directories of images with a folder for each class."""

import dataclasses
import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import (
  SPLIT_NAMES,
  Dataset,
  Progress,
  Split,
  build_dataset,
  listing,
)
from tf_transfer.datasets.folds import build_folds
from tf_transfer.datasets.sources.folder_counts import are
from tf_transfer.datasets.sources.folder_layout import (
  WHOLE,
  Layout,
  check_same_classes,
  find_layout,
  in_brackets,
)
from tf_transfer.datasets.sources.folder_tree import FolderTree
from tf_transfer.datasets.sources.image_files import (
  make_split,
  printable,
  printable_listing,
  read_bytes,
  whole_files,
)
from tf_transfer.errors import InputError
from tf_transfer.images.formats import FORMATS
from tf_transfer.runtime import files as files_lib
from tf_transfer.runtime.units import counted

# Class -> paths of its images.
_ImagesByClass = Mapping[str, list[str]]


@dataclasses.dataclass(frozen=True)
class _Files:
  """Image files of one split.

  Attributes:
    paths: [N].
    labels: int [N].
    digests: uint8 [N, 32], the SHA-256 of each file.
  """

  paths: tuple[str, ...]
  labels: np.ndarray
  digests: np.ndarray

  def take(self, positions: np.ndarray) -> '_Files':
    """Returns the files at the given positions, in this order."""
    paths = tuple(self.paths[i] for i in positions)
    return _Files(paths, self.labels[positions], self.digests[positions])


@dataclasses.dataclass(frozen=True)
class FolderOptions:
  """How a folder is read and split.

  Attributes:
    corrupt: what happens to files that cannot be decoded: 'error' or 'skip'.
    split_version: 2 draws each class by itself and keeps near-duplicates on
      one side; 1 draws by each content alone, as older versions did.
    group_by: a regular expression on the path of a file relative to the folder
      of its class. Files for which it finds the same text, that of its first
      group if it has one, stay on one side; '': none. Not for version 1.
    folds: number of folds of a cross-validation; 0: none.
    cache_dir: where the facts of files are cached; None: nowhere.
  """

  corrupt: str = 'error'
  split_version: int = 2
  group_by: str = ''
  folds: int = 0
  cache_dir: str | os.PathLike | None = None


def open_folder(
  path: str,
  *,
  metric: str,
  random_split: splits.RandomSplit,
  progress: Progress,
  options: FolderOptions = FolderOptions(),
) -> Dataset:
  """Opens a directory of images; reads every file once for its digest.

  Args:
    path: of the directory; `~` is the home directory.
    metric: of the dataset.
    random_split: seed and fractions, for a directory without folders of
      splits, or without one of val.
    progress: a wrapper of iterables like tqdm.
    options: how it is read and split.

  Raises:
    InputError: the directory cannot be used. The message names the file or
      folder, and says what to do.
  """
  root = _root(path)
  tree = FolderTree(root)
  layout = find_layout(tree, root)
  images = _find_images(tree, root, layout)
  classes = list(next(iter(images.values())))
  name = folder_name(path)
  files = _read_digests(name, images, progress)
  notes = [*layout.notes, *tree.notes()]
  if WHOLE in files and options.folds:
    everything = _make_split('test', root, files[WHOLE])
    return build_folds(
      name,
      _printable_names(root, classes),
      metric,
      everything,
      options.folds,
      random_split,
      notes,
      identity_name='folder',
    )
  if WHOLE in files:
    positions = splits.train_val_test(files[WHOLE].digests, random_split)
    files = {each: files[WHOLE].take(positions[each]) for each in positions}
  else:
    files, copy_notes = _without_copies(root, files)
    notes += copy_notes
    if 'val' not in files:
      train = files['train']
      positions = splits.train_val(
        train.digests, random_split.seed, random_split.val_fraction
      )
      files |= {each: train.take(positions[each]) for each in positions}
  for split_name in SPLIT_NAMES:
    notes += _contradiction_notes(root, split_name, files[split_name])
  folder_splits = [_make_split(each, root, files[each]) for each in files]
  return build_dataset(
    name,
    _printable_names(root, classes),
    metric,
    folder_splits,
    notes,
    identity_name='folder',
  )


def folder_name(path: str) -> str:
  """Returns the name of the dataset in a directory, 'folder:PATH'.

  PATH is as the user wrote it, but for slashes, `.` and `..` that change
  nothing; it is absolute where it would else end in `.`, `..` or `~`. It can be
  printed, in any normalization of Unicode.
  """
  expanded = os.path.expanduser(path)
  normal = os.path.normpath(path)
  if normal.startswith('//'):
    normal = normal[1:]
  try:
    if not os.path.samefile(os.path.expanduser(normal), expanded):
      # `LINK/..` is another directory than `.`.
      normal = os.path.realpath(expanded)
  except (OSError, ValueError):
    # There is no such directory, which `check_folder` says.
    normal = path
  if os.path.basename(normal) in ('.', '..', '~'):
    normal = os.path.abspath(os.path.expanduser(normal))
  return 'folder:' + unicodedata.normalize('NFC', printable(normal))


def check_folder(path: str) -> None:
  """Checks the folders of splits and classes; reads no image.

  Raises:
    InputError: they are not as `open_folder` needs them.
  """
  root = _root(path)
  find_layout(FolderTree(root), root)


def _root(path: str) -> str:
  """Returns the path of the directory that the user names.

  Raises:
    InputError: it cannot be one.
  """
  if not path:
    raise InputError('folder: has no path: give folder:PATH')
  if '\0' in path:
    raise InputError(f'folder:{printable(path)}: no path has a zero byte')
  return str(files_lib.local_path(path, 'folder'))


def _find_images(
  tree: FolderTree, root: str, layout: Layout
) -> dict[str, _ImagesByClass]:
  """Finds the images of each class.

  A class that is only a link to another class, or to another folder that is
  read anyway, is left out, which is in the notes of the tree.

  Returns:
    Split -> class -> paths of its images.

  Raises:
    InputError: a class has no images.
  """
  keys = [
    (split_name, class_name)
    for split_name, classes in layout.classes.items()
    for class_name in classes
  ]
  folders = [layout.classes[split][name] for split, name in keys]
  paths = tree.find_images(folders, [root, *layout.splits.values()])
  images = {split_name: {} for split_name in layout.splits}
  empty = {split_name: [] for split_name in layout.splits}
  for (split_name, class_name), folder, found in zip(
    keys, folders, paths, strict=True
  ):
    if found:
      images[split_name][class_name] = found
    elif not tree.is_repeated(folder):
      empty[split_name].append(folder)
  hint = in_brackets(tree.notes())
  for split_name, folder in layout.splits.items():
    _check_images(folder, images[split_name], empty[split_name], hint)
  check_same_classes(layout.splits, images)
  return images


def _printable_names(root: str, classes: Sequence[str]) -> tuple[str, ...]:
  """Returns the names of classes as they are printed.

  Raises:
    InputError: two of them are the same then.
  """
  names = tuple(map(printable, classes))
  twice = [name for name, count in Counter(names).items() if count > 1]
  if twice:
    raise InputError(
      f'{printable(root)}: two classes print as {listing(twice)}: rename one '
      'of them'
    )
  return names


def _check_images(
  folder: str, images: _ImagesByClass, empty: Sequence[str], hint: str
) -> None:
  """Checks that there are two classes or more, and each has images.

  Args:
    folder: of the classes.
    images: of the classes that have some.
    empty: paths of the class folders that have none.
    hint: what was left out.

  Raises:
    InputError: they are not so.
  """
  if not images:
    raise InputError(
      f'{printable(folder)}: no images in any of its {len(empty)} class '
      f'folders: expected {", ".join(FORMATS)}{hint}'
    )
  if empty:
    names = [os.path.basename(path) for path in empty]
    raise InputError(
      f'{printable(empty[0])}: a class without images (so are {len(empty)} of '
      f'{len(images) + len(empty)}: {printable_listing(names)}): add images '
      f'({", ".join(FORMATS)}), or remove the folder{hint}'
    )
  if len(images) == 1:
    raise InputError(
      f'{printable(folder)}: only one class, {printable(next(iter(images)))}: '
      f'there must be two or more{hint}'
    )


def _read_digests(
  name: str,
  images: Mapping[str, _ImagesByClass],
  progress: Progress,
) -> dict[str, _Files]:
  """Reads every file once for its SHA-256.

  Args:
    name: of the dataset.
    images: split -> its images; all splits have the same classes.
    progress: a wrapper of iterables like tqdm.

  Returns:
    The files of each split.

  Raises:
    InputError: a file cannot be read.
  """
  all_images = [
    (split_name, label, path)
    for split_name in images
    for label, paths in enumerate(images[split_name].values())
    for path in paths
  ]
  rows = {split_name: [] for split_name in images}
  for split_name, label, path in progress(
    all_images, total=len(all_images), desc=f'reading {name}', unit='file'
  ):
    digest = hashlib.sha256(read_bytes(path)).digest()
    rows[split_name].append((path, label, digest))
  files = {}
  for split_name, split_rows in rows.items():
    paths, labels, digests = zip(*split_rows, strict=True)
    joined = np.frombuffer(b''.join(digests), np.uint8)
    files[split_name] = _Files(
      paths, np.array(labels), joined.reshape(len(paths), -1)
    )
  return files


def _without_copies(
  root: str, files: Mapping[str, _Files]
) -> tuple[dict[str, _Files], list[str]]:
  """Removes copies of test from val and train, and copies of val from train.

  Args:
    root: the directory.
    files: of each split.

  Returns:
    The remaining files of each split, and a note for each pair of splits with
    copies.
  """
  files, notes = dict(files), []
  for name, other in (('val', 'test'), ('train', 'test'), ('train', 'val')):
    if name not in files or other not in files:
      continue
    is_copy = splits.occurs_in(files[name].digests, files[other].digests)
    if count := int(is_copy.sum()):
      first = min(files[name].paths[i] for i in np.flatnonzero(is_copy))
      notes.append(
        f'{count:,} of {counted(len(is_copy), "file")} of {name} {are(count)} '
        f'left out: identical to files of {other}, the first '
        f'{_relative(root, first)}'
      )
      files[name] = files[name].take(np.flatnonzero(~is_copy))
  return files, notes


def _contradiction_notes(
  root: str, split_name: str, files: _Files
) -> list[str]:
  """Returns a note if identical files of a split are in different classes."""
  labels = {}
  for digest, label in zip(files.digests, files.labels, strict=True):
    labels.setdefault(digest.tobytes(), set()).add(int(label))
  contradicting = [
    path
    for path, digest in zip(files.paths, files.digests, strict=True)
    if len(labels[digest.tobytes()]) > 1
  ]
  count = len(contradicting)
  if not count:
    return []
  return [
    f'{counted(count, "file")} of {split_name} {are(count)} identical to a '
    f'file of another class, the first {_relative(root, min(contradicting))}'
  ]


def _make_split(name: str, root: str, files: _Files) -> Split:
  """Makes a split whose images are read from their files when asked for."""
  names = [_relative(root, path) for path in files.paths]
  files = files.take(splits.sort_order(files.labels, files.digests, names))
  return make_split(name, files.labels, files.digests, whole_files(files.paths))


def _relative(root: str, path: str) -> str:
  """Returns a path below the directory relative to it, printable."""
  return printable(path.removeprefix(os.path.join(root, '')))
