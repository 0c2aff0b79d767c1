"""Tests of the digest of a weights file, and of the bounds of its values."""

import hashlib
import json

import numpy as np
import pytest

from tf_transfer.networks import integrity, weights


def test_digest_by_hand():
  tensors = {
    'b': np.arange(3, dtype=np.float32),
    'a': np.float32([[1, 2], [3, 4]]).T,
  }
  expected = hashlib.sha256(
    json.dumps({'x': 1, 'y': 2}).encode()
    + b'a\0<f4\0(2, 2)\0'
    + np.float32([1, 3, 2, 4]).tobytes()
    + b'b\0<f4\0(3,)\0'
    + np.float32([0, 1, 2]).tobytes()
  ).hexdigest()
  assert integrity.digest({'y': 2, 'x': 1}, tensors) == expected


@pytest.mark.parametrize(
  'tensors',
  [
    {'b': np.zeros((2, 3), np.float32)},
    {'a': np.zeros((3, 2), np.float32)},
    {'a': np.zeros((2, 3), np.int32)},
    {'a': np.zeros((2, 3), np.float32), 'c': np.zeros(0, np.float32)},
    {},
  ],
)
def test_digest_covers_names_types_and_shapes(tensors):
  one = {'a': np.zeros((2, 3), np.float32)}
  assert integrity.digest({}, one) != integrity.digest({}, tensors)
  assert integrity.digest({}, one) != integrity.digest({'x': 1}, one)


def test_real_networks_are_far_within_the_bounds(weights_dir):
  for path in weights_dir.iterdir():
    _, tensors = weights.read(path)
    assert integrity.implausible(tensors) == []
    assert max(np.abs(array).max() for array in tensors.values()) < 1e4


def test_zeros_are_no_fault_where_they_may_be():
  kernel = 'params/backbone/a/kernel'
  ones, zeros = np.ones(3, np.float32), np.zeros(3, np.float32)
  may_be = {
    kernel: ones,
    'params/backbone/a/bias': zeros,
    'params/backbone/a/bn/scale': zeros,
    'params/head/kernel': zeros,
    'batch_stats/backbone/a/var': zeros,
    'empty': zeros[:0],
  }
  assert integrity.implausible(may_be) == []
  assert integrity.implausible({kernel: zeros}) == []
  other = {**may_be, 'params/backbone/b/kernel': zeros}
  (problem,) = integrity.implausible(other)
  assert problem == 'params/backbone/b/kernel: all values are 0'
