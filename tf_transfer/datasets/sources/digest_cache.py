"""Caches on disk what takes long to compute from files.

The key of an entry is a hash of everything that the entry depends on, with the
size and modification time of each file. So an entry is never out of date, and
two processes that fill one directory write the same.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from absl import logging

from tf_transfer.datasets.sources.image_files import read_error
from tf_transfer.runtime import files

# Part of every key. Increase it if the format of entries changes.
_VERSION = 1

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


def arrays(
  directory: str | os.PathLike | None,
  key: Mapping[str, object],
  compute: Callable[[], Arrays],
) -> Arrays:
  """Loads arrays from the cache, or computes them and adds them to it.

  Args:
    directory: of the cache; None: no cache.
    key: everything that the arrays depend on, in types of JSON.
    compute: computes the arrays. If it raises, nothing is cached.

  Raises:
    InputError: the directory cannot be written.
  """
  if directory is None:
    return compute()
  text = json.dumps({'version': _VERSION, **key}, sort_keys=True)
  digest = hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()
  path = files.make_directory(directory) / f'{digest[:32]}.npz'
  try:
    # With a file object: np.load leaves a damaged file open.
    with open(path, 'rb') as file, np.load(file) as entry:
      return dict(entry)
  except FileNotFoundError:
    pass
  except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError) as error:
    logging.warning('%s is damaged (%s): computing it again', path, error)
  computed = compute()
  with files.atomic_write(path) as file:
    np.savez(file, **computed)
  return computed
