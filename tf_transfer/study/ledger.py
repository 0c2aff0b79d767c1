"""The ledger: one JSON line per cell, in `results.jsonl` of the workdir.

A record holds everything that determined its numbers, and an identity, the
hash of that. Beside it, `predictions/IDENTITY.npz` holds what each test
example was predicted to be, for the paired tests. A part of a study that was
cut into N writes `results.K-of-N.jsonl` in the same workdir.
"""

import dataclasses
import functools
import hashlib
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging

from tf_transfer import errors
from tf_transfer.runtime import files

# Raise it when the same settings would give other numbers than before.
VERSION = 1

Record = Mapping[str, Any]

# What came of a cell. All else that may differ between two runs of it says
# where and when it ran, or follows from these up to rounding.
_RESULT = ('chosen', 'validation', 'test', 'skipped')


def identity(determinants: Mapping[str, Any]) -> str:
  """The hash of all that determines a record's numbers."""
  text = json.dumps({'version': VERSION, **determinants}, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclasses.dataclass(frozen=True)
class Shard:
  """One of several parts of a study, that run beside each other.

  Attributes:
    number: which, from 1.
    count: of how many.
  """

  number: int
  count: int

  @classmethod
  def of_config(cls, text: str) -> 'Shard | None':
    """'3/16' -> the third of sixteen; '' -> None, the whole study.

    Raises:
      InputError: it is neither.
    """
    if not text:
      return None
    number, _, count = text.partition('/')
    if not (number.isdecimal() and count.isdecimal()) or not (
      1 <= int(number) <= int(count)
    ):
      raise errors.InputError(
        f"config.part: expected '3/16' for the third of sixteen, found {text!r}"
      )
    return cls(int(number), int(count))

  def __str__(self) -> str:
    return f'{self.number}-of-{self.count}'


def beside(
  workdir: pathlib.Path, stem: str, part: Shard | None
) -> pathlib.Path:
  """The file STEM.jsonl of a study, or of a part of it."""
  return workdir / (f'{stem}.{part}.jsonl' if part else f'{stem}.jsonl')


def differences(first: Record, second: Record) -> list[str]:
  """Says in which results two records of one identity differ."""
  return [
    f'{name} {_shown(first.get(name))} and {_shown(second.get(name))}'
    for name in _RESULT
    if not _same(first.get(name), second.get(name))
  ]


def _same(one: Any, other: Any) -> bool:
  """Equality of what JSON can hold, of numbers but for rounding."""
  if isinstance(one, Mapping) and isinstance(other, Mapping):
    return one.keys() == other.keys() and all(
      _same(one[key], other[key]) for key in one
    )
  if isinstance(one, float | int) and isinstance(other, float | int):
    return math.isclose(one, other, rel_tol=1e-9)
  return one == other


def _shown(value: Any) -> str:
  if isinstance(value, Mapping):
    value = value.get('value', dict(value))
  return f'{value:.6g}' if isinstance(value, float) else str(value)


def described(record: Record) -> str:
  """The cell that a record is of, in words."""
  return ', '.join(
    str(record.get(key, f'no {key}')) for key in ('network', 'dataset')
  ) + (f', {record["setting"]}' if 'setting' in record else '')


@functools.cache
def warn_once(text: str) -> None:
  """Says what a study would else say again before each of its cells."""
  logging.warning('%s', text)


class Ledger:
  """The records of a workdir, or of a part of a study there."""

  def __init__(self, workdir: pathlib.Path, part: Shard | None = None):
    self._path = beside(workdir, 'results', part)
    self._predictions = workdir / 'predictions'

  @property
  def path(self) -> pathlib.Path:
    return self._path

  @property
  def workdir(self) -> pathlib.Path:
    return self._path.parent

  def read(self) -> dict[str, dict[str, Any]]:
    """All records of this version, by identity, in the order of addition.

    Raises:
      InputError: a line is no record, other than a last one cut short; or two
        lines are records of one cell with different results.
    """
    records, others = self._read()
    if others:
      warn_once(
        f'{self._path}: {len(others)} records of another version than '
        f'{VERSION} are left out: what the same settings give has changed since'
      )
    return records

  def add(
    self,
    record: Record,
    predictions: Mapping[str, np.ndarray],
  ) -> None:
    """Appends a record, whole or not at all.

    Args:
      record: what JSON can hold, with its `identity` and `version`.
      predictions: arrays by name, an entry per test example.

    Raises:
      InputError: it could not be written.
    """
    files.make_directory(self._predictions)
    # First, so that no record stands without its predictions.
    path = self._predictions / f'{record["identity"]}.npz'
    with files.atomic_write(path) as file:
      np.savez(file, **predictions)
    self.put({record['identity']: record})

  def put(self, records: Mapping[str, Record]) -> None:
    """Writes records, by identity, whose predictions are there.

    One that is there already is replaced. Lines of another version stay.

    Raises:
      InputError: they could not be written.
    """
    # Other processes may be adding a record at the same time.
    with files.locked(self._path.with_name('.results.lock')):
      found, others = self._read()
      found.update({name: dict(record) for name, record in records.items()})
      with files.atomic_write(self._path) as file:
        for line in (*others, *found.values()):
          file.write(json.dumps(line, sort_keys=True).encode() + b'\n')

  def _read(self) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Records of this version by identity, and those of others."""
    records, others, numbers = {}, [], {}
    for number, record in _lines(self._path):
      if record.get('version') != VERSION:
        others.append(record)
        continue
      name = record['identity']
      unlike = differences(records[name], record) if name in records else ()
      if unlike:
        raise errors.InputError(
          f'{self._path}: lines {numbers[name]} and {number} are records of '
          f'one cell, {described(record)}, with different results '
          f'({"; ".join(unlike)}). Remove one of the lines.'
        )
      records[name], numbers[name] = record, number
    return records, others


def _lines(path: pathlib.Path) -> list[tuple[int, dict[str, Any]]]:
  """The records of a file with the numbers of their lines."""
  try:
    # A last line that was cut short may end within a character.
    lines = path.read_bytes().split(b'\n')
  except FileNotFoundError:
    return []
  except OSError as error:
    raise errors.InputError(f'{path}: {error}') from error
  found = []
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
    found.append((number, record))
  return found


def parts(workdir: pathlib.Path) -> list[Shard]:
  """The parts of studies that have written a ledger in a workdir."""
  found = []
  for path in sorted(workdir.glob('results.*-of-*.jsonl')):
    number, _, count = path.name.split('.')[1].partition('-of-')
    found.append(Shard(int(number), int(count)))
  return found
