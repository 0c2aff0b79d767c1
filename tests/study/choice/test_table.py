"""The table on the console."""

import math

from tests.study.choice.test_verdict import IMAGES, network
from tf_transfer.study.choice import table, types, verdict


def test_networks_are_sorted_and_marked():
  tried = [network('bad', 90, 8.04), network('good', 20, 2000)]
  lines = table.render(tried, verdict.reach(tried, IMAGES))
  assert lines[0].split()[0] == 'network'
  assert lines[1].split()[:2] == ['good', '95.0']
  assert 'best' in lines[1]
  assert '1,000 2,000' in ' '.join(lines[1].split())
  assert 'no, p < 0.001' in lines[2]
  assert lines[2].split()[-2:] == ['1', 's']


def test_estimates_are_ranked_and_reasons_said():
  lines = table.render_estimates(
    {
      'a': types.Estimate(0.25, 0.5),
      'b': types.Estimate(math.nan, 0.0, 'it has no head'),
      'c': types.Estimate(0.5, 0.5),
    },
    'LogME',
  )
  assert [line.split()[0] for line in lines[1:]] == ['c', 'a', 'b']
  assert lines[3].endswith('it has no head')


def test_columns_are_aligned():
  assert table.align([('a', 'bb'), ('ccc', 'd')]) == ['a    bb', 'ccc  d']
