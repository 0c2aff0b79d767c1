"""Reads and writes the cells that failed: `failures.jsonl` beside the ledger.

A line is {"network", "dataset", "setting", "error", "time"}: the cell, by the
names in the config, what went wrong, and when (UTC, ISO 8601). A line is about
the last time that its cell was tried; a cell that succeeds loses its line.
"""

import datetime
import functools
import json
import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from absl import logging

from tf_transfer import errors
from tf_transfer.runtime import files, json_lines
from tf_transfer.runtime.units import counted
from tf_transfer.study import shards

FIELDS = ('network', 'dataset', 'setting', 'error', 'time')

# Network, dataset and setting.
Key = tuple[str, str, str]
Failure = Mapping[str, str]


def key(failure: Failure) -> Key:
  """Returns the cell of a failure."""
  return failure['network'], failure['dataset'], failure['setting']


class Failures:
  """The failures of a workdir, or of a shard of a study there."""

  def __init__(self, workdir: pathlib.Path, shard: shards.Shard | None = None):
    self._path = shards.path_of(workdir, 'failures', shard)

  @property
  def path(self) -> pathlib.Path:
    return self._path

  def read(self) -> list[Failure]:
    """Reads all failures; says how many lines are damaged.

    Raises:
      InputError: the file cannot be read.
    """
    return self._read()[0]

  def _read(self) -> tuple[list[Failure], list[bytes]]:
    """Reads all failures, and the lines that are damaged.

    What is left of a line that was cut short is in neither.
    """
    failures, damaged = [], []
    for line in json_lines.read(self._path):
      if line.problem:
        damaged.append(line.text)
        continue
      for text, content in line.objects:
        failure = _checked(content)
        if failure is None:
          damaged.append(text)
        else:
          failures.append(failure)
      if line.is_cut:
        _warn_once(f'{self._path}: the last line is cut short and left out')
    if damaged:
      are = 'is' if len(damaged) == 1 else 'are'
      _warn_once(
        f'{self._path}: {counted(len(damaged), "line")} {are} damaged and left '
        'out; the file keeps what is in them'
      )
    return failures, damaged

  def keep(self, cells: Collection[Key]) -> None:
    """Removes the failures of all cells but these.

    Raises:
      InputError: the file cannot be written.
    """
    failures, damaged = self._read()
    self._write([f for f in failures if key(f) in cells], damaged)

  def add(self, cell: Key, error: str) -> None:
    """Writes a failure, in place of an earlier one of this cell.

    Raises:
      InputError: the file cannot be written.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')
    line = dict(zip(FIELDS, (*cell, error, now), strict=True))
    self.put([line])

  def put(self, failures: Collection[Failure]) -> None:
    """Writes failures, in place of earlier ones of the same cells."""
    new = {key(failure) for failure in failures}
    earlier, damaged = self._read()
    self._write(
      [f for f in earlier if key(f) not in new] + [*failures], damaged
    )

  def discard(self, cell: Key) -> None:
    """Removes the failure of a cell, which has a record now."""
    failures, damaged = self._read()
    self._write([f for f in failures if key(f) != cell], damaged)

  def _write(self, failures: list[Failure], damaged: list[bytes]) -> None:
    """Writes failures below the lines that nobody can read."""
    if not failures and not self._path.exists():
      return
    with files.atomic_write(self._path) as file:
      for line in damaged:
        file.write(line + b'\n')
      for failure in failures:
        file.write(json.dumps(failure, sort_keys=True).encode() + b'\n')


def _checked(content: Mapping[str, Any]) -> Failure | None:
  """Returns a failure, with texts that can be printed; None if it is none."""
  values = [content.get(name) for name in FIELDS]
  if not all(isinstance(value, str) for value in values):
    return None
  return {
    name: errors.printable(value)
    for name, value in zip(FIELDS, values, strict=True)
  }


@functools.cache
def _warn_once(text: str) -> None:
  """Logs a warning once, though the file is read before each cell."""
  logging.warning('%s', text)


def render(reasons: Mapping[Key, str]) -> str:
  """Lists why cells have no record, cells with the same reason together."""
  cells_by_reason: dict[str, list[str]] = {}
  for cell, reason in reasons.items():
    cells_by_reason.setdefault(reason, []).append(', '.join(cell))
  return '\n'.join(
    f'  {_shorten(cells)}: {reason}'
    for reason, cells in cells_by_reason.items()
  )


def _shorten(cells: Sequence[str]) -> str:
  """Names the first two cells, and counts the others."""
  more = f' and {len(cells) - 2} more' if len(cells) > 2 else ''
  return '; '.join(cells[:2]) + more
