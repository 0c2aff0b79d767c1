"""Caches of features that are damaged or tampered with: computed again."""

import hashlib
import os
import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from tests.faults import programs

pytestmark = pytest.mark.slow

Spoil = Callable[[pathlib.Path], None]


def _flip_bit(path: pathlib.Path) -> None:
  data = bytearray(path.read_bytes())
  data[len(data) // 3] ^= 4
  path.write_bytes(data)


def _nan_with_its_checksum(path: pathlib.Path) -> None:
  """Writes what a program that did not check would have written."""
  data = path.read_bytes()
  start, end = (int(part) for part in path.stem.split('-'))
  count = end - start
  rows = np.frombuffer(data[: -32 - count], '<f4').copy()
  rows[0] = np.nan
  body = rows.tobytes() + data[-32 - count : -32]
  place = f'{path.parent.name}/{path.name}'.encode()
  path.write_bytes(body + hashlib.sha256(place + body).digest())


def _directory(path: pathlib.Path) -> None:
  path.unlink()
  path.mkdir()


def _pipe(path: pathlib.Path) -> None:
  path.unlink()
  os.mkfifo(path)


_FAULTS: dict[str, Spoil] = {
  'bit_flipped': _flip_bit,
  'cut_short': lambda path: path.write_bytes(path.read_bytes()[:-7]),
  'too_long': lambda path: path.write_bytes(path.read_bytes() + b'more'),
  'empty': lambda path: path.write_bytes(b''),
  'text': lambda path: path.write_bytes(b'features'),
  'nan_with_its_checksum': _nan_with_its_checksum,
  'a_directory': _directory,
  'a_pipe': _pipe,
}


@pytest.mark.parametrize('fault', _FAULTS)
def test_shards(program, copy, fault):
  root = copy('photos', 'weights', 'runs')
  [record] = program.records()
  for path in sorted((root / 'runs' / 'features').glob('*/*.shard')):
    _FAULTS[fault](path)
  (root / 'runs' / 'results.jsonl').unlink()
  outcome = program.study(seconds=60)
  programs.judge_said(outcome, r'shard.*computed again')
  [again] = program.records()
  assert again['test'] == record['test']
  assert again['solver'] == record['solver']


@pytest.mark.parametrize('text', ['{}', '[', '', 'x' * 1000])
def test_keys(program, copy, text):
  root = copy('photos', 'weights', 'runs')
  [record] = program.records()
  for path in (root / 'runs' / 'features').glob('*/key.json'):
    path.write_text(text)
  (root / 'runs' / 'results.jsonl').unlink()
  programs.judge_said(program.study(), 'test')
  [again] = program.records()
  assert again['test'] == record['test']


def test_root_is_a_file(program, copy):
  root = copy('photos', 'weights')
  (root / 'cache').write_text('')
  outcome = program.study('--config.features.cache_dir=cache')
  programs.judge_refused(outcome, 'cache')
