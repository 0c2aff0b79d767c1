"""The fields that configs share."""

import re

import pytest

from tf_transfer import config_files, errors
from tf_transfer.configs import base
from tf_transfer.transfer import estimators, settings

DATA = {
  *('dir', 'prepare', 'cache_dir', 'test_reads_dir', 'cut_banner', 'corrupt'),
  *('split_seed', 'val_fraction', 'test_fraction', 'examples_per_class'),
  *('subset_seed', 'split_version', 'group_by', 'folds'),
}


@pytest.mark.parametrize(
  'name', ['study', 'choose', 'pretrain', 'imagenet', 'leaks', 'datasets']
)
def test_every_job_opens_datasets_with_the_same_fields(name):
  assert set(config_files.load(name).data) == DATA


def test_every_setting_has_its_fields():
  config = base.get_config()
  for name, setting in settings.SETTINGS.items():
    assert (name in config) == setting.has_fields


def test_every_estimator_can_be_named():
  assert tuple(estimators.ESTIMATORS) == base.ESTIMATORS


def test_one_cell():
  config = base.get_config('resnet50,folder:/images,jpeg')
  assert config.networks == ('resnet50',)
  assert config.datasets == ('folder:/images,jpeg',)
  with pytest.raises(errors.InputError, match='DATASET is missing'):
    base.get_config('resnet50')


def test_a_field_that_does_not_exist_is_not_added():
  for config in (base.get_config(), base.fine_tuned_fields()):
    with pytest.raises(AttributeError, match='locked'):
      config.stps = 3


def test_two_configs_do_not_share_fields():
  base.get_config().fine_tuned.steps = 1
  assert base.get_config().fine_tuned.steps == 20_000
  assert base.get_config().random_init.steps == 20_000


def test_grid_of_random_initialization_is_another():
  tuned, scratch = base.fine_tuned_fields(), base.random_init_fields()
  assert {name for name in tuned if tuned[name] != scratch[name]} == {
    *('learning_rate_min', 'learning_rate_max', 'include_zero_weight_decay'),
    *('num_weight_decays', 'weight_decay_min', 'weight_decay_max'),
  }


@pytest.mark.parametrize(
  ('fields', 'problem'),
  [
    ({'folds': 1}, 'folds: 1 leaves nothing to train on'),
    ({'folds': 5, 'split_version': 1}, 'folds: .* set split_version=2'),
    ({'group_by': 'a', 'split_version': 1}, 'group_by: .* set split_version=2'),
    ({'group_by': '('}, r"group_by: '\(' is no regular expression: "),
    ({'val_fraction': 0.8}, 'leave nothing to train on'),
    ({'folds': 5, 'group_by': r'^(p\d+)_'}, '^$'),
  ],
)
def test_a_draw_that_cannot_be(fields, problem):
  data = base.get_config().data
  data.update(fields)
  assert re.search(problem, base.Data.contradiction(data))
