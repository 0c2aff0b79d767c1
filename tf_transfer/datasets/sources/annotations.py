"""Reads the lists, tables and MATLAB files that official layouts consist of.

Functions take the dataset's directory `root` and the path of a file below it,
so that messages can name the file.
"""

import collections
import math
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tf_transfer.datasets.dataset import listing
from tf_transfer.datasets.sources.folder_tree import SYSTEM_FOLDERS
from tf_transfer.datasets.sources.image_files import (
  Examples,
  printable,
  printable_listing,
  read_bytes,
  read_error,
  read_text,
  whole_files,
)
from tf_transfer.errors import InputError
from tf_transfer.runtime import files
from tf_transfer.runtime.units import counted

# A list of ImageNet's images takes 60 MB. What is larger is no list.
_MAX_LIST_BYTES = 1 << 28
# Elements of a variable in a MATLAB file; the longest official one has 16,185.
_MAX_ELEMENTS = 10_000_000
_MAX_SHOWN = 100  # Characters of a name or number in a message.


def join(root: str, *names: str) -> str:
  """Joins paths that are written with slashes to a directory."""
  return os.path.join(root, *(part for n in names for part in n.split('/')))


def is_dir(root: str, name: str) -> bool:
  """Returns whether there is a directory `name` below root."""
  return os.path.isdir(join(root, name))


def folder_of(name: str) -> str:
  """Returns a name without its last part: 'a/b' of 'a/b/c.jpg'."""
  return name.rpartition('/')[0]


def first_existing(root: str, *names: str) -> str:
  """Returns the first of some paths below root that exists, else the first."""
  return next((n for n in names if os.path.exists(join(root, n))), names[0])


def subfolders(path: str) -> list[str]:
  """Lists the names of the folders in a directory; none if it is unreadable."""
  try:
    return list_names(path, folders=True)
  except InputError:
    return []


def _read_list(root: str, file: str) -> list[str]:
  """Reads the lines of a text file, empty ones too.

  Raises:
    InputError: it cannot be read, or is too large for a list.
  """
  path = join(root, file)
  if os.path.isfile(path) and os.path.getsize(path) > _MAX_LIST_BYTES:
    raise InputError(
      f'{printable(path)}: {os.path.getsize(path):,} bytes, too many for a '
      'list of images: restore the original'
    )
  return read_text(path).splitlines()


def _shortened(names: Iterable[str]) -> list[str]:
  """Cuts names to what a message has room for."""
  return [
    name if len(name) <= _MAX_SHOWN else f'{name[:_MAX_SHOWN]}…'
    for name in names
  ]


def check_contained(
  root: str, file: str, paths: Iterable[str], header_lines: int = 0
) -> None:
  """Checks that the images that a list names are below root.

  Args:
    root: the dataset's directory.
    file: the list.
    paths: of its images, relative to root, in the order of the list.
    header_lines: lines of the list before the first image.

  Raises:
    InputError: a path leads out of root; the message names list and line.
  """
  for position, path in enumerate(paths):
    try:
      files.contained(root, path, file)
    except InputError as error:
      place = _place(root, file, position + header_lines)
      raise InputError(
        f'{place}: {printable(path)[:_MAX_SHOWN]!r} leads out of '
        f'{printable(root)}: expected an image below it; restore the original'
      ) from error


def _place(root: str, file: str, position: int) -> str:
  """Names an entry of a list by its line, or of a MATLAB file by number."""
  path = printable(join(root, file))
  if file.endswith('.mat'):
    return f'{path}, entry {position + 1}'
  lines = enumerate(_read_list(root, file), start=1)
  numbers = [number for number, line in lines if line.strip()]
  return f'{path}, line {numbers[position]}'


def read_lines(root: str, file: str) -> list[str]:
  """Reads the lines of a list, stripped and without empty ones.

  Raises:
    InputError: the file cannot be read or has no lines.
  """
  lines = [line.strip() for line in _read_list(root, file) if line.strip()]
  if not lines:
    raise InputError(
      f'{printable(join(root, file))}: is empty: restore the original'
    )
  return lines


