"""What could not be run, and why: `failures.jsonl` beside the ledger.

A line is {"network", "dataset", "setting", "error", "time"}: what the cell was
asked for as, what went wrong, and when (UTC, ISO 8601). The file speaks of the
last time that each cell was tried; one that succeeds leaves it.
"""

import datetime
import json
import pathlib
from collections.abc import Collection, Mapping

from absl import logging

from tf_transfer.runtime import files
from tf_transfer.study import ledger

FIELDS = ('network', 'dataset', 'setting', 'error', 'time')

# Network, dataset and setting.
Key = tuple[str, str, str]
Failure = Mapping[str, str]


def key(failure: Failure) -> Key:
  return failure['network'], failure['dataset'], failure['setting']


class Failures:
  """The failures of a workdir, or of a part of a study there."""

  def __init__(self, workdir: pathlib.Path, part: ledger.Shard | None = None):
    self._path = ledger.beside(workdir, 'failures', part)

  @property
  def path(self) -> pathlib.Path:
    return self._path

  def read(self) -> list[Failure]:
    """All failures; what is no line of this file is left out, and said."""
    try:
      lines = self._path.read_bytes().splitlines()
    except FileNotFoundError:
      return []
    found = []
    for line in lines:
      try:
        failure = json.loads(line)
        found.append({name: str(failure[name]) for name in FIELDS})
      except (ValueError, KeyError, TypeError):
        logging.warning('%s: a line is damaged and left out', self._path)
    return found

  def keep(self, cells: Collection[Key]) -> None:
    """Leaves the failures of these cells only.

    Raises:
      InputError: the file cannot be written.
    """
    self._write([f for f in self.read() if key(f) in cells])

  def add(self, cell: Key, error: str) -> None:
    """Notes a failure, in place of an earlier one of this cell.

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
    """Forgets the failure of a cell, which has a record now."""
    self._write([f for f in self.read() if key(f) != cell])

  def _write(self, failures: list[Failure]) -> None:
    if not failures and not self._path.exists():
      return
    with files.atomic_write(self._path) as file:
      for failure in failures:
        file.write(json.dumps(failure, sort_keys=True).encode() + b'\n')
