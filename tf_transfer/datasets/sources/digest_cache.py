"""Caches on disk what takes long to compute from files.

The key of an entry is a hash of everything that the entry depends on, with the
size and modification time of each file. Two processes that fill one directory
write the same. An entry holds a checksum of its key and content: one that is
damaged, changed or of another key is computed again.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from absl import logging

from tf_transfer.datasets.sources.image_files import read_error
from tf_transfer.runtime import files

# Part of every key. Increase it if the format of entries changes.
_VERSION = 1
_CHECKSUM = 'checksum'  # The name of the array with it.

Arrays = dict[str, np.ndarray]


def state(paths: Iterable[str]) -> list[tuple[str, int, int]]:
  """Returns path, size in bytes and modification time in ns of each file.

  Raises:
    InputError: a file is missing, or its directory cannot be read.
  """
  states = []
  for path in paths:
    try:
      status = os.stat(path)
    except OSError as error:
      raise read_error(path, error) from error
    states.append((os.path.abspath(path), status.st_size, status.st_mtime_ns))
  return states


def entry_path(
  directory: str | os.PathLike, key: Mapping[str, object]
) -> pathlib.Path:
  """Returns the file of an entry.

  Args:
    directory: of the cache.
    key: everything that the entry depends on, in types of JSON.
  """
  digest = hashlib.sha256(_key_bytes(key)).hexdigest()
  return pathlib.Path(directory) / f'{digest[:32]}.npz'


def arrays(
  directory: str | os.PathLike | None,
  key: Mapping[str, object],
  compute: Callable[[], Arrays],
  max_bytes: int,
) -> Arrays:
  """Loads arrays from the cache, or computes them and adds them to it.

  Args:
    directory: of the cache; None: no cache.
    key: everything that the arrays depend on, in types of JSON.
    compute: computes the arrays. If it raises, nothing is cached.
    max_bytes: that the arrays can take; an entry of more is computed again.

  Raises:
    InputError: the directory cannot be written.
  """
  loaded = load(directory, key, max_bytes)
  if loaded is not None:
    return loaded
  computed = compute()
  store(directory, key, computed)
  return computed


def load(
  directory: str | os.PathLike | None,
  key: Mapping[str, object],
  max_bytes: int,
) -> Arrays | None:
  """Loads arrays from the cache; None if it has none that can be used.

  The arguments are those of `arrays`.

  Raises:
    InputError: the directory cannot be made.
  """
  if directory is None:
    return None
  path = entry_path(files.make_directory(directory), key)
  try:
    return _load(path, key, max_bytes)
  except FileNotFoundError:
    return None
  except (ValueError, MemoryError) as error:
    logging.warning('%s cannot be used (%s): computing it again', path, error)
    return None


def store(
  directory: str | os.PathLike | None,
  key: Mapping[str, object],
  computed: Arrays,
) -> None:
  """Writes arrays to the cache, in place of the entry that is there.

  The arguments are those of `arrays`.

  Raises:
    InputError: the directory cannot be written.
  """
  if directory is None:
    return
  path = entry_path(files.make_directory(directory), key)
  with files.atomic_write(path) as file:
    np.savez(file, **computed, **{_CHECKSUM: _checksum(key, computed)})


def _load(
  path: pathlib.Path, key: Mapping[str, object], max_bytes: int
) -> Arrays:
  """Loads an entry.

  Raises:
    FileNotFoundError: there is none.
    ValueError: its content is not what was written for this key.
  """
  # Each array has a header of its own.
  entry = files.load_arrays(path, max_bytes + (1 << 16))
  checksum = entry.pop(_CHECKSUM, None)
  if checksum is None:
    raise ValueError('an older version wrote it, without a checksum')
  if not np.array_equal(checksum, _checksum(key, entry)):
    raise ValueError('damaged: its content is not what was written')
  return entry


def _checksum(key: Mapping[str, object], entry: Arrays) -> np.ndarray:
  """Returns the SHA-256, uint8 [32], of a key and of an entry's arrays."""
  hashed = hashlib.sha256(_key_bytes(key))
  for name in sorted(entry):
    array = np.ascontiguousarray(entry[name])
    hashed.update(f'{name} {array.dtype.str} {array.shape} '.encode())
    hashed.update(array.tobytes())
  return np.frombuffer(hashed.digest(), np.uint8)


def _key_bytes(key: Mapping[str, object]) -> bytes:
  """Returns the bytes of a key, with the version, that are hashed."""
  text = json.dumps({'version': _VERSION, **key}, sort_keys=True)
  return text.encode('utf-8', 'surrogateescape')
