"""Atomic writes, directories, locks, names of files and hashes."""

import errno
import fcntl
import os
import pathlib
import signal
import stat
import subprocess
import sys

import numpy as np
import pytest

from tf_transfer import errors
from tf_transfer.runtime import files


def test_atomic_write(tmp_path):
  path = tmp_path / 'a.bin'
  path.write_bytes(b'old')
  with files.atomic_write(path) as file:
    file.write(b'new')
    assert path.read_bytes() == b'old'
  assert path.read_bytes() == b'new'
  assert os.listdir(tmp_path) == ['a.bin']
  mask = os.umask(0)
  os.umask(mask)
  assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_an_error_inside_leaves_the_old_file_and_nothing_else(tmp_path):
  path = tmp_path / 'a.bin'
  path.write_bytes(b'old')
  with pytest.raises(KeyError), files.atomic_write(path) as file:
    file.write(b'half')
    raise KeyError
  assert path.read_bytes() == b'old'
  assert os.listdir(tmp_path) == ['a.bin']


def test_full_disk(tmp_path, monkeypatch):
  def full(_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  monkeypatch.setattr(os, 'fsync', full)
  path = tmp_path / 'a.bin'
  with (
    pytest.raises(errors.InputError, match='No space left on device') as caught,
    files.atomic_write(path) as file,
  ):
    file.write(b'new')
  assert str(path) in str(caught.value)
  assert not os.listdir(tmp_path)


def test_directory_that_cannot_be_made(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(errors.InputError, match='cannot write .*file'):
    files.make_directory(tmp_path / 'file' / 'inside')
  with (
    pytest.raises(errors.InputError, match='cannot write'),
    files.atomic_write(tmp_path / 'none' / 'a'),
  ):
    pass


def test_make_directory_leaves_no_trace(tmp_path):
  assert files.make_directory(tmp_path / 'a' / 'b').is_dir()
  assert not os.listdir(tmp_path / 'a' / 'b')


def test_sha256(tmp_path):
  path = tmp_path / 'a'
  path.write_bytes(b'abc')
  # FIPS 180-4's example.
  assert files.sha256(path).startswith('ba7816bf8f01cfea414140de5dae2223')


def test_locked(tmp_path):
  path = tmp_path / 'lock'
  with files.locked(path) as held:
    assert held
    for shared in (True, False):
      with files.locked(path, shared=shared, wait=False) as another:
        assert not another
  with (
    files.locked(path, shared=True),
    files.locked(path, shared=True),
    files.locked(path, wait=False) as alone,
  ):
    assert not alone
  with files.locked(path, wait=False) as held:
    assert held
  missing = tmp_path / 'none' / 'lock'
  with (
    pytest.raises(errors.InputError, match='cannot write'),
    files.locked(missing),
  ):
    pass


@pytest.mark.parametrize(
  'name', ['../a', 'a/../../b', '/etc/passwd', '', 'a\0b', '..\\a']
)
def test_names_that_lead_out_of_their_root(name, tmp_path):
  with pytest.raises(errors.InputError, match='list.txt: .*leads out of'):
    files.contained(tmp_path, name, 'list.txt')


@pytest.mark.parametrize('name', ['a', 'a/b.jpg', './a', 'a..b/c'])
def test_names_below_their_root(name, tmp_path):
  path = files.contained(tmp_path, name, 'list.txt')
  assert path.resolve().is_relative_to(tmp_path.resolve())


@pytest.mark.parametrize('text', ['gs://bucket/run', 's3:/b', 'file:///tmp/x'])
def test_addresses_are_no_directories(text):
  with pytest.raises(errors.InputError, match='^--workdir: .*no directory of'):
    files.local_path(text, '--workdir')


def test_local_paths(monkeypatch):
  assert files.local_path('runs/a:b', '--workdir') == pathlib.Path('runs/a:b')
  monkeypatch.setenv('HOME', '/home/me')
  assert files.local_path('~/a', '--workdir') == pathlib.Path('/home/me/a')


def test_arrays_are_loaded(tmp_path):
  with open(tmp_path / 'a.npz', 'wb') as file:
    np.savez_compressed(file, x=np.arange(3))
  arrays = files.load_arrays(tmp_path / 'a.npz', 1000)
  assert arrays['x'].tolist() == [0, 1, 2]


def test_arrays_that_would_fill_the_memory(tmp_path):
  with open(tmp_path / 'bomb.npz', 'wb') as file:
    np.savez_compressed(file, x=np.zeros(10_000_000, np.uint8))
  assert (tmp_path / 'bomb.npz').stat().st_size < 20_000
  with pytest.raises(ValueError, match='unpacks to 10,000'):
    files.load_arrays(tmp_path / 'bomb.npz', 1_000_000)


@pytest.mark.parametrize('content', [b'', b'PK', b'no archive' * 9])
def test_no_arrays(content, tmp_path):
  (tmp_path / 'a.npz').write_bytes(content)
  with pytest.raises(ValueError, match='zip'):
    files.load_arrays(tmp_path / 'a.npz', 1000)


def test_pickled_arrays_are_not_executed(tmp_path):
  with open(tmp_path / 'a.npz', 'wb') as file:
    np.savez(file, x=np.array([{}], object))
  with pytest.raises(ValueError, match='allow_pickle'):
    files.load_arrays(tmp_path / 'a.npz', 1000)


_WRITER = """
import pathlib, sys, time
from tf_transfer.runtime import files
with files.atomic_write(pathlib.Path(sys.argv[1]) / 'a.bin') as file:
  file.write(b'half')
  file.flush()
  print('writing', flush=True)
  time.sleep(60)
"""


def test_appended_lines_begin_after_a_line_that_was_cut_short(tmp_path):
  path = tmp_path / 'lines'
  files.append_line(path, b'one')
  files.append_line(path, b'two')
  with open(path, 'ab') as file:
    file.write(b'cut')
  files.append_line(path, b'three')
  assert path.read_bytes() == b'one\ntwo\ncut\nthree\n'
  with pytest.raises(OSError, match='No such file'):
    files.append_line(tmp_path / 'none' / 'lines', b'one')


def test_what_a_killed_process_leaves_is_swept_and_no_more(tmp_path):
  with subprocess.Popen(
    [sys.executable, '-c', _WRITER, tmp_path], stdout=subprocess.PIPE
  ) as writer:
    assert writer.stdout.readline() == b'writing\n'
    (tmp_path / 'other').write_text('')
    assert files.sweep(tmp_path) == 0
    assert len(os.listdir(tmp_path)) == 2
    writer.send_signal(signal.SIGKILL)
  assert files.sweep(tmp_path) == 1
  assert os.listdir(tmp_path) == ['other']


def test_file_system_without_locks(tmp_path, monkeypatch, caplog):
  def no_locks(*_):
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

  monkeypatch.setattr(fcntl, 'flock', no_locks)
  # Another test may have been told of this file system already.
  monkeypatch.setattr(files, '_devices_without_locks', set())
  with files.locked(tmp_path / 'lock', wait=False) as held:
    assert held
  with files.atomic_write(tmp_path / 'a') as file:
    file.write(b'1')
    # Nobody can tell whether this file is in use.
    assert files.sweep(tmp_path) == 0
  assert (tmp_path / 'a').read_bytes() == b'1'
  assert caplog.text.count('has no locks') == 1
