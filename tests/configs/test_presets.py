"""Presets: what each changes of configs/base.py."""

import pytest

from tf_transfer import errors
from tf_transfer.configs import base
from tf_transfer.configs.presets import (
  few_examples,
  fine_tuned,
  logistic_regression,
  offline_study,
  random_init,
  smoke,
  three_settings,
)
from tf_transfer.transfer.training import grid

TRAINED = ('fine_tuned', 'random_init')
ALL = ('logistic_regression', *TRAINED)
CELL = 'resnet50,folder:/images,jpeg'


def changes(config, default):
  """The fields of `config` that differ from those of `default`, flat."""
  flat = {}
  for name in config:
    value, other = config[name], default[name]
    if hasattr(value, 'keys'):
      flat |= {f'{name}.{k}': v for k, v in changes(value, other).items()}
    elif value != other:
      flat[name] = value
  return flat


@pytest.mark.parametrize(
  ('preset', 'settings'),
  [
    (logistic_regression, ('logistic_regression',)),
    (fine_tuned, ('fine_tuned',)),
    (random_init, ('random_init',)),
  ],
)
def test_one_setting(preset, settings):
  config = preset.get_config(CELL)
  assert config.settings == settings
  assert set(changes(config, base.get_config(CELL))) <= {'settings'}


@pytest.mark.parametrize('preset', [smoke, three_settings])
def test_three_settings_take_another_cell(preset):
  config = preset.get_config(CELL)
  assert config.settings == ALL
  assert config.networks == ('resnet50',)
  assert config.datasets == ('folder:/images,jpeg',)
  with pytest.raises(errors.InputError, match='DATASET is missing'):
    preset.get_config('resnet50')


def test_few_examples():
  config = few_examples.get_config(f'{CELL},8')
  assert config.settings == ALL
  assert changes(config, base.get_config(CELL)) == {
    'settings': ALL,
    'data.examples_per_class': 8,
    'fine_tuned.steps': 1000,
    'fine_tuned.min_epochs': 100,
    'fine_tuned.batch_size': 64,
    'fine_tuned.learning_rate_min': 1e-4 / 4,
    'fine_tuned.learning_rate_max': 1e-1 / 4,
    'random_init.steps': 312_500,
    'random_init.min_epochs': 200,
    'random_init.batch_size': 16,
    'random_init.learning_rate_min': 1e-3 / 16,
    'random_init.learning_rate_max': 1.0 / 16,
  }


@pytest.mark.parametrize(
  ('argument', 'message'),
  [
    ('resnet50,pets', 'COUNT is missing'),
    ('resnet50,pets,many', "COUNT is 'many' and must be a positive integer"),
    ('resnet50,pets,0', "COUNT is '0'"),
    ('resnet50,pets,8,9', '9 is too much'),
  ],
)
def test_few_examples_with_a_wrong_argument(argument, message):
  with pytest.raises(errors.InputError, match=message):
    few_examples.get_config(argument)


def test_offline_study_takes_a_folder():
  config = offline_study.get_config('/images, all')
  assert config.datasets[-1] == 'folder:/images, all'
  with pytest.raises(errors.InputError, match='PATH is empty'):
    offline_study.get_config('')


def test_few_examples_is_the_protocol_for_small_data():
  config = few_examples.get_config('a,b,4')
  assert config.data.examples_per_class == 4
  tuned, fresh = config.fine_tuned, config.random_init
  assert (tuned.batch_size, fresh.batch_size) == (64, 16)
  rates = [t.learning_rate for t in grid.build_trials(tuned)]
  assert (min(rates), max(rates)) == pytest.approx((2.5e-5, 0.025))
  rates = [t.learning_rate for t in grid.build_trials(fresh)]
  assert (min(rates), max(rates)) == pytest.approx((1e-3 / 16, 1 / 16))
  # 100 epochs of 1,020 images in batches of 64, and of 40 images 1,000 steps.
  assert grid.build_train_config(tuned, 1020).steps == 1594
  assert grid.build_train_config(tuned, 40).steps == 1000


def test_random_initialization_sees_as_many_images_as_at_full_size():
  """78,125 batches of 64 or 200 epochs; at 40 images, and at 50,000."""
  fresh = few_examples.get_config('a,b,4').random_init
  for num_examples, images in ((40, 78_125 * 64), (50_000, 200 * 50_000)):
    config = grid.build_train_config(fresh, num_examples)
    assert config.steps * config.batch_size == images
  # About as many as in the paper's main results.
  assert pytest.approx(19_531 * 256, rel=1e-4) == 78_125 * 64
