"""What a cell is called, and which settings train."""

import types

import pytest

from tf_transfer.transfer.setting import Cell, Setting


def make_setting(*, uses_features):
  return Setting(
    name='ridge',
    title='Ridge',
    needs_weights=True,
    uses_features=uses_features,
    scores_are_logits=False,
    has_fields=True,
    determinants=lambda config: {},
    cost=lambda net, dataset, config: 0.0,
    run=lambda cell, context: None,
    summarize=lambda record: None,
  )


@pytest.mark.parametrize('uses_features', [True, False])
def test_what_does_not_use_features_trains(uses_features):
  setting = make_setting(uses_features=uses_features)
  assert setting.trains != uses_features


def test_names_of_a_cell():
  cell = Cell(
    network=types.SimpleNamespace(name='resnet50'),
    dataset=types.SimpleNamespace(name='pets'),
    setting=make_setting(uses_features=True),
    identity='0123',
    label='resnet50 (a1b2c3)',
  )
  assert cell.key == ('resnet50 (a1b2c3)', 'pets', 'ridge')
  assert cell.description == 'resnet50 (a1b2c3) on pets'
