"""Opens directories of images with a folder for each class."""

import dataclasses
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import (
  SPLIT_NAMES,
  Dataset,
  Progress,
  build_dataset,
  listing,
)
from tf_transfer.datasets.folds import build_folds, has_test_error
from tf_transfer.datasets.sources.folder_counts import are
from tf_transfer.datasets.sources.folder_draw import (
  FolderFiles,
  FolderOptions,
  draw_splits,
  draw_val,
  group_files,
  read_files,
  without_corrupt,
)
from tf_transfer.datasets.sources.folder_layout import (
  UNDIVIDED,
  Layout,
  check_same_classes,
  find_layout,
  in_brackets,
)
from tf_transfer.datasets.sources.folder_tree import FolderTree
from tf_transfer.datasets.sources.image_files import (
  printable,
  printable_listing,
)
from tf_transfer.errors import InputError
from tf_transfer.images.formats import FORMATS
from tf_transfer.runtime import files as files_lib
from tf_transfer.runtime.units import counted

_DEFAULT = FolderOptions()
# How many files that cannot be opened a problem names.
_MAX_NAMED = 20

# Class -> paths of its images.
_ImagesByClass = Mapping[str, list[str]]


@dataclasses.dataclass(frozen=True, eq=False)
class FolderContents:
  """What is in a directory of images, before anything is left out or drawn.

  Attributes:
    name: of the dataset, 'folder:PATH'.
    root: the directory.
    classes: their names, as they are printed.
    files: of each split that has a folder, or of UNDIVIDED; also unreadable.
    notes: sentences on folders, and on what is read in an unusual place.
    left_out: kind of files that are left out -> number and the first names.
    left_out_notes: a sentence on these, if there are any.
    problems: a sentence for each split with classes without images.
  """

  name: str
  root: str
  classes: tuple[str, ...]
  files: Mapping[str, FolderFiles]
  notes: tuple[str, ...]
  left_out: Mapping[str, tuple[int, tuple[str, ...]]]
  left_out_notes: tuple[str, ...] = ()
  problems: tuple[str, ...] = ()


def read_folder(
  path: str, cache_dir: str | os.PathLike | None, progress: Progress
) -> FolderContents:
  """Reads a directory of images: every file once.

  Args:
    path: of the directory; `~` is the home directory.
    cache_dir: as in `FolderOptions`.
    progress: a wrapper of iterables like tqdm.

  Raises:
    InputError: the folders are not those of classes. The message names the
      folder, and says what to do.
  """
  root = _root(path)
  tree = FolderTree(root)
  layout = find_layout(tree, root)
  images, problems = _find_images(tree, root, layout)
  name = folder_name(path)
  classes = _printable_names(root, list(next(iter(images.values()))))
  by_folder = {
    split_name: {
      each: (layout.classes[split_name][each], paths)
      for each, paths in by_class.items()
    }
    for split_name, by_class in images.items()
  }
  files = read_files(name, root, by_folder, cache_dir, progress)
  return FolderContents(
    name,
    root,
    classes,
    files,
    notes=(*layout.notes, *tree.reading_notes()),
    left_out=tree.left_out(),
    left_out_notes=tuple(tree.left_out_notes()),
    problems=tuple(problems),
  )


def open_folder(
  path: str,
  *,
  metric: str,
  random_split: splits.RandomSplit,
  progress: Progress,
  options: FolderOptions = _DEFAULT,
  inspect: Callable[[FolderContents], None] | None = None,
) -> Dataset:
  """Opens a directory of images; reads every file once.

  Args:
    path: of the directory; `~` is the home directory.
    metric: of the dataset.
    random_split: seed and fractions, for a directory without folders of
      splits, or without one of val.
    progress: a wrapper of iterables like tqdm.
    options: how it is read and split.
    inspect: is called with what was read, before anything else is done.

  Raises:
    InputError: the directory cannot be used. The message names the file or
      folder, and says what to do.
  """
  contents = read_folder(path, options.cache_dir, progress)
  if inspect is not None:
    inspect(contents)
  return open_contents(contents, metric, random_split, options)


def open_contents(
  contents: FolderContents,
  metric: str,
  random_split: splits.RandomSplit,
  options: FolderOptions,
) -> Dataset:
  """Makes a dataset of what was read from a directory; see `open_folder`.

  Raises:
    InputError: a class has no images, files cannot be opened or decoded, or a
      split cannot be drawn.
  """
  problems = [*contents.problems, *_unopened(contents.name, contents.files)]
  if problems:
    raise InputError('\n'.join(problems))
  name, root, classes = contents.name, contents.root, contents.classes
  files, skipped, corrupt_notes = without_corrupt(
    name, classes, contents.files, options.corrupt
  )
  notes = [*contents.notes, *contents.left_out_notes, *corrupt_notes]
  contradiction_notes = _contradiction_notes(root, files)
  files, copy_notes = _without_copies(root, files)
  notes += copy_notes + contradiction_notes
  if options.split_version > 1:
    files, group_notes = group_files(files, options.group_by)
    notes += group_notes
  dataset = _draw(name, root, classes, metric, files, random_split, options)
  fields = {'skipped': skipped}
  if options.split_version > 1 and len(files) < len(SPLIT_NAMES):
    fields |= {
      'split_version': options.split_version,
      'group_by': options.group_by,
    }
  return _with_fields(dataset, notes, fields)


