"""What the page says of calibration, without a browser."""

import base64
import csv
import re

import numpy as np
import pytest

from tests.study.report import page_records
from tf_transfer.study.analysis import calibration as calibration_lib
from tf_transfer.study.report import calibration, page
from tf_transfer.study.report import cells as cells_lib

FIXED = page_records.FIXED


def section_of(tmp_path, cells):
  records = page_records.write(tmp_path, cells)
  return calibration.section(cells_lib.name_cells(records), tmp_path)


def scored(network='resnet50', dataset='pets', setting=FIXED, **more):
  return page_records.with_scores(
    page_records.record(network, dataset, setting, 0.8, 0.7, **more)
  )


def measured(cell):
  _, arrays = cell
  names = ('label', 'prediction', 'scores', 'val_label', 'val_scores')
  return calibration_lib.calibrate(*(arrays[name] for name in names))


def of_ridge():
  """The fields of ridge regression, those of another classifier but few."""
  fields, _ = page_records.cell('n', 0.8, 0.7)
  search = {'num_penalties': 45, 'penalty_min': 1e-6, 'penalty_max': 1e5}
  names = ('chosen', 'validation_curve', 'validation', 'solver', 'trials')
  return {**{name: fields[name] for name in names}, 'search': search}


def test_a_row_per_cell(tmp_path):
  cells = [scored(), scored('mine', setting='fine_tuned')]
  section = section_of(tmp_path, cells)
  table = section.table
  assert [row[:3] for row in table.rows] == [
    ('ResNet-50', 'Oxford-IIIT Pets', 'Logistic regression'),
    ('mine', 'Oxford-IIIT Pets', 'Fine-tuned'),
  ]
  for cell, values in zip(cells, table.rows, strict=True):
    expected = measured(cell)
    row = dict(zip(table.columns, values, strict=True))
    assert row['Top-1, %'] == 80
    assert row['Temperature'] == pytest.approx(expected.temperature, abs=5e-4)
    for suffix, quality in (
      ('', expected.before),
      (' scaled', expected.after),
    ):
      for name, estimate, scale, unit in (
        ('NLL', quality.nll, 1, ', nats'),
        ('Brier', quality.brier, 1, ''),
        ('ECE', quality.ece, 100, ', %'),
      ):
        value = row[f'{name}{suffix}{unit}']
        low, high = map(float, row[f'{name}{suffix}, 95 %'].split(' to '))
        np.testing.assert_allclose(
          [value, low, high],
          scale * np.array([estimate.value, estimate.low, estimate.high]),
          atol=5.1e-3 if unit == ', %' else 5.1e-4,
        )
  assert {table.columns[i] for i in table.numbers} == {
    name
    for name, value in zip(table.columns, table.rows[0], strict=True)
    if not isinstance(value, str)
  }
  assert section.left_out == ()
  assert not section.several_runs


def test_the_diagram_has_the_bins_before_and_after(tmp_path):
  cells = [scored(), scored('mine')]
  chart = section_of(tmp_path, cells).chart
  rows = chart['datasets']['rows']
  for i, cell in enumerate(cells):
    for series in ('before', 'after'):
      of_key = [row for row in rows if row['key'] == f'{i} {series}']
      bins = getattr(measured(cell), series).bins
      assert [row['images'] for row in of_key] == [
        one.accuracy.examples for one in bins
      ]
      for name, values in (
        ('accuracy', [one.accuracy.value for one in bins]),
        ('confidence', [one.confidence for one in bins]),
        ('low', [one.accuracy.low for one in bins]),
        ('left', [one.low for one in bins]),
      ):
        np.testing.assert_allclose([r[name] for r in of_key], values, atol=6e-5)
      assert sum(row['images'] for row in of_key) == 500
  cell, series, above = chart['params']
  assert cell['bind']['options'] == ['0', '1']
  assert series['value'] == 'before'
  assert {row['key'] for row in rows} == set(above['value'])
  assert above['value']['1 after'][0] == 'mine'
  assert re.fullmatch(
    r'ECE \d+\.\d\d % \(\d+\.\d\d to \d+\.\d\d\), temperature \d\.\d+',
    above['value']['1 after'][-1],
  )


def test_what_is_left_out_is_counted(tmp_path):
  multi_label = {'metric': 'map11'}
  cells = [
    scored(),
    page_records.cell('old', 0.8, 0.7),
    page_records.cell('older', 0.8, 0.7),
    page_records.record('a', 'voc2007', FIXED, 0.8, 0.7, **multi_label),
    page_records.record('b', 'pets', 'ridge', 0.8, 0.7, **of_ridge()),
    scored('missing'),
  ]
  records = page_records.write(tmp_path, cells)
  (tmp_path / cells[-1][0]['predictions']).unlink()
  section = calibration.section(cells_lib.name_cells(records), tmp_path)
  assert len(section.table.rows) == 1
  assert section.left_out == (
    '2 cells whose files of predictions hold no scores, as an earlier version '
    'wrote them',
    '1 cell whose images have several labels (PASCAL VOC 2007)',
    '1 cell whose scores are no log-probabilities (Ridge)',
    '1 cell whose predictions cannot be read, as the log says',
  )
  text = page.render(records, [], tmp_path)
  assert all(f'<li>Left out: {line}.</li>' in text for line in section.left_out)


def test_there_is_no_section_without_logits(tmp_path):
  cells = [page_records.cell('old', 0.8, 0.7)]
  assert section_of(tmp_path, cells) is None
  records = page_records.write(tmp_path, cells)
  text = page.render(records, [], tmp_path)
  assert 'calibration-title' not in text
  assert "'#reliability'" not in text


def test_a_temperature_at_its_bound_is_remarked(tmp_path):
  """Val is separable: no score but those of the right classes is largest."""
  fields, arrays = scored()
  labels = np.asarray(arrays['val_scores']).argmax(axis=1)
  section = section_of(tmp_path, [(fields, {**arrays, 'val_label': labels})])
  (row,) = section.table.rows
  row = dict(zip(section.table.columns, row, strict=True))
  assert row['Temperature'] == 0.01
  assert row['Remark'] == 'temperature at its bound'


def test_the_first_of_several_runs_is_measured(tmp_path):
  fields, arrays = scored(setting='fine_tuned')
  runs = [{'seed': seed, 'test': fields['test']} for seed in (0, 1)]
  predicted = np.stack([arrays['prediction']] * 2)
  cell = {**fields, 'runs': runs}, {**arrays, 'run_predictions': predicted}
  records = page_records.write(tmp_path, [cell])
  text = page.render(records, [], tmp_path)
  assert 'Of several runs of a cell, this is the first.' in text


def test_the_page_offers_the_table(tmp_path):
  records = page_records.write(tmp_path, [scored()])
  text = page.render(records, [], tmp_path)
  (link,) = re.findall(r'download="calibration.csv" href="([^"]*)"', text)
  _, _, encoded = link.partition('base64,')
  (row,) = csv.DictReader(base64.b64decode(encoded).decode().splitlines())
  assert row['Network'] == 'ResNet-50'
  assert float(row['Brier']) > 0
  assert 'Of several runs' not in text
