"""Tests what logistic regression asks of the solver, and what it returns.

Its numbers are tested against scikit-learn in `test_evaluate`.
"""

import numpy as np
import pytest

from tf_transfer.transfer.fixed_features import logistic_regression
from tf_transfer.transfer.logistic import path as path_lib

_GRID = np.array([1.0, 100.0])


def solution(grid: np.ndarray, **options) -> path_lib.Path:
  """A path of three features and two classes whose numbers all differ."""
  count = len(grid)
  if options['progress']:
    for number in range(count):
      options['progress'](number + 1, count)
  return path_lib.Path(
    penalties=grid,
    weights=np.arange(6.0 * count).reshape(count, 3, 2),
    bias=np.arange(2.0 * count).reshape(count, 2) + 100,
    objective=np.arange(count) + 200.0,
    gradient_norm=np.arange(count) + 300.0,
    bound=np.arange(count) + 400.0,
    evaluations=np.arange(count) + 5,
    converged=np.arange(count) == 0,
  )


@pytest.fixture
def calls(monkeypatch):
  """The options of each call of the solver, which gives `solution`."""
  calls = []

  def fit_path(features, labels, grid, **options):
    calls.append(options)
    return solution(grid, **options)

  monkeypatch.setattr(path_lib, 'fit_path', fit_path)
  return calls


@pytest.fixture
def fit(config):
  """Fits four examples with numbers in the config that differ."""
  config.logistic_regression.tolerance = 1e-3
  config.logistic_regression.refit_tolerance = 1e-7
  config.logistic_regression.max_evaluations = 17
  x, y = np.ones((4, 3), np.float32), np.array([0, 1, 1, 0])

  def fit(grid, **options):
    return logistic_regression.fit(
      x, y, grid, config.logistic_regression, 2, **options
    )

  return fit


def test_fit_returns_the_path(calls, fit):
  num_done = []
  path = fit(_GRID, progress=num_done.append)
  assert num_done == [1, 2]
  np.testing.assert_array_equal(path.weights.ravel(), np.arange(12.0))
  np.testing.assert_array_equal(path.bias, [[100, 101], [102, 103]])
  assert list(path.converged) == [True, False]
  assert path.evaluations == 11
  assert path.certificate == {
    'objective': 201.0,
    'gradient_norm': 301.0,
    'bound': 401.0,
  }
  (options,) = calls
  assert options['num_classes'] == 2
  assert options['initial'] is None
  assert options['tolerance'] == 1e-3
  assert options['max_evaluations'] == 17


def test_refit_starts_from_the_best_and_has_its_own_tolerance(calls, fit):
  path = fit(_GRID)
  refit = fit(_GRID[1:], start=(path, 1))
  assert len(refit.weights) == 1
  weights, bias = calls[1]['initial']
  np.testing.assert_array_equal(weights, path.weights[1])
  np.testing.assert_array_equal(bias, path.bias[1])
  assert calls[1]['tolerance'] == 1e-7
  assert calls[1]['max_evaluations'] == 17
