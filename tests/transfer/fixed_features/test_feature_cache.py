"""Damaged shards are never used, the budget holds, processes do not collide."""

import logging
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tf_transfer import errors
from tf_transfer.runtime import files
from tf_transfer.transfer.fixed_features import feature_cache

_DIM = 6
_SHARD = 10 * (4 * _DIM + 1) + 32  # bytes of ten rows


def shard(seed):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(10, _DIM)).astype(np.float32), rng.random(10) < 0.8


def fill(cache, name, shards=2):
  """Writes shards of an entry; returns those that were there already."""
  there = []
  with cache.entry({'name': name}) as entry:
    for i in range(shards):
      if entry.read(10 * i, np.empty((10, _DIM), np.float32)) is not None:
        there.append(i)
      else:
        entry.write(10 * i, *shard((ord(name), i)))
  return there


def check(cache, name, i):
  """Whether a shard is there; one that is must be right."""
  values = np.empty((10, _DIM), np.float32)
  with cache.entry({'name': name}) as entry:
    good = entry.read(10 * i, values)
  if good is None:
    return False
  expected = shard((ord(name), i))
  np.testing.assert_array_equal(values, expected[0])
  np.testing.assert_array_equal(good, expected[1])
  return True


@pytest.fixture
def cache(tmp_path):
  return feature_cache.FeatureCache(tmp_path, 1e6)


def size(root):
  return sum(path.stat().st_size for path in root.glob('*/*.shard'))


def directory(root, name):
  (found,) = [
    path.parent
    for path in root.glob('*/key.json')
    if f'"{name}"' in path.read_text()
  ]
  return found


def test_what_was_written_is_read(cache, tmp_path):
  assert fill(cache, 'a') == []
  assert fill(cache, 'a') == [0, 1]
  assert check(cache, 'a', 0)
  assert check(cache, 'a', 1)
  assert not check(cache, 'b', 0)
  assert size(tmp_path) == 2 * _SHARD


def damage(path, how):
  data = bytearray(path.read_bytes())
  if how == 'another shard':
    return path.with_name('00000010-00000020.shard').read_bytes()
  if how == 'another entry':
    return (directory(path.parents[1], 'b') / path.name).read_bytes()
  if isinstance(how, int):
    data[how] ^= 1
    return data
  return {
    'empty': b'',
    'cut short': data[:-1],
    'cut by half': data[: len(data) // 2],
    'too long': data + b'0',
    'something else': b'not a shard',
    'zeros': bytes(len(data)),
  }[how]


@pytest.mark.parametrize(
  'how',
  [
    *('empty', 'cut short', 'cut by half', 'too long', 'something else'),
    *('zeros', 'another shard', 'another entry'),
    # A bit of the first value, of the last, of a good row, of the checksum.
    *(0, 4 * 10 * _DIM - 1, 4 * 10 * _DIM, _SHARD - 1),
  ],
)
def test_damaged_shard_is_not_used_and_that_is_said(
  cache, tmp_path, caplog, how
):
  fill(cache, 'a')
  fill(cache, 'b')
  path = directory(tmp_path, 'a') / '00000000-00000010.shard'
  path.write_bytes(damage(path, how))
  with caplog.at_level(logging.WARNING):
    assert not check(cache, 'a', 0)
  (record,) = caplog.records
  assert str(path) in record.getMessage()
  assert 'computed again' in record.getMessage()
  assert fill(cache, 'a') == [1]
  assert check(cache, 'a', 0)


def test_least_recently_used_makes_room(tmp_path):
  cache = feature_cache.FeatureCache(tmp_path, 5 * _SHARD)
  fill(cache, 'a')
  fill(cache, 'b')
  check(cache, 'a', 0)
  fill(cache, 'c')
  assert size(tmp_path) == 4 * _SHARD
  assert [check(cache, name, 1) for name in 'abc'] == [True, False, True]
  assert fill(cache, 'b') == []
  assert [check(cache, name, 0) for name in 'abc'] == [False, True, True]


def test_what_is_in_use_stays(tmp_path, caplog):
  cache = feature_cache.FeatureCache(tmp_path, 3 * _SHARD)
  fill(cache, 'a')
  with cache.entry({'name': 'a'}) as entry:
    with caplog.at_level(logging.WARNING):
      fill(cache, 'b', shards=3)
    assert entry.read(0, np.empty((10, _DIM), np.float32)) is not None
  assert len(caplog.records) == 1
  assert 'cache_gib' in caplog.records[0].getMessage()
  assert size(tmp_path) == 3 * _SHARD
  assert [check(cache, 'b', i) for i in range(3)] == [True, False, False]


def test_nothing_else_is_removed(tmp_path):
  """A directory that someone else uses too, and what a killed one left."""
  mine = tmp_path / 'photos' / 'one.jpg'
  mine.parent.mkdir()
  mine.write_bytes(bytes(1000))
  cache = feature_cache.FeatureCache(tmp_path, 2 * _SHARD)
  fill(cache, 'a')
  leftover = directory(tmp_path, 'a') / '.00000000-00000010.shard.x.partial'
  leftover.write_bytes(b'half')
  fill(cache, 'b')
  assert mine.read_bytes() == bytes(1000)
  assert not leftover.exists()
  assert not check(cache, 'a', 0)


def test_no_budget_keeps_nothing(tmp_path):
  cache = feature_cache.FeatureCache(tmp_path, 0)
  fill(cache, 'a')
  assert size(tmp_path) == 0
  with pytest.raises(errors.InputError, match='cache_gib'):
    feature_cache.FeatureCache(tmp_path, -1)


_PROCESS = """
import pathlib, sys
sys.path.insert(0, sys.argv[3])
import test_feature_cache as test
root, budget = pathlib.Path(sys.argv[1]), int(sys.argv[2])
cache = test.feature_cache.FeatureCache(root, budget)
print('ready', flush=True)
sys.stdin.readline()
for _ in range(20):
  for name in 'abc':
    test.fill(cache, name, 3)
    for i in range(3):
      test.check(cache, name, i)
    with test.files.locked(root / 'lock'):
      assert test.size(root) <= budget
"""


@pytest.mark.parametrize('shards', [100, 5])
def test_several_processes_at_once(tmp_path, shards):
  """The same keys, with room for all and with what they throw out again."""
  here = str(pathlib.Path(__file__).parent)
  arguments = [str(tmp_path), str(shards * _SHARD), here]
  started = [
    subprocess.Popen(
      [sys.executable, '-c', _PROCESS, *arguments],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for _ in range(3)
  ]
  for process in started:
    assert process.stdout.readline() == 'ready\n', process.stderr.read()
  for process in started:
    process.stdin.write('\n')
    process.stdin.flush()
  for process in started:
    _, said = process.communicate(timeout=300)
    # All that was found was right, and nothing found damaged.
    assert process.returncode == 0, said
    assert 'damaged' not in said
  cache = feature_cache.FeatureCache(tmp_path, 1e6)
  found = [check(cache, name, i) for name in 'abc' for i in range(3)]
  assert all(found) == (shards == 100)
  assert not list(tmp_path.glob('*/.*'))
  with files.locked(tmp_path / 'lock', wait=False) as free:
    assert free
