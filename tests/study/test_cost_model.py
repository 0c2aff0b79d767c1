"""Estimates of the time that cells take."""

import dataclasses
import types

import pytest

from tf_transfer.configs import base
from tf_transfer.configs.presets import few_examples
from tf_transfer.study import cost_model
from tf_transfer.transfer import operations, settings
from tf_transfer.transfer.setting import Cell

NETWORK = types.SimpleNamespace(
  name='resnet50',
  parameters=23_508_032,
  contract=types.SimpleNamespace(image_size=224),
  feature_dim=2048,
)
DATASET = types.SimpleNamespace(
  name='pets',
  splits={'train': range(600), 'val': range(200), 'test': range(200)},
  classes=range(10),
  folds=(),
)


def make_cells(*names):
  return [
    Cell(NETWORK, DATASET, settings.SETTINGS[name], name, 'resnet50')
    for name in names
  ]


def test_the_first_cell_pays_for_shared_features():
  config = base.get_config()
  costs = cost_model.cell_operations(
    make_cells('logistic_regression', 'ridge'), config
  )
  extraction = operations.extraction(NETWORK, DATASET)
  assert costs['logistic_regression'] > extraction > 100 * costs['ridge']


def test_folds_cost_the_fits_of_all_and_the_features_of_one():
  config = base.get_config()
  folded = types.SimpleNamespace(
    name='pets',
    splits={'train': range(600), 'val': range(200), 'test': range(1000)},
    classes=range(10),
    folds=(DATASET, DATASET, DATASET),
  )
  (one,) = make_cells('logistic_regression')
  costs, of_folds = (
    cost_model.cell_operations([cell], config)[cell.identity]
    for cell in (one, dataclasses.replace(one, dataset=folded))
  )
  extraction = operations.extraction(NETWORK, DATASET)
  assert of_folds - extraction == pytest.approx(3 * (costs - extraction))


def test_seconds_include_compiling_each_network_once(monkeypatch):
  monkeypatch.setattr(cost_model, 'operations_per_second', lambda: 1e12)
  config = base.get_config()
  cells = make_cells('logistic_regression', 'ridge')
  costs = cost_model.cell_operations(cells, config)
  seconds = cost_model.cell_seconds(cells, config)
  first, second = (
    seconds[cell.identity] - costs[cell.identity] / 1e12 for cell in cells
  )
  assert first > 1
  assert second == pytest.approx(0)
  assert cost_model.cell_seconds([], config) == {}


def test_seconds_grow_with_the_steps_of_a_small_network(monkeypatch):
  """17.8 million steps of batches of 16 take hours, however fast the device."""
  monkeypatch.setattr(cost_model, 'operations_per_second', lambda: 1e20)
  config = few_examples.get_config('resnet50,pets,8')
  cells = make_cells('logistic_regression', 'random_init')
  seconds = cost_model.cell_seconds(cells, config)
  assert seconds['logistic_regression'] < 60
  hours = seconds['random_init'] / 3600
  assert hours == pytest.approx(57 * 312_500 * 0.003 / 3600, rel=0.01)
