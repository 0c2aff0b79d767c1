"""The ledger: what is written, read again, damaged or in conflict."""

import json
import os
import pathlib

import numpy as np
import pytest

from tests.study.made_records import identity, record
from tf_transfer import errors
from tf_transfer.study import ledger, schema


def names(records):
  """The short names of the cells of a ledger."""
  known = {identity(name): name for name in 'abcd'}
  return [known[one] for one in records.read()]


def test_round_trip(tmp_path):
  records = ledger.Ledger(tmp_path)
  assert records.read() == {}
  records.add(record('a'), {'correct': np.array([True, False])})
  records.add(record('b'), {})
  assert names(records) == ['a', 'b']
  path = tmp_path / 'predictions' / f'{identity("a")}.npz'
  with np.load(path) as predictions:
    np.testing.assert_array_equal(predictions['correct'], [True, False])
  lines = records.path.read_text().splitlines()
  assert [json.loads(line) for line in lines] == [record('a'), record('b')]


def test_same_identity_again_replaces(tmp_path):
  records = ledger.Ledger(tmp_path)
  records.add(record('a', 0.1), {})
  records.add(record('a', 0.2), {})
  assert records.read() == {identity('a'): record('a', 0.2)}


def test_last_line_cut_short_is_left_out_and_then_mended(tmp_path):
  records = ledger.Ledger(tmp_path)
  records.add(record('a'), {})
  with open(records.path, 'a') as file:
    file.write('{"identity": "b", "val')
  assert names(records) == ['a']
  records.add(record('c'), {})
  assert names(records) == ['a', 'c']
  assert records.path.read_text().endswith('}\n')


@pytest.mark.parametrize(
  'line',
  ['{"identity', '[]', '{"value": 3}', '3', '{"identity": "a", "version": ""}'],
)
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
  assert names(records) == ['b']
  assert '2 records of another version' in caplog.text
  records.add(record('d'), {})
  assert names(records) == ['b', 'd']
  lines = [json.loads(line) for line in records.path.read_text().splitlines()]
  assert old in lines
  assert len(lines) == 4


def test_duplicates_that_agree_are_one(tmp_path):
  records = ledger.Ledger(tmp_path)
  slower = {**record('a'), 'seconds': 9}
  write(records.path, record('a'), record('b'), slower)
  assert names(records) == ['a', 'b']


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
  assert names(records) == ['a']


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
  records.add(record('d'), {})
  lines = map(json.loads, records.path.read_text().splitlines())
  assert {line['schema'] for line in lines} == {schema.SCHEMA}


def test_records_in_one_line_are_all_read(tmp_path, caplog):
  lines = [json.dumps(record(name)) for name in 'abcd']
  text = f'{lines[0]}\n{lines[1]}{lines[2]} {lines[3]}\n'
  (tmp_path / 'results.jsonl').write_text(text)
  records = ledger.Ledger(tmp_path)
  assert names(records) == ['a', 'b', 'c', 'd']
  assert 'line 2: 3 records in one line' in caplog.text


def test_a_record_before_a_cut_in_the_last_line(tmp_path, caplog):
  first, second = (json.dumps(record(name)) for name in 'ab')
  (tmp_path / 'results.jsonl').write_text(first + second[:-70])
  assert names(ledger.Ledger(tmp_path)) == ['a']
  assert 'the last line is cut short' in caplog.text


@pytest.mark.parametrize(
  ('start', 'end'),
  [
    (b'\xef\xbb\xbf', b'\n'),
    (b'', b'\r\n'),
    (b'\n\n  \n', b'\n\n'),
    (b'', b'\n' + bytes(4096)),
  ],
)
def test_what_editors_and_file_systems_add(tmp_path, start, end):
  text = json.dumps(record('a')).encode()
  (tmp_path / 'results.jsonl').write_bytes(start + text + end)
  assert names(ledger.Ledger(tmp_path)) == ['a']


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'schema': schema.SCHEMA + 1}, 'schema 4 is of a newer version'),
    ({'schema': '2'}, "schema: expected a number from 1, found '2'"),
    ({'schema': None}, 'schema: expected a number from 1'),
    ({'version': True}, 'version: expected int, found bool'),
    ({'test': 'good'}, 'test: expected object, found str'),
  ],
)
def test_a_wrong_field_is_named_with_its_line(tmp_path, change, message):
  path = tmp_path / 'results.jsonl'
  write(path, record('a'), {**record('b'), **change})
  with pytest.raises(errors.InputError) as raised:
    ledger.Ledger(tmp_path).read()
  text = str(raised.value)
  assert text.startswith(f'{path}, line 2: {message}')
  assert '\n' not in text


