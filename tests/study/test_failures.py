"""The file of cells that failed."""

import json

from tf_transfer.study import failures


def test_last_line_cut_short(tmp_path, caplog):
  cells = failures.Failures(tmp_path)
  assert cells.read() == []
  cells.add(('n', 'd', 's'), 'why')
  with open(cells.path, 'a') as file:
    file.write('{"network": "m", "da')
  (failure,) = cells.read()
  assert failures.key(failure) == ('n', 'd', 's')
  assert 'the last line is cut short' in caplog.text
  cells.add(('n', 'd', 's'), 'why now')
  (failure,) = map(json.loads, cells.path.read_text().splitlines())
  assert failure['error'] == 'why now'
  cells.discard(('n', 'd', 's'))
  assert cells.read() == []


DAMAGED = [
  b'\x89PNG\xff\xfe',
  b'[' * 100_000 + b']' * 100_000,
  b'{"a":' * 100_000 + b'1' + b'}' * 100_000,
  b'[]',
  b'7',
  b'{"network": "m"}',
  b'{"network": 3, "dataset": "d", "setting": "s", "error": "", "time": ""}',
]


def test_damaged_lines_are_counted_and_kept(tmp_path, caplog):
  cells = failures.Failures(tmp_path)
  cells.add(('n', 'd', 's'), 'why')
  good = cells.path.read_bytes()
  cells.path.write_bytes(b'\n'.join(DAMAGED) + b'\n\r\n' + good)
  for number in range(2):
    cells.add(('n', 'd', f's{number}'), 'no memory')
  assert [failures.key(f)[2] for f in cells.read()] == ['s', 's0', 's1']
  assert caplog.text.count('\n') == 1
  assert f'{len(DAMAGED)} lines are damaged and left out' in caplog.text
  assert cells.path.read_bytes().startswith(b'\n'.join(DAMAGED) + b'\n')


def test_controls_of_a_terminal_are_escaped(tmp_path):
  cells = failures.Failures(tmp_path)
  cells.add(('n', 'd', 's'), '\x1b[31mred')
  (failure,) = cells.read()
  assert failure['error'] == r'\x1b[31mred'


def test_keep_removes_all_others(tmp_path):
  cells = failures.Failures(tmp_path)
  for network in 'abc':
    cells.add((network, 'pets', 'ridge'), 'no memory')
  cells.keep({('b', 'pets', 'ridge')})
  assert [failures.key(f)[0] for f in cells.read()] == ['b']


def test_cells_with_one_reason_are_listed_together():
  reasons = {(network, 'pets', 'ridge'): 'no weights' for network in 'abcd'}
  reasons['e', 'dtd', 'ridge'] = 'no data'
  assert failures.render(reasons).splitlines() == [
    '  a, pets, ridge; b, pets, ridge and 2 more: no weights',
    '  e, dtd, ridge: no data',
  ]
