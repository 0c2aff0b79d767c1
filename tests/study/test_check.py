"""Configs of studies that are refused before anything is written."""

import pytest

from tf_transfer import errors
from tf_transfer.jobs import study


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'networks': ('resnet5',)}, 'unknown network'),
    ({'networks': ()}, 'networks: expected a tuple of 1'),
    ({'datasets': ('digits', 'digits')}, "datasets names 'digits' twice"),
    ({'datasets': ('digitz',)}, 'did you mean digits'),
    ({'settings': ('finetuned',)}, 'unknown setting'),
    ({'networks': ('none.safetensors',)}, 'no weights file at'),
    ({'datasets': ('folder:none',)}, 'no such directory'),
    ({'data.corrupt': 'ignore'}, "expected 'error' or 'skip'"),
    ({'logistic_regression.num_penalties': 0}, 'expected an integer'),
    ({'logistic_regression.penalty_min': 0.0}, 'penalty_min'),
    ({'features.batch_size': 0}, 'expected an integer from 1'),
    ({'features.cache_gib': -1.0}, 'cache_gib: expected a number from 0'),
    ({'features.pyramid': (1, 2)}, 'name a layer'),
    (
      {
        'settings': ('nearest_neighbors',),
        'nearest_neighbors.neighbors': (0, 1),
      },
      'neighbors: expected a tuple of 1 or more',
    ),
  ],
)
def test_refused_before_anything_is_written(
  tmp_path, small_config, change, message
):
  small_config.update_from_flattened_dict(change)
  with pytest.raises(errors.InputError, match=message):
    study.run(small_config, tmp_path / 'work')
  assert not (tmp_path / 'work').exists()


def test_what_is_left_out_has_three_parts(tmp_path, tiny_config):
  tiny_config.leave_out = ('digits',)
  with pytest.raises(errors.InputError, match=r'leave_out: .*\(network'):
    study.run(tiny_config, tmp_path / 'work')


def test_one_network_is_exported_not_all(tmp_path, tiny_config):
  tiny_config.settings = ('fine_tuned',)
  tiny_config.export = str(tmp_path / 'tuned.safetensors')
  with pytest.raises(errors.InputError, match='must be one network'):
    study.run(tiny_config, tmp_path / 'work')


def test_fields_of_a_setting_that_are_missing(tmp_path, tiny_config):
  tiny_config.settings = ('fine_tuned',)
  tiny_config.unlock()
  del tiny_config.fine_tuned
  with pytest.raises(errors.InputError, match=r'configs/base\.py'):
    study.run(tiny_config.lock(), tmp_path / 'work')
  assert not (tmp_path / 'work').exists()
