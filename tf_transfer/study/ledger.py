"""Reads and writes the ledger: a record per cell, in `results.jsonl`.

A record holds everything that determined its numbers, and an identity, the
hash of that (see `schema`). `predictions/IDENTITY.npz` beside the ledger holds
the prediction for each test example, for paired tests; `heads/IDENTITY.npz` the
linear classifier, for export. A shard of a study writes `results.K-of-N.jsonl`
in the same workdir.
"""

import dataclasses
import functools
import json
import math
import pathlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from absl import logging

from tf_transfer import errors
from tf_transfer.runtime import files, json_lines
from tf_transfer.runtime.units import counted
from tf_transfer.study import heads, record_types, schema, shards
from tf_transfer.study.schema import Record
from tf_transfer.transfer import result as result_lib

# The results of a cell. All else that may differ between two runs of it says
# where and when it ran, or follows from these up to rounding.
_RESULTS = ('chosen', 'validation', 'test', 'skipped')
_REMEDY = 'Remove the line, or name another --workdir.'


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
  logging.warning('%s', errors.printable(text))


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
        f'{self._path}: {counted(len(others), "record")} of another version '
        f'than {schema.VERSION}, left out: the same settings give other '
        'numbers now'
      )
    return records

  def add(
    self,
    record: Record,
    predictions: Mapping[str, np.ndarray],
    head: result_lib.Head | None = None,
  ) -> None:
    """Appends a record, completely or not at all.

    Args:
      record: what JSON can hold, with its `identity` and `version`.
      predictions: arrays by name, with an entry per test example.
      head: the classifier that the record's field `head` names, if it has one.

    Raises:
      InputError: it could not be written, or is no record.
    """
    record = record_types.check(record, f'{self._path}: a new record')
    files.make_directory(self._predictions)
    # Written first, so that every record has its predictions.
    path = self._predictions / f'{record["identity"]}.npz'
    with files.atomic_write(path) as file:
      np.savez_compressed(file, **predictions)
    if head is not None:
      heads.write(record, self.workdir, head)
    self.put({record['identity']: record})

  def put(self, records: Mapping[str, Record]) -> None:
    """Writes records, by identity, whose predictions are written already.

    A record of the same identity is replaced. Lines of another version stay.

    Raises:
      InputError: they could not be written, or are no records.
    """
    new = {
      name: record_types.check(record, f'{self._path}: a new record')
      for name, record in records.items()
    }
    # Other processes may be adding a record at the same time.
    # A link stays one: what it leads to is replaced.
    path = self._path.resolve() if self._path.is_symlink() else self._path
    with files.locked(path.with_name('.results.lock')):
      merged, others = self._read()
      merged.update(new)
      lines = [
        json.dumps(record, sort_keys=True, allow_nan=False).encode()
        for record in merged.values()
      ]
      with files.atomic_write(path) as file:
        for line in (*others, *lines):
          file.write(line + b'\n')

  def _read(self) -> tuple[dict[str, dict[str, Any]], list[bytes]]:
    """Reads the records of this version by identity, and all other lines."""
    others: list[bytes] = []
    read: dict[str, _Read] = {}
    for number, text, content in _read_lines(self._path):
      place = f'{self._path}, line {number}'
      if _is_of_another_version(content, place):
        others.append(text)
        continue
      try:
        record = schema.read(content, place)
      except errors.InputError as error:
        raise errors.InputError(f'{error}. {_REMEDY}') from error
      identity = record['identity']
      new = _Read(number, text, record, identity != content['identity'])
      first = read.get(identity, new)
      if differences(first.record, record):
        new, rejected = _choose(first, new, self._path)
        others.append(rejected.text)
      read[identity] = new
    return {name: each.record for name, each in read.items()}, others


@dataclasses.dataclass(frozen=True)
class _Read:
  """A record as it was read.

  Attributes:
    number: of its line.
    text: its JSON.
    record: in the present schema.
    has_new_identity: whether its identity is another than in the file.
  """

  number: int
  text: bytes
  record: dict[str, Any]
  has_new_identity: bool


def _choose(
  first: _Read, second: _Read, path: pathlib.Path
) -> tuple[_Read, _Read]:
  """Chooses between two results of one cell; returns the other one too.

  Before schema 3 a folder that was named in two ways had two cells. Both may be
  there, and the one that was first counts.

  Raises:
    InputError: neither is of an older schema.
  """
  unequal = '; '.join(differences(first.record, second.record))
  text = (
    f'{path}: lines {first.number} and {second.number} are records of one '
    f'cell, {describe(second.record)}, with different results ({unequal})'
  )
  if first.has_new_identity and not second.has_new_identity:
    first, second = second, first
  if not second.has_new_identity:
    raise errors.InputError(f'{text}. Remove one of the lines.')
  warn_once(
    f'{text}, since its folder was named in two ways; line {first.number} '
    'counts'
  )
  return first, second


def _is_of_another_version(content: Mapping[str, Any], place: str) -> bool:
  """Tells whether a record was made by a program with other numbers.

  Raises:
    InputError: it is no record at all.
  """
  version = content.get('version')
  if 'identity' not in content or not isinstance(version, int | None):
    field = 'version' if 'identity' in content else 'identity'
    raise errors.InputError(
      f'{place} is no record: {field} is missing or of the wrong type. '
      f'{_REMEDY}'
    )
  return version != schema.VERSION


def _read_lines(
  path: pathlib.Path,
) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
  """Yields the records of a file: line number, text and content."""
  for line in json_lines.read(path):
    if line.problem:
      raise errors.InputError(
        f'{path}, line {line.number} is no record: {line.problem}. {_REMEDY}'
      )
    if line.is_cut:
      warn_once(f'{path}: the last line is cut short and left out')
    if len(line.objects) > 1:
      warn_once(
        f'{path}, line {line.number}: {len(line.objects)} records in one line, '
        'since line breaks are missing; all of them are read'
      )
    for text, content in line.objects:
      yield line.number, text, content


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
  return _with_one_name_a_folder(records)


def _with_one_name_a_folder(
  records: Mapping[str, dict[str, Any]],
) -> dict[str, dict[str, Any]]:
  """Names folders that hold the same splits by the first of their names.

  Else one folder, written in two ways, would be two datasets in tables.
  """
  names: dict[tuple[str, ...], str] = {}
  renamed = {}
  for identity, record in records.items():
    dataset = record['dataset']
    if schema.is_folder(dataset):
      key = tuple(record['splits_sha256'].values()), record['metric']
      dataset = names.setdefault(key, dataset)
    renamed[identity] = {**record, 'dataset': dataset}
  return renamed


def cell_locks(workdir: pathlib.Path) -> pathlib.Path:
  """Returns the directory of the locks of cells that are being run."""
  return files.make_directory(workdir / 'claims')


def remove_stale_locks(
  workdir: pathlib.Path, recorded: Collection[str]
) -> None:
  """Removes locks that killed processes left of cells that are done since."""
  for path in (workdir / 'claims').glob('*'):
    if path.name in recorded and not path.is_dir():
      path.unlink(missing_ok=True)
