"""Tests that the cache detects damage, keeps its budget and can be shared."""

import errno
import fcntl
import logging
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tf_transfer import errors
from tf_transfer.runtime import files
from tf_transfer.transfer.fixed_features import feature_cache

_DIM = 6
_SHARD_BYTES = 10 * (4 * _DIM + 1) + 32  # ten rows and a checksum


def make_shard(seed: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
  """Makes ten random rows, and which of them are valid."""
  rng = np.random.default_rng(seed)
  return rng.normal(size=(10, _DIM)).astype(np.float32), rng.random(10) < 0.8


def fill(
  cache: feature_cache.FeatureCache, name: str, num_shards: int = 2
) -> list[int]:
  """Writes the missing shards of an entry; returns which were cached."""
  cached = []
  with cache.entry({'name': name}) as entry:
    for i in range(num_shards):
      if entry.read(10 * i, np.empty((10, _DIM), np.float32)) is not None:
        cached.append(i)
      else:
        entry.write(10 * i, *make_shard((ord(name), i)))
  return cached


def is_cached(cache: feature_cache.FeatureCache, name: str, i: int) -> bool:
  """Whether a shard is cached; asserts that a cached one is correct."""
  values = np.empty((10, _DIM), np.float32)
  with cache.entry({'name': name}) as entry:
    valid = entry.read(10 * i, values)
  if valid is None:
    return False
  expected_values, expected_valid = make_shard((ord(name), i))
  np.testing.assert_array_equal(values, expected_values)
  np.testing.assert_array_equal(valid, expected_valid)
  return True


@pytest.fixture
def cache(tmp_path):
  return feature_cache.FeatureCache(tmp_path, 1e6)


def total_bytes(root: pathlib.Path) -> int:
  return sum(path.stat().st_size for path in root.glob('*/*.shard'))


def entry_directory(root: pathlib.Path, name: str) -> pathlib.Path:
  (directory,) = [
    path.parent
    for path in root.glob('*/key.json')
    if f'"{name}"' in path.read_text()
  ]
  return directory


def test_written_shards_are_read(cache, tmp_path):
  assert fill(cache, 'a') == []
  assert fill(cache, 'a') == [0, 1]
  assert is_cached(cache, 'a', 0)
  assert is_cached(cache, 'a', 1)
  assert not is_cached(cache, 'b', 0)
  assert total_bytes(tmp_path) == 2 * _SHARD_BYTES


def test_files_on_disk_have_not_changed(cache, tmp_path):
  """Else caches that exist would be computed again."""
  with cache.entry({'version': 1, 'layer': '', 'pyramid': [1]}) as entry:
    entry.write(20, np.ones((1, 2), np.float32), np.array([True]))
  directory = tmp_path / 'cc95deb984e8e411638775ca9c1ab976'
  (path,) = tmp_path.glob('*/*.shard')
  assert path == directory / '00000020-00000021.shard'
  assert path.read_bytes().hex() == (
    '0000803f0000803f01'
    '99513f4ca289431e9d8154de63dc41677cf6721f7d12c72fdf536d1e8072a15c'
  )


def damage(path: pathlib.Path, how: str | int) -> bytes:
  """Returns a shard's bytes, damaged; a number flips a bit of that byte."""
  data = bytearray(path.read_bytes())
  if how == 'another shard':
    return path.with_name('00000010-00000020.shard').read_bytes()
  if how == 'another entry':
    return (entry_directory(path.parents[1], 'b') / path.name).read_bytes()
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
    # A bit of the first value, the last, a row's valid byte, the checksum.
    *(0, 4 * 10 * _DIM - 1, 4 * 10 * _DIM, _SHARD_BYTES - 1),
  ],
)
def test_damaged_shard_is_not_used_and_logged(cache, tmp_path, caplog, how):
  fill(cache, 'a')
  fill(cache, 'b')
  path = entry_directory(tmp_path, 'a') / '00000000-00000010.shard'
  path.write_bytes(damage(path, how))
  with caplog.at_level(logging.WARNING):
    assert not is_cached(cache, 'a', 0)
  (record,) = caplog.records
  assert str(path) in record.getMessage()
  assert 'computed again' in record.getMessage()
  assert fill(cache, 'a') == [1]
  assert is_cached(cache, 'a', 0)


