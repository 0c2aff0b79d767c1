"""The record of a cell."""

import dataclasses
import json
import pathlib
import re

import msgspec
import numpy as np
import pytest

from tf_transfer import datasets
from tf_transfer.study import record, record_types, schema
from tf_transfer.study.analysis import uncertainty
from tf_transfer.study.report import text_table
from tf_transfer.transfer import estimators, metrics, settings
from tf_transfer.transfer import result as result_lib
from tf_transfer.transfer.setting import Cell


@pytest.fixture
def cell(small_lite0, small_config):
  dataset = datasets.open('digits')
  setting = settings.SETTINGS['ridge']
  identity = record.identity(small_lite0, dataset, setting, small_config)
  return Cell(small_lite0, dataset, setting, identity, 'efficientnet_lite0')


def make_result():
  measurement = metrics.Measurement(0.9, 0.8, 0.95, 367)
  return result_lib.CellResult(
    validation=measurement,
    test=measurement,
    curve=np.array([0.5, np.nan, 0.9]),
    chosen={'penalty': 10.0},
    solver={'converged': True, 'unconverged_penalties': []},
    predictions={},
    skipped=('a.png',),
  )


def test_a_record_is_json_with_the_identity_of_its_fields(cell, small_config):
  fields = record.build(cell, small_config, make_result(), 1.234)
  again = json.loads(json.dumps(fields))
  assert again == fields
  assert fields['identity'] == cell.identity
  assert (fields['version'], fields['schema']) == (
    schema.VERSION,
    schema.SCHEMA,
  )
  assert fields['setting'] == 'ridge'
  assert fields['search'] == small_config.ridge.to_dict()
  assert fields['weights_sha256'] == cell.network.sha256
  assert fields['contract']['image_size'] == 64
  assert fields['options'] == {}
  assert fields['predictions'] == f'predictions/{cell.identity}.npz'
  assert fields['seconds'] == 1.23
  # JSON has no NaN.
  assert fields['validation_curve'] == [0.5, None, 0.9]


def test_files_that_a_folder_has_left_out_come_first(cell, small_config):
  dataset = dataclasses.replace(cell.dataset, skipped=('b.png',))
  cell = dataclasses.replace(cell, dataset=dataset)
  fields = record.build(cell, small_config, make_result(), 1.0)
  assert fields['skipped'] == ['b.png', 'a.png']


def test_all_fields_are_documented(cell, small_config):
  page = pathlib.Path(__file__).parents[2] / 'docs' / 'ledger.md'
  table = page.read_text().partition('| field | meaning |')[2]
  rows = [line for line in table.splitlines() if line[:3] == '| `']
  documented = set(
    re.findall(r'`(\w+)`', ' '.join(r.split('|')[1] for r in rows))
  )
  known = {field.name for field in msgspec.structs.fields(record_types.Record)}
  assert documented == known
  fields = record.build(cell, small_config, make_result(), 1.0)
  assert known >= fields.keys()


def test_a_record_passes_its_schema(cell, small_config):
  """With a value for each penalty; here there are three of 30."""
  fields = record.build(cell, small_config, make_result(), 1.0)
  fields['search'] = {**fields['search'], 'num_penalties': 3}
  assert record_types.check(fields, '') == fields


def test_estimates_are_in_the_record_and_not_in_the_identity(
  cell, small_config
):
  result = dataclasses.replace(
    make_result(),
    estimates={
      'logme': estimators.Estimate(0.5, 0.123456),
      'leep': estimators.Estimate(np.nan, 0.0, 'no head'),
    },
    fit_seconds=2.0,
  )
  with small_config.unlocked():
    small_config.features.estimators = ('logme', 'leep')
  fields = record.build(cell, small_config, result, 1.2)
  plain = record.build(cell, small_config, make_result(), 1.2)
  assert fields['identity'] == plain['identity'] == cell.identity
  assert fields['estimates'] == {
    'logme': {'value': 0.5, 'seconds': 0.1235, 'reason': ''},
    'leep': {'value': None, 'seconds': 0.0, 'reason': 'no head'},
  }
  assert set(fields) - set(plain) == {'estimates', 'fit_seconds'}
  fields['search'] = {**fields['search'], 'num_penalties': 3}
  assert record_types.check(json.loads(json.dumps(fields)), '') == fields
  assert (
    record.identity(cell.network, cell.dataset, cell.setting, small_config)
    == cell.identity
  )


