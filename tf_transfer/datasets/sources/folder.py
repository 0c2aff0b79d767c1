"""Opens directories of images with a folder for each class."""

import dataclasses
import hashlib
import os
import unicodedata
from collections.abc import Mapping

import numpy as np

from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import (
  SPLIT_NAMES,
  Dataset,
  Progress,
  Split,
  build_dataset,
)
from tf_transfer.datasets.sources.image_files import (
  make_split,
  printable,
  printable_listing,
  read_bytes,
  read_error,
  whole_files,
)
from tf_transfer.errors import InputError

EXTENSIONS = (
  '.jpg',
  '.jpeg',
  '.png',
  '.bmp',
  '.gif',
  '.tif',
  '.tiff',
  '.webp',
  '.ppm',
  '.pgm',
)

# Usual names of the folders of splits, in lower case -> split.
SPLIT_FOLDERS = {
  'train': 'train',
  'val': 'val',
  'valid': 'val',
  'validation': 'val',
  'test': 'test',
}

_LAYOUTS = (
  'expected a folder of images for each class, or folders train, test and '
  'perhaps val, each with a folder for each class'
)

# The name for all images of a directory without folders of splits.
_WHOLE = 'whole'

# Folders that are no classes: archives from macOS contain them.
_NO_CLASSES = ('__MACOSX',)

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


