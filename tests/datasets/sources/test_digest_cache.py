"""Cached arrays: hits, damage, and two processes that fill one cache."""

import io
import os
import pathlib
import shutil
import subprocess
import sys
import tracemalloc
import zipfile

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
    arrays = digest_cache.arrays(tmp_path / 'cache', key, compute, 1000)
    np.testing.assert_array_equal(arrays['x'], np.arange(3))
  assert len(calls) == 2
  digest_cache.arrays(None, {'a': 1}, compute, 1000)
  assert len(calls) == 3


def _npy(array):
  """Returns an array as an .npy file."""
  file = io.BytesIO()
  np.save(file, array)
  return file.getvalue()


def _write_member(path, data):
  """Writes an .npz file with one array, of any bytes."""
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('x.npy', data)


def _bomb(path):
  """Writes some KB that unpack to 256 MiB."""
  np.savez_compressed(path, x=np.zeros(1 << 28, np.uint8))


def _change(**changes):
  """Returns a function that changes or removes arrays of an entry."""

  def change(path):
    with np.load(path) as entry:
      arrays = {**entry, **changes}
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})

  return change


@pytest.mark.parametrize(
  'change',
  [
    lambda path: path.write_bytes(path.read_bytes()[:100]),
    lambda path: path.write_bytes(b''),
    lambda path: path.write_bytes(b'no zip'),
    lambda path: path.write_bytes(_npy(np.arange(5))),
    lambda path: _write_member(path, _npy(np.arange(5))[:100]),
    _change(x=None),
    _change(x=None, y=np.arange(5)),
    _change(y=np.arange(5)),
    _change(x=np.arange(4)),
    _change(x=np.arange(5) + 1),
    _change(x=np.arange(5, dtype=np.int32)),
    _change(x=np.arange(5).reshape(1, 5)),
    _change(x=np.array([1, None], object)),
    _change(checksum=None),
    _change(checksum=np.zeros(3)),
    _bomb,
  ],
)
def test_an_entry_of_other_content_is_computed_again(tmp_path, caplog, change):
  def load(compute=None):
    return digest_cache.arrays(tmp_path, {'a': 1}, compute, 1000)

  expected = {'x': np.arange(5)}
  load(lambda: expected)
  (path,) = tmp_path.iterdir()
  change(path)
  tracemalloc.start()
  np.testing.assert_equal(load(lambda: expected), expected)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert peak < 10_000_000
  assert f'{path} cannot be used' in caplog.text
  np.testing.assert_equal(load(), expected)


def test_an_entry_that_claims_to_be_enormous(tmp_path):
  path = digest_cache.entry_path(tmp_path, {})
  data = _npy(np.arange(5))
  old, new = b'(5,), }' + b' ' * 13, b'(50000000000000,), }'
  assert old in data
  _write_member(path, data.replace(old, new))
  one = {'x': np.ones(1)}
  assert digest_cache.arrays(tmp_path, {}, lambda: one, 1000) == one


def test_an_entry_under_the_name_of_another(tmp_path, caplog):
  for number in (1, 2):
    digest_cache.arrays(
      tmp_path, {'a': number}, lambda n=number: {'x': np.full(3, n)}, 1000
    )
  first, second = (
    digest_cache.entry_path(tmp_path, {'a': number}) for number in (1, 2)
  )
  first.write_bytes(second.read_bytes())
  arrays = digest_cache.arrays(
    tmp_path, {'a': 1}, lambda: {'x': np.ones(3)}, 1000
  )
  assert arrays['x'].tolist() == [1, 1, 1]
  assert 'content is not what was written' in caplog.text


def test_an_error_is_not_cached(tmp_path):
  def fail():
    raise InputError('broken')

  with pytest.raises(InputError):
    digest_cache.arrays(tmp_path / 'cache', {}, fail, 1000)
  one = {'x': np.ones(1)}
  assert digest_cache.arrays(tmp_path / 'cache', {}, lambda: one, 1000) == one


def test_state_depends_on_size_and_time_of_a_file(tmp_path):
  path = tmp_path / 'file'
  path.write_bytes(b'abc')
  os.utime(path, ns=(5, 7))
  assert digest_cache.state([str(path)]) == [(str(path), 3, 7)]
  with pytest.raises(InputError, match='none: cannot be read .No such file'):
    digest_cache.state([str(tmp_path / 'none')])


def test_digests_of_a_file_whose_time_did_not_change(tmp_path, data_dir):
  """The next start reads all images anew, and its splits are right."""
  shutil.copytree(data_dir / 'pets', tmp_path / 'pets')
  cache = tmp_path / 'cache'
  test = open_in(tmp_path, 'pets', cache_dir=cache).splits['test']
  path = pathlib.Path(test.describe(3))
  status = path.stat()
  image = bytearray(path.read_bytes())
  image[-3] ^= 1
  path.write_bytes(image)
  os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
  stale = open_in(tmp_path, 'pets', cache_dir=cache).splits['test']
  assert stale.hash == test.hash
  with pytest.raises(InputError, match='which is removed: start the same'):
    stale.read(3)
  mended = open_in(tmp_path, 'pets', cache_dir=cache).splits['test']
  assert mended.hash == open_in(tmp_path, 'pets').splits['test'].hash
  assert mended.hash != test.hash