def read_table(
  root: str, file: str, columns: Sequence[str]
) -> list[tuple[str, ...]]:
  """Reads columns of a table of tab-separated lines with a header.

  There may be other columns. Fields may be empty, the last ones too.

  Args:
    root: the dataset's directory.
    file: the table.
    columns: names of the columns to read.

  Returns:
    The fields of each column.

  Raises:
    InputError: the file cannot be read, or lacks columns or fields.
  """
  path = join(root, file)
  lines = [line for line in _read_list(root, file) if line.strip()]
  header, *rows = [line.split('\t') for line in lines] or [['nothing']]
  missing = [name for name in columns if name not in header]
  if missing:
    raise InputError(
      f'{printable(path)}: no column {", ".join(missing)}, only '
      f"{', '.join(_shortened(header))}: this is another dataset's file, or "
      'an older version of it'
    )
  positions = [header.index(name) for name in columns]
  short = [row for row in rows if len(row) <= max(positions)]
  if short or not rows:
    raise InputError(
      f'{printable(path)}: {len(short):,} of its {len(rows):,} lines cut '
      'short: restore the original'
    )
  return [tuple(row[i] for row in rows) for i in positions]


def read_mat(root: str, file: str, variable: str) -> Any:
  """Reads a variable of a MATLAB file as plain Python types.

  Raises:
    InputError: the file cannot be read, or lacks the variable.
  """
  # SciPy's readers take a quarter of a second to import.
  import scipy.io

  path = join(root, file)
  read_bytes(path, 0, 0)
  try:
    # Before it is read: a small file may unpack to gigabytes.
    shapes = {name: shape for name, shape, _ in scipy.io.whosmat(path)}
    if math.prod(shapes.get(variable, ())) > _MAX_ELEMENTS:
      raise ValueError(f'{variable} has the shape {shapes[variable]}')
    return scipy.io.loadmat(
      path, simplify_cells=True, variable_names=[variable]
    )[variable]
  except KeyError as error:
    raise InputError(
      f'{printable(path)}: no variable {variable}: this is another file of '
      'that name'
    ) from error
  except (
    *(OSError, ValueError, TypeError, NotImplementedError, EOFError),
    *(IndexError, MemoryError, OverflowError, zlib.error),
    scipy.io.matlab.MatReadError,
  ) as error:
    raise InputError(
      f'{printable(path)}: not a valid MATLAB file ({error}): restore the '
      'original'
    ) from error


def read_field(root: str, file: str, annotation: Any, name: str) -> Any:
  """Returns a field of an annotation that was read from a MATLAB file.

  Raises:
    InputError: the annotation has no such field.
  """
  if not isinstance(annotation, dict) or name not in annotation:
    raise InputError(
      f'{printable(join(root, file))}: an annotation without {name}: expected '
      'the file with labels, cars_test_annos_withlabels.mat for the test'
    )
  return annotation[name]


def class_indices(
  root: str, file: str, classes: Sequence[str], names: Sequence[str]
) -> np.ndarray:
  """Converts names of classes to positions in `classes`, int32 [N].

  Args:
    root: the dataset's directory.
    file: the names are from it.
    classes: names of all classes.
    names: [N].

  Raises:
    InputError: a name is not among the classes.
  """
  index = {name: i for i, name in enumerate(classes)}
  unknown = sorted({name for name in names if name not in index})
  if unknown:
    number = counted(len(unknown), 'class', 'classes')
    raise InputError(
      f'{printable(join(root, file))}: {number} not among the {len(classes)} '
      f'known ({printable_listing(_shortened(unknown))}): this is another '
      'dataset or the file is broken'
    )
  return np.array([index[name] for name in names], np.int32)


def zero_based(
  root: str, file: str, numbers: Iterable[Any], count: int
) -> np.ndarray:
  """Converts numbers from 1 to `count` to int32 [N] from 0.

  Args:
    root: the dataset's directory.
    file: the numbers are from it.
    numbers: [N], of any type that `int` converts.
    count: the largest number allowed.

  Raises:
    InputError: a number is out of range or no number.
  """
  values = []
  for number in numbers:
    try:
      value = int(number)
    except (TypeError, ValueError, OverflowError):
      value = 0
    if not 1 <= value <= count:
      shown = printable(str(number))[:_MAX_SHOWN]
      raise InputError(
        f'{printable(join(root, file))}: {shown} where a number from 1 to '
        f'{count} belongs: this is another dataset or the file is broken'
      )
    values.append(value - 1)
  return np.array(values, np.int32)


def list_names(path: str, folders: bool = False) -> list[str]:
  """Lists the names of the files, or folders, in a directory, sorted.

  Hidden ones are left out, and folders of systems and file servers.

  Raises:
    InputError: the directory cannot be read.
  """
  try:
    with os.scandir(path) as entries:
      return sorted(
        entry.name
        for entry in entries
        if entry.is_dir() == folders
        and not entry.name.startswith('.')
        and entry.name.lower() not in SYSTEM_FOLDERS
      )
  except OSError as error:
    raise read_error(path, error) from error


