"""Remembers on disk what took long to find out about files.

What is remembered is filed under a hash of all that it depends on, the size
and time of change of each file among it: so it is never out of date, and two
processes that fill one directory at once write the same.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from absl import logging

from tf_transfer.datasets.sources.image_files import unreadable
from tf_transfer.runtime import files

# Part of every key: raise it when what is remembered changes.
_VERSION = 1

Arrays = dict[str, np.ndarray]


def state(paths: Iterable[str]) -> list[tuple[str, int, int]]:
  """Path, size and time of change in nanoseconds of each file.

  Raises:
    InputError: one is not there, or cannot be looked at.
  """
  found = []
  for path in paths:
    try:
      status = os.stat(path)
    except OSError as error:
      raise unreadable(path, error) from error
    found.append((os.path.abspath(path), status.st_size, status.st_mtime_ns))
  return found


def arrays(
  directory: str | os.PathLike | None,
  key: Mapping[str, object],
  make: Callable[[], Arrays],
) -> Arrays:
  """Arrays from an earlier time, or made now and remembered.

  Args:
    directory: where they are kept; None: nowhere.
    key: all that they depend on, as JSON can hold it.
    make: makes them; where it raises nothing is remembered.

  Raises:
    InputError: the directory cannot be written.
  """
  if directory is None:
    return make()
  text = json.dumps({'version': _VERSION, **key}, sort_keys=True)
  digest = hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()
  path = files.make_directory(directory) / f'{digest[:32]}.npz'
  try:
    # Opened here: np.load leaves a damaged file open.
    with open(path, 'rb') as file, np.load(file) as found:
      return dict(found)
  except FileNotFoundError:
    pass
  except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError) as error:
    logging.warning('%s is damaged (%s): made again', path, error)
  made = make()
  with files.atomic_write(path) as file:
    np.savez(file, **made)
  return made
