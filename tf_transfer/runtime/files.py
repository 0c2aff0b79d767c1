"""Writes and locks files so that several processes can share a directory."""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import IO

from tf_transfer import errors


def write_error(path: os.PathLike | str, error: OSError) -> errors.CannotWrite:
  """Returns the error to raise if `path` could not be written."""
  reason = error.strerror or str(error)
  return errors.CannotWrite(
    f'cannot write {path}: {reason}. Free some space or name another place; '
    'what was finished before is kept, and the same command goes on from it.'
  )


def make_directory(path: os.PathLike | str) -> pathlib.Path:
  """Makes a directory with its parents and checks that it can be written.

  Raises:
    InputError: it cannot be made or written.
  """
  path = pathlib.Path(path)
  try:
    path.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path) as probe:
      probe.write(b'0')
  except OSError as error:
    raise write_error(path, error) from error
  return path


@contextlib.contextmanager
def atomic_write(path: os.PathLike | str) -> Iterator[IO[bytes]]:
  """Opens a file that appears under its name only when it is complete.

  Readers see all of the new file, or all of the old one.

  Yields:
    A binary file in the same directory. When the block ends it is flushed to
    disk and renamed to `path`; when the block raises it is removed.

  Raises:
    InputError: the disk is full, or the directory cannot be written.
  """
  path = pathlib.Path(path)
  try:
    # The name tells which file a killed process was writing.
    descriptor, partial = tempfile.mkstemp(
      prefix=f'.{path.name}.', suffix='.partial', dir=path.parent
    )
  except OSError as error:
    raise write_error(path, error) from error
  try:
    with os.fdopen(descriptor, 'wb') as file:
      yield file
      file.flush()
      os.fsync(file.fileno())
    os.chmod(partial, 0o666 & ~_umask())
    os.replace(partial, path)
  except OSError as error:
    raise write_error(path, error) from error
  finally:
    with contextlib.suppress(FileNotFoundError):
      os.unlink(partial)


@contextlib.contextmanager
def locked(
  path: os.PathLike | str, *, shared: bool = False, wait: bool = True
) -> Iterator[bool]:
  """Holds a lock between processes.

  The lock ends with the block or with the process, even if it is killed.

  Args:
    path: of the lock file, which is made if need be and stays, empty.
    shared: whether other processes may hold the lock too, if theirs is shared.
    wait: whether to wait until the lock is free.

  Yields:
    Whether the lock is held. Always True with `wait`.

  Raises:
    InputError: the lock file cannot be made.
  """
  operation = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
  with contextlib.ExitStack() as stack:
    held = True
    try:
      file = stack.enter_context(open(path, 'ab'))
      fcntl.flock(file, operation if wait else operation | fcntl.LOCK_NB)
    except BlockingIOError:
      held = False
    except OSError as error:
      raise write_error(path, error) from error
    yield held


def _umask() -> int:
  """Returns the file mode creation mask of the process."""
  mask = os.umask(0)
  os.umask(mask)
  return mask


def sha256(path: os.PathLike | str) -> str:
  """Computes the SHA-256 of a file, in hexadecimal."""
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()
