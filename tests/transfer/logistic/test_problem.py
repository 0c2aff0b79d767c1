"""How features and labels are held on the devices."""

import dataclasses

import jax
import numpy as np
import pytest

from tf_transfer.runtime import devices
from tf_transfer.transfer.logistic import blocks
from tf_transfer.transfer.logistic import problem as problem_lib


@pytest.fixture
def eight(x64):
  return devices.data_mesh(jax.devices())


def test_padding_does_not_count(eight):
  features = np.arange(30.0).reshape(10, 3)
  targets = np.arange(10) % 2 == np.arange(2)[:, None]
  problem = problem_lib.build_problem(features, targets, None, eight, False)
  assert problem.rows.shape == (16, 3)
  assert problem.targets.shape == (2, 16)
  np.testing.assert_array_equal(problem.rows[:10], features)
  np.testing.assert_array_equal(problem.row_mask, np.arange(16) < 10)
  assert problem.is_softmax


@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64])
def test_features_keep_their_type(eight, dtype):
  features = np.ones((8, 2), dtype)
  mask = np.ones((3, 8), bool)
  problem = problem_lib.build_problem(features, mask, mask, eight, False)
  assert problem.rows.dtype == dtype
  assert problem.product_rows.dtype == np.float32
  assert (problem.product_rows is problem.rows) == (dtype == np.float32)
  assert not problem.is_softmax


def test_features_that_do_not_vary_are_known(eight):
  """Also where only the last of several blocks of rows differs."""
  features = np.ones((9000, 3), np.float32)
  features[8999, 1] = 2
  features[0, 2] = 2
  mask = np.ones((1, 9000), bool)
  problem = problem_lib.build_problem(features, mask, mask, eight, False)
  np.testing.assert_array_equal(problem.varies, [False, True, True])


@pytest.mark.parametrize('streamed', [False, True])
def test_rows_in_float64_are_centered_block_by_block(eight, streamed):
  """The features are not copied for it."""
  features = np.float32(1e4) + np.arange(48, dtype=np.float32).reshape(16, 3)
  mask = np.ones((1, 16), bool)
  problem = problem_lib.build_problem(features, mask, mask, eight, streamed)
  mean = features.mean(0, dtype=np.float64)
  problem = problem_lib.in_float64(dataclasses.replace(problem, mean=mean))
  assert problem.product_rows is problem.rows
  np.testing.assert_array_equal(problem.shift, mean)
  np.testing.assert_array_equal(problem.mean, 0)
  np.testing.assert_array_equal(jax.jit(blocks.mean_row)(problem), 0)
  rows = jax.jit(blocks.gather_rows)(problem, np.array([15, 2]))
  np.testing.assert_array_equal(rows, features[[15, 2]] - mean)


def test_mesh_has_as_many_devices_as_have_enough_to_do(monkeypatch):
  monkeypatch.setattr(problem_lib, 'VALUES_PER_DEVICE', 100)
  sizes = [problem_lib.choose_mesh(n).size for n in (1, 199, 200, 10_000)]
  assert sizes == [1, 1, 2, 8]


def test_features_stay_with_the_host_beyond_a_limit(eight):
  assert problem_lib.exceeds_device_memory(11, 10, eight)
  assert not problem_lib.exceeds_device_memory(10, 10, eight)
  # CPUs report no memory.
  assert not problem_lib.exceeds_device_memory(1e15, None, eight)
