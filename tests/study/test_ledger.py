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
  base = {'network': 'a', 'search': {'penalties': 45}}
  other = {'network': 'a', 'search': {'penalties': 44}}
  assert ledger.identity(base) == ledger.identity(dict(base))
  assert ledger.identity(base) != ledger.identity(other)


def test_identity_does_not_depend_on_order():
  assert ledger.identity({'a': 1, 'b': 2}) == ledger.identity({'b': 2, 'a': 1})
