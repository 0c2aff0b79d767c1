"""Cached arrays: hits, damage, and two processes that fill one cache."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.datasets import miniatures
from tests.datasets.miniatures import open_in
from tf_transfer.datasets import table
from tf_transfer.datasets.sources import digest_cache
from tf_transfer.errors import InputError


@pytest.fixture(autouse=True)
def rows(monkeypatch):
  """Makes the table expect the counts of the miniatures."""
  monkeypatch.setattr(table, 'TABLE', miniatures.rows())


def test_two_processes_fill_one_cache(tmp_path, data_dir):
  code = (
    'import sys\n'
    'from tests.datasets import miniatures\n'
    'from tf_transfer import datasets\n'
    'from tf_transfer.datasets import table\n'
    'table.TABLE = miniatures.rows()\n'
    "dataset = datasets.open('pets', data_dir=sys.argv[1], "
    'cache_dir=sys.argv[2])\n'
    'print(*(split.hash for split in dataset.splits.values()))\n'
  )
  command = [sys.executable, '-c', code, str(data_dir), str(tmp_path / 'cache')]
  processes = [
    subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for _ in range(2)
  ]
  expected = [split.hash for split in open_in(data_dir, 'pets').splits.values()]
  for process in processes:
    output, _ = process.communicate(timeout=120)
    assert output.split() == expected
  assert len(list((tmp_path / 'cache').iterdir())) == 2


def test_arrays_are_computed_once(tmp_path):
  calls = []

  def compute():
    calls.append(None)
    return {'x': np.arange(3)}

  for key in ({'a': 1}, {'a': 1}, {'a': 2}):
    arrays = digest_cache.arrays(tmp_path / 'cache', key, compute)
    np.testing.assert_array_equal(arrays['x'], np.arange(3))
  assert len(calls) == 2
  digest_cache.arrays(None, {'a': 1}, compute)
  assert len(calls) == 3


def test_a_damaged_entry_is_computed_again(tmp_path, caplog):
  digest_cache.arrays(tmp_path, {}, lambda: {'x': np.zeros(100)})
  (path,) = tmp_path.iterdir()
  path.write_bytes(path.read_bytes()[:100])
  arrays = digest_cache.arrays(tmp_path, {}, lambda: {'x': np.ones(2)})
  assert arrays['x'].tolist() == [1, 1]
  assert f'{path} is damaged' in caplog.text


def test_an_error_is_not_cached(tmp_path):
  def fail():
    raise InputError('broken')

  with pytest.raises(InputError):
    digest_cache.arrays(tmp_path / 'cache', {}, fail)
  assert digest_cache.arrays(tmp_path / 'cache', {}, lambda: {'x': np.ones(1)})


def test_state_depends_on_size_and_time_of_a_file(tmp_path):
  path = tmp_path / 'file'
  path.write_bytes(b'abc')
  os.utime(path, ns=(5, 7))
  assert digest_cache.state([str(path)]) == [(str(path), 3, 7)]
  with pytest.raises(InputError, match='none: cannot be read .No such file'):
    digest_cache.state([str(tmp_path / 'none')])
