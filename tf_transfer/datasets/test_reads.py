"""Logs each evaluation of a test split, across workdirs.

A test split is to be evaluated once. Whoever evaluates it with many configs and
keeps the best has tuned on it, and no ledger of one workdir shows that. So each
evaluation adds a line to SPLITHASH.jsonl, in a directory of the user's, before
the result is known. A line says when, by which job, and of which network,
setting and config; it holds no accuracy, no path, and no name of a user or
machine. The log stops nothing: where it cannot be written, a warning says so.
"""

import dataclasses
import datetime
import functools
import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any

import ml_collections
import msgspec
from absl import logging

from tf_transfer import errors
from tf_transfer.runtime import files, json_lines, schemas
from tf_transfer.runtime.units import counted

# Names the directory where the config names none.
DIRECTORY_VARIABLE = 'TF_TRANSFER_TEST_READS_DIR'
_FOLDER = 'test_reads'

_Text = Annotated[str, msgspec.Meta(max_length=4096)]
_Sha256 = Annotated[str, msgspec.Meta(pattern=r'\A[0-9a-f]{64}\Z')]


def now() -> datetime.datetime:
  """Returns the time in UTC, to the second."""
  return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


class Read(msgspec.Struct, frozen=True, kw_only=True):
  """An evaluation of a test split: a line of the log.

  Attributes:
    time: when it began, in UTC.
    job: that evaluated.
    dataset: its name in the table; 'folder' for a folder.
    network: its name in the table.
    weights_sha256: of its weights; '' where it started from random values.
    setting: its name, or what else was done with the network.
    identity: of the cell, or of what else was evaluated.
    config_sha256: `hash_fields` of the config that determines numbers, without
      network, setting and images.
    training_sha256: `hash_fields` of the images that were trained on; '' where
      there are none.
    changed: the fields of the config that differ from their defaults, such as
      'steps = 100'.
  """

  time: Annotated[datetime.datetime, msgspec.Meta(tz=True)]
  job: _Text
  dataset: _Text
  network: _Text
  weights_sha256: _Text
  setting: _Text
  identity: _Text
  config_sha256: _Sha256
  training_sha256: _Text
  changed: tuple[_Text, ...]


def hash_fields(fields: Mapping[str, Any]) -> str:
  """Returns the SHA-256 of fields that JSON can hold, whatever their order."""
  text = json.dumps(fields, sort_keys=True)
  return hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()


def of_network(
  job: str,
  dataset: str,
  network: tuple[str, str],
  config: Mapping[str, Any],
  default: Mapping[str, Any],
) -> Read:
  """Describes an evaluation, beginning now, that is of no cell.

  Args:
    job: that evaluates.
    dataset: its name in the table; 'folder' for a folder.
    network: its name in the table, and the SHA-256 of its weights or ''.
    config: the fields that determine the result, without network and images.
    default: the usual values of these fields.
  """
  name, weights_sha256 = network
  config_sha256 = hash_fields(config)
  return Read(
    time=now(),
    job=job,
    dataset=dataset,
    network=name,
    weights_sha256=weights_sha256,
    setting=job,
    identity=hash_fields(
      {'job': job, 'network': network, 'config': config_sha256}
    )[:32],
    config_sha256=config_sha256,
    training_sha256='',
    changed=changed_fields(config, default),
  )


def changed_fields(
  config: Mapping[str, Any], default: Mapping[str, Any]
) -> tuple[str, ...]:
  """Lists the fields that differ from their defaults, as 'steps = 100'."""
  return tuple(
    f'{name} = {value}'
    for name, value in config.items()
    if name not in default or default[name] != value
  )


@dataclasses.dataclass(frozen=True)
class History:
  """What the log knows of a test split.

  Attributes:
    reads: its evaluations, in the order in which they began.
    num_damaged: lines of the log that cannot be read.
  """

  reads: tuple[Read, ...]
  num_damaged: int = 0


class Log:
  """The logs of a directory, one for each test split."""

  def __init__(self, directory: pathlib.Path):
    self.directory = directory

  @classmethod
  def from_config(cls, data: ml_collections.ConfigDict) -> 'Log':
    """Returns the log that the `data` of a job's config names.

    It is the same for all workdirs: `data.test_reads_dir`; else a folder in
    `data.cache_dir`; else as `named` says.
    """
    if data.cache_dir and not data.test_reads_dir:
      return cls(files.local_path(data.cache_dir, 'cache_dir') / _FOLDER)
    return cls.named(data.test_reads_dir)

  @classmethod
  def named(cls, directory: str) -> 'Log':
    """Returns the log of a directory.

    Args:
      directory: '' means the one that the environment names, or else a folder
        in the user's cache.
    """
    if directory:
      return cls(files.local_path(directory, 'test_reads_dir'))
    named = os.environ.get(DIRECTORY_VARIABLE)
    if named:
      return cls(pathlib.Path(named))
    cache = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    return cls(pathlib.Path(cache) / 'tf_transfer' / _FOLDER)

  def path(self, split_hash: str) -> pathlib.Path:
    """Returns the file of a test split."""
    return self.directory / f'{split_hash}.jsonl'

  def add(self, split_hash: str, read: Read) -> None:
    """Adds an evaluation; where that cannot be written, says so once.

    Args:
      split_hash: of the test split.
      read: the evaluation.
    """
    try:
      self.directory.mkdir(parents=True, exist_ok=True)
      files.append_line(self.path(split_hash), msgspec.json.encode(read))
    except (errors.InputError, OSError) as error:
      _warn_once(
        f'{self.directory}: evaluations on test are not logged '
        f'({getattr(error, "strerror", None) or error}); name a directory '
        'that can be written with --config.data.test_reads_dir'
      )

  def read(self, split_hash: str) -> History:
    """Reads the evaluations of a test split; says how many are damaged."""
    path = self.path(split_hash)
    try:
      lines = list(json_lines.read(path))
    except errors.InputError as error:
      _warn_once(str(error))
      return History((), 1)
    reads, num_damaged = [], 0
    for line in lines:
      num_damaged += bool(line.problem or line.is_cut)
      for text, _ in line.objects:
        read = _parse(text)
        num_damaged += read is None
        if read is not None:
          reads.append(read)
    if num_damaged:
      are = 'is' if num_damaged == 1 else 'are'
      _warn_once(
        f'{path}: {counted(num_damaged, "line")} {are} damaged and left out'
      )
    reads.sort(key=lambda read: read.time)
    return History(tuple(reads), num_damaged)


def _parse(text: bytes) -> Read | None:
  """Returns the evaluation in a line, as text that can be printed."""
  try:
    read = schemas.decode(text, Read, 'a line')
  except errors.InputError:
    return None
  values = msgspec.structs.asdict(read)
  return Read(
    **{
      **{
        name: errors.printable(value) if isinstance(value, str) else value
        for name, value in values.items()
      },
      'changed': tuple(map(errors.printable, read.changed)),
    }
  )


@functools.cache
def _warn_once(text: str) -> None:
  """Logs a warning once, though there are many cells."""
  logging.warning('%s', text)
