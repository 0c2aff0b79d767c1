"""The file of cells that failed."""

import json

from tf_transfer.study import failures


def test_damaged_lines_are_left_out(tmp_path, caplog):
  cells = failures.Failures(tmp_path)
  assert cells.read() == []
  cells.add(('n', 'd', 's'), 'why')
  with open(cells.path, 'a') as file:
    file.write('{"network": "m", "da')
  (failure,) = cells.read()
  assert failures.key(failure) == ('n', 'd', 's')
  assert 'a line is damaged' in caplog.text
  cells.add(('n', 'd', 's'), 'why now')
  (failure,) = map(json.loads, cells.path.read_text().splitlines())
  assert failure['error'] == 'why now'
  cells.discard(('n', 'd', 's'))
  assert cells.read() == []


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
