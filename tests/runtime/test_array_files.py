"""Tests of reading arrays and lists that others wrote."""

import numpy as np
import pytest

from tf_transfer import errors
from tf_transfer.runtime import array_files


def test_array_stays_on_disk(tmp_path):
  path = tmp_path / 'a.npy'
  np.save(path, np.arange(6.0).reshape(2, 3))
  assert isinstance(array_files.load_array(path), np.memmap)


class Code:
  """Runs where a pickle of it is loaded."""

  def __reduce__(self):
    return exec, ('raise AssertionError("it was run")',)


def test_pickles_are_never_loaded(tmp_path):
  path = tmp_path / 'a.npy'
  np.save(path, np.array([Code()], object), allow_pickle=True)
  with pytest.raises(errors.InputError, match='holds Python objects'):
    array_files.load_array(path)


def test_files_that_are_no_arrays(tmp_path):
  path = tmp_path / 'a.npy'
  with pytest.raises(errors.InputError, match=r'a\.npy is missing'):
    array_files.load_array(path)
  np.save(path, np.ones((9, 9)))
  whole = path.read_bytes()
  for content in (b'', b'text', whole[:100], whole[:-8]):
    path.write_bytes(content)
    with pytest.raises(errors.InputError, match=r'a\.npy cannot be read'):
      array_files.load_array(path)
  path.unlink()
  path.mkdir()
  with pytest.raises(errors.InputError, match='cannot be read'):
    array_files.load_array(path)


def test_names(tmp_path):
  assert array_files.read_names(tmp_path, 'val') is None
  path = tmp_path / 'val_names.txt'
  path.write_bytes('a\r\nb c\nÄ\n'.encode())
  assert array_files.read_names(tmp_path, 'val') == ['a', 'b c', 'Ä']
  path.write_bytes(b'a\n\nb\n')
  with pytest.raises(errors.InputError, match='line 2: expected a name'):
    array_files.read_names(tmp_path, 'val')
  path.write_bytes(b'\xff')
  with pytest.raises(errors.InputError, match='cannot be read'):
    array_files.read_names(tmp_path, 'val')


def test_labels(tmp_path):
  assert array_files.read_labels(tmp_path, 'val') is None
  path = tmp_path / 'val_labels.npy'
  np.save(path, np.array([2, 0], np.uint8))
  assert array_files.read_labels(tmp_path, 'val').tolist() == [2, 0]
  for values, message in (
    (np.array([1, -1]), 'a label is -1, below 0'),
    (np.array([1.0]), 'expected integers'),
    (np.array([[0, 2]]), r'2, expected 0 or 1 \[N, C\]'),
    (np.array(['a']), 'expected integers'),
    (np.array(3), 'expected integers'),
  ):
    np.save(path, values)
    with pytest.raises(errors.InputError, match=message):
      array_files.read_labels(tmp_path, 'val')
  (tmp_path / 'val_labels.txt').write_text('cat\ndog\n')
  with pytest.raises(errors.InputError, match='give one of them'):
    array_files.read_labels(tmp_path, 'val')
  path.unlink()
  assert array_files.read_labels(tmp_path, 'val') == ['cat', 'dog']


def test_lengths(tmp_path):
  array_files.check_length(tmp_path, 3, 3)
  with pytest.raises(errors.InputError, match='3 of them, and the other'):
    array_files.check_length(tmp_path, 3, 4)
