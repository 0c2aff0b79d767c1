"""Reads the lists, tables and MATLAB files that official layouts consist of.

Functions take the dataset's directory `root` and the path of a file below it,
so that messages can name the file.
"""

import collections
import os
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tf_transfer.datasets.dataset import listing
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


def join(root: str, *names: str) -> str:
  """Joins paths that are written with slashes to a directory."""
  return os.path.join(root, *(part for n in names for part in n.split('/')))


def is_dir(root: str, name: str) -> bool:
  """Returns whether there is a directory `name` below root."""
  return os.path.isdir(join(root, name))


def folder_of(name: str) -> str:
  """Returns a name without its last part: 'a/b' of 'a/b/c.jpg'."""
  return name.rpartition('/')[0]


def read_lines(root: str, file: str) -> list[str]:
  """Reads the lines of a list, stripped and without empty ones.

  Raises:
    InputError: the file cannot be read or has no lines.
  """
  text = read_text(join(root, file))
  lines = [line.strip() for line in text.splitlines() if line.strip()]
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
  lines = [line for line in read_text(path).splitlines() if line.strip()]
  header, *rows = [line.split('\t') for line in lines] or [['nothing']]
  missing = [name for name in columns if name not in header]
  if missing:
    raise InputError(
      f'{printable(path)}: no column {", ".join(missing)}, only '
      f"{', '.join(header)}: this is another dataset's file, or an older "
      'version of it'
    )
  positions = [header.index(name) for name in columns]
  short = [row for row in rows if len(row) <= max(positions)]
  if short or not rows:
    raise InputError(
      f'{printable(path)}: {len(short)} of its {len(rows)} lines are cut '
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
    return scipy.io.loadmat(path, simplify_cells=True)[variable]
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
    raise InputError(
      f'{printable(join(root, file))}: {len(unknown)} classes that are not '
      f'among the {len(classes)} known ({printable_listing(unknown)}): this is '
      'another dataset or the file is broken'
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
    except (TypeError, ValueError):
      value = 0
    if not 1 <= value <= count:
      raise InputError(
        f'{printable(join(root, file))}: {number} where a number from 1 to '
        f'{count} belongs: this is another dataset or the file is broken'
      )
    values.append(value - 1)
  return np.array(values, np.int32)


def list_names(path: str, folders: bool = False) -> list[str]:
  """Lists the names of the files, or folders, in a directory, sorted.

  Hidden ones are left out.

  Raises:
    InputError: the directory cannot be read.
  """
  try:
    with os.scandir(path) as entries:
      return sorted(
        entry.name
        for entry in entries
        if entry.is_dir() == folders and not entry.name.startswith('.')
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

  Args:
    root: the dataset's directory.
    file: the list.
    names: [N], official.
    labels: int32 [N] or [N, C].
    paths: [N], below root.

  Raises:
    InputError: a name occurs twice, or files are missing.
  """
  list_path = printable(join(root, file))
  twice = [name for name, n in collections.Counter(names).items() if n > 1]
  if twice:
    raise InputError(
      f'{list_path}: names {len(twice)} images more than once '
      f'({printable_listing(sorted(twice))}): restore the original'
    )
  paths = [join(root, path) for path in paths]
  existing = existing_paths(paths)
  missing = sorted(path for path in paths if path not in existing)
  if missing:
    relative = listing(printable(os.path.relpath(p, root)) for p in missing)
    raise InputError(
      f'{list_path}: {len(missing):,} of the {len(paths):,} images that it '
      f'names are not there ({relative}): an archive is perhaps half unpacked; '
      'unpack it again'
    )
  return Examples(tuple(names), labels, whole_files(paths))