def test_the_identity_of_a_folder_has_no_path(small_lite0, cell, small_config):
  named = [
    dataclasses.replace(cell.dataset, name=name, identity_name='folder')
    for name in ('folder:a', 'folder:b')
  ]
  first, second = (
    record.identity(small_lite0, one, cell.setting, small_config)
    for one in named
  )
  assert first == second != cell.identity
  old = {
    record.former_identity(
      small_lite0, one, cell.setting, small_config, one.name
    )
    for one in named
  }
  assert len(old - {first}) == 2


def test_identity_depends_on_what_determines_numbers(
  cell, small_lite0, small_config
):
  def identity():
    return record.identity(
      small_lite0, cell.dataset, cell.setting, small_config
    )

  assert identity() == cell.identity
  small_config.features.batch_size += 1
  small_config.report = not small_config.report
  assert identity() == cell.identity
  small_config.ridge.num_penalties += 1
  assert identity() != cell.identity


def test_the_line_that_is_printed(cell, small_config):
  fields = record.build(cell, small_config, make_result(), 1.234)
  assert record.describe_result(fields) == (
    'efficientnet_lite0 on digits: 90.00% [80.00%, 95.00%] on 367 test images, '
    'penalty 10, 1 s'
  )
  assert 'penalty 10' in text_table.render([fields])


def test_the_line_that_is_printed_of_several_runs(cell, small_config):
  """The spread is the SD with n − 1: of 89.6, 90 and 90.4 it is 0.4 points."""
  result = make_result()
  runs = tuple(
    result_lib.Run(seed, dataclasses.replace(result.test, value=value))
    for seed, value in enumerate((0.896, 0.9, 0.904))
  )
  result = dataclasses.replace(result, runs=runs)
  fields = record.build(cell, small_config, result, 1.234)
  interval = uncertainty.interval(fields)
  assert interval.low < 0.8 < 0.95 < interval.high
  ends = f'[{interval.low:.2%}, {interval.high:.2%}]'
  assert ends.split('[')[1].split('%')[0] in text_table.render([fields])
  assert record.describe_result(fields) == (
    f'efficientnet_lite0 on digits: 90.00% {ends} on 367 test images, '
    'mean of 3 runs, spread (SD) 0.4 points, penalty 10, 1 s'
  )


def test_the_draw_is_in_the_identity_where_it_is_not_the_oldest(
  small_lite0, cell, small_config
):
  def fields(**draw):
    dataset = dataclasses.replace(cell.dataset, **draw)
    return record.determinants(small_lite0, dataset, cell.setting, small_config)

  usual = fields()
  assert not {'split_version', 'group_by', 'num_folds'} & usual.keys()
  assert fields(split_version=2, group_by='a') == {
    **usual,
    'split_version': 2,
    'group_by': 'a',
  }
  assert fields(folds=(cell.dataset,) * 3) == {**usual, 'num_folds': 3}


def test_tag_of_the_weights(cell, small_config):
  assert 'weights_tag' not in record.build(
    cell, small_config, make_result(), 1.0
  )
  header = dataclasses.replace(
    cell.network.header, source='timm/efficientnet_lite0.ra_in1k'
  )
  network = dataclasses.replace(cell.network, header=header)
  cell = dataclasses.replace(cell, network=network)
  fields = record.build(cell, small_config, make_result(), 1.0)
  assert fields['weights_tag'] == 'ra_in1k'
