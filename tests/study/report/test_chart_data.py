import dataclasses

import numpy as np
import pytest
import scipy.special

from tests.study.report import page_records
from tf_transfer.study.analysis import accuracy_table, evidence
from tf_transfer.study.paper import numbers
from tf_transfer.study.report import chart_data, conditions
from tf_transfer.study.report.chart_data import OURS, PAPER, TIED

FIXED = page_records.FIXED
NAMES = chart_data.Names({}, {'pets': 'Pets', 'cars': 'Cars'}, {})


def papers():
  shared = ('pets', 'cars')
  return [r for r in numbers.records() if r['dataset'] in shared]


@pytest.fixture(scope='module')
def data():
  records = [fields for fields, _ in page_records.of_the_paper(6, (FIXED,))]
  tied = {
    (FIXED, 'pets'): {'inception_v4'},
    (FIXED, chart_data.AVERAGE): {'resnet50'},
  }
  return chart_data.build(records, papers(), NAMES, tied)


def of(data, dataset, **more):
  """The points of a dataset that have these values."""
  values = {'choice': chart_data.choice_key(FIXED, dataset), **more}
  return [p for p in data.points if values.items() <= p.items()]


def test_every_choice_has_a_view_with_points_of_both_series(data):
  choices = chart_data.AVERAGE, 'pets', 'cars'
  assert set(data.views) == {f'{FIXED}|{dataset}' for dataset in choices}
  for dataset in choices:
    assert len(of(data, dataset, series=OURS)) == 6
    assert len(of(data, dataset, series=PAPER)) == 16


def test_a_point_is_in_log_odds_and_says_its_accuracy(data):
  (point,) = of(data, 'pets', series=OURS, Network='Inception v3')
  record = next(
    fields
    for fields, _ in page_records.of_the_paper(6, (FIXED,))
    if (fields['network'], fields['dataset']) == ('inception_v3', 'pets')
  )
  for key, field in (('y', 'value'), ('low', 'low'), ('high', 'high')):
    expected = scipy.special.logit(record['test'][field])
    assert point[key] == pytest.approx(expected, abs=1e-5)
  assert point['Accuracy'] == f'{100 * record["test"]["value"]:.2f} %'
  assert point['Interval'].endswith('% (95 %, of test images)')
  assert point['Parameters'] == '21.8 million'


def test_networks_tied_with_the_best_are_of_their_own_kind(data):
  assert [p['Network'] for p in of(data, 'pets', kind=TIED)] == ['Inception v4']
  assert not of(data, 'cars', kind=TIED)
  (average,) = of(data, chart_data.AVERAGE, kind=TIED)
  assert average['Network'] == 'ResNet-50'
  assert ', ours, tied with the best: log-odds' in average['text']


def test_an_average_is_the_mean_of_its_datasets(data):
  (mean,) = of(data, chart_data.AVERAGE, series=PAPER, Network='ResNet-50')
  parts = [
    of(data, dataset, series=PAPER, Network='ResNet-50')[0]['y']
    for dataset in ('pets', 'cars')
  ]
  assert mean['y'] == pytest.approx(np.mean(parts), abs=1e-4)
  # Of two datasets.
  assert mean['Interval'].endswith('(Morey’s error, n − 1)')


def test_the_interval_of_several_runs_is_of_images_and_runs():
  fields, _ = page_records.cell('mine', 0.7, 0.7, 'pets')
  runs = [
    {'seed': i, 'test': {**fields['test'], 'value': value}}
    for i, value in enumerate((0.65, 0.75))
  ]
  several = {**fields, 'runs': runs}
  points = [
    of(chart_data.build([one], [], NAMES, {}), 'pets')[0]
    for one in (fields, several)
  ]
  assert points[1]['Interval'].endswith('(95 %, of test images and runs)')
  assert points[1]['low'] < points[0]['low'] < points[0]['high']
  assert points[0]['high'] < points[1]['high']


def test_a_view_holds_all_points_and_its_ticks(data):
  view = data.views[f'{FIXED}|pets']
  points = of(data, 'pets')
  assert view['x'][0] < min(p['x'] for p in points)
  assert view['y'][1] > max(p['high'] for p in points)
  for axis in 'xy':
    low, high = view[axis]
    assert all(low <= tick <= high for tick in view[f'{axis}_ticks'])
  title, ours, paper = view['above']['']
  assert title == 'Pets, logistic regression'
  assert ours.startswith('ours: r = ')
  assert ours.endswith(', 6 networks')
  assert paper.endswith(', 16 networks')
  # Of a marked network, ours and the paper's numbers.
  assert len(view['above']['ResNet-50']) == 3 + 3 * len(
    [p for p in points if p['Network'] == 'ResNet-50']
  )


def test_the_average_has_the_answers_intervals(data):
  lines = data.views[f'{FIXED}|']['above']['']
  table = accuracy_table.build(numbers.records(), FIXED)
  facts = evidence.from_table(table.select_datasets(['pets', 'cars']))
  low, high = (
    conditions.number(end)
    for end in dataclasses.astuple(facts.interval(evidence.FAMILIES))[1:]
  )
  assert lines[0].startswith('Mean log-odds over 2 datasets')
  assert f'the paper: over families [{low}, {high}]' in lines
  assert sum(line.startswith('ours: r = ') for line in lines) == 1


def test_no_network_of_known_imagenet_accuracy_has_an_empty_view():
  fields, _ = page_records.cell('mine', 0.7, None, 'pets')
  data = chart_data.build([fields], [], NAMES, {})
  assert not data.points
  assert data.views[f'{FIXED}|pets']['above'][''][1] == (
    'no network here whose ImageNet top-1 is known'
  )


def test_parameters_of_a_network_that_is_in_no_table():
  assert chart_data.parameters_text('mine') == 'unknown'


def test_why_there_is_no_r_has_room_on_a_phone():
  fields, _ = page_records.cell('resnet50', 0.8, 0.7)
  data = chart_data.build([fields], papers(), NAMES, {})
  lines = data.views[f'{FIXED}|pets']['above']['']
  assert 'ours: no correlation of 1 network:' in lines
  assert 'ours: it takes three or more' in lines
