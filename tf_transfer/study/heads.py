"""Stores the linear classifiers of cells on fixed features, to be exported.

Of such a cell only the head is new: its network is the weights file that its
record names by hash. `heads/IDENTITY.npz` beside the ledger has weights, bias,
temperature and the names of the classes.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_transfer import errors
from tf_transfer.networks import integrity
from tf_transfer.runtime import files
from tf_transfer.study.schema import Record
from tf_transfer.transfer import result as result_lib

_HEADERS = 2**16  # bytes: of the archive and of its arrays
_MAX_CLASS_NAME = 4096  # letters
_MAX_DIM = 2**20  # values of a feature vector


def describe(identity: str, head: result_lib.Head) -> dict[str, Any]:
  """Returns a record's field `head`: file, digest and temperature."""
  return {
    'path': f'heads/{identity}.npz',
    'sha256': _digest(head.arrays()),
    'temperature': float(head.temperature),
  }


def write(record: Record, workdir: pathlib.Path, head: result_lib.Head) -> None:
  """Writes the head of a record, completely or not at all.

  Raises:
    InputError: it could not be written, or is not the head of the record.
  """
  arrays = head.arrays()
  if 'head' not in record or record['head']['sha256'] != _digest(arrays):
    raise errors.InputError(
      f'the head of {_cell(record)} is not the one that its record states'
    )
  path = path_of(record, workdir)
  files.make_directory(path.parent)
  with files.atomic_write(path) as file:
    np.savez(file, **arrays)


def path_of(record: Record, workdir: pathlib.Path) -> pathlib.Path:
  """Returns the file with the head of a record, below a workdir.

  Raises:
    InputError: the record names a place outside.
  """
  return files.contained(workdir, record['head']['path'], 'head')


def read(record: Record, workdir: pathlib.Path) -> result_lib.Head:
  """Reads the head of a cell, and checks that it is what was written.

  Args:
    record: of the cell, with a field `head`.
    workdir: of the ledger.

  Raises:
    InputError: the file is missing, damaged, or of another cell.
  """
  path = path_of(record, workdir)
  again = f'remove its record {record["identity"]} and run the cell again'
  try:
    arrays = files.load_arrays(path, _max_size(record))
    _check(arrays, record)
  except FileNotFoundError as error:
    raise errors.InputError(
      f'{path}: the head of {_cell(record)} is missing: find the file, or '
      f'{again}'
    ) from error
  except (ValueError, OSError, MemoryError) as error:
    reason = str(error) or type(error).__name__
    raise errors.InputError(
      f'{path}: no head of {_cell(record)}: {reason}. Find the right file, or '
      f'{again}'
    ) from error
  return result_lib.Head(
    arrays['weights'],
    arrays['bias'],
    float(arrays['temperature']),
    tuple(map(str, arrays['classes'])),
  )


def _max_size(record: Record) -> int:
  """Returns how many bytes the head of a record unpacks to at most."""
  return record['num_classes'] * 4 * (_MAX_DIM + _MAX_CLASS_NAME) + _HEADERS


def _check(arrays: Mapping[str, np.ndarray], record: Record) -> None:
  """Checks types, shapes, values and the digest.

  Raises:
    ValueError: one is wrong.
  """
  num_classes = record['num_classes']
  for name, kind, shape in (
    ('weights', 'f4', (None, num_classes)),
    ('bias', 'f4', (num_classes,)),
    ('temperature', 'f8', ()),
    ('classes', 'U', (num_classes,)),
  ):
    if name not in arrays:
      raise ValueError(f'there is no array {name}')
    array = arrays[name]
    fits = array.ndim == len(shape) and all(
      expected in (None, size)
      for expected, size in zip(shape, array.shape, strict=True)
    )
    if not fits or not array.dtype.str[1:].startswith(kind):
      raise ValueError(
        f'{name} is {array.dtype} {list(array.shape)}, which is not expected '
        f'of {num_classes:,} classes'
      )
    if kind != 'U' and not np.isfinite(array).all():
      raise ValueError(f'{name} are not all finite')
  if _digest(arrays) != record['head']['sha256']:
    raise ValueError('its content is not what the record states')


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
  """Computes the SHA-256 of a head, in hexadecimal."""
  classes = [str(name) for name in arrays['classes']]
  numbers = {name: arrays[name] for name in ('weights', 'bias', 'temperature')}
  return integrity.digest({'classes': classes}, numbers)


def _cell(record: Record) -> str:
  """Names the cell of a record."""
  return f'{record["network"]} on {record["dataset"]}, {record["setting"]}'