def open_folder(
  name: str,
  path: str,
  *,
  metric: str,
  random_split: splits.RandomSplit,
  progress: Progress,
) -> Dataset:
  """Opens a directory of images; reads every file once for its digest.

  Args:
    name: of the dataset, for the progress bar.
    path: of the directory; `~` is the home directory.
    metric: of the dataset.
    random_split: seed and fractions, for a directory without folders of
      splits, or without one of val.
    progress: a wrapper of iterables like tqdm.

  Raises:
    InputError: the directory cannot be used. The message names the file or
      folder, and says what to do.
  """
  root = os.path.expanduser(path)
  folders = find_split_folders(root)
  images = {
    split_name: _images_by_class(folder)
    for split_name, folder in folders.items()
  }
  classes = _common_classes(folders, images)
  notes = [
    note for folder in folders.values() for note in _stray_notes(root, folder)
  ]
  files = _read_digests(name, images, classes, progress)
  if _WHOLE in files:
    positions = splits.train_val_test(files[_WHOLE].digests, random_split)
    files = {each: files[_WHOLE].take(positions[each]) for each in positions}
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
  class_names = tuple(printable(label) for label in classes)
  folder_splits = [_make_split(each, root, files[each]) for each in files]
  return build_dataset(
    folder_name(path),
    class_names,
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
    pass
  if os.path.basename(normal) in ('.', '..', '~'):
    normal = os.path.abspath(os.path.expanduser(normal))
  return 'folder:' + unicodedata.normalize('NFC', printable(normal))


def check_folder(path: str) -> None:
  """Checks the folders of splits and classes; looks at no image.

  Raises:
    InputError: they are not as `open_folder` needs them.
  """
  for folder in find_split_folders(os.path.expanduser(path)).values():
    _class_folders(folder)


def find_split_folders(root: str) -> dict[str, str]:
  """Finds the folders of splits in a directory.

  Returns:
    train, test and perhaps val -> path. If there are no such folders, 'whole'
    -> the directory itself.

  Raises:
    InputError: the directory cannot be read, or its folders are ambiguous.
  """
  _check_directory(root)
  names, _ = _scan(root)
  split_like = [name for name in names if name.casefold() in SPLIT_FOLDERS]
  others = [name for name in names if name.casefold() not in SPLIT_FOLDERS]
  if not split_like:
    return {_WHOLE: root}
  folders = {}
  for name in split_like:
    split_name = SPLIT_FOLDERS[name.casefold()]
    if split_name in folders:
      first = os.path.basename(folders[split_name])
      raise InputError(
        f'{printable(root)}: {printable(first)} and {printable(name)} both '
        f'name the split {split_name}: remove one of them'
      )
    folders[split_name] = os.path.join(root, name)
  if others and _are_classes(folders):
    return {_WHOLE: root}
  if others:
    raise InputError(
      f'{printable(root)}: holds folders named like splits '
      f'({printable_listing(split_like)}) beside others '
      f'({printable_listing(others)}): {_LAYOUTS}; move the others away, or '
      'rename a class that is called like a split'
    )
  for split_name in ('train', 'test'):
    if split_name not in folders:
      raise InputError(
        f'{printable(root)}: no folder {split_name} beside '
        f'{printable_listing(split_like)}: {_LAYOUTS}; without val, validation '
        'is held out of train'
      )
  # Train first, then val and test: files are read in this order.
  return {name: folders[name] for name in SPLIT_NAMES if name in folders}


def _are_classes(folders: Mapping[str, str]) -> bool:
  """Returns whether folders that are named like splits are classes.

  A class may be called train, beside bus and car. There is no folder test then,
  and the folder holds images.

  Args:
    folders: split -> the folder with such a name.
  """
  if {'train', 'test'} <= set(folders):
    return False
  return all(_scan(folder)[1] for folder in folders.values())


def _check_directory(root: str) -> None:
  """Raises an InputError if a path is no directory."""
  if not root:
    raise InputError('folder: has no path: give folder:PATH')
  if not os.path.lexists(root):
    raise InputError(f'{printable(root)}: no such directory: {_LAYOUTS}')
  if not os.path.isdir(root):
    raise InputError(
      f'{printable(root)}: not a directory: {_LAYOUTS}; unpack an archive first'
    )


def _scan(folder: str) -> tuple[list[str], list[str]]:
  """Lists the names of the folders and image files in a folder, each sorted.

  Links are followed. Hidden entries and other files are left out.

  Raises:
    InputError: the folder cannot be read.
  """
  folders, files = [], []
  try:
    with os.scandir(folder) as entries:
      for entry in entries:
        if entry.name.startswith('.') or entry.name in _NO_CLASSES:
          continue
        if entry.is_dir():
          folders.append(entry.name)
        elif entry.name.lower().endswith(EXTENSIONS):
          files.append(entry.name)
  except OSError as error:
    raise read_error(folder, error) from error
  return sorted(folders), sorted(files)


def _find_images(folder: str) -> list[str]:
  """Lists the paths of all images in a folder and in the folders below it.

  A folder that is reached again by a link is not read again.

  Raises:
    InputError: a folder cannot be read.
  """
  paths, visited, stack = [], set(), [folder]
  while stack:
    folder = stack.pop()
    try:
      status = os.stat(folder)
    except OSError as error:
      raise read_error(folder, error) from error
    if (status.st_dev, status.st_ino) in visited:
      continue
    visited.add((status.st_dev, status.st_ino))
    folders, files = _scan(folder)
    paths += [os.path.join(folder, name) for name in files]
    # Reversed, because the last one is popped first: 'a' comes before 'b'.
    stack += [os.path.join(folder, name) for name in reversed(folders)]
  return paths


def _class_folders(folder: str) -> list[str]:
  """Lists the names of the class folders in a folder.

  Raises:
    InputError: there are fewer than two.
  """
  folders, files = _scan(folder)
  if not folders and files:
    raise InputError(
      f'{printable(folder)}: images ({printable_listing(files)}) that are in '
      f'no class folder: {_LAYOUTS}'
    )
  if not folders:
    raise InputError(f'{printable(folder)}: no class folders: {_LAYOUTS}')
  if len(folders) == 1:
    inner = printable(os.path.join(folder, folders[0]))
    raise InputError(
      f'{printable(folder)}: only one class, {printable(folders[0])}: there '
      f'must be two or more; if the classes are inside it, give folder:{inner}'
    )
  return folders


def _images_by_class(folder: str) -> dict[str, list[str]]:
  """Lists the image paths of each class in a folder.

  Raises:
    InputError: a class has no images.
  """
  images = {
    name: _find_images(os.path.join(folder, name))
    for name in _class_folders(folder)
  }
  empty = [name for name, paths in images.items() if not paths]
  suffixes = ' '.join(suffix[1:] for suffix in EXTENSIONS)
  if len(empty) == len(images):
    raise InputError(
      f'{printable(folder)}: no images in any of its {len(images)} class '
      f'folders: expected files that end in one of {suffixes}'
    )
  if empty:
    first = printable(os.path.join(folder, empty[0]))
    raise InputError(
      f'{first}: a class without images (so are {len(empty)} of '
      f'{len(images)}: {printable_listing(empty)}): add images that end in one '
      f'of {suffixes}, or remove the folder'
    )
  return images


def _common_classes(
  folders: Mapping[str, str], images: Mapping[str, _ImagesByClass]
) -> tuple[str, ...]:
  """Returns the names of the classes, sorted.

  Args:
    folders: split -> its folder.
    images: split -> its images.

  Raises:
    InputError: the classes of two splits differ.
  """
  first = next(iter(images))
  for name in images:
    extra = sorted(set(images[name]) - set(images[first]))
    missing = sorted(set(images[first]) - set(images[name]))
    for classes, has, lacks in ((extra, name, first), (missing, first, name)):
      if classes:
        raise InputError(
          f'{printable(folders[lacks])}: no folder for {len(classes)} of the '
          f'classes in {printable(folders[has])} '
          f'({printable_listing(classes)}): every split must have the same '
          'classes; add or remove these'
        )
  return tuple(sorted(images[first]))


def _read_digests(
  name: str,
  images: Mapping[str, _ImagesByClass],
  classes: tuple[str, ...],
  progress: Progress,
) -> dict[str, _Files]:
  """Reads every file once for its SHA-256.

  Args:
    name: of the dataset.
    images: split -> its images.
    classes: names of all classes.
    progress: a wrapper of iterables like tqdm.

  Returns:
    The files of each split.

  Raises:
    InputError: a file cannot be read.
  """
  all_images = [
    (split_name, label, path)
    for split_name in images
    for label, class_name in enumerate(classes)
    for path in images[split_name][class_name]
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
    if is_copy.any():
      first = min(files[name].paths[i] for i in np.flatnonzero(is_copy))
      notes.append(
        f'{is_copy.sum()} of {len(is_copy)} files of {name} are left out: '
        f'identical to files of {other}, the first {_relative(root, first)}'
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
  if not contradicting:
    return []
  return [
    f'{len(contradicting)} files of {split_name} are identical to a file of '
    f'another class, the first {_relative(root, min(contradicting))}'
  ]


def _stray_notes(root: str, folder: str) -> list[str]:
  """Returns a note if there are images beside the class folders."""
  _, files = _scan(folder)
  if not files:
    return []
  first = _relative(root, os.path.join(folder, files[0]))
  return [
    f'{len(files)} images beside the class folders are left out, the first '
    f'{first}'
  ]


def _make_split(name: str, root: str, files: _Files) -> Split:
  """Makes a split whose images are read from their files when asked for."""
  names = [_relative(root, path) for path in files.paths]
  files = files.take(splits.sort_order(files.labels, files.digests, names))
  return make_split(name, files.labels, files.digests, whole_files(files.paths))


def _relative(root: str, path: str) -> str:
  """Returns a path relative to the directory, printable."""
  return printable(os.path.relpath(path, root))
