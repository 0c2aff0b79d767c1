"""Feature matrices on disk: in shards, checked when read, within a budget.

  ROOT/
    lock        held while something is written or removed
    KEY/        one entry, the features of one split; KEY is a hash of
      key.json    all that determines them
      in_use      held, shared, while the entry is read or filled; its time is
                  that of the last use
      00000000-00002048.shard   the rows of these examples

A shard is little-endian float32 [n, D], then a byte [n] that says which rows
are good, then the SHA-256 of its place in the cache and of both. So one that
was cut short, changed by a bit, or put in another's place is found out, and
computed again. A shard appears under its name when it is complete; two
processes that fill an entry at the same time both end with right ones.

What was not used for longest makes room, a whole entry at a time, and never
one that some process has in use. An entry's key.json and in_use stay, some
hundred bytes: removing what others may be about to lock would be a race.
"""

import contextlib
import hashlib
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import ml_collections
import numpy as np
from absl import logging

from tf_transfer import errors
from tf_transfer.runtime import files


class FeatureCache:
  """All entries under one directory."""

  def __init__(self, root: pathlib.Path, budget: float):
    """Touches nothing yet.

    Args:
      root: the directory, made when it is first used.
      budget: bytes that all shards together may take.

    Raises:
      InputError: the budget is negative.
    """
    if not budget >= 0:
      raise errors.InputError(
        'config.features.cache_gib: expected 0 or more gigabytes, not '
        f'{budget / 1e9:g}'
      )
    self._root = root
    self._budget = budget

  @contextlib.contextmanager
  def entry(self, key: Mapping[str, Any]) -> Iterator['Entry']:
    """The entry of a key, kept from removal until the block ends.

    Args:
      key: all that determines the features, as JSON can hold it.

    Raises:
      InputError: the cache cannot be written.
    """
    text = json.dumps(key, sort_keys=True, indent=2).encode()
    name = hashlib.sha256(text).hexdigest()[:32]
    directory = files.make_directory(self._root / name)
    with files.locked(directory / 'in_use', shared=True):
      os.utime(directory / 'in_use')
      if not (directory / 'key.json').exists():
        with files.atomic_write(directory / 'key.json') as file:
          file.write(text)
      yield Entry(self, directory)

  def write(self, path: pathlib.Path, parts: tuple[bytes | np.ndarray, ...]):
    """Writes a file if it fits the budget; returns whether it did."""
    size = sum(memoryview(part).nbytes for part in parts)
    with files.locked(self._root / 'lock'):
      path.unlink(missing_ok=True)
      if not self._make_room(size):
        return False
      with files.atomic_write(path) as file:
        for part in parts:
          file.write(part)
    return True

  def _make_room(self, size: int) -> bool:
    """Removes entries until so many bytes are free; the lock is held."""
    # Only the lock's holder writes: these were left by one that was killed.
    for leftover in self._root.glob('*/.*.shard.*.partial'):
      leftover.unlink()
    sizes: dict[pathlib.Path, int] = {}
    for shard in self._root.glob('*/*.shard'):
      sizes.setdefault(shard.parent, 0)
      sizes[shard.parent] += shard.stat().st_size
    free = self._budget - sum(sizes.values())
    for directory in sorted(sizes, key=_last_use):
      if free >= size:
        break
      with files.locked(directory / 'in_use', wait=False) as unused:
        if unused:
          for shard in directory.glob('*.shard'):
            shard.unlink()
          free += sizes[directory]
    return free >= size


def _last_use(directory: pathlib.Path) -> int:
  try:
    return (directory / 'in_use').stat().st_mtime_ns
  except FileNotFoundError:
    return 0


class Entry:
  """The features of one split, as far as they are there."""

  def __init__(self, cache: FeatureCache, directory: pathlib.Path):
    self._cache = cache
    self._directory = directory
    self._full = False

  @property
  def full(self) -> bool:
    """Whether a shard was not kept, for want of room."""
    return self._full

  def read(self, start: int, values: np.ndarray) -> np.ndarray | None:
    """Reads a shard, if it is there and whole.

    The file is mapped, so that its rows are in memory once only: where they
    are wanted. What is checked is that copy, not the file behind it.

    Args:
      start: its first example.
      values: float32 [n, D], contiguous, to be filled; if the shard is not
        there, what it holds afterwards has no meaning.

    Returns:
      bool [n], which rows are good, or None.
    """
    path = self._path(start, len(values))
    try:
      mapped = np.memmap(path, np.uint8, mode='r')
      rows, good, digest = np.split(
        mapped, [values.nbytes, values.nbytes + len(values)]
      )
      values[...] = rows.view('<f4').reshape(values.shape)
      good = good == 1
      if digest.tobytes() == self._digest(path, values, good):
        return good
      problem = 'its checksum is wrong'
    except FileNotFoundError:
      return None
    # A file of another length: no map of it, or no rows of this shape.
    except (OSError, ValueError) as error:
      problem = str(error)
    logging.warning(
      '%s is damaged (%s): not used, computed again', path, problem
    )
    return None

  def write(self, start: int, values: np.ndarray, good: np.ndarray) -> None:
    """Keeps a shard, if the budget allows it.

    Args:
      start: its first example.
      values: float32 [n, D], contiguous.
      good: bool [n].

    Raises:
      InputError: the cache cannot be written.
    """
    path = self._path(start, len(values))
    digest = self._digest(path, values, good)
    parts = values.astype('<f4', copy=False), good.astype(np.uint8), digest
    if not self._cache.write(path, parts) and not self._full:
      self._full = True
      logging.warning(
        'the feature cache %s is full, and what is in it is in use: these '
        'features are not kept. Raise --config.features.cache_gib, or name '
        'another --config.features.cache_dir',
        self._directory.parent,
      )

  def _path(self, start: int, count: int) -> pathlib.Path:
    return self._directory / f'{start:08d}-{start + count:08d}.shard'

  def _digest(self, path: pathlib.Path, values, good) -> bytes:
    digest = hashlib.sha256(f'{path.parent.name}/{path.name}'.encode())
    digest.update(values.astype('<f4', copy=False))
    digest.update(good.astype(np.uint8))
    return digest.digest()


def of_config(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> FeatureCache:
  """The cache that `features` of a job's config asks for."""
  root = pathlib.Path(config.cache_dir or workdir / 'features')
  return FeatureCache(root, config.cache_gib * 1e9)
