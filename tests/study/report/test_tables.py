import base64
import csv

import pytest

from tests.study.report import page_records
from tests.study.report.page_records import cell
from tf_transfer.study.report import cells as cells_lib
from tf_transfer.study.report import tables


@pytest.fixture(scope='module')
def cells(tmp_path_factory):
  """One with nothing against it, and one with much."""
  workdir = tmp_path_factory.mktemp('study')
  search = {**page_records.LOGISTIC, 'penalty_min': 1e-3, 'num_penalties': 34}
  curve = [0.7] + [0.5] * 33
  records = page_records.write(
    workdir,
    [
      cell('resnet50', 0.9, 0.76),
      cell(
        'mine',
        0.8,
        None,
        search=search,
        chosen={'penalty': 1e-3},
        validation_curve=curve,
        solver={'converged': False, 'unconverged_penalties': [1e-6] * 7},
        skipped=[f'{i}.jpg' for i in range(6)],
        notes=['three images were lost'],
      ),
    ],
  )
  return cells_lib.name_cells(records)


def columns(table):
  """The cells of each column, by its heading."""
  return {
    name: [row[i] for row in table.rows] for i, name in enumerate(table.columns)
  }


def test_every_cell_beside_the_paper(cells):
  shown = columns(tables.all_cells(cells))
  assert shown['Network'] == ['ResNet-50', 'mine']
  assert shown['Ours, %'] == [90.0, 80.0]
  assert shown['ImageNet top-1, %'] == [76.0, '–']
  assert shown['Paper, %'][0] == pytest.approx(90, abs=5)
  assert shown['Difference, points'][0] == pytest.approx(
    90 - shown['Paper, %'][0]
  )
  assert shown['Paper, %'][1] == '–'
  assert shown['Why they may differ'][1] == (
    'network not in the paper: its figure 2 has no mine',
  )
  assert shown['Interval of'] == ['test images'] * 2
  assert shown['Paper in interval of images'][0] in ('yes', 'no')
  assert shown['Could be training variance'] == ['cannot be judged', '–']
  assert 'Counts' not in shown


def test_hyperparameters(cells):
  shown = columns(tables.hyperparameters(cells))
  assert shown['Chosen'][1] == 'penalty 0.001'
  assert shown['Values tried'] == [45, 34]
  assert shown['At the end of the search'] == [
    'no',
    ('penalty 0.001 is at an end of the search range',),
  ]


def test_doubtful_cells(cells):
  table = tables.doubtful_cells(cells)
  ((*name, doubts),) = table.rows
  assert name == ['mine', 'Oxford-IIIT Pets', 'Logistic regression']
  assert doubts == (
    'the final fit did not converge',
    '7 of the fits on train did not converge (at 1e-06, 1e-06, 1e-06, 1e-06, '
    '1e-06 and 2 more)',
    '6 corrupt images left out: 0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg, …',
    'three images were lost',
  )


def test_failed_cells():
  failure = {
    'network': 'resnet50',
    'dataset': 'dtd',
    'setting': 'fine_tuned',
    'error': 'no archives',
    'time': '2026-01-02T03:04:05+00:00',
  }
  (row,) = tables.failed_cells([failure]).rows
  assert row == (
    *('ResNet-50', 'DTD', 'Fine-tuned', 'no archives'),
    '2026-01-02T03:04:05+00:00',
  )


def test_provenance(cells):
  shown = columns(tables.provenance(cells))
  assert shown['Identity'] == [one.record['identity'] for one in cells]
  assert shown['Seeds'] == [('splits 0',)] * 2
  assert 'jax 0.10.2' in shown['Versions'][0]
  assert f'train {"a" * 64}' in shown['Splits, SHA-256'][0]


def test_download_runs_no_formula():
  table = tables.Table('t', 'a table', ('a',), [('=cmd|"/C x"!A0',), (-1.5,)])
  text = base64.b64decode(table.download.partition('base64,')[2]).decode()
  assert list(csv.reader(text.splitlines()))[1:] == [
    ['\'=cmd|"/C x"!A0'],
    ['-1.5'],
  ]


def test_download_is_a_csv_file_with_lists_in_one_cell():
  table = tables.Table('t', 'a table', ('a', 'b'), [(1, ('x', 'y, z'))])
  media_type, _, encoded = table.download.partition(';charset=utf-8;base64,')
  assert media_type == 'data:text/csv'
  lines = base64.b64decode(encoded).decode().splitlines()
  assert list(csv.reader(lines)) == [['a', 'b'], ['1', 'x; y, z']]
