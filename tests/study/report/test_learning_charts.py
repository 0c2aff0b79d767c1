"""Figures 8 and 9 of the page."""

import re

import pytest

from tests.study import curve_records
from tests.study.report import page_records
from tf_transfer.study.report import cells as cells_lib
from tf_transfer.study.report import learning_charts, page


def records_of(cells):
  return [fields for fields, _ in cells]


@pytest.fixture
def charts():
  return learning_charts.build(records_of(curve_records.both()))


def rows(chart):
  return chart.specification['datasets']['rows']


def test_figure_8_has_the_papers_curves_of_the_same_dataset(charts):
  steps, _ = charts
  assert (steps.name, steps.title[-10:]) == ('steps', '(figure 8)')
  series = list(dict.fromkeys(row['series'] for row in rows(steps)))
  assert series == [
    *('Fine-tuned', 'Random initialization'),
    *('the paper: fine-tuned', 'the paper: random initialization'),
  ]
  (last,) = (
    row
    for row in rows(steps)
    if row['series'] == 'Fine-tuned' and row['x'] == 640
  )
  assert last['y'] == 0.8
  assert last['low'] < 0.8 < last['high']
  assert last['place'] == 'ResNet-50, Oxford-IIIT Pets'
  assert last['text'].startswith(
    'ResNet-50, Oxford-IIIT Pets, Fine-tuned, 640: 80.00 %; 95 % interval'
  )
  papers = [row for row in rows(steps) if 'paper' in row['series']]
  assert {row['Spread'] for row in papers} == {'read off its figure'}
  assert len(steps.table.rows) == len(rows(steps))


def test_figure_9_has_standard_errors(charts):
  _, examples = charts
  (row,) = (
    row
    for row in rows(examples)
    if row['series'] == 'Logistic regression' and row['x'] == 4
  )
  # 0.50 and 0.52: 0.51, give or take 0.01.
  assert (row['y'], row['low'], row['high']) == (0.51, 0.5, 0.52)
  assert row['Spread'] == '± 1.00 points (standard error), 2 draws'
  assert examples.sentences[0].startswith('Means over 2 draws')


def test_one_draw_has_no_error():
  cells = [
    curve_records.few('logistic_regression', count, 0, 0.5) for count in (1, 4)
  ]
  (chart,) = learning_charts.build(records_of(cells))
  assert {row['Spread'] for row in rows(chart)} == {'one draw: no error known'}


def test_there_is_no_chart_without_two_points():
  records = records_of(page_records.of_the_paper(3))
  assert learning_charts.build(records) == []


def test_the_page_has_them_and_says_what_else_it_is_of(tmp_path):
  records = page_records.write(tmp_path, curve_records.both())
  text = page.render(records, (), tmp_path)
  assert text.count('<h2 id="steps-title">') == 1
  assert text.count('<h2 id="examples-title">') == 1
  assert "vegaEmbed('#examples-chart'" in text
  assert 'Tables and averages are of 16 training images of each class' in text
  assert re.search('reaches logistic regression at about 4.0 images', text)
  # In the table of all cells.
  assert 'on curves alone: 1 example a class, draw 0' in text
  # Of one point alone the page has the curves of the ledger.
  one = page.render(records[:1], (), tmp_path, on_curves=records)
  assert '<h2 id="examples-title">' in one
  assert '<h2 id="examples-title">' not in page.render(
    records[:1], (), tmp_path
  )


def test_each_variant_has_a_name_of_its_own(tmp_path):
  records = page_records.write(tmp_path, curve_records.both())
  names = cells_lib.unique_names(cells_lib.name_cells(records))
  assert len(set(names)) == len(names)
  assert names[0] == (
    'ResNet-50, Oxford-IIIT Pets, Logistic regression, 1 example a class, '
    f'draw 0 ({records[0]["identity"][:8]})'
  )
