"""The search for test images in splits that are trained on."""

import dataclasses

import pytest

from tests.study.leaky import config, ledger_of, numbers, other, root
from tf_transfer import datasets, errors
from tf_transfer.study import leak_audit
from tf_transfer.transfer.fixed_features import feature_cache, features

__all__ = ['config', 'other', 'root']  # fixtures


def test_all_that_was_planted_is_found_and_no_more(config):
  dataset = datasets.open(config.dataset)
  elsewhere = datasets.open(config.against[0])
  found, unreadable = leak_audit.find_leaks(dataset, [elsewhere], config)
  assert unreadable == 0
  test, train = (dataset.splits[part] for part in ('test', 'train'))
  own = [leak for leak in found if leak.dataset == dataset.name]
  assert numbers(test, [leak.test for leak in own]) == [0, 1, 2]
  for leak in own:
    assert (leak.kind, leak.split, leak.cosine) == ('hash', 'train', None)
    assert leak.distance <= 8
    name = test.describe(leak.test).rpartition('/')[2].split('.')[0]
    assert train.describe(leak.other).endswith(f'copy{name}.img.png')
  (exact,) = [leak for leak in found if leak.dataset == elsewhere.name]
  assert (exact.kind, exact.split, exact.distance) == ('exact', 'train', 0)
  assert numbers(test, [exact.test]) == [5]


def test_max_distance_decides(config):
  config.max_distance = -1
  dataset = datasets.open(config.dataset)
  assert leak_audit.find_leaks(dataset, [], config)[0] == []
  config.max_distance = 64
  found, _ = leak_audit.find_leaks(dataset, [], config)
  assert len(found) == 2 * 16  # each test image has a nearest in both parts


def test_features_find_what_the_hash_does_not(config, small_lite0, tmp_path):
  config.max_distance = -1
  config.min_cosine = 0.9
  dataset = datasets.open(config.dataset)
  cache = feature_cache.FeatureCache(tmp_path, 1e9)
  extract = features.Extractor(small_lite0, cache, corrupt='skip')
  found, _ = leak_audit.find_leaks(dataset, [], config, extract)
  assert {0, 1, 2} <= set(
    numbers(dataset.splits['test'], {x.test for x in found})
  )
  for leak in found:
    assert leak.kind == 'features'
    assert 0.9 <= leak.cosine <= 1 + 1e-6


def test_a_ledger_that_has_nothing_on_the_dataset(config, tmp_path):
  dataset = datasets.open(config.dataset)
  with pytest.raises(errors.InputError, match='no record on the test split'):
    leak_audit.measure_without(tmp_path, dataset, set())


def test_nothing_left(config, tmp_path):
  dataset = datasets.open(config.dataset)
  ledger_of(tmp_path, dataset, wrong=set())
  with pytest.raises(errors.InputError, match='every test image is a leak'):
    leak_audit.measure_without(tmp_path, dataset, set(range(16)))


def test_folds_are_refused(config):
  """Each of their test images is trained on in the other folds."""
  dataset = datasets.open(config.dataset)
  folded = dataclasses.replace(dataset, folds=(dataset, dataset))
  with pytest.raises(errors.InputError, match=r'set data\.folds to 0'):
    leak_audit.find_leaks(folded, [], config)
