"""Reads and writes the ledger: a record per cell, in `results.jsonl`.

A record holds everything that determined its numbers, and an identity, the
hash of that (see `schema`). `predictions/IDENTITY.npz` beside the ledger holds
the prediction for each test example, for paired tests. A shard of a study
writes `results.K-of-N.jsonl` in the same workdir.
"""

import functools
import json
import math
import pathlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from absl import logging

from tf_transfer import errors
from tf_transfer.runtime import files
from tf_transfer.study import schema, shards
from tf_transfer.study.schema import Record

# The results of a cell. All else that may differ between two runs of it says
# where and when it ran, or follows from these up to rounding.
_RESULTS = ('chosen', 'validation', 'test', 'skipped')


def differences(first: Record, second: Record) -> list[str]:
  """Says in which results two records of one identity differ."""
  return [
    f'{name} {_format(first.get(name))} and {_format(second.get(name))}'
    for name in _RESULTS
    if not _same(first.get(name), second.get(name))
  ]


def _same(one: Any, other: Any) -> bool:
  """Compares what JSON can hold; numbers up to rounding."""
  if isinstance(one, Mapping) and isinstance(other, Mapping):
    return one.keys() == other.keys() and all(
      _same(one[key], other[key]) for key in one
    )
  if isinstance(one, float | int) and isinstance(other, float | int):
    return math.isclose(one, other, rel_tol=1e-9)
  return one == other


def _format(value: Any) -> str:
  """Formats a result for a message."""
  if isinstance(value, Mapping):
    value = value.get('value', dict(value))
  return f'{value:.6g}' if isinstance(value, float) else str(value)


def describe(record: Record) -> str:
  """Names the cell of a record: network, dataset and setting."""
  return ', '.join(
    str(record.get(key, f'no {key}')) for key in ('network', 'dataset')
  ) + (f', {record["setting"]}' if 'setting' in record else '')


@functools.cache
def warn_once(text: str) -> None:
  """Logs a warning once, though the ledger is read before each cell."""
  logging.warning('%s', text)


class Ledger:
  """The records of a workdir, or of a shard of a study there."""

  def __init__(self, workdir: pathlib.Path, shard: shards.Shard | None = None):
    self._path = shards.path_of(workdir, 'results', shard)
    self._predictions = workdir / 'predictions'

  @property
  def path(self) -> pathlib.Path:
    return self._path

  @property
  def workdir(self) -> pathlib.Path:
    return self._path.parent

  def read(self) -> dict[str, dict[str, Any]]:
    """Reads the records of this version, by identity, in their order.

    Raises:
      InputError: a line is no record, other than a last one cut short; or two
        lines are records of one cell with different results.
    """
    records, others = self._read()
    if others:
      warn_once(
        f'{self._path}: {len(others)} records of another version than '
        f'{schema.VERSION} are left out: the same settings give other numbers '
        'now'
      )
    return records

  def add(
    self,
    record: Record,
    predictions: Mapping[str, np.ndarray],
  ) -> None:
    """Appends a record, completely or not at all.

    Args:
      record: what JSON can hold, with its `identity` and `version`.
      predictions: arrays by name, with an entry per test example.

    Raises:
      InputError: it could not be written.
    """
    files.make_directory(self._predictions)
    # Written first, so that every record has its predictions.
    path = self._predictions / f'{record["identity"]}.npz'
    with files.atomic_write(path) as file:
      np.savez(file, **predictions)
    self.put({record['identity']: record})

  def put(self, records: Mapping[str, Record]) -> None:
    """Writes records, by identity, whose predictions are written already.

    A record of the same identity is replaced. Lines of another version stay.

    Raises:
      InputError: they could not be written.
    """
    # Other processes may be adding a record at the same time.
    with files.locked(self._path.with_name('.results.lock')):
      merged, others = self._read()
      merged.update({name: dict(record) for name, record in records.items()})
      with files.atomic_write(self._path) as file:
        for line in (*others, *merged.values()):
          file.write(json.dumps(line, sort_keys=True).encode() + b'\n')

  def _read(self) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Reads the records of this version by identity, and all others."""
    records, others, numbers = {}, [], {}
    for number, record in _read_lines(self._path):
      if record.get('version') != schema.VERSION:
        others.append(record)
        continue
      record = schema.upgrade(record)
      identity = record['identity']
      unequal = differences(records.get(identity, record), record)
      if unequal:
        raise errors.InputError(
          f'{self._path}: lines {numbers[identity]} and {number} are records '
          f'of one cell, {describe(record)}, with different results '
          f'({"; ".join(unequal)}). Remove one of the lines.'
        )
      records[identity], numbers[identity] = record, number
    return records, others


def _read_lines(path: pathlib.Path) -> list[tuple[int, dict[str, Any]]]:
  """Reads the records of a file, with the numbers of their lines."""
  try:
    # A last line that was cut short may end within a character.
    lines = path.read_bytes().split(b'\n')
  except FileNotFoundError:
    return []
  except OSError as error:
    raise errors.InputError(f'{path}: {error}') from error
  records = []
  for number, line in enumerate(lines, start=1):
    if not line.strip():
      continue
    try:
      record = json.loads(line)
      record['identity']
    except (ValueError, KeyError, TypeError) as error:
      if number == len(lines):
        warn_once(f'{path}: the last line is cut short and left out')
        continue
      raise errors.InputError(
        f'{path}, line {number} is no record ({error}). Remove the '
        'line, or name another --workdir.'
      ) from error
    records.append((number, record))
  return records


def read_all(workdir: pathlib.Path) -> dict[str, dict[str, Any]]:
  """Reads the records of a study and of all its shards, by identity.

  Raises:
    InputError: a ledger cannot be read.
  """
  records: dict[str, dict[str, Any]] = {}
  for shard in (None, *shards.find_shards(workdir)):
    for identity, record in Ledger(workdir, shard).read().items():
      unequal = differences(records.get(identity, record), record)
      if unequal:
        warn_once(
          f'{describe(record)}: two ledgers have different results '
          f'({"; ".join(unequal)}): see configs/merge.py'
        )
      records.setdefault(identity, record)
  return records


def cell_locks(workdir: pathlib.Path) -> pathlib.Path:
  """Returns the directory of the locks of cells that are being run."""
  return files.make_directory(workdir / 'claims')


def remove_stale_locks(
  workdir: pathlib.Path, recorded: Collection[str]
) -> None:
  """Removes locks that killed processes left of cells that are done since."""
  for path in (workdir / 'claims').glob('*'):
    if path.name in recorded:
      path.unlink(missing_ok=True)