def make_directory(path: pathlib.Path) -> None:
  path.mkdir()


def make_full_directory(path: pathlib.Path) -> None:
  path.mkdir()
  (path / 'file').write_bytes(b'a')


def make_dangling_link(path: pathlib.Path) -> None:
  path.symlink_to(path.with_name('nothing'))


@pytest.mark.parametrize(
  ('make', 'is_replaced'),
  [
    (make_directory, True),
    (make_full_directory, False),
    (os.mkfifo, True),
    (make_dangling_link, True),
  ],
)
def test_what_is_in_the_place_of_a_shard(
  cache, tmp_path, caplog, make, is_replaced
):
  """It is computed again; what is not ours is not removed."""
  fill(cache, 'a')
  path = entry_directory(tmp_path, 'a') / '00000000-00000010.shard'
  path.unlink()
  make(path)
  assert not is_cached(cache, 'a', 0)
  assert fill(cache, 'a') == [1]
  assert is_cached(cache, 'a', 0) == is_replaced
  if not is_replaced:
    assert 'remove it' in caplog.text
    assert (path / 'file').exists()
  # Room is made in spite of it.
  small = feature_cache.FeatureCache(tmp_path, 2 * _SHARD_BYTES)
  assert fill(small, 'b') == []


def test_values_that_are_not_finite_are_not_read(cache, caplog):
  values, valid = make_shard((0, 0))
  valid[:2] = True, False
  for row, is_read in ((1, True), (0, False)):
    values[row, 3] = np.inf
    with cache.entry({'name': 'a'}) as entry:
      entry.write(0, values, valid)
      out = np.empty_like(values)
      assert (entry.read(0, out) is not None) == is_read
  assert 'it holds NaN or infinity' in caplog.text


@pytest.mark.parametrize('content', [b'', b'{}', b'{"name": "b"}', None])
def test_key_of_another_entry(cache, tmp_path, caplog, content):
  fill(cache, 'a')
  directory = entry_directory(tmp_path, 'a')
  key = directory / 'key.json'
  text = key.read_bytes()
  if content is None:
    key.unlink()
    key.mkdir()
  else:
    key.write_bytes(content)
  assert not is_cached(cache, 'a', 0)
  assert f'{key} is not the key' in caplog.text
  assert key.read_bytes() == text
  assert fill(cache, 'a') == []
  assert fill(cache, 'a') == [0, 1]


def test_entry_in_use_stays_without_locks(tmp_path, monkeypatch):
  """On a file system that has none, this process knows what it reads."""

  def flock(file, operation):
    raise OSError(errno.ENOSYS, 'Function not implemented')

  monkeypatch.setattr(fcntl, 'flock', flock)
  cache = feature_cache.FeatureCache(tmp_path, 3 * _SHARD_BYTES)
  fill(cache, 'a')
  with cache.entry({'name': 'a'}) as entry:
    fill(cache, 'b', num_shards=3)
    assert entry.read(0, np.empty((10, _DIM), np.float32)) is not None
  assert fill(cache, 'b', num_shards=3) == [0]
  assert not is_cached(cache, 'a', 0)


def test_least_recently_used_makes_room(tmp_path):
  cache = feature_cache.FeatureCache(tmp_path, 5 * _SHARD_BYTES)
  fill(cache, 'a')
  fill(cache, 'b')
  is_cached(cache, 'a', 0)
  fill(cache, 'c')
  assert total_bytes(tmp_path) == 4 * _SHARD_BYTES
  assert [is_cached(cache, name, 1) for name in 'abc'] == [True, False, True]
  assert fill(cache, 'b') == []
  assert [is_cached(cache, name, 0) for name in 'abc'] == [False, True, True]


