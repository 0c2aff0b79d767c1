import json

import numpy as np
import pytest

from tf_transfer import errors
from tf_transfer.study import ledger


def record(name, value=0.5):
  return {'identity': name, 'version': ledger.VERSION, 'test': value}


def test_round_trip(tmp_path):
  book = ledger.Ledger(tmp_path)
  assert book.read() == {}
  book.add(record('a'), {'correct': np.array([True, False])})
  book.add(record('b'), {})
  assert list(book.read()) == ['a', 'b']
  with np.load(tmp_path / 'predictions' / 'a.npz') as predictions:
    np.testing.assert_array_equal(predictions['correct'], [True, False])
  lines = book.path.read_text().splitlines()
  assert [json.loads(line)['identity'] for line in lines] == ['a', 'b']


def test_same_identity_again_replaces(tmp_path):
  book = ledger.Ledger(tmp_path)
  book.add(record('a', 0.1), {})
  book.add(record('a', 0.2), {})
  assert book.read() == {'a': record('a', 0.2)}


def test_last_line_cut_short_is_left_out_and_then_mended(tmp_path):
  book = ledger.Ledger(tmp_path)
  book.add(record('a'), {})
  with open(book.path, 'a') as file:
    file.write('{"identity": "b", "val')
  assert list(book.read()) == ['a']
  book.add(record('c'), {})
  assert list(book.read()) == ['a', 'c']
  assert book.path.read_text().endswith('}\n')


@pytest.mark.parametrize('line', ['{"identity', '[]', '{"value": 3}', '3'])
def test_nonsense_in_the_middle_is_an_error(tmp_path, line):
  book = ledger.Ledger(tmp_path)
  book.path.write_text(f'{line}\n{json.dumps(record("a"))}\n')
  with pytest.raises(errors.InputError, match='line 1 is no record'):
    book.read()


def test_identity_changes_with_anything():
  base = {'network': 'a', 'search': {'num_penalties': 45}}
  other = {'network': 'a', 'search': {'num_penalties': 44}}
  assert ledger.identity(base) == ledger.identity(dict(base))
  assert ledger.identity(base) != ledger.identity(other)


def test_identity_does_not_depend_on_order():
  assert ledger.identity({'a': 1, 'b': 2}) == ledger.identity({'b': 2, 'a': 1})


def write(path, *lines):
  path.write_text(''.join(json.dumps(line) + '\n' for line in lines))


def test_records_of_another_version_are_said_and_stay(tmp_path, caplog):
  book = ledger.Ledger(tmp_path)
  old = {**record('a'), 'version': 0}
  write(book.path, old, record('b'), {'identity': 'c'})
  assert list(book.read()) == ['b']
  assert '2 records of another version' in caplog.text
  book.add(record('d'), {})
  assert list(book.read()) == ['b', 'd']
  lines = [json.loads(line) for line in book.path.read_text().splitlines()]
  assert old in lines
  assert len(lines) == 4


def test_duplicates_that_agree_are_one(tmp_path):
  book = ledger.Ledger(tmp_path)
  slower = {**record('a'), 'seconds': 9}
  write(book.path, record('a'), record('b'), slower)
  assert list(book.read()) == ['a', 'b']


def test_duplicates_that_conflict_are_an_error(tmp_path):
  book = ledger.Ledger(tmp_path)
  write(book.path, record('a', 0.1), record('b'), record('a', 0.2))
  with pytest.raises(errors.InputError, match=r'lines 1 and 3 .*0\.1 and 0\.2'):
    book.read()


def test_last_line_cut_within_a_character(tmp_path):
  book = ledger.Ledger(tmp_path)
  write(book.path, record('a'))
  with open(book.path, 'ab') as file:
    file.write('{"identity": "é'.encode()[:-1])
  assert list(book.read()) == ['a']


def test_ledger_that_is_a_directory(tmp_path):
  (tmp_path / 'results.jsonl').mkdir()
  with pytest.raises(errors.InputError, match='directory'):
    ledger.Ledger(tmp_path).read()
