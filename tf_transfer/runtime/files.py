"""Writes and locks files so that several processes can share a directory."""

import contextlib
import errno
import fcntl
import hashlib
import math
import os
import pathlib
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

import numpy as np
from absl import logging

from tf_transfer import errors
from tf_transfer.runtime import termination

# The names of files that are being written: '.NAME.RANDOM.partial'.
_PARTIAL = '.partial'
_PARTIAL_NAME = re.compile(r'\..+\.[a-z0-9_]{8}\.partial')
# What a file system without locks answers.
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
_SCHEME = re.compile(r'[A-Za-z][A-Za-z0-9+.-]*:/')


def write_error(path: os.PathLike | str, error: OSError) -> errors.CannotWrite:
  """Returns the error to raise if `path` could not be written."""
  reason = error.strerror or str(error)
  return errors.CannotWrite(
    f'cannot write {path}: {reason}. Free some space or name another place; '
    'what was finished before is kept, and the same command goes on from it.'
  )


def local_path(text: str, field: str) -> pathlib.Path:
  """Returns the path that a user names; `~` is the home directory.

  Args:
    text: what the user wrote.
    field: the flag or field that it was written in, for the message.

  Raises:
    InputError: it is the address of a store such as gs://BUCKET/DIR, or `~` has
      no home.
  """
  if _SCHEME.match(text):
    raise errors.InputError(
      f'{field}: {text} is no directory of this machine: locks and the ledger '
      'need a file system; mount the store, or copy it to a local directory'
    )
  try:
    return pathlib.Path(text).expanduser()
  except RuntimeError as error:
    raise errors.InputError(
      f'{field}: {text}: the home directory is not known: write the path '
      'without ~'
    ) from error


def contained(root: os.PathLike | str, name: str, place: str) -> pathlib.Path:
  """Returns the path of a file below a directory, named by another file.

  Links below the root are followed where they lead.

  Args:
    root: the directory.
    name: the file's path relative to the root, as some other file states it.
    place: where the name was read, for the message.

  Raises:
    InputError: the name leads out of the root.
  """
  path = pathlib.PurePosixPath(name.replace('\\', '/'))
  if path.is_absolute() or '..' in path.parts or '\0' in name or not name:
    raise errors.InputError(
      f'{place}: {errors.printable(name)!r} leads out of {root}: expected a '
      'path of a file below it'
    )
  return pathlib.Path(root) / path


def load_arrays(
  path: os.PathLike | str, max_bytes: int
) -> dict[str, np.ndarray]:
  """Loads an .npz file that needs no more memory than expected.

  Args:
    path: of the file.
    max_bytes: how many bytes the unpacked arrays may take in all.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: it is damaged, no .npz file, needs pickle, or is too large.
  """
  try:
    with zipfile.ZipFile(path) as archive:
      size = sum(member.file_size for member in archive.infolist())
      if size > max_bytes:
        raise ValueError(
          f'it unpacks to {size:,} bytes, at most {max_bytes:,} are expected'
        )
      for member in archive.infolist():
        with archive.open(member) as array:
          _check_header(array, member.file_size)
    with open(path, 'rb') as file, np.load(file) as arrays:
      return dict(arrays)
  except FileNotFoundError:
    raise
  except (
    zipfile.BadZipFile,
    NotImplementedError,
    EOFError,
    KeyError,
    OSError,
    zlib.error,
  ) as error:
    raise ValueError(str(error) or type(error).__name__) from error


