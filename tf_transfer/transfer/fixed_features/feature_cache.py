"""Caches feature matrices on disk: sharded, verified, within a budget.

  ROOT/
    lock        locked while something is written or removed
    KEY/        one entry, the features of one split; KEY is a hash of
      key.json    everything that determines them
      in_use      locked, shared, while the entry is read or filled; its
                  modification time is the time of the last use
      00000000-00002048.shard   the rows of examples 0 to 2047

A shard is little-endian float32 [n, D]; then a byte [n], 1 for the rows that
are valid; then the SHA-256 of both and of the shard's place in the cache. A
shard that is cut short, altered by a bit, in another shard's place or not
finite is therefore detected, and computed again. A shard gets its name when it
is complete. Two processes that fill an entry at the same time both end with
correct shards.

The least recently used entries make room for new shards. An entry is removed
with all its shards, and never while a process uses it. Its key.json and in_use
stay, a few hundred bytes: removing files that other processes may be about to
lock would be a race.
"""

import collections
import contextlib
import hashlib
import json
import os
import pathlib
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np
from absl import logging

from tf_transfer import errors
from tf_transfer.runtime import files, units

# How often this process has each entry open. On a file system without locks
# nothing else keeps an entry that is read from being removed.
_open_entries: collections.Counter[pathlib.Path] = collections.Counter()


class FeatureCache:
  """The entries under one directory."""

  def __init__(self, root: pathlib.Path, budget_bytes: float) -> None:
    """Sets the directory and the budget; no file is touched yet.

    Args:
      root: the directory, made when it is first used.
      budget_bytes: how many bytes all shards together may take.

    Raises:
      InputError: the budget is negative.
    """
    if not budget_bytes >= 0:
      raise errors.InputError(
        'config.features.cache_gib: expected 0 or more GiB, not '
        f'{budget_bytes / units.GIB:g}'
      )
    self._root = root
    self._budget_bytes = budget_bytes

  @contextlib.contextmanager
  def entry(self, key: Mapping[str, Any]) -> Iterator['Entry']:
    """Opens the entry of a key; it is not removed until the block ends.

    Where the entry has the key of another, its shards are not used.

    Args:
      key: everything that determines the features, as JSON can hold it.

    Yields:
      The entry.

    Raises:
      InputError: the cache cannot be written.
    """
    text = json.dumps(key, sort_keys=True, indent=2).encode()
    name = hashlib.sha256(text).hexdigest()[:32]
    directory = files.make_directory(self._root / name)
    with files.locked(directory / 'in_use', shared=True):
      os.utime(directory / 'in_use')
      self._check_key(directory, text)
      place = directory.resolve()
      _open_entries[place] += 1
      try:
        yield Entry(self, directory)
      finally:
        _open_entries[place] -= 1

  def _check_key(self, directory: pathlib.Path, text: bytes) -> None:
    """Writes the key of an entry, and removes shards that have another."""
    path = directory / 'key.json'
    present = _read_key(path)
    if present == text:
      return
    # Under the lock, as all that is written: see `_make_room`.
    with files.locked(self._root / 'lock'):
      if present is not None and _read_key(path) != text:
        logging.warning(
          '%s is not the key of its entry: the features there are not used, '
          'they are computed again',
          path,
        )
        for shard in directory.glob('*.shard'):
          _remove(shard)
        _remove(path)
      with files.atomic_write(path) as file:
        file.write(text)

  def write(
    self, path: pathlib.Path, chunks: Sequence[bytes | np.ndarray]
  ) -> bool:
    """Writes a file if it fits the budget.

    Args:
      path: of the file.
      chunks: its content, one after the other.

    Returns:
      Whether there was room for it. What cannot be removed from its place is
      logged, and nothing is written.

    Raises:
      InputError: the cache cannot be written.
    """
    num_bytes = sum(memoryview(chunk).nbytes for chunk in chunks)
    with files.locked(self._root / 'lock'):
      if not _remove(path):
        logging.warning(
          '%s is in the place of features, which are not cached: remove it',
          path,
        )
        return True
      if not self._make_room(num_bytes):
        return False
      with files.atomic_write(path) as file:
        for chunk in chunks:
          file.write(chunk)
    return True

  def _make_room(self, num_bytes: int) -> bool:
    """Removes entries until so many bytes are free; needs the lock.

    Returns:
      Whether so many bytes are free.
    """
    # Only the lock's holder writes, so what is left half-written is a killed
    # process's.
    for key in self._root.glob('*/key.json'):
      files.sweep(key.parent)
    sizes: dict[pathlib.Path, int] = {}
    for shard in self._root.glob('*/*.shard'):
      sizes.setdefault(shard.parent, 0)
      sizes[shard.parent] += shard.stat().st_size
    free_bytes = self._budget_bytes - sum(sizes.values())
    for directory in sorted(sizes, key=_last_use):
      if free_bytes >= num_bytes:
        break
      if _open_entries[directory.resolve()]:
        continue
      with files.locked(directory / 'in_use', wait=False) as unused:
        if unused:
          for shard in directory.glob('*.shard'):
            _remove(shard)
          free_bytes += sizes[directory]
    return free_bytes >= num_bytes


