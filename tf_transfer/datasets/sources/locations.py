"""Finds where datasets with official splits are, or says what is missing.

Archives are often unpacked one folder too deep. Where no doubt is possible, the
dataset is read there.
"""

import dataclasses
import mimetypes
import os

from tf_transfer.datasets.sources import tfds_records
from tf_transfer.datasets.sources.annotations import list_names, subfolders
from tf_transfer.datasets.sources.image_files import (
  printable,
  printable_listing,
)
from tf_transfer.datasets.sources.layouts import LAYOUTS, recognize
from tf_transfer.datasets.table import Row
from tf_transfer.errors import InputError

_MAX_SEARCHED = 50  # Folders in a folder that are searched for a layout.


@dataclasses.dataclass(frozen=True)
class Location:
  """Where a dataset is.

  Attributes:
    path: of the directory.
    has_layout: whether it has the official layout; else TFDS prepared it.
  """

  path: str
  has_layout: bool


def find(row: Row, data_dir: str | None) -> Location | None:
  """Finds a dataset: in its official layout first, then as TFDS prepares it.

  The layout may be in DIR/NAME, DIR/NAME/FOLDER or DIR/FOLDER, where FOLDER is
  what the archive unpacks to; TFDS's files are in DIR. If it is nowhere there,
  the folders below these and DIR itself are searched: an archive may have been
  unpacked one folder too deep.

  Args:
    row: of the dataset.
    data_dir: DIR; None: the directory of TFDS.

  Raises:
    InputError: `data_dir` is no directory.
  """
  layout = LAYOUTS[row.name]
  for path in layout_paths(row.name, directory(data_dir)):
    if os.path.isdir(path) and not layout.missing(path):
      return Location(path, has_layout=True)
  path = tfds_records.find(row.tfds, data_dir)
  if path is not None:
    return Location(path, has_layout=False)
  copies = _misplaced_copies(row.name, directory(data_dir))
  return Location(copies[0], has_layout=True) if len(copies) == 1 else None


def directory(data_dir: str | None) -> str:
  """Returns the directory of the datasets: `data_dir`, or that of TFDS.

  Raises:
    InputError: `data_dir` is no directory.
  """
  path = tfds_records.directory(data_dir)
  if data_dir is not None and not os.path.isdir(path):
    raise InputError(
      f'data_dir {printable(path)}: no such directory: name the one that holds '
      'the datasets'
    )
  return path


def layout_paths(name: str, data_dir: str) -> list[str]:
  """Lists the directories that may have a dataset's layout, in order."""
  folder = LAYOUTS[name].folder
  return [
    os.path.join(data_dir, name),
    os.path.join(data_dir, name, folder),
    os.path.join(data_dir, folder),
  ]


def _misplaced_copies(name: str, data_dir: str) -> list[str]:
  """Lists directories with a dataset's layout where none is expected.

  These are `data_dir` itself, and folders up to two below the expected ones and
  below DIR/archive, which is what Kaggle's archives unpack to.
  """
  layout = LAYOUTS[name]
  bases = dict.fromkeys(
    (
      os.path.join(data_dir, name),
      os.path.join(data_dir, layout.folder.partition('/')[0]),
      os.path.join(data_dir, 'archive'),
    )
  )
  candidates = [data_dir, os.path.join(data_dir, 'archive')]
  for base in bases:
    inner = [os.path.join(base, n) for n in subfolders(base)[:_MAX_SEARCHED]]
    candidates += inner
    for path in inner:
      candidates += [
        os.path.join(path, n) for n in subfolders(path)[:_MAX_SEARCHED]
      ]
  copies = {
    os.path.realpath(path): path
    for path in candidates
    if layout.is_certain(path)
  }
  return list(copies.values())


def own_images(path: str) -> str | None:
  """Returns which directory to name as folder:PATH, if one is a user's own.

  A class of somebody's own images may be called as a dataset is: flowers.

  Args:
    path: a directory that has no part of a dataset's layout.

  Returns:
    Its parent, if images are in it; itself, if they are in folders below it;
    None, if there are no images.
  """
  if _has_images(path):
    return os.path.dirname(os.path.abspath(path))
  folders = [os.path.join(path, n) for n in subfolders(path)[:_MAX_SEARCHED]]
  if any(map(_has_images, folders)):
    return path
  for folder in folders:
    classes = subfolders(folder)[:_MAX_SEARCHED]
    if any(_has_images(os.path.join(folder, name)) for name in classes):
      return path
  return None


