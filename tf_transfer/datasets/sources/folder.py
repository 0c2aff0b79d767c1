"""A directory of images, with a folder for each class."""

import dataclasses
import hashlib
import os
from collections.abc import Mapping

import numpy as np

from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import (
  PARTS,
  Dataset,
  Progress,
  Split,
  complete,
)
from tf_transfer.datasets.sources.image_files import (
  read_bytes,
  shown,
  shown_listing,
  split_of,
  unreadable,
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

# How people name the folders of splits, whatever the case.
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


# The part that a directory without such folders consists of.
_WHOLE = 'whole'

# What archives from macOS carry beside the files.
_NO_CLASSES = ('__MACOSX',)


@dataclasses.dataclass(frozen=True)
class _Files:
  """Image files of one part: paths [N], labels int [N], digests [N, 32]."""

  paths: tuple[str, ...]
  labels: np.ndarray
  digests: np.ndarray

  def take(self, positions: np.ndarray) -> '_Files':
    paths = tuple(self.paths[i] for i in positions)
    return _Files(paths, self.labels[positions], self.digests[positions])


def open_folder(
  name: str,
  path: str,
  *,
  metric: str,
  draw: splits.Draw,
  progress: Progress,
) -> Dataset:
  """Opens a directory of images; every file is read once, for its digest.

  Args:
    name: of the dataset.
    path: the directory; `~` stands for the home directory.
    metric: of the dataset.
    draw: what is held out where the directory has no folders of splits.
    progress: shows how far the reading is.

  Raises:
    InputError: the directory is not what it should be; names the file or
      folder and what to do.
  """
  root = os.path.expanduser(path)
  folders = find_parts(root)
  found = {part: _images_of_classes(folders[part]) for part in folders}
  classes = _same_classes(folders, found)
  notes = [note for part in folders for note in _stray(root, folders[part])]
  files = _digest(name, found, classes, progress)
  if _WHOLE in files:
    chosen = splits.train_val_test(files[_WHOLE].digests, draw)
    files = {part: files[_WHOLE].take(chosen[part]) for part in chosen}
  else:
    files, copies = _without_copies(root, files)
    notes += copies
    if 'val' not in files:
      train = files['train']
      chosen = splits.train_val(train.digests, draw.seed, draw.val_fraction)
      files |= {part: train.take(chosen[part]) for part in chosen}
  for part in PARTS:
    notes += _contradictions(root, part, files[part])
  class_names = tuple(shown(label) for label in classes)
  parts = [_split(part, root, files[part]) for part in files]
  return complete(name, class_names, metric, parts, notes)


def check_folder(path: str) -> None:
  """Looks at the folders of splits and classes only, at no image.

  Raises:
    InputError: they are not as `open_folder` needs them.
  """
  for folder in find_parts(os.path.expanduser(path)).values():
    _class_folders(folder)


def find_parts(root: str) -> dict[str, str]:
  """The folders that hold classes: train, test and perhaps val, or the root.

  Raises:
    InputError: the root cannot be read or its folders are ambiguous.
  """
  _require_directory(root)
  folders, _ = _scan(root)
  named = [name for name in folders if name.casefold() in SPLIT_FOLDERS]
  others = [name for name in folders if name.casefold() not in SPLIT_FOLDERS]
  if not named:
    return {_WHOLE: root}
  parts = {}
  for name in named:
    part = SPLIT_FOLDERS[name.casefold()]
    if part in parts:
      raise InputError(
        f'{shown(root)}: {shown(os.path.basename(parts[part]))} and '
        f'{shown(name)} both name the split {part}: remove one of them'
      )
    parts[part] = os.path.join(root, name)
  if others and _are_classes(parts):
    return {_WHOLE: root}
  if others:
    raise InputError(
      f'{shown(root)}: holds folders named like splits '
      f'({shown_listing(named)}) beside others ({shown_listing(others)}): '
      f'{_LAYOUTS}; move the others away, or rename a class that is called '
      'like a split'
    )
  for part in ('train', 'test'):
    if part not in parts:
      raise InputError(
        f'{shown(root)}: no folder {part} beside {shown_listing(named)}: '
        f'{_LAYOUTS}; without val, validation is held out of train'
      )
  # Not in the order of their names: train comes first where files are read.
  return {part: parts[part] for part in PARTS if part in parts}


def _are_classes(parts: Mapping[str, str]) -> bool:
  """Whether folders named like splits are classes of that name.

  A class may well be called train, beside bus and car: then there is no test
  too, and its images lie in it as in any class.
  """
  if {'train', 'test'} <= set(parts):
    return False
  return all(_scan(folder)[1] for folder in parts.values())


def _require_directory(root: str) -> None:
  if not root:
    raise InputError('folder: has no path: give folder:PATH')
  if not os.path.lexists(root):
    raise InputError(f'{shown(root)}: no such directory: {_LAYOUTS}')
  if not os.path.isdir(root):
    raise InputError(
      f'{shown(root)}: not a directory: {_LAYOUTS}; unpack an archive first'
    )


def _scan(folder: str) -> tuple[list[str], list[str]]:
  """Names of the folders and of the image files in a folder, each sorted.

  Links are followed. Hidden entries and other files are left out.
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
    raise unreadable(folder, error) from error
  return sorted(folders), sorted(files)


def _images_below(folder: str) -> list[str]:
  """Paths of all images in a folder and the folders in it.

  A folder that is met again, by a link, is not read again.
  """
  paths, seen, ahead = [], set(), [folder]
  while ahead:
    folder = ahead.pop()
    try:
      status = os.stat(folder)
    except OSError as error:
      raise unreadable(folder, error) from error
    if (status.st_dev, status.st_ino) in seen:
      continue
    seen.add((status.st_dev, status.st_ino))
    folders, files = _scan(folder)
    paths += [os.path.join(folder, name) for name in files]
    # The last is taken first: reversed, so that 'a' comes before 'b'.
    ahead += [os.path.join(folder, name) for name in reversed(folders)]
  return paths


def _class_folders(folder: str) -> list[str]:
  """Names of the class folders in a folder, two at least."""
  folders, files = _scan(folder)
  if not folders and files:
    raise InputError(
      f'{shown(folder)}: images ({shown_listing(files)}) that are in no class '
      f'folder: {_LAYOUTS}'
    )
  if not folders:
    raise InputError(f'{shown(folder)}: no class folders: {_LAYOUTS}')
  if len(folders) == 1:
    inner = shown(os.path.join(folder, folders[0]))
    raise InputError(
      f'{shown(folder)}: only one class, {shown(folders[0])}: there must '
      f'be two or more; if the classes are inside it, give folder:{inner}'
    )
  return folders


def _images_of_classes(folder: str) -> dict[str, list[str]]:
  """The image paths of each class in a folder; none is empty."""
  found = {
    name: _images_below(os.path.join(folder, name))
    for name in _class_folders(folder)
  }
  empty = [name for name, paths in found.items() if not paths]
  suffixes = ' '.join(suffix[1:] for suffix in EXTENSIONS)
  if len(empty) == len(found):
    raise InputError(
      f'{shown(folder)}: no images in any of its {len(found)} class folders: '
      f'expected files that end in one of {suffixes}'
    )
  if empty:
    first = shown(os.path.join(folder, empty[0]))
    raise InputError(
      f'{first}: a class without images (so are {len(empty)} of '
      f'{len(found)}: {shown_listing(empty)}): add images that end in one of '
      f'{suffixes}, or remove the folder'
    )
  return found


def _same_classes(
  folders: Mapping[str, str], found: Mapping[str, Mapping[str, list[str]]]
) -> tuple[str, ...]:
  """The class names, which must be the same in all folders of splits."""
  first = next(iter(found))
  for part in found:
    extra = sorted(set(found[part]) - set(found[first]))
    lacking = sorted(set(found[first]) - set(found[part]))
    for names, has, lacks in ((extra, part, first), (lacking, first, part)):
      if names:
        raise InputError(
          f'{shown(folders[lacks])}: no folder for {len(names)} of the '
          f'classes in {shown(folders[has])} ({shown_listing(names)}): every '
          'split must have the same classes; add or remove these'
        )
  return tuple(sorted(found[first]))


def _digest(
  name: str,
  found: Mapping[str, Mapping[str, list[str]]],
  classes: tuple[str, ...],
  progress: Progress,
) -> dict[str, _Files]:
  """Reads every file once for its SHA-256."""
  listed = [
    (part, label, path)
    for part in found
    for label, class_name in enumerate(classes)
    for path in found[part][class_name]
  ]
  rows = {part: [] for part in found}
  for part, label, path in progress(
    listed, total=len(listed), desc=f'reading {name}', unit='file'
  ):
    digest = hashlib.sha256(read_bytes(path)).digest()
    rows[part].append((path, label, digest))
  files = {}
  for part, columns in rows.items():
    paths, labels, digests = zip(*columns, strict=True)
    joined = np.frombuffer(b''.join(digests), np.uint8)
    files[part] = _Files(
      paths, np.array(labels), joined.reshape(len(paths), -1)
    )
  return files


def _without_copies(
  root: str, files: Mapping[str, _Files]
) -> tuple[dict[str, _Files], list[str]]:
  """Leaves files of test out of val and train, and files of val out of train.

  Returns:
    What is left of each part, and a note for each pair with copies.
  """
  files, notes = dict(files), []
  for part, other in (('val', 'test'), ('train', 'test'), ('train', 'val')):
    if part not in files or other not in files:
      continue
    copied = splits.also_in(files[part].digests, files[other].digests)
    if copied.any():
      first = min(files[part].paths[i] for i in np.flatnonzero(copied))
      notes.append(
        f'{copied.sum()} of {len(copied)} files of {part} are left out: '
        f'identical to files of {other}, the first {_relative(root, first)}'
      )
      files[part] = files[part].take(np.flatnonzero(~copied))
  return files, notes


def _contradictions(root: str, part: str, files: _Files) -> list[str]:
  """A note if identical files of one split are in different classes."""
  labels = {}
  for digest, label in zip(files.digests, files.labels, strict=True):
    labels.setdefault(digest.tobytes(), set()).add(int(label))
  twice = [
    path
    for path, digest in zip(files.paths, files.digests, strict=True)
    if len(labels[digest.tobytes()]) > 1
  ]
  if not twice:
    return []
  return [
    f'{len(twice)} files of {part} are identical to a file of another class, '
    f'the first {_relative(root, min(twice))}'
  ]


def _stray(root: str, folder: str) -> list[str]:
  """A note if images lie beside the class folders."""
  _, files = _scan(folder)
  if not files:
    return []
  first = _relative(root, os.path.join(folder, files[0]))
  return [
    f'{len(files)} images beside the class folders are left out, the first '
    f'{first}'
  ]


def _split(part: str, root: str, files: _Files) -> Split:
  """A split whose images are read from their files when asked for."""
  names = [_relative(root, path) for path in files.paths]
  files = files.take(splits.content_order(files.labels, files.digests, names))
  return split_of(part, files.labels, files.digests, whole_files(files.paths))


def _relative(root: str, path: str) -> str:
  return shown(os.path.relpath(path, root))
