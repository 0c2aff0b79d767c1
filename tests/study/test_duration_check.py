"""What is asked before a job of more than a day."""

import types

import ml_collections
import pytest

from tests.study import test_cost_model
from tf_transfer import errors
from tf_transfer.configs import base
from tf_transfer.study import cost_model, duration_check

make_cells = test_cost_model.make_cells


@pytest.fixture
def slow(monkeypatch):
  """A device that takes the paper's search of ResNet-50 in about a year."""
  monkeypatch.setattr(cost_model, 'operations_per_second', lambda: 2.5e11)


def study(*settings):
  config = base.get_config('resnet50,pets')
  config.settings = settings
  return config


def total(cells, config):
  return sum(cost_model.cell_seconds(cells, config).values())


@pytest.mark.parametrize(
  ('seconds', 'allow_long', 'refused'),
  [
    (86_400, False, False),
    (86_401, False, True),
    (1e9, True, False),
  ],
)
def test_a_day(seconds, allow_long, refused):
  config = ml_collections.ConfigDict({'allow_long': allow_long})
  if not refused:
    duration_check.check(seconds, config, [])
    return
  with pytest.raises(errors.InputError, match='--config.allow_long=True') as e:
    duration_check.check(seconds, config, ['this (1 h)', 'that'])
  message = str(e.value)
  assert '\n' not in message
  assert 'about 1 day 1 h on' in message
  assert 'shorter: this (1 h); that; an accelerator. ' in message


def test_advice_says_how_long_each_way_takes(slow):
  """Halving takes 31 %, a tenth of the steps 10 %, three rates 4 of 57."""
  config, cells = study('fine_tuned'), make_cells('fine_tuned')
  seconds = total(cells, config)
  with pytest.raises(errors.InputError) as raised:
    duration_check.check_cells(cells, seconds, config)
  message = str(raised.value)
  for changes in (
    {'search': 'halving'},
    {'steps': 2000},
    {
      'num_weight_decays': 1,
      'include_zero_weight_decay': False,
      'num_learning_rates': 3,
    },
  ):
    shorter = study('fine_tuned')
    shorter.fine_tuned.update(changes)
    text = duration_check.units.duration(total(cells, shorter))
    flags = ' '.join(
      f'--config.fine_tuned.{name}={value}' for name, value in changes.items()
    )
    assert f'{flags} ({text})' in message
  assert '--config=fine_tune_quick:resnet50,pets (20 min)' in message
  assert 'config.part' not in message


def test_several_cells_may_be_cut_into_parts(slow):
  names = 'fine_tuned', 'random_init', 'logistic_regression'
  config, cells = study(*names), make_cells(*names)
  seconds = cost_model.cell_seconds(cells, config)
  with pytest.raises(errors.InputError) as raised:
    duration_check.check_cells(cells, sum(seconds.values()), config)
  longest = duration_check.units.duration(max(seconds.values()))
  assert f'on several machines ({longest} each)' in str(raised.value)
  assert 'fine_tune_quick' not in str(raised.value)


def test_what_is_short_gets_no_advice(monkeypatch):
  monkeypatch.setattr(
    duration_check, '_advise', lambda *_: pytest.fail('nothing is too long')
  )
  config = types.SimpleNamespace(allow_long=False)
  duration_check.check_cells(make_cells('ridge'), 100.0, config)
