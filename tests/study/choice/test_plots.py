"""Tests axes: where values are, and which ticks there are."""

import pytest

from tf_transfer.study.choice import plots


def values(axis):
  return [tick.text for tick in axis.ticks()]


def test_position_on_a_linear_axis():
  axis = plots.Axis(80, 90, 200, 0)
  assert [axis.position(v) for v in (80, 85, 90)] == [200, 100, 0]


def test_position_on_a_logarithmic_axis():
  axis = plots.Axis(1, 100, 0, 200, logarithmic=True)
  assert [axis.position(v) for v in (1, 10, 100)] == [0, 100, 200]


def test_values_are_within_their_axis():
  axis = plots.log_axis([2.0, 700.0], 40, 370)
  assert 40 < axis.position(2.0) < axis.position(700.0) < 370
  axis = plots.share_axis([0.0, 1.0], 240, 10)
  assert 10 < axis.position(100) < axis.position(0) < 240


@pytest.mark.parametrize(
  ('low', 'high', 'expected'),
  [
    (0.9, 22, ['1', '2', '5', '10', '20']),
    (0.9, 500, ['1', '3', '10', '30', '100', '300']),
    (1, 1e5, ['1', '10', '100', '1,000', '10k', '100k']),
    (1e6, 4e6, ['1M', '2M']),
  ],
)
def test_logarithmic_ticks(low, high, expected):
  assert values(plots.Axis(low, high, 0, 1, logarithmic=True)) == expected


@pytest.mark.parametrize('span', [1.7, 3.0, 10.0, 49.0, 120.0])
def test_ticks_on_any_axis(span):
  ticks = plots.log_axis([3.0, 3.0 * span**3], 0, 300).ticks()
  assert 2 <= len(ticks) <= 6
  ticks = plots.share_axis([0.3, 0.3 + 0.7 * span / 120], 300, 0).ticks()
  assert 2 <= len(ticks) <= 6


def test_one_value_has_an_axis():
  assert values(plots.log_axis([5.0], 0, 300)) == ['4', '5', '6']
  assert plots.share_axis([0.5, 0.5], 300, 0).position(50) == 150


def test_linear_ticks():
  assert values(plots.Axis(85.3, 91.2, 0, 1)) == ['86', '88', '90']
  assert values(plots.Axis(90, 90.6, 0, 1)) == ['90', '90.2', '90.4', '90.6']


def test_path():
  assert plots.path([1.0, 2.5], [3.0, 4.0]) == 'M1.0 3.0L2.5 4.0'
