"""Enables the arithmetic that the solver's parts are called with."""

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from tests.transfer.logistic import small


@pytest.fixture
def x64():
  """Enables 64-bit types, as `path.fit_path` does."""
  with jax.enable_x64(True):
    yield


@pytest.fixture(params=small.LAYOUTS)
def layout(request, x64) -> str:
  """Each way to hold the examples."""
  return request.param


@pytest.fixture(params=[True, False], ids=['softmax', 'labels'])
def is_softmax(request, x64) -> bool:
  """Both losses."""
  return request.param


@pytest.fixture(autouse=True, scope='module')
def _one_thread():
  """OpenMP's and BLAS's threads spin: many times slower on a busy machine."""
  with threadpool_limits(1):
    yield


@pytest.fixture(scope='module')
def digits():
  """Real data: 1,297 + 500 digits of 8 × 8, pixels from 0 to 1."""
  features, labels = load_digits(return_X_y=True)
  order = np.random.default_rng(0).permutation(len(labels))
  features = (features[order] / 16).astype(np.float32)
  labels = labels[order]
  return features[:1297], labels[:1297], features[1297:], labels[1297:]
