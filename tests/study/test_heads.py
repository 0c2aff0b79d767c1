"""Heads of cells: written, read again, damaged and swapped."""

import dataclasses

import numpy as np
import pytest

from tests.study import made_records
from tf_transfer import errors
from tf_transfer.study import heads, ledger, merge
from tf_transfer.transfer import result

NAMES = tuple(f'class {i}' for i in range(made_records.NUM_CLASSES))


@pytest.fixture
def head():
  rng = np.random.default_rng(0)
  return result.Head(
    rng.normal(size=(6, len(NAMES))), rng.normal(size=len(NAMES)), 1.5, NAMES
  )


def record(head, name='a'):
  identity = made_records.identity(name)
  return made_records.record(name, head=heads.describe(identity, head))


def test_round_trip(tmp_path, head):
  written = record(head)
  ledger.Ledger(tmp_path).add(written, made_records.predictions(0.5), head)
  (found,) = ledger.read_all(tmp_path).values()
  assert found['head']['temperature'] == 1.5
  read = heads.read(found, tmp_path)
  np.testing.assert_array_equal(read.weights, np.float32(head.weights))
  np.testing.assert_array_equal(read.bias, np.float32(head.bias))
  assert (read.temperature, read.classes) == (1.5, NAMES)


def test_merging_copies_it(tmp_path, head):
  source = ledger.Ledger(tmp_path / 'a')
  source.add(record(head), made_records.predictions(0.5), head)
  merge.merge(source, ledger.Ledger(tmp_path / 'b'))
  (found,) = ledger.read_all(tmp_path / 'b').values()
  assert heads.read(found, tmp_path / 'b').classes == NAMES


def test_head_of_another_record_is_not_written(tmp_path, head):
  other = dataclasses.replace(head, temperature=2.0)
  with pytest.raises(errors.InputError, match='not the one'):
    heads.write(record(head), tmp_path, other)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'weights': None}, 'there is no array weights'),
    ({'weights': np.zeros((6, 4), np.float32)}, 'weights is float32 .6, 4.'),
    ({'weights': np.full((6, 5), np.nan, np.float32)}, 'not all finite'),
    ({'weights': np.zeros((6, 5), np.float32)}, 'not what the record states'),
    ({'temperature': np.float64(1.4)}, 'not what the record states'),
    ({'classes': np.array([*'abcde'])}, 'not what the record states'),
    ({'bias': np.zeros(5)}, 'bias is float64'),
  ],
)
def test_damaged(tmp_path, head, changes, message):
  of_head = record(head)
  heads.write(of_head, tmp_path, head)
  arrays = {**head.arrays(), **changes}
  with open(heads.path_of(of_head, tmp_path), 'wb') as file:
    np.savez(file, **{k: v for k, v in arrays.items() if v is not None})
  with pytest.raises(errors.InputError, match=message):
    heads.read(of_head, tmp_path)


def test_missing_or_cut_short(tmp_path, head):
  of_head = record(head)
  with pytest.raises(errors.InputError, match='is missing: find the file'):
    heads.read(of_head, tmp_path)
  heads.write(of_head, tmp_path, head)
  path = heads.path_of(of_head, tmp_path)
  path.write_bytes(path.read_bytes()[:-50])
  with pytest.raises(errors.InputError, match='no head of'):
    heads.read(of_head, tmp_path)


def test_never_outside_of_the_workdir(head):
  with pytest.raises(errors.InputError, match='head.path: expected heads/'):
    made_records.record(
      'a', head={**record(head)['head'], 'path': '../heads/x.npz'}
    )
