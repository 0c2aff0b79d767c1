"""The ledger: one JSON line per cell, in `results.jsonl` of the workdir.

A record holds everything that determined its numbers, and an identity, the
hash of that. Beside it, `predictions/IDENTITY.npz` holds what each test
example was predicted to be, for the paired tests.
"""

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging

from tf_transfer import errors
from tf_transfer.runtime import files

# Raise it when the same settings would give other numbers than before.
VERSION = 1


def identity(determinants: Mapping[str, Any]) -> str:
  """The hash of all that determines a record's numbers."""
  text = json.dumps({'version': VERSION, **determinants}, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:32]


class Ledger:
  """The records of a workdir."""

  def __init__(self, workdir: pathlib.Path):
    self._path = workdir / 'results.jsonl'
    self._predictions = workdir / 'predictions'

  @property
  def path(self) -> pathlib.Path:
    return self._path

  def read(self) -> dict[str, dict[str, Any]]:
    """All records, by identity, in the order in which they were added.

    Raises:
      InputError: a line is no record, other than a last one cut short.
    """
    try:
      lines = self._path.read_text().split('\n')
    except FileNotFoundError:
      return {}
    except (OSError, UnicodeDecodeError) as error:
      raise errors.InputError(f'{self._path}: {error}') from error
    records = {}
    for number, line in enumerate(lines, start=1):
      if not line.strip():
        continue
      try:
        record = json.loads(line)
        records[record['identity']] = record
      except (ValueError, KeyError, TypeError) as error:
        if number == len(lines):
          logging.warning(
            '%s: the last line is cut short and left out', self._path
          )
          continue
        raise errors.InputError(
          f'{self._path}, line {number} is no record ({error}). Remove the '
          'line, or name another --workdir.'
        ) from error
    return records

  def add(
    self,
    record: Mapping[str, Any],
    predictions: Mapping[str, np.ndarray],
  ) -> None:
    """Appends a record, whole or not at all.

    Args:
      record: what JSON can hold, with its `identity`.
      predictions: arrays by name, an entry per test example.

    Raises:
      InputError: it could not be written.
    """
    files.make_directory(self._predictions)
    # First, so that no record stands without its predictions.
    path = self._predictions / f'{record["identity"]}.npz'
    with files.atomic_write(path) as file:
      np.savez(file, **predictions)
    # Other processes may be adding a record at the same time.
    with files.locked(self._path.with_name('.results.lock')):
      records = {**self.read(), record['identity']: dict(record)}
      with files.atomic_write(self._path) as file:
        for line in records.values():
          file.write(json.dumps(line, sort_keys=True).encode() + b'\n')
