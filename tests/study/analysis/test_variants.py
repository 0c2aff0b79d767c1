"""Which record of a cell counts, and which stand beside it."""

import logging

import numpy as np
import pytest

from tests.study import curve_records
from tests.study.curve_records import FIXED, RANDOM, TUNED
from tests.study.report import page_records
from tf_transfer.study.analysis import accuracy_table, variants


def records_of(*cells):
  return [fields for fields, _ in cells]


def select(*cells):
  return accuracy_table.select(records_of(*cells))


def test_the_largest_number_of_steps_counts_whenever_it_was_run():
  cells = [curve_records.trained(TUNED, steps, 0.5) for steps in (20, 80, 40)]
  selection = select(*cells)
  assert selection.main == (1,)
  assert selection.others == (0, 2)
  assert not selection.replaced
  (record,) = accuracy_table.distinct(records_of(*cells))
  assert record['chosen']['steps'] == 80


def test_of_seeds_the_last_counts():
  selection = select(
    *(
      curve_records.trained(TUNED, 80, 0.5, search={'seed': seed})
      for seed in (2, 0, 1)
    )
  )
  assert (selection.main, selection.others) == ((2,), (0, 1))


def test_all_examples_count_before_few():
  selection = select(
    page_records.cell('resnet50', 0.8, 0.7),
    *(curve_records.few(FIXED, 4, draw, 0.5) for draw in range(3)),
  )
  assert (selection.main, selection.others) == ((0,), (1, 2, 3))
  assert selection.draw == (0, 0)


def test_another_search_or_split_takes_the_place_of_earlier_records(caplog):
  other = {'learning_rate_min': 1e-3}
  cells = [
    curve_records.trained(TUNED, 80, 0.5),
    curve_records.trained(TUNED, 20, 0.5),
    curve_records.trained(TUNED, 20, 0.6, search=other),
    curve_records.trained(TUNED, 10, 0.6, search=other),
  ]
  selection = select(*cells)
  # Not the 80 steps of the former search.
  assert selection.main == (2,)
  assert selection.others == (3,)
  assert selection.replaced == (0, 1)
  with caplog.at_level(logging.WARNING):
    accuracy_table.distinct(records_of(*cells))
  assert '2 earlier records, of other splits or another search' in caplog.text


def test_no_average_mixes_sizes():
  """Two networks have 4 examples, one of them also 16 and one also all."""
  few = curve_records.few
  cells = [
    few(FIXED, 4, 0, 0.5, network='resnet50'),
    few(FIXED, 16, 0, 0.7, network='resnet50'),
    few(FIXED, 4, 0, 0.6, network='resnet101'),
    page_records.cell('resnet101', 0.9, 0.7),
  ]
  selection = select(*cells)
  assert selection.draw == (4, 0)
  assert selection.main == (0, 2)
  assert selection.others == (1, 3)
  table = accuracy_table.build(records_of(*cells), FIXED)
  np.testing.assert_allclose(table.accuracy, [[0.5], [0.6]])


def test_of_sizes_that_as_many_have_the_largest_counts():
  few = curve_records.few
  selection = select(
    *(few(FIXED, count, 0, 0.5) for count in (4, 16, 1)),
    *(few(FIXED, count, 0, 0.5, network='resnet101') for count in (4, 16)),
  )
  assert selection.draw == (16, 0)
  assert selection.main == (1, 4)


def test_the_draw_that_most_cells_have_counts():
  few = curve_records.few
  cells = [
    *(few(FIXED, 4, draw, 0.5) for draw in range(3)),
    *(few(FIXED, 4, draw, 0.5, network='resnet101') for draw in (0, 1)),
  ]
  selection = select(*cells)
  # Both have draws 0 and 1; the last is that of the last record.
  assert selection.draw == (4, 1)
  assert selection.main == (1, 4)


def test_cells_without_the_size_are_said_and_left_out():
  few = curve_records.few
  cells = [
    few(FIXED, 4, 0, 0.5),
    few(FIXED, 4, 0, 0.5, network='resnet101'),
    few(FIXED, 8, 0, 0.5, network='resnet152'),
  ]
  selection = select(*cells)
  assert selection.main == (0, 1)
  assert selection.of_other_size == (('resnet152', 'pets', FIXED),)
  said = variants.remarks(selection)
  assert '4 training images of each class, draw 0' in said[0]
  assert 'resnet152, pets, logistic_regression' in said[-1]
  labels = [r['network'] for r in accuracy_table.distinct(records_of(*cells))]
  assert labels == ['resnet50', 'resnet101']


def test_selecting_twice_changes_nothing():
  records = records_of(*curve_records.both())
  once = accuracy_table.distinct(records)
  assert accuracy_table.distinct(once) == once
  # The three settings have 16 examples, two of them all.
  assert {r['setting']: r['examples_per_class'] for r in once} == {
    FIXED: 16,
    TUNED: 16,
    RANDOM: 16,
  }
  assert {r['subset_seed'] for r in once} == {1}


def test_one_other_record_is_on_the_curves():
  few = curve_records.few
  selection = select(few(FIXED, 4, 0, 0.5), few(FIXED, 8, 0, 0.5))
  (said,) = variants.remarks(selection)[1:]
  assert said.startswith('1 other record of these cells, ')
  assert ' or seeds, is on the curves of ' in said


def test_nothing_is_said_of_one_record_a_cell():
  selection = select(page_records.cell('resnet50', 0.8, 0.7))
  assert variants.remarks(selection) == []
  assert variants.remarks(select()) == []


@pytest.mark.parametrize(
  ('cell', 'text'),
  [
    (page_records.cell('n', 0.5, 0.7), 'all examples'),
    (curve_records.few(FIXED, 1, 2, 0.5), '1 example a class, draw 2'),
    (curve_records.trained(TUNED, 80, 0.5), 'all examples, 80 steps, seed 3'),
  ],
)
def test_descriptions(cell, text):
  assert variants.describe(cell[0]) == text


def test_steps_are_those_after_which_the_network_was_tested():
  (record, _) = curve_records.trained(TUNED, 80, 0.5)
  assert variants.steps(record) == 80
  record['chosen']['steps'] = 90  # As min_epochs may have it.
  assert variants.steps(record) == 90
  del record['chosen']['steps']
  assert variants.steps(record) == 80
