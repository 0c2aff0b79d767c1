"""Tests of names in TensorFlow's checkpoints; test_readers.py reads files."""

import numpy as np
import pytest

from tf_transfer import errors
from tf_transfer.convert_weights import tensorflow_files


@pytest.mark.parametrize(
  'part',
  ['a.ckpt', 'a.ckpt.index', 'a.ckpt.meta', 'a.ckpt.data-00000-of-00002'],
)
def test_prefix_of_any_part(part):
  assert tensorflow_files.prefix(part) == 'a.ckpt'


def test_data_file_is_the_first_part_or_the_file_itself(tmp_path):
  path = tmp_path / 'a.ckpt'
  assert tensorflow_files.data_file(path) is None
  path.touch()
  assert tensorflow_files.data_file(path) == path
  for name in ('index', 'data-00001-of-00002', 'data-00000-of-00002'):
    (tmp_path / f'a.ckpt.{name}').touch()
  first = tmp_path / 'a.ckpt.data-00000-of-00002'
  assert tensorflow_files.data_file(tmp_path / 'a.ckpt.index') == first


@pytest.mark.parametrize(
  'missing', ['index', 'data-00000-of-00003', 'data-00002-of-00003']
)
def test_missing_parts_are_named(tmp_path, missing):
  names = {'index', *(f'data-0000{n}-of-00003' for n in range(3))}
  for name in names - {missing}:
    (tmp_path / f'a[1].ckpt.{name}').touch()
  with pytest.raises(errors.InputError, match='Get all of its parts') as caught:
    tensorflow_files.data_file(tmp_path / 'a[1].ckpt')
  assert f'no such file as a[1].ckpt.{missing} in' in str(caught.value)


def test_use_averages():
  """An average takes the place of its variable; others stay as they are."""
  tensors = {
    'a': np.zeros(1),
    'a/ExponentialMovingAverage': np.ones(1),
    'b': np.full(1, 2.0),
  }
  found = tensorflow_files.use_averages(tensors)
  assert {name: array.item() for name, array in found.items()} == {
    'a': 1.0,
    'b': 2.0,
  }