def _read_key(path: pathlib.Path) -> bytes | None:
  """Reads a key.json; None if there is none, b'' if it cannot be read."""
  try:
    return path.read_bytes()
  except FileNotFoundError:
    return None
  except OSError:
    return b''


def _remove(path: pathlib.Path) -> bool:
  """Removes a file or an empty directory; says whether the place is free."""
  try:
    path.unlink()
  except FileNotFoundError:
    return True
  # A directory, which unlink refuses by either error.
  except (IsADirectoryError, PermissionError):
    with contextlib.suppress(OSError):
      path.rmdir()
  return not os.path.lexists(path)


def _last_use(directory: pathlib.Path) -> int:
  """Returns when an entry was last used, in ns; 0 if that is not known."""
  try:
    return (directory / 'in_use').stat().st_mtime_ns
  except FileNotFoundError:
    return 0


class Entry:
  """The cached shards of one split's features."""

  def __init__(self, cache: FeatureCache, directory: pathlib.Path) -> None:
    self._cache = cache
    self._directory = directory
    self._full = False

  @property
  def root(self) -> pathlib.Path:
    """The directory of the cache."""
    return self._directory.parent

  @property
  def full(self) -> bool:
    """Whether a shard was not cached because there was no room."""
    return self._full

  def read(self, start: int, values: np.ndarray) -> np.ndarray | None:
    """Reads a shard into memory, if it is cached and undamaged.

    The file is mapped, so its rows are in memory only once, in `values`. That
    copy is verified, not the file behind it.

    Args:
      start: the shard's first example.
      values: float32 [n, D], contiguous, filled with the shard's rows. If None
        is returned, it may hold anything.

    Returns:
      bool [n], which rows are valid; None if there is no undamaged shard.
    """
    path = self._path(start, len(values))
    num_bytes = values.nbytes + len(values) + hashlib.sha256().digest_size
    try:
      status = path.stat()
      # A pipe would be waited for.
      if not stat.S_ISREG(status.st_mode):
        raise ValueError('it is no file')
      if status.st_size != num_bytes:
        raise ValueError(f'it has {status.st_size} bytes, not {num_bytes}')
      mapped = np.memmap(path, np.uint8, mode='r')
      rows, valid, digest = np.split(
        mapped, [values.nbytes, values.nbytes + len(values)]
      )
      values[...] = rows.view('<f4').reshape(values.shape)
      valid = valid == 1
      if digest.tobytes() != self._digest(path, values, valid):
        problem = 'its checksum is wrong'
      elif not np.isfinite(values).all(axis=1)[valid].all():
        problem = 'it holds NaN or infinity'
      else:
        return valid
    except FileNotFoundError:
      return None
    # A file that cannot be read or mapped, or was changed meanwhile.
    except (OSError, ValueError) as error:
      problem = str(error)
    logging.warning(
      '%s is damaged (%s): it is not used, its features are computed again',
      path,
      problem,
    )
    return None

  def write(self, start: int, values: np.ndarray, valid: np.ndarray) -> None:
    """Caches a shard if it fits the budget.

    Args:
      start: the shard's first example.
      values: float32 [n, D], contiguous.
      valid: bool [n], which rows are valid.

    Raises:
      InputError: the cache cannot be written.
    """
    path = self._path(start, len(values))
    digest = self._digest(path, values, valid)
    chunks = values.astype('<f4', copy=False), valid.astype(np.uint8), digest
    if not self._cache.write(path, chunks) and not self._full:
      self._full = True
      logging.warning(
        'the feature cache %s is full, and all its entries are in use: these '
        'features are not cached. Increase --config.features.cache_gib, or '
        'choose another --config.features.cache_dir',
        self.root,
      )

  def _path(self, start: int, count: int) -> pathlib.Path:
    """Returns the path of the shard of `count` examples from `start`."""
    return self._directory / f'{start:08d}-{start + count:08d}.shard'

  def _digest(
    self, path: pathlib.Path, values: np.ndarray, valid: np.ndarray
  ) -> bytes:
    """Computes the SHA-256 of a shard's place in the cache and its content."""
    digest = hashlib.sha256(f'{path.parent.name}/{path.name}'.encode())
    digest.update(values.astype('<f4', copy=False))
    digest.update(valid.astype(np.uint8))
    return digest.digest()


def from_config(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> FeatureCache:
  """Makes the cache that `features` of a job's config describes.

  Args:
    config: `features` of the job's config.
    workdir: the cache is in `features` below it if `cache_dir` is ''.

  Raises:
    InputError: `cache_gib` is negative, or `cache_dir` is no local directory.
  """
  root = workdir / 'features'
  if config.cache_dir:
    root = files.local_path(config.cache_dir, 'config.features.cache_dir')
  return FeatureCache(root, config.cache_gib * units.GIB)