def _has_images(path: str) -> bool:
  """Returns whether images are in a directory, by their names."""
  try:
    names = list_names(path)
  except InputError:
    return False
  return any(
    (mimetypes.guess_type(name)[0] or '').startswith('image/') for name in names
  )


def is_incomplete(row: Row, data_dir: str) -> bool:
  """Returns whether there are remains of a dataset that was not found.

  A directory of other images that is called as the dataset is none.
  """
  return any(
    os.path.isdir(path) and (_has_part(row, path) or own_images(path) is None)
    for path in layout_paths(row.name, data_dir)
  )


def _has_part(row: Row, path: str) -> bool:
  """Returns whether a directory has a part of a dataset's layout."""
  layout = LAYOUTS[row.name]
  return len(layout.missing(path)) < len(layout.required)


def instructions(row: Row) -> str:
  """Explains in a few lines how to get a dataset."""
  layout = LAYOUTS[row.name]
  # The same once where both names are.
  names = dict.fromkeys((row.name, layout.folder))
  folder = ' or '.join(f'DIR/{name}' for name in names)
  return (
    f'unpack the official archives (about {row.download_size}; '
    f'{row.homepage}) so that {folder} holds {", ".join(layout.required)}, and '
    'give --config.data.dir=DIR; or have TFDS prepare it there: '
    f'{tfds_instructions(row)}'
  )


def tfds_instructions(row: Row) -> str:
  """Explains how to have TFDS prepare a dataset, if need be by our builder."""
  command = (
    f'python -m tf_transfer.main --config=configs/datasets.py:{row.name} '
    '--config.data.dir=DIR --config.data.prepare=True'
  )
  if not row.tfds.manual_files:
    return command
  return f'put {row.tfds.manual_files} in DIR/downloads/manual, then {command}'


def not_found_error(row: Row, data_dir: str | None) -> InputError:
  """Returns the error to raise if a dataset is missing or incomplete."""
  data_dir = tfds_records.directory(data_dir)
  copies = _misplaced_copies(row.name, data_dir)
  if len(copies) > 1:
    return InputError(
      f'{row.name}: {printable_listing(copies)} have its files: leave one of '
      f'them, or move it to {printable(os.path.join(data_dir, row.name))}'
    )
  for path in layout_paths(row.name, data_dir):
    if os.path.isdir(path):
      return _incomplete_error(row, path)
  others = tfds_records.other_versions(row.tfds, data_dir)
  version = (
    f'; TFDS has prepared it as {printable_listing(others)}, but version '
    f'{row.tfds.major}.*.* is needed'
    if others
    else ''
  )
  return InputError(
    f'{row.name} is not in {printable(data_dir)}{version}: '
    f'{instructions(row)}. Known problems: {row.pitfalls}'
  )


def _incomplete_error(row: Row, path: str) -> InputError:
  """Returns the error to raise if a directory lacks parts of a dataset."""
  shown = printable(path)
  if not os.access(path, os.R_OK | os.X_OK):
    return InputError(f'{row.name}: {shown} cannot be read: make it readable')
  layout = LAYOUTS[row.name]
  missing = ', '.join(layout.missing(path))
  other_name = recognize(path)
  own = own_images(path)
  if other_name:
    cause = (
      f'has no {missing}; it looks like {other_name}: rename it to {other_name}'
    )
  elif _has_part(row, path):
    present = [n for n in layout.required if n not in layout.missing(path)]
    cause = (
      f'has no {missing}, only {", ".join(present)}: unpack the archive that '
      'has what is missing'
    )
  elif own:
    cause = (
      f'is no copy of the dataset: it has no {missing}, but other images. To '
      f'use images of your own, write folder:{printable(own)} in place of '
      f'{row.name}'
    )
  else:
    cause = f'has no {missing}: it is no copy of the dataset'
  return InputError(
    f'{row.name}: {shown} {cause}. To get it, {instructions(row)}'
  )
