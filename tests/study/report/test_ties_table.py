import numpy as np
import pytest

from tf_transfer.study.analysis import power, ties
from tf_transfer.study.report import chart_data, ties_table

NAMES = chart_data.Names({'a': 'A (1)'}, {'pets': 'Oxford-IIIT Pets'}, {})


def pair(p, difference=0.0123, discordance=0.05, test=ties.MCNEMAR):
  return ties.Pair(p, test, power.Resolution(difference, discordance))


def row(**fields):
  values = {
    'setting': 'fine_tuned',
    'dataset': 'pets',
    'metric': 'top1',
    'best': 'a',
    'pairs': {},
    'count': 3669,
    **fields,
  }
  table = ties_table.build([ties.Comparison(**values)], NAMES)
  (cells,) = table.rows
  return dict(zip(table.columns, cells, strict=True))


def test_a_dataset():
  shown = row(
    pairs={
      'resnet50': pair(0.3),
      'densenet121': pair(0.001, 0.0201, 0.08, ties.RUNS),
    }
  )
  assert shown == {
    'Setting': 'Fine-tuned',
    'Dataset': 'Oxford-IIIT Pets',
    'Best': 'A (1)',
    'Tied with it': ('ResNet-50, p = 0.3',),
    'Worse': ('DenseNet-121, p = 0.001',),
    'Test': 'McNemar, test images and runs',
    'Number of': '3,669 test images',
    'Differ on': '5.0 to 8.0 %',
    'Smallest difference': '1.23 to 2.01 points',
  }


def test_averages_are_in_log_odds():
  shown = row(
    dataset=ties.AVERAGE,
    pairs={'resnet50': pair(0.3, 0.4, np.nan, ties.T_TEST)},
    count=2,
  )
  assert shown['Dataset'] == 'mean over datasets'
  assert shown['Number of'] == '2 datasets'
  assert shown['Differ on'] == '–'
  assert shown['Smallest difference'] == '0.40 in log-odds'


def test_a_single_network_has_assumed_numbers():
  shown = row(alone=power.Resolution(0.02, 0.18, assumed=True))
  assert shown['Tied with it'] == 'no other network'
  assert shown['Differ on'] == '18.0 %, assumed'
  assert shown['Smallest difference'] == '2.00 points, assumed'


@pytest.mark.parametrize('worse', [True, False])
def test_what_cannot_be_resolved(worse):
  pairs = {'resnet50': pair(1.0, np.nan)}
  if worse:
    pairs['densenet121'] = pair(0.5, 0.02)
  shown = row(pairs=pairs)['Smallest difference']
  assert shown == (
    '2.00 points; none for 1 pair' if worse else 'none can be resolved'
  )
