import pytest

from tests.study.report import page_records
from tf_transfer.study.paper import numbers
from tf_transfer.study.report import chart_data, charts

FIXED = page_records.FIXED
NAMES = chart_data.Names({}, {'pets': 'Pets', 'cars': 'Cars'}, {})


def draw(records, papers=()):
  return charts.accuracy_vs_imagenet(records, papers, NAMES, {})


def parameters(specification):
  return {one['name']: one for one in specification['params']}


@pytest.mark.parametrize(('networks', 'named'), [(6, True), (7, False)])
def test_names_are_written_where_they_are_few(networks, named):
  cells = page_records.of_the_paper(networks, (FIXED,))
  chosen = parameters(draw([fields for fields, _ in cells]))
  assert chosen['named']['value'] is named
  assert len(chosen['network']['bind']['options']) == 1 + networks
  # Without the paper's numbers there is no box to hide them.
  assert 'bind' not in chosen['paper']


def test_choices_of_both_series():
  cells = page_records.of_the_paper(2, (FIXED, 'fine_tuned'))
  papers = [r for r in numbers.records() if r['dataset'] in ('pets', 'cars')]
  chosen = parameters(draw([fields for fields, _ in cells], papers))
  assert chosen['setting']['bind']['labels'] == [
    *('Logistic regression', 'Fine-tuned'),
  ]
  assert chosen['dataset']['value'] == chart_data.AVERAGE
  assert set(chosen['dataset']['bind']['labels']) == {
    *('All: mean log-odds', 'Pets', 'Cars'),
  }
  assert chosen['paper']['bind']['input'] == 'checkbox'
  # Networks of the paper alone can be marked, too.
  assert len(chosen['network']['bind']['options']) == 1 + 16


def test_one_dataset_is_chosen_at_first():
  fields, _ = page_records.cell('resnet50', 0.9, 0.76)
  assert parameters(draw([fields]))['dataset']['value'] == 'pets'


def test_no_network_of_known_imagenet_accuracy_no_figure():
  fields, _ = page_records.cell('mine', 0.7, None)
  assert draw([fields]) is None
