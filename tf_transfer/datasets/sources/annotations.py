"""What official layouts are made of: lists, tables, MATLAB files, images.

Functions take the dataset's directory and which file of it is meant, so that
messages can name it.
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
  read_bytes,
  read_text,
  shown,
  shown_listing,
  unreadable,
  whole_files,
)
from tf_transfer.errors import InputError


def join(root: str, *names: str) -> str:
  return os.path.join(root, *(part for n in names for part in n.split('/')))


def is_dir(root: str, name: str) -> bool:
  return os.path.isdir(join(root, name))


def folder_of(name: str) -> str:
  return name.rpartition('/')[0]


def read_lines(root: str, where: str) -> list[str]:
  """The lines of a list, without the blanks around them; at least one."""
  text = read_text(join(root, where))
  lines = [line.strip() for line in text.splitlines() if line.strip()]
  if not lines:
    raise InputError(
      f'{shown(join(root, where))}: is empty: restore the original'
    )
  return lines


def read_table(
  root: str, where: str, wanted: Sequence[str]
) -> list[tuple[str, ...]]:
  """Columns, by name, of tab-separated lines under a line of names.

  Fields may be empty, the last ones too, and there may be other columns.
  """
  path = join(root, where)
  lines = [line for line in read_text(path).splitlines() if line.strip()]
  header, *rows = [line.split('\t') for line in lines] or [['nothing']]
  missing = [name for name in wanted if name not in header]
  if missing:
    raise InputError(
      f'{shown(path)}: no column {", ".join(missing)}, only '
      f"{', '.join(header)}: this is another dataset's file, or an older "
      'version of it'
    )
  columns = [header.index(name) for name in wanted]
  short = [row for row in rows if len(row) <= max(columns)]
  if short or not rows:
    raise InputError(
      f'{shown(path)}: {len(short)} of its {len(rows)} lines are cut short: '
      'restore the original'
    )
  return [tuple(row[i] for row in rows) for i in columns]


def read_mat(root: str, where: str, key: str) -> Any:
  """A variable of a MATLAB file, in plain Python types."""
  # SciPy's readers take a quarter of a second to import.
  import scipy.io

  path = join(root, where)
  read_bytes(path, 0, 0)
  try:
    return scipy.io.loadmat(path, simplify_cells=True)[key]
  except KeyError as error:
    raise InputError(
      f'{shown(path)}: no variable {key}: this is another file of that name'
    ) from error
  except (
    *(OSError, ValueError, TypeError, NotImplementedError, EOFError),
    *(IndexError, MemoryError, OverflowError, zlib.error),
    scipy.io.matlab.MatReadError,
  ) as error:
    raise InputError(
      f'{shown(path)}: no whole MATLAB file ({error}): restore the original'
    ) from error


def field(root: str, where: str, row: Any, name: str) -> Any:
  """What an annotation of a MATLAB file has under a name."""
  if not isinstance(row, dict) or name not in row:
    raise InputError(
      f'{shown(join(root, where))}: an annotation without {name}: expected '
      'the file with labels, cars_test_annos_withlabels.mat for the test'
    )
  return row[name]


def indices(
  root: str, where: str, classes: Sequence[str], names: Sequence[str]
) -> np.ndarray:
  """Classes by name as int32 [N] positions in `classes`."""
  index = {name: i for i, name in enumerate(classes)}
  unknown = sorted({name for name in names if name not in index})
  if unknown:
    raise InputError(
      f'{shown(join(root, where))}: {len(unknown)} classes that are not '
      f'among the {len(classes)} known ({shown_listing(unknown)}): this is '
      'another dataset or the file is broken'
    )
  return np.array([index[name] for name in names], np.int32)


def numbers(
  root: str, where: str, numbers: Iterable[Any], count: int
) -> np.ndarray:
  """Numbers from 1 to `count`, however written, as int32 [N] from 0."""
  values = []
  for number in numbers:
    try:
      value = int(number)
    except (TypeError, ValueError):
      value = 0
    if not 1 <= value <= count:
      raise InputError(
        f'{shown(join(root, where))}: {number} where a number from 1 to '
        f'{count} belongs: this is another dataset or the file is broken'
      )
    values.append(value - 1)
  return np.array(values, np.int32)


def listdir(path: str, folders: bool = False) -> list[str]:
  """Names of the files, or of the folders, in a directory, sorted."""
  try:
    with os.scandir(path) as entries:
      return sorted(
        entry.name
        for entry in entries
        if entry.is_dir() == folders and not entry.name.startswith('.')
      )
  except OSError as error:
    raise unreadable(path, error) from error


def present(paths: Iterable[str]) -> set[str]:
  """Those of the paths that are there; reads each directory once."""
  wanted = collections.defaultdict(set)
  for path in paths:
    folder, name = os.path.split(path)
    wanted[folder].add(name)
  found = set()
  for folder, names in wanted.items():
    if not os.path.isdir(folder):
      continue
    try:
      there = names.intersection(os.listdir(folder))
    except OSError as error:
      raise unreadable(folder, error) from error
    found.update(os.path.join(folder, name) for name in there)
  return found


def examples(
  root: str,
  where: str,
  names: Sequence[str],
  labels: np.ndarray,
  paths: Sequence[str],
) -> Examples:
  """Examples of a list, all of whose files have to be there, and once.

  Args:
    root: the dataset's directory.
    where: the list, for messages.
    names: [N] official names.
    labels: int32 [N] or [N, C].
    paths: [N], below root.
  """
  where = shown(join(root, where))
  twice = [name for name, n in collections.Counter(names).items() if n > 1]
  if twice:
    raise InputError(
      f'{where}: names {len(twice)} images more than once '
      f'({shown_listing(sorted(twice))}): restore the original'
    )
  paths = [join(root, path) for path in paths]
  there = present(paths)
  missing = sorted(path for path in paths if path not in there)
  if missing:
    relative = listing(shown(os.path.relpath(p, root)) for p in missing)
    raise InputError(
      f'{where}: {len(missing):,} of the {len(paths):,} images that it names '
      f'are not there ({relative}): an archive is perhaps half unpacked; '
      'unpack it again'
    )
  return Examples(tuple(names), labels, whole_files(paths))
