"""Reads arrays and lists that others wrote: .npy files and lines of text.

Arrays stay on disk until their rows are needed. Pickles are never loaded.
"""

import pathlib

import numpy as np

from tf_transfer import errors

# Arrays and lists are of these parts of a dataset.
SPLITS = ('train', 'val', 'test')
_MAX_LINE = 4096  # characters of a name


def load_array(path: pathlib.Path) -> np.ndarray:
  """Maps the array of a .npy file into memory, without reading its values.

  Raises:
    InputError: it is missing, damaged, or holds Python objects.
  """
  try:
    return np.load(path, mmap_mode='r', allow_pickle=False)
  except FileNotFoundError as error:
    raise errors.InputError(f'{path} is missing') from error
  # An empty array cannot be mapped; objects are refused.
  except (OSError, ValueError, EOFError) as error:
    reason = 'it is cut short, empty or no .npy file'
    if 'object' in str(error).lower() or 'pickle' in str(error).lower():
      reason = 'it holds Python objects, which are never loaded, or is no .npy'
    raise errors.InputError(f'{path} cannot be read: {reason}') from error


def read_lines(path: pathlib.Path) -> list[str]:
  """Reads a text with one name a line, which may be printed.

  Raises:
    InputError: it cannot be read, is no UTF-8, or a line is empty.
  """
  try:
    text = path.read_text(encoding='utf-8')
  except (OSError, UnicodeDecodeError) as error:
    raise errors.InputError(f'{path} cannot be read: {error}') from error
  lines = text.removesuffix('\n').split('\n') if text else []
  lines = [line.removesuffix('\r') for line in lines]
  for number, line in enumerate(lines, 1):
    if not line or len(line) > _MAX_LINE:
      raise errors.InputError(f'{path}, line {number}: expected a name')
  return lines


def read_names(directory: pathlib.Path, split: str) -> list[str] | None:
  """Reads the names of a split's examples; None where there is no file."""
  path = directory / f'{split}_names.txt'
  return read_lines(path) if path.exists() else None


def read_labels(
  directory: pathlib.Path, split: str
) -> np.ndarray | list[str] | None:
  """Reads the labels of a split's examples.

  Args:
    directory: with `SPLIT_labels.npy`, or `SPLIT_labels.txt` with the name of
      a class in each line.
    split: one of `SPLITS`.

  Returns:
    int64 [N], or [N, C] of 0 and 1; or names of classes; None where there is
    no file.

  Raises:
    InputError: there are both, they cannot be read, or are no labels.
  """
  path = directory / f'{split}_labels.npy'
  text_path = path.with_suffix('.txt')
  if path.exists() and text_path.exists():
    raise errors.InputError(f'{path} and {text_path.name}: give one of them')
  if text_path.exists():
    return read_lines(text_path)
  if not path.exists():
    return None
  labels = load_array(path)
  if labels.dtype.kind not in 'iub' or labels.ndim not in (1, 2):
    raise errors.InputError(
      f'{path}: expected integers [N], or 0 and 1 [N, C], found '
      f'{labels.dtype} {list(labels.shape)}'
    )
  labels = np.array(labels, np.int64)
  if labels.size and labels.min() < 0:
    raise errors.InputError(f'{path}: a label is {labels.min()}, below 0')
  if labels.ndim == 2 and labels.size and labels.max() > 1:
    raise errors.InputError(f'{path}: {labels.max()}, expected 0 or 1 [N, C]')
  return labels


def check_length(path: pathlib.Path, count: int, expected: int) -> None:
  """Raises an InputError where a file has another number of rows."""
  if count != expected:
    raise errors.InputError(
      f'{path}: {count:,} of them, and the other files of this split have '
      f'{expected:,}'
    )