def _check_header(file: IO[bytes], size: int) -> None:
  """Checks that an array is no larger than its file before it is allocated.

  Raises:
    ValueError: it is larger, or the header is damaged.
  """
  readers = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
  }
  version = np.lib.format.read_magic(file)
  if version not in readers:
    raise ValueError(f'arrays of format {version} are not expected')
  shape, _, dtype = readers[version](file)
  # Python's integers do not overflow.
  # Pickled objects are refused later.
  if not dtype.hasobject and math.prod(shape) * dtype.itemsize > size:
    raise ValueError(f'an array {list(shape)} is larger than its file')


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

  The new file is locked while it is written. So `sweep` can tell what a killed
  process has left from what another process is writing.

  Yields:
    A binary file in the same directory. When the block ends it is flushed to
    disk and renamed to `path`; when the block raises it is removed.

  Raises:
    InputError: the disk is full, or the directory cannot be written.
  """
  with (
    termination.uninterrupted(),
    _replace_when_complete(pathlib.Path(path)) as file,
  ):
    yield file


@contextlib.contextmanager
def _replace_when_complete(path: pathlib.Path) -> Iterator[IO[bytes]]:
  """Opens a file as `atomic_write` does."""
  try:
    # The name tells which file a killed process was writing.
    descriptor, partial = tempfile.mkstemp(
      prefix=f'.{path.name}.', suffix=_PARTIAL, dir=path.parent
    )
  except OSError as error:
    raise write_error(path, error) from error
  try:
    with os.fdopen(descriptor, 'wb') as file:
      _lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB, path.parent)
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


def append_line(path: os.PathLike | str, line: bytes) -> None:
  """Appends a line to a file, which other processes may append to as well.

  What a killed process left of a line before it stays a line of its own.

  Args:
    path: of the file, which is made if need be.
    line: without its line break.

  Raises:
    OSError: the file cannot be written.
  """
  with termination.uninterrupted(), open(path, 'a+b') as file:
    _lock(file, fcntl.LOCK_EX, pathlib.Path(path).parent)
    if file.seek(0, os.SEEK_END):
      file.seek(-1, os.SEEK_END)
      line = line if file.read(1) == b'\n' else b'\n' + line
    file.write(line + b'\n')
    # Before the lock ends.
    file.flush()


def sweep(directory: os.PathLike | str) -> int:
  """Removes half-written files that killed processes have left.

  Files that another process is writing are locked, and stay.

  Args:
    directory: searched without the directories below it.

  Returns:
    How many files were removed.
  """
  removed = 0
  for path in pathlib.Path(directory).glob(f'.*{_PARTIAL}'):
    if not _PARTIAL_NAME.fullmatch(path.name):
      continue  # A file of the user's.
    with contextlib.suppress(FileNotFoundError, PermissionError):
      with open(path, 'ab') as file:
        # Without locks nobody knows whether the file is in use.
        if not _lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB, directory):
          continue
        path.unlink()
      removed += 1
  return removed


# Those of the file systems that are known to have no locks.
_devices_without_locks: set[int] = set()


def _warn_of_missing_locks(file: IO[bytes], directory: str) -> None:
  """Logs once for each file system that it has no locks."""
  device = os.fstat(file.fileno()).st_dev
  if device not in _devices_without_locks:
    _devices_without_locks.add(device)
    logging.warning(
      '%s: the file system has no locks: run one process at a time in this '
      'directory',
      directory,
    )


def _lock(
  file: IO[bytes], operation: int, directory: os.PathLike | str
) -> bool | None:
  """Locks an open file.

  Returns:
    Whether it is locked; False if the lock is held elsewhere and the operation
    does not wait. None if the file system has no locks, which is logged.
  """
  try:
    fcntl.flock(file, operation)
  except BlockingIOError:
    return False
  except OSError as error:
    if error.errno not in _NO_LOCKS:
      raise
    _warn_of_missing_locks(file, str(directory))
    return None
  return True


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
    Whether the lock is held. Always True with `wait`, and on a file system
    without locks, which is logged: there one process runs at a time.

  Raises:
    InputError: the lock file cannot be made.
  """
  operation = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
  with contextlib.ExitStack() as stack:
    operation = operation if wait else operation | fcntl.LOCK_NB
    try:
      file = stack.enter_context(open(path, 'ab'))
      held = _lock(file, operation, pathlib.Path(path).parent)
    except OSError as error:
      raise write_error(path, error) from error
    yield held is not False


def _umask() -> int:
  """Returns the file mode creation mask of the process."""
  mask = os.umask(0)
  os.umask(mask)
  return mask


def sha256(path: os.PathLike | str) -> str:
  """Computes the SHA-256 of a file, in hexadecimal."""
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()
