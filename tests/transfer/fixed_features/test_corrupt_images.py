"""Corrupt images in each split and setting: found first, named in the result.

The images are not those of a folder, whose corrupt files are found when it is
opened.
"""

import pytest

from tests.transfer.training import searches
from tests.transfer.training.conftest import tiny_net as tiny_net
from tests.transfer.training.test_corrupt_images import make_dataset
from tf_transfer import errors
from tf_transfer.configs import base
from tf_transfer.transfer import setting as setting_lib
from tf_transfer.transfer import settings
from tf_transfer.transfer.fixed_features import (
  evaluate,
  feature_cache,
  features,
)
from tf_transfer.transfer.training import trials

SPLITS = ('train', 'val', 'test')
POSITION = 4
TRAINED = {
  **searches.FIELDS,
  'num_learning_rates': 1,
  'steps': 4,
  'batch_size': 8,
  'concurrent_trials': 1,
}
FIELDS = {
  'logistic_regression': {'num_penalties': 2},
  'nearest_neighbors': {'neighbors': (1, 3)},
  'fine_tuned': TRAINED,
  'random_init': TRAINED,
}


@pytest.fixture
def run_setting(tiny_net, tmp_path):
  """Runs a setting on a dataset; returns its result."""

  def run(name, dataset, corrupt, cache_bytes=1e9):
    config = base.get_config()
    config.tensorboard = False
    config.data.corrupt = corrupt
    if name in FIELDS:
      config[name].update(FIELDS[name])
    setting = settings.SETTINGS[name]
    extract = None
    if setting.uses_features:
      extract = features.Extractor(
        tiny_net,
        feature_cache.FeatureCache(tmp_path / 'features', cache_bytes),
        features.Options(),
        corrupt=corrupt,
        batch_size=16,
      )
    cell = setting_lib.Cell(tiny_net, dataset, setting, 'identity', 'tiny')
    context = setting_lib.RunContext(config, tmp_path, extract)
    return setting.run(cell, context)

  return run


@pytest.fixture
def no_training(monkeypatch):
  """Lets every training and fit fail the test."""

  def forbidden(*_):
    raise AssertionError('training started')

  monkeypatch.setattr(trials.Job, 'compile', forbidden)
  monkeypatch.setattr(evaluate, '_fit_path', forbidden)


@pytest.mark.parametrize('split', SPLITS)
@pytest.mark.parametrize('name', settings.SETTINGS)
def test_an_error_before_anything_is_trained(
  run_setting, no_training, name, split
):
  dataset = make_dataset({split: [POSITION]})
  with pytest.raises(errors.InputError) as error:
    run_setting(name, dataset, 'error')
  text = str(error.value)
  assert text.startswith('1 of 48 images cannot be decoded: ')
  assert f'{split} {POSITION}' in text
  assert '--config.data.corrupt=skip' in text


@pytest.mark.parametrize('split', SPLITS)
@pytest.mark.parametrize('name', settings.SETTINGS)
def test_what_is_left_out_is_in_the_result(run_setting, name, split):
  dataset = make_dataset({split: [POSITION]})
  result = run_setting(name, dataset, 'skip')
  assert result.skipped == (f'{split} {POSITION}',)
  num_test, num_val = (12 - (split == each) for each in ('test', 'val'))
  assert result.test.examples == num_test
  assert result.validation.examples == num_val
  assert len(result.predictions['label']) == num_test
  assert len(result.predictions['val_label']) == num_val


@pytest.mark.parametrize('cache_bytes', [0, 1e9])
def test_features_that_are_not_cached_are_checked_too(
  run_setting, no_training, cache_bytes
):
  dataset = make_dataset({'test': [POSITION]})
  with pytest.raises(errors.InputError, match='1 of 48 images'):
    run_setting('nearest_class_mean', dataset, 'error', cache_bytes)


def test_features_that_another_run_has_cached_are_checked_too(
  run_setting, monkeypatch, request
):
  dataset = make_dataset({'test': [POSITION]})
  run_setting('nearest_class_mean', dataset, 'skip')
  request.getfixturevalue('no_training')
  with pytest.raises(errors.InputError, match='1 of 48 images'):
    run_setting(
      'nearest_class_mean', make_dataset({'test': [POSITION]}), 'error'
    )


@pytest.mark.parametrize('corrupt', ['error', 'skip'])
def test_a_test_split_that_cannot_be_read_at_all_is_found_first(
  run_setting, no_training, corrupt
):
  dataset = make_dataset({'test': range(12)})
  with pytest.raises(errors.InputError, match='decoded'):
    run_setting('ridge', dataset, corrupt)


def test_images_of_test_are_decoded_once_where_features_are_cached(
  run_setting,
):
  reads = []
  run_setting('ridge', make_dataset({}, reads), 'error')
  # The first images are decoded again for the check of their features.
  assert reads.count(f'test {POSITION}') <= 2
  before = len(reads)
  run_setting('ridge', make_dataset({}, reads), 'error')
  assert len(reads) == before
