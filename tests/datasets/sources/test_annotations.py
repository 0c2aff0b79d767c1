"""Lists, tables and MATLAB files of official layouts."""

import numpy as np
import pytest
import scipy.io

from tf_transfer.datasets.sources import annotations
from tf_transfer.errors import InputError


@pytest.fixture
def root(tmp_path):
  """A directory as a string, as the functions expect it."""
  return str(tmp_path)


def test_paths(root, tmp_path):
  (tmp_path / 'a' / 'b').mkdir(parents=True)
  assert annotations.join(root, 'a/b', 'c/d.txt') == str(
    tmp_path / 'a' / 'b' / 'c' / 'd.txt'
  )
  assert annotations.is_dir(root, 'a/b')
  assert not annotations.is_dir(root, 'a/c')
  assert annotations.folder_of('a/b/c.jpg') == 'a/b'
  assert annotations.folder_of('c.jpg') == ''


def test_lines_are_stripped_and_never_empty(root, tmp_path):
  (tmp_path / 'list').write_text('\n one\r\n\ntwo words \n')
  assert annotations.read_lines(root, 'list') == ['one', 'two words']
  (tmp_path / 'list').write_text('\n \n')
  with pytest.raises(InputError, match='list: is empty'):
    annotations.read_lines(root, 'list')


def test_columns_of_a_table_by_name(root, tmp_path):
  (tmp_path / 'table').write_text('a\tb\tc\n1\t2\t3\n\n4\t\t6\n')
  assert annotations.read_table(root, 'table', ('c', 'b')) == [
    ('3', '6'),
    ('2', ''),
  ]
  with pytest.raises(InputError, match='no column d, only a, b, c'):
    annotations.read_table(root, 'table', ('a', 'd'))
  (tmp_path / 'table').write_text('a\tb\n1\n')
  with pytest.raises(InputError, match='1 of its 1 lines cut short'):
    annotations.read_table(root, 'table', ('b',))


def test_variables_of_matlab_files(root, tmp_path):
  scipy.io.savemat(tmp_path / 'x.mat', {'labels': [[1, 2]]})
  assert annotations.read_mat(root, 'x.mat', 'labels').tolist() == [1, 2]
  with pytest.raises(InputError, match='no variable names'):
    annotations.read_mat(root, 'x.mat', 'names')
  with pytest.raises(InputError, match='y.mat: cannot be read'):
    annotations.read_mat(root, 'y.mat', 'labels')


def test_fields_of_annotations(root):
  assert annotations.read_field(root, 'x.mat', {'class': 3}, 'class') == 3
  for annotation in ({'fname': 'a'}, 7):
    with pytest.raises(InputError, match='an annotation without class'):
      annotations.read_field(root, 'x.mat', annotation, 'class')


def test_class_indices(root):
  labels = annotations.class_indices(root, 'f', ['b', 'a'], ['a', 'a', 'b'])
  assert labels.dtype == np.int32
  assert labels.tolist() == [1, 1, 0]
  with pytest.raises(InputError, match=r'1 class .* 2 known \(c\)'):
    annotations.class_indices(root, 'f', ['b', 'a'], ['a', 'c'])


def test_zero_based(root):
  labels = annotations.zero_based(root, 'f', ['1', 3, 2.0], 3)
  assert labels.dtype == np.int32
  assert labels.tolist() == [0, 2, 1]
  for wrong in (0, 4, 'x', None):
    with pytest.raises(InputError, match='where a number from 1 to 3 belongs'):
      annotations.zero_based(root, 'f', [1, wrong], 3)


def test_names_in_a_directory(root, tmp_path):
  for name in ('b', 'a', '.hidden'):
    (tmp_path / name).write_text('')
    (tmp_path / f'{name}_folder').mkdir()
  assert annotations.list_names(root) == ['a', 'b']
  assert annotations.list_names(root, folders=True) == ['a_folder', 'b_folder']
  with pytest.raises(InputError, match='none: cannot be read'):
    annotations.list_names(str(tmp_path / 'none'))


def test_listed_examples_must_exist_once(root, tmp_path):
  for name in ('a.jpg', 'b.jpg'):
    (tmp_path / name).write_text(name)
  labels = np.array([1, 0])
  names = ['b.jpg', 'a.jpg']
  examples = annotations.listed_examples(root, 'list', names, labels, names)
  assert examples.names == ('b.jpg', 'a.jpg')
  assert examples.images.unverified_bytes(0) == b'b.jpg'
  assert annotations.existing_paths([f'{root}/a.jpg', f'{root}/c.jpg']) == {
    f'{root}/a.jpg'
  }
  with pytest.raises(InputError, match=r'1 of the 2 images .* \(c\.jpg\)'):
    annotations.listed_examples(
      root, 'list', ['b', 'c'], labels, ['b.jpg', 'c.jpg']
    )
  with pytest.raises(InputError, match=r'more than once \(b\)'):
    annotations.listed_examples(
      root, 'list', ['b', 'b'], labels, ['b.jpg', 'a.jpg']
    )