def _draw(
  name: str,
  root: str,
  classes: tuple[str, ...],
  metric: str,
  files: Mapping[str, FolderFiles],
  random_split: splits.RandomSplit,
  options: FolderOptions,
) -> Dataset:
  """Draws the splits or folds that a folder does not have.

  The arguments are those of `open_folder` and `build_dataset`.

  Raises:
    InputError: a split is empty, or folds of a folder that has a test split.
  """
  version = options.split_version
  if options.folds and UNDIVIDED not in files:
    raise has_test_error(name, options.folds)
  if options.folds:
    everything = files[UNDIVIDED].to_split('test', root)
    return build_folds(
      name,
      classes,
      metric,
      everything,
      options.folds,
      random_split,
      identity_name='folder',
    )
  files = dict(files)
  if UNDIVIDED in files:
    files = draw_splits(files[UNDIVIDED], random_split, version)
  elif 'val' not in files:
    files |= draw_val(files['train'], random_split, version)
  parts = [files[each].to_split(each, root) for each in files]
  return build_dataset(name, classes, metric, parts, identity_name='folder')


def _with_fields(
  dataset: Dataset, notes: Sequence[str], fields: Mapping[str, Any]
) -> Dataset:
  """Returns a dataset with more notes, in front, and fields; its folds too."""
  return dataclasses.replace(
    dataset,
    notes=(*notes, *dataset.notes),
    folds=tuple(_with_fields(fold, notes, fields) for fold in dataset.folds),
    **fields,
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
) -> tuple[dict[str, _ImagesByClass], list[str]]:
  """Finds the images of each class.

  A class that is only a link to another class, or to another folder that is
  read anyway, is left out, which is in the notes of the tree.

  Returns:
    Split -> class -> paths of its images; and a problem for each split that has
    classes without images.

  Raises:
    InputError: no class has images, or there is only one.
  """
  keys = [
    (split_name, class_name)
    for split_name, classes in layout.classes.items()
    for class_name in classes
  ]
  folders = [layout.classes[split][name] for split, name in keys]
  paths = tree.find_images(folders, [root, *layout.splits.values()])
  images = {split_name: {} for split_name in layout.splits}
  for (split_name, class_name), folder, of_class in zip(
    keys, folders, paths, strict=True
  ):
    if of_class or not tree.is_repeated(folder):
      images[split_name][class_name] = of_class
  hint = in_brackets(tree.notes())
  problems = []
  for split_name, folder in layout.splits.items():
    problems += _check_images(
      folder, images[split_name], layout.classes[split_name], hint
    )
  check_same_classes(layout.splits, images)
  return images, problems


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
  folder: str, images: _ImagesByClass, folders: Mapping[str, str], hint: str
) -> list[str]:
  """Checks that a split has two classes or more, all with images.

  Args:
    folder: of the split.
    images: of the split.
    folders: class -> its folder.
    hint: what was left out.

  Returns:
    A problem if classes have no images.

  Raises:
    InputError: no class has images, or there is only one.
  """
  empty = [folders[name] for name, paths in images.items() if not paths]
  if len(empty) == len(images):
    raise InputError(
      f'{printable(folder)}: no images in any of its {len(empty)} class '
      f'folders: expected {", ".join(FORMATS)}{hint}'
    )
  if len(images) == 1:
    raise InputError(
      f'{printable(folder)}: only one class, {printable(next(iter(images)))}: '
      f'there must be two or more{hint}'
    )
  if not empty:
    return []
  names = [os.path.basename(path) for path in empty]
  return [
    f'{printable(empty[0])}: a class without images (so are {len(empty)} of '
    f'{len(images)}: {printable_listing(names)}): add images '
    f'({", ".join(FORMATS)}), or remove the folder{hint}'
  ]


def _unopened(name: str, files: Mapping[str, FolderFiles]) -> list[str]:
  """Returns a problem if files cannot be opened; it names or counts them."""
  problems = [
    problem
    for each in files.values()
    for problem, is_opened in zip(
      each.facts.problems, each.facts.is_opened, strict=True
    )
    if not is_opened
  ]
  if len(problems) < 2:
    return problems
  return [
    f'{name}: {counted(len(problems), "file")} cannot be read: '
    f'{listing(problems, _MAX_NAMED)}'
  ]


def _without_copies(
  root: str, files: Mapping[str, FolderFiles]
) -> tuple[dict[str, FolderFiles], list[str]]:
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
  root: str, files: Mapping[str, FolderFiles]
) -> list[str]:
  """Returns a note if identical files are in different classes."""
  labels = {}
  for each in files.values():
    for digest, label in zip(each.digests, each.labels, strict=True):
      labels.setdefault(digest.tobytes(), set()).add(int(label))
  contradicting = [
    path
    for each in files.values()
    for path, digest in zip(each.paths, each.digests, strict=True)
    if len(labels[digest.tobytes()]) > 1
  ]
  count = len(contradicting)
  if not count:
    return []
  return [
    f'{counted(count, "file")} {are(count)} identical to a file of another '
    f'class, the first {_relative(root, min(contradicting))}'
  ]


def _relative(root: str, path: str) -> str:
  """Returns a path below the directory relative to it, printable."""
  return printable(path.removeprefix(os.path.join(root, '')))