def existing_paths(paths: Iterable[str]) -> set[str]:
  """Returns those of the paths that exist; reads each directory once.

  Raises:
    InputError: a directory cannot be read.
  """
  names_by_folder = collections.defaultdict(set)
  for path in paths:
    folder, name = os.path.split(path)
    names_by_folder[folder].add(name)
  existing = set()
  for folder, names in names_by_folder.items():
    if not os.path.isdir(folder):
      continue
    try:
      existing_names = names.intersection(os.listdir(folder))
    except OSError as error:
      raise read_error(folder, error) from error
    existing.update(os.path.join(folder, name) for name in existing_names)
  return existing


def listed_examples(
  root: str,
  file: str,
  names: Sequence[str],
  labels: np.ndarray,
  paths: Sequence[str],
) -> Examples:
  """Makes the examples of a list, after checking that all their files exist.

  Images that are one folder too deep, such as images/images, are read there.

  Args:
    root: the dataset's directory.
    file: the list.
    names: [N], official.
    labels: int32 [N] or [N, C].
    paths: [N], below root.

  Raises:
    InputError: a name occurs twice or leads out of root, or files are missing.
  """
  check_contained(root, file, paths)
  twice = [name for name, n in collections.Counter(names).items() if n > 1]
  if twice:
    raise InputError(
      f'{printable(join(root, file))}: names {counted(len(twice), "image")} '
      f'more than once ({printable_listing(_shortened(sorted(twice)))}): '
      'restore the original'
    )
  full_paths = [join(root, path) for path in paths]
  existing = existing_paths(full_paths)
  if not existing.issuperset(full_paths):
    full_paths = _deeper_paths(root, file, paths, existing)
  return Examples(tuple(names), labels, whole_files(full_paths))


def _deeper_paths(
  root: str, file: str, paths: Sequence[str], existing: set[str]
) -> list[str]:
  """Finds the images of a list one folder deeper than the list has them.

  Args:
    root: the dataset's directory.
    file: the list.
    paths: [N], below root.
    existing: full paths of the images that are where the list has them.

  Returns:
    The full paths, if one folder holds all images.

  Raises:
    InputError: there is no such folder.
  """
  deeper = {}
  common = os.path.commonpath([os.path.dirname(path) for path in paths])
  # The folder that holds all images, then those that hold it.
  folders = [common]
  while folders[-1]:
    folders.append(os.path.dirname(folders[-1]))
  for folder in folders:
    for inner in subfolders(os.path.join(root, folder)):
      candidates = [
        os.path.join(root, folder, inner, os.path.relpath(path, folder or '.'))
        for path in paths
      ]
      present = existing_paths(candidates)
      if present.issuperset(candidates):
        return candidates
      if present:
        deeper[os.path.join(folder, inner)] = len(present)
  raise _missing_images_error(root, file, paths, existing, deeper)


def _missing_images_error(
  root: str,
  file: str,
  paths: Sequence[str],
  existing: set[str],
  deeper: Mapping[str, int],
) -> InputError:
  """Returns the error to raise if images of a list are missing.

  Args:
    root: the dataset's directory.
    file: the list.
    paths: of all images, below root.
    existing: full paths of the images that are there.
    deeper: folder below root -> how many images it has that belong one folder
      higher.
  """
  missing = sorted(path for path in paths if join(root, path) not in existing)
  relative = listing(printable(name) for name in _shortened(missing))
  place = printable(os.path.dirname(missing[0])) or 'its folder'
  if deeper:
    inner, count = max(deeper.items(), key=lambda item: item[1])
    cause = (
      f'one folder too deep: {count:,} of them '
      f'{"is" if count == 1 else "are"} in {printable(join(root, inner))}; '
      f'move what is in it up to {printable(os.path.dirname(inner)) or "it"}, '
      'and unpack what is still missing'
    )
  elif any(join(root, path) in existing for path in paths):
    cause = 'an archive is perhaps half unpacked; unpack it again'
  else:
    cause = f'unpack the archive of the images so that {place} holds them'
  verb = 'is' if len(missing) == 1 else 'are'
  return InputError(
    f'{printable(join(root, file))}: {len(missing):,} of the '
    f'{counted(len(paths), "image")} that it names {verb} not there '
    f'({relative}): {cause}'
  )