def test_nothing_wrong_is_written(tmp_path):
  records = ledger.Ledger(tmp_path)
  with pytest.raises(errors.InputError, match=r'a new record: test\.value'):
    records.add({**record('a'), 'test': {'value': float('nan')}}, {})
  assert not records.path.exists()


def test_a_pipe_in_place_of_the_ledger(tmp_path):
  os.mkfifo(tmp_path / 'results.jsonl')
  with pytest.raises(errors.InputError, match='expected a file, found a dir'):
    ledger.Ledger(tmp_path).read()


def test_a_ledger_that_is_a_link_stays_one(tmp_path):
  target = tmp_path / 'disk' / 'kept.jsonl'
  target.parent.mkdir()
  (tmp_path / 'work').mkdir()
  link = tmp_path / 'work' / 'results.jsonl'
  link.symlink_to('../disk/kept.jsonl')
  target.write_text('')
  records = ledger.Ledger(link.parent)
  for name in 'ab':
    records.add(record(name), {})
  assert link.is_symlink()
  assert list(ledger.Ledger(link.parent).read()) == [*map(identity, 'ab')]
  assert len(target.read_text().splitlines()) == 2
  target.rename(tmp_path / 'unmounted')
  with pytest.raises(errors.InputError, match=r'link to \.\./disk/kept\.jsonl'):
    records.read()


def test_other_versions_stay_as_they_are(tmp_path):
  """Whatever they hold: a program of that version may read them."""
  old = b'{"identity": null, "version": 7, "x": NaN, "y":  [[["z"]]]}'
  path = tmp_path / 'results.jsonl'
  path.write_bytes(old + b'\n')
  ledger.Ledger(tmp_path).add(record('a'), {})
  assert path.read_bytes().startswith(old + b'\n')


# Folders, whose path was part of the identity before schema 3.


def on_folder(name, path, value=0.5, **more):
  """A record of schema 2 on a folder, which is called by this path."""
  fields = record(name, value, dataset=f'folder:{path}', **more)
  del fields['identity'], fields['schema']
  fields['schema'] = 2
  determining = {
    key: fields[key] for key in schema._DETERMINANTS if key in fields
  }
  fields['identity'] = schema.cell_identity(determining)
  fields['predictions'] = f'predictions/{fields["identity"]}.npz'
  return fields


def test_one_folder_by_several_paths_is_one_dataset(tmp_path):
  same = {'weights_sha256': 64 * '1', 'network': 'a'}
  first = on_folder('a', '/data/pets', **same)
  second = on_folder('a', 'pets/', **same)
  third = on_folder('b', '~/pets')
  assert first['identity'] != second['identity']
  write(tmp_path / 'results.jsonl', first, second, third)
  records = ledger.read_all(tmp_path)
  assert len(records) == 2
  assert {one['dataset'] for one in records.values()} == {'folder:pets/'}
  # The file of the predictions keeps its name.
  assert [one['predictions'] for one in records.values()] == [
    second['predictions'],
    third['predictions'],
  ]
  # Written in the present schema they are the same records.
  one = ledger.Ledger(tmp_path)
  before = one.read()
  one.put({})
  assert one.read() == before


def test_two_results_of_one_folder_by_two_paths(tmp_path, caplog):
  same = {'weights_sha256': 64 * '1', 'network': 'a'}
  first = on_folder('a', '/data/pets', 0.5, **same)
  second = on_folder('a', 'pets/', 0.6, **same)
  write(tmp_path / 'results.jsonl', first, second)
  one = ledger.Ledger(tmp_path)
  for _ in range(2):
    (fields,) = one.read().values()
    assert fields['test']['value'] == 0.5
    one.put({})
  assert 'line 1 counts' in caplog.text
  # Nothing is lost.
  lines = map(json.loads, one.path.read_text().splitlines())
  assert second in lines


def test_an_identity_that_is_not_of_its_fields_stays(tmp_path):
  fields = {**on_folder('a', 'pets'), 'image_size': 7}
  write(tmp_path / 'results.jsonl', fields)
  assert list(ledger.Ledger(tmp_path).read()) == [fields['identity']]
