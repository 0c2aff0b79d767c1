"""Identities and records of schema 1, written before fields were renamed.

records_schema_1.jsonl holds what version 0.1.0 wrote for configs/smoke.py with
all six settings.
"""

import json
import pathlib

import pytest

from tf_transfer.configs import base
from tf_transfer.study import schema

RECORDS = {
  record['setting']: record
  for record in map(
    json.loads,
    (pathlib.Path(__file__).parent / 'records_schema_1.jsonl')
    .read_text()
    .splitlines(),
  )
}
# What a record of schema 2 has of what determines its numbers.
DETERMINANTS = (
  *('network', 'weights_sha256', 'dataset', 'splits_sha256', 'setting'),
  *('metric', 'preprocessing', 'image_size', 'corrupt', 'search'),
)
ON_FEATURES = ('layer', 'pyramid')
TRAIN = ('fine_tuned', 'random_init')


def determinants(record):
  names = DETERMINANTS
  if record['setting'] not in TRAIN:
    names += ON_FEATURES
  return {name: record[name] for name in names}


@pytest.mark.parametrize('setting', RECORDS)
def test_renamed_fields_keep_the_identity(setting):
  upgraded = schema.upgrade(RECORDS[setting])
  identity = schema.cell_identity(determinants(upgraded))
  assert identity == RECORDS[setting]['identity']


def test_upgrade_renames_settings_and_fields():
  upgraded = schema.upgrade(RECORDS['nearest_neighbours'])
  assert upgraded['schema'] == schema.SCHEMA
  assert upgraded['setting'] == 'nearest_neighbors'
  assert set(upgraded['search']) == {'neighbors'}
  assert set(upgraded['chosen']) == {'neighbors'}
  search = schema.upgrade(RECORDS['logistic_regression'])['search']
  config = base.get_config()
  assert search.keys() == config.logistic_regression.to_dict().keys()
  assert search['num_penalties'] == 5


@pytest.mark.parametrize('setting', TRAIN)
def test_upgrade_removes_what_training_does_not_depend_on(setting):
  assert set(ON_FEATURES) <= RECORDS[setting].keys()
  assert not set(ON_FEATURES) & schema.upgrade(RECORDS[setting]).keys()


def test_upgrade_changes_nothing_of_this_schema():
  record = schema.upgrade(RECORDS['ridge'])
  assert schema.upgrade(record) == record


def test_features_of_a_layer_have_another_identity():
  default = determinants(schema.upgrade(RECORDS['ridge']))
  layer = {**default, 'layer': 'stage3'}
  assert schema.cell_identity(layer) != schema.cell_identity(default)


@pytest.mark.parametrize(
  'change', [{'network': 'b'}, {'search': {'num_penalties': 44}}]
)
def test_identity_changes_with_anything(change):
  base = {'network': 'a', 'search': {'num_penalties': 45}}
  assert schema.identity(base) == schema.identity(dict(base))
  assert schema.identity(base) != schema.identity({**base, **change})


def test_identity_does_not_depend_on_order():
  assert schema.identity({'a': 1, 'b': 2}) == schema.identity({'b': 2, 'a': 1})
