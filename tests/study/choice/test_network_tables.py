"""Tests the tables of networks."""

import dataclasses
import math

import pytest

from tests.study.choice import choices
from tf_transfer.study.choice import network_tables


def test_networks():
  choice = choices.digits()
  table = network_tables.networks(choice)
  assert [row.name for row in table.rows] == [
    c.title for c in choice.candidates
  ]
  assert table.columns[5:7] == ('Images/s, batch 1', 'Images/s, batch 32')
  for row, candidate in zip(table.rows, choice.candidates, strict=True):
    assert len(row.cells) == len(table.columns)
    accuracy = row.cells[0]
    assert accuracy.text == f'{100 * candidate.accuracy.value:.1f}'
    assert accuracy.key == candidate.accuracy.value
  best = table.rows[0].cells
  assert best[2].text == 'the best'
  assert best[2].key == max(row.cells[2].key for row in table.rows)
  tied = table.rows[1].cells[2]
  assert tied.text == 'yes, p = 0.4'
  assert table.rows[2].cells[2].text == 'no, p = 0.008'
  assert table.rows[-1].cells[2].text == 'no, p < 0.001'


def test_costs():
  choice = choices.digits()
  (small,) = [
    row
    for row in network_tables.networks(choice).rows
    if row.name == 'SmallNet'
  ]
  assert [cell.text for cell in small.cells[3:]] == [
    *('3.00', '0.400', '30.0', '210', '12.1', '4.00')
  ]


def test_kinds():
  choice = choices.digits()
  kinds = [row.kind for row in network_tables.networks(choice).rows]
  assert kinds.count('recommended') == 1
  assert kinds.count('tied') == len(choice.verdict.tied) - 1


def test_a_batch_that_a_network_was_not_measured_with():
  choice = choices.many_networks(3)
  table = network_tables.networks(choice)
  assert 'Images/s, batch 1' not in table.columns


def test_estimators():
  table = network_tables.estimators(choices.digits())
  assert table.columns == ('Accuracy, %', 'LogME', 'LEEP')
  (small,) = [row for row in table.rows if row.name == 'SmallNet']
  assert small.cells[1] == network_tables.Cell('0.5', 0.5, '0.210 s')
  assert small.cells[2] == network_tables.Cell(
    '–', -math.inf, 'no ImageNet head'
  )


def test_a_network_that_was_ranked_without_training():
  choice = choices.not_trained()
  table = network_tables.networks(choice)
  assert [row.cells[0].text for row in table.rows[1:]] == ['–', '–']
  assert [row.cells[1].text for row in table.rows[1:]] == ['–', '–']


def test_no_estimators():
  choice = choices.one_network()
  (one,) = choice.candidates
  choice = dataclasses.replace(
    choice, candidates=(dataclasses.replace(one, estimates={}),)
  )
  assert network_tables.estimators(choice) is None


@pytest.mark.parametrize(
  ('value', 'text'),
  [
    *((0, '0'), (0.0123, '0.012'), (0.4, '0.400'), (9.87, '9.87')),
    *((12.34, '12.3'), (99.99, '100.0'), (123.4, '123'), (98765.4, '98,765')),
    (math.nan, '–'),
  ],
)
def test_numbers(value, text):
  assert network_tables.number(value).text == text
