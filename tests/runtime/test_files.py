"""Atomic writes, directories, locks and hashes."""

import errno
import os
import stat

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
