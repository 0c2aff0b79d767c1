"""The ledger: what is written, read again, damaged or in conflict."""

import json
import pathlib

import numpy as np
import pytest

from tf_transfer import errors
from tf_transfer.study import ledger, schema


def record(name, value=0.5):
  return {
    'identity': name,
    'version': schema.VERSION,
    'schema': schema.SCHEMA,
    'test': value,
  }


def test_round_trip(tmp_path):
  records = ledger.Ledger(tmp_path)
  assert records.read() == {}
  records.add(record('a'), {'correct': np.array([True, False])})
  records.add(record('b'), {})
  assert list(records.read()) == ['a', 'b']
  with np.load(tmp_path / 'predictions' / 'a.npz') as predictions:
    np.testing.assert_array_equal(predictions['correct'], [True, False])
  lines = records.path.read_text().splitlines()
  assert [json.loads(line)['identity'] for line in lines] == ['a', 'b']


def test_same_identity_again_replaces(tmp_path):
  records = ledger.Ledger(tmp_path)
  records.add(record('a', 0.1), {})
  records.add(record('a', 0.2), {})
  assert records.read() == {'a': record('a', 0.2)}


def test_last_line_cut_short_is_left_out_and_then_mended(tmp_path):
  records = ledger.Ledger(tmp_path)
  records.add(record('a'), {})
  with open(records.path, 'a') as file:
    file.write('{"identity": "b", "val')
  assert list(records.read()) == ['a']
  records.add(record('c'), {})
  assert list(records.read()) == ['a', 'c']
  assert records.path.read_text().endswith('}\n')


@pytest.mark.parametrize('line', ['{"identity', '[]', '{"value": 3}', '3'])
def test_nonsense_in_the_middle_is_an_error(tmp_path, line):
  records = ledger.Ledger(tmp_path)
  records.path.write_text(f'{line}\n{json.dumps(record("a"))}\n')
  with pytest.raises(errors.InputError, match='line 1 is no record'):
    records.read()


def write(path, *lines):
  path.write_text(''.join(json.dumps(line) + '\n' for line in lines))


def test_records_of_another_version_are_said_and_stay(tmp_path, caplog):
  records = ledger.Ledger(tmp_path)
  old = {**record('a'), 'version': 0}
  write(records.path, old, record('b'), {'identity': 'c'})
  assert list(records.read()) == ['b']
  assert '2 records of another version' in caplog.text
  records.add(record('d'), {})
  assert list(records.read()) == ['b', 'd']
  lines = [json.loads(line) for line in records.path.read_text().splitlines()]
  assert old in lines
  assert len(lines) == 4


def test_duplicates_that_agree_are_one(tmp_path):
  records = ledger.Ledger(tmp_path)
  slower = {**record('a'), 'seconds': 9}
  write(records.path, record('a'), record('b'), slower)
  assert list(records.read()) == ['a', 'b']


def test_duplicates_that_conflict_are_an_error(tmp_path):
  records = ledger.Ledger(tmp_path)
  write(records.path, record('a', 0.1), record('b'), record('a', 0.2))
  with pytest.raises(errors.InputError, match=r'lines 1 and 3 .*0\.1 and 0\.2'):
    records.read()


def test_last_line_cut_within_a_character(tmp_path):
  records = ledger.Ledger(tmp_path)
  write(records.path, record('a'))
  with open(records.path, 'ab') as file:
    file.write('{"identity": "é'.encode()[:-1])
  assert list(records.read()) == ['a']


def test_ledger_that_is_a_directory(tmp_path):
  (tmp_path / 'results.jsonl').mkdir()
  with pytest.raises(errors.InputError, match='directory'):
    ledger.Ledger(tmp_path).read()


def test_records_of_schema_1_are_converted(tmp_path):
  old = pathlib.Path(__file__).parent / 'records_schema_1.jsonl'
  (tmp_path / 'results.jsonl').write_bytes(old.read_bytes())
  records = ledger.Ledger(tmp_path)
  settings = [record['setting'] for record in records.read().values()]
  assert settings == [
    *('logistic_regression', 'linear_svm', 'nearest_neighbors', 'ridge'),
    *('fine_tuned', 'random_init'),
  ]
  # Written again, all of them have the fields of today.
  records.add(record('new'), {})
  lines = map(json.loads, records.path.read_text().splitlines())
  assert {line['schema'] for line in lines} == {schema.SCHEMA}
