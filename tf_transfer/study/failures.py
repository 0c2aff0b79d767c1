"""Reads and writes the cells that failed: `failures.jsonl` beside the ledger.

A line is {"network", "dataset", "setting", "error", "time"}: the cell, by the
names in the config, what went wrong, and when (UTC, ISO 8601). A line is about
the last time that its cell was tried; a cell that succeeds loses its line.
"""

import datetime
import json
import pathlib
from collections.abc import Collection, Mapping, Sequence

from absl import logging

from tf_transfer.runtime import files
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
    """Reads all failures; logs a warning for each line that is damaged."""
    try:
      lines = self._path.read_bytes().splitlines()
    except FileNotFoundError:
      return []
    failures = []
    for line in lines:
      try:
        failure = json.loads(line)
        failures.append({name: str(failure[name]) for name in FIELDS})
      except (ValueError, KeyError, TypeError):
        logging.warning('%s: a line is damaged and left out', self._path)
    return failures

  def keep(self, cells: Collection[Key]) -> None:
    """Removes the failures of all cells but these.

    Raises:
      InputError: the file cannot be written.
    """
    self._write([f for f in self.read() if key(f) in cells])

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
    self._write([f for f in self.read() if key(f) not in new] + [*failures])

  def discard(self, cell: Key) -> None:
    """Removes the failure of a cell, which has a record now."""
    self._write([f for f in self.read() if key(f) != cell])

  def _write(self, failures: list[Failure]) -> None:
    if not failures and not self._path.exists():
      return
    with files.atomic_write(self._path) as file:
      for failure in failures:
        file.write(json.dumps(failure, sort_keys=True).encode() + b'\n')


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
