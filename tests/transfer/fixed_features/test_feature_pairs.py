"""Tests that two splits share one matrix of features."""

import numpy as np
import pytest

from tf_transfer import datasets
from tf_transfer.transfer.fixed_features import (
  feature_cache,
  feature_pairs,
  features,
)


def make_extractor(net, root):
  cache = feature_cache.FeatureCache(root, 1e9)
  return features.Extractor(net, cache, batch_size=16, corrupt='skip')


@pytest.mark.parametrize('corrupt_first', [True, False])
def test_pair_of_splits_shares_one_matrix(
  tmp_path, tiny_net, corrupt_split, photos, corrupt_first
):
  corrupt, _ = corrupt_split
  intact = datasets.open(f'folder:{photos}').splits['test']
  pair = [(corrupt, 'corrupt'), (intact, 'intact')]
  if not corrupt_first:
    pair.reverse()
  extract = make_extractor(tiny_net, tmp_path / 'cache')
  first, second, both = feature_pairs.extract_pair(extract, *pair)
  assert len(both) == len(first) + len(second)
  assert len(both) == len(corrupt) + len(intact) - 1
  assert len(both.skipped) == 1
  for shared, split in zip((first, second), pair, strict=True):
    assert np.shares_memory(shared.values, both.values)
    alone = extract(*split)
    assert alone.num_computed == 0
    np.testing.assert_array_equal(shared.values, alone.values)
    np.testing.assert_array_equal(shared.labels, alone.labels)
  np.testing.assert_array_equal(
    both.values, np.concatenate([first.values, second.values])
  )
  np.testing.assert_array_equal(both.labels[len(first) :], second.labels)