def test_entry_in_use_is_not_removed(tmp_path, caplog):
  cache = feature_cache.FeatureCache(tmp_path, 3 * _SHARD_BYTES)
  fill(cache, 'a')
  with cache.entry({'name': 'a'}) as entry:
    with caplog.at_level(logging.WARNING):
      fill(cache, 'b', num_shards=3)
    assert entry.read(0, np.empty((10, _DIM), np.float32)) is not None
  assert len(caplog.records) == 1
  assert 'cache_gib' in caplog.records[0].getMessage()
  assert total_bytes(tmp_path) == 3 * _SHARD_BYTES
  assert [is_cached(cache, 'b', i) for i in range(3)] == [True, False, False]


def test_other_files_are_not_removed(tmp_path):
  """Only files that a killed process left half-written are."""
  photo = tmp_path / 'photos' / 'one.jpg'
  photo.parent.mkdir()
  photo.write_bytes(bytes(1000))
  cache = feature_cache.FeatureCache(tmp_path, 2 * _SHARD_BYTES)
  fill(cache, 'a')
  directory = entry_directory(tmp_path, 'a')
  leftover = directory / '.00000000-00000010.shard.a1b2c3d4.partial'
  leftover.write_bytes(b'half')
  fill(cache, 'b')
  assert photo.read_bytes() == bytes(1000)
  assert not leftover.exists()
  assert not is_cached(cache, 'a', 0)


def test_budget_of_zero_caches_nothing(tmp_path):
  cache = feature_cache.FeatureCache(tmp_path, 0)
  fill(cache, 'a')
  assert total_bytes(tmp_path) == 0
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
      test.is_cached(cache, name, i)
    with test.files.locked(root / 'lock'):
      assert test.total_bytes(root) <= budget
"""


@pytest.mark.parametrize('max_shards', [100, 5])
def test_several_processes_fill_the_same_entries(tmp_path, max_shards):
  """With room for all shards, and with room for five of nine."""
  tests_directory = str(pathlib.Path(__file__).parent)
  budget = str(max_shards * _SHARD_BYTES)
  arguments = [str(tmp_path), budget, tests_directory]
  processes = [
    subprocess.Popen(
      [sys.executable, '-c', _PROCESS, *arguments],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for _ in range(3)
  ]
  for process in processes:
    assert process.stdout.readline() == 'ready\n', process.stderr.read()
  for process in processes:
    process.stdin.write('\n')
    process.stdin.flush()
  for process in processes:
    _, log = process.communicate(timeout=300)
    # Every cached shard was correct, and none was found damaged.
    assert process.returncode == 0, log
    assert 'damaged' not in log
  cache = feature_cache.FeatureCache(tmp_path, 1e6)
  cached = [is_cached(cache, name, i) for name in 'abc' for i in range(3)]
  assert all(cached) == (max_shards == 100)
  assert not list(tmp_path.glob('*/.*'))
  with files.locked(tmp_path / 'lock', wait=False) as free:
    assert free


def test_the_cache_may_be_below_the_home_directory(
  tmp_path, config, monkeypatch
):
  monkeypatch.setenv('HOME', str(tmp_path / 'home'))
  config = config.features
  config.cache_dir = '~/features'
  fill(feature_cache.from_config(config, tmp_path / 'work'), 'a')
  assert (tmp_path / 'home' / 'features').is_dir()
  assert not (tmp_path / 'work').exists()


def test_from_config(tmp_path, config):
  """The budget is in GiB; the default directory is in the workdir."""
  config = config.features
  config.cache_gib = 2 * _SHARD_BYTES / 2**30
  cache = feature_cache.from_config(config, tmp_path / 'work')
  assert fill(cache, 'a', 3) == []
  assert total_bytes(tmp_path / 'work' / 'features') == 2 * _SHARD_BYTES
  config.cache_dir = str(tmp_path / 'shared')
  fill(feature_cache.from_config(config, tmp_path / 'work'), 'a')
  assert total_bytes(tmp_path / 'shared') == 2 * _SHARD_BYTES
  config.cache_gib = -1.0
  with pytest.raises(errors.InputError, match='0 or more GiB, not -1'):
    feature_cache.from_config(config, tmp_path)
  config.cache_gib = 1.0
  config.cache_dir = 'gs://bucket/features'
  with pytest.raises(errors.InputError, match='cache_dir: gs://'):
    feature_cache.from_config(config, tmp_path)
