"""Tests the Pareto front and the charts of accuracy against cost."""

import dataclasses

import numpy as np
import pytest

from tests.study.choice import choices
from tf_transfer.study.choice import pareto, types


def test_front():
  cost = np.array([1.0, 2.0, 3.0, 4.0])
  accuracy = np.array([0.5, 0.7, 0.6, 0.8])
  assert pareto.front(cost, accuracy).tolist() == [True, True, False, True]


def test_equal_networks_are_both_on_the_front():
  cost, accuracy = np.array([1.0, 1.0, 2.0]), np.array([0.5, 0.5, 0.5])
  assert pareto.front(cost, accuracy).tolist() == [True, True, False]


def test_front_is_what_no_other_network_beats():
  generator = np.random.default_rng(0)
  cost, accuracy = generator.integers(6, size=(2, 40)) / 6
  expected = [
    not any(
      cost[j] <= cost[i]
      and accuracy[j] >= accuracy[i]
      and (cost[j], accuracy[j]) != (cost[i], accuracy[i])
      for j in range(40)
    )
    for i in range(40)
  ]
  assert pareto.front(cost, accuracy).tolist() == expected


def test_charts():
  choice = choices.digits()
  speed, flops, parameters = pareto.build(choice)
  assert 'batches of 32' in speed.title
  assert (speed.better, flops.better) == ('right', 'left')
  for chart in (speed, flops, parameters):
    assert len(chart.points) == len(choice.candidates)
    kinds = [point.kind for point in chart.points]
    assert kinds.count('recommended') == 1
    # The cheapest network is on the front, and so is the most accurate.
    assert chart.front_names[0] == 'SmallNet'
    assert choice.candidates[0].title in chart.front_names
    for point in chart.points:
      assert point.high <= point.y <= point.low
      assert 40 <= point.x <= 370
  # The fastest network is on the right of one chart, on the left of another.
  (small,) = [p for p in speed.points if p.text.startswith('SmallNet')]
  assert small.x == max(p.x for p in speed.points)
  (small,) = [p for p in flops.points if p.text.startswith('SmallNet')]
  assert small.x == min(p.x for p in flops.points)


def test_one_network():
  choice = choices.one_network()
  for chart in pareto.build(choice):
    (point,) = chart.points
    assert point.on_front
    assert 40 < point.x < 370
    assert chart.x_ticks


def test_a_front_of_one_network_has_no_line():
  choice = choices.digits()
  cheap = choice.candidates[0]
  cost = types.Cost(1000, 1e6, {1: 1e5, 32: 1e6}, 10, 1.0)
  choice = dataclasses.replace(
    choice,
    candidates=(
      dataclasses.replace(cheap, cost=cost),
      *choice.candidates[1:],
    ),
  )
  for chart in pareto.build(choice):
    assert chart.front_names == [cheap.title]
    assert chart.front == ''
  assert all(chart.front for chart in pareto.build(choices.digits()))


def test_a_cost_that_no_network_has_gives_no_chart():
  choice = choices.one_network()
  (one,) = choice.candidates
  cost = dataclasses.replace(one.cost, flops=float('nan'), images_per_second={})
  choice = dataclasses.replace(
    choice, candidates=(dataclasses.replace(one, cost=cost),)
  )
  assert [chart.title for chart in pareto.build(choice)] == [
    'Million parameters'
  ]


@pytest.mark.parametrize('count', [13, 30, 60])
def test_of_many_networks_the_important_ones_are_named(count):
  choice = choices.many_networks(count)
  for chart in pareto.build(choice):
    recommended = choice.candidate(choice.verdict.recommended)
    names = [label.text for label in chart.labels]
    assert names[0] == recommended.title
    important = {p.text.split(':')[0] for p in chart.points if p.on_front}
    important |= {choice.candidate(n).title for n in choice.verdict.tied}
    assert set(names) <= important
