"""Features on which float32 gives out: columns that hardly vary, and scales."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from tests.transfer.logistic import reference
from tf_transfer.runtime import devices
from tf_transfer.transfer.logistic import path as path_lib

# A column's mean, and its spread around it.
COLUMNS = (
  (0, 1),
  (0, 0),
  (1, 0),
  (7, 0),
  (1e4, 0),
  (7, 1e-2),
  (1, 1e-4),
  (1e4, 0.1),
  (0, 1e-4),
  (0, 1e4),
)

PENALTIES = 10.0 ** np.array([-6, -5, -4.75, -4, -2, 1, 5])


def make_problem(count, columns, num_duplicates, seed):
  """Returns features [count, 5 or 12] and labels of three classes.

  Args:
    count: examples.
    columns: for each, its position in COLUMNS.
    num_duplicates: examples that are there twice, with another label.
    seed: of all numbers.
  """
  rng = np.random.default_rng(seed)
  means, spreads = np.transpose([COLUMNS[index] for index in columns])
  features = means + spreads * rng.normal(size=(count, len(columns)))
  labels = rng.permutation(np.arange(count) % 3)
  if num_duplicates:
    features[-num_duplicates:] = features[:num_duplicates]
    labels[-num_duplicates:] = (labels[:num_duplicates] + 1) % 3
  return features, labels


@st.composite
def problems(draw):
  """Problems in two shapes, more examples than features and fewer."""
  count, dim = draw(st.sampled_from([(12, 5), (8, 12)]))
  column = st.integers(0, len(COLUMNS) - 1)
  columns = draw(st.lists(column, min_size=dim, max_size=dim))
  num_duplicates = draw(st.integers(0, 3))
  seed = draw(st.integers(0, 2**32 - 1))
  dtype = draw(st.sampled_from([np.float32, np.float64]))
  features, labels = make_problem(count, columns, num_duplicates, seed)
  return features.astype(dtype), labels


def check_optimum(features, labels, path):
  """Checks a path against Newton's method with dense Hessians in float64.

  The reference gets centered features, to which the bias is fitted as well.
  """
  features = features.astype(np.float64)
  mean = features.mean(0)
  varies = (features != features[0]).any(0)
  centered = np.where(varies, features - mean, 0)
  for index, penalty in enumerate(path.penalties):
    weights = path.weights[index]
    bias = path.bias[index] + mean @ weights
    start = np.concatenate([weights, bias[None]]).ravel()
    optimum, _ = reference.minimum(centered, labels, penalty, 3, start)
    value, *_ = reference.evaluate(weights, bias, centered, labels, penalty)
    assert path.objective[index] == pytest.approx(value, rel=1e-10)
    excess = value - optimum
    assert excess <= path.bound[index] + 1e-10 * optimum
    assert excess <= 1e-9 * optimum


@settings(max_examples=20, deadline=None, derandomize=True)
@given(problems())
def test_any_columns_converge_to_the_optimum(problem):
  features, labels = problem
  path = path_lib.fit_path(features, labels, PENALTIES, num_classes=3)
  assert path.converged.all()
  assert (path.bound <= 1e-9 * path.objective).all()
  constant = (features == features[0]).all(0)
  assert (path.weights[:, constant] == 0).all()
  check_optimum(features, labels, path)


@pytest.mark.parametrize('offset', [7, 1e4])
def test_a_constant_column_changes_nothing(offset):
  """Contradictory duplicates, which keep the losses large at all penalties."""
  features, labels = make_problem(12, [0] * 5, 3, seed=1)
  features[:, 2] = offset
  path = path_lib.fit_path(features, labels)
  assert path.converged.all()
  assert (path.weights[:, 2] == 0).all()
  features[:, 2] = 0
  without = path_lib.fit_path(features, labels)
  np.testing.assert_allclose(path.objective, without.objective, rtol=2e-9)
  np.testing.assert_allclose(
    path.weights[-20:], without.weights[-20:], atol=1e-3
  )


def test_weights_to_start_from_are_dropped_on_a_constant_column():
  features, labels = make_problem(12, [0, 0, 3, 0, 0], 3, seed=1)
  cold = path_lib.refit(features, labels, 1e-3)
  weights = cold.weights[0].copy()
  weights[2] = [1, 2, -3]
  warm = path_lib.refit(
    features, labels, 1e-3, initial=(weights, cold.bias[0] - 7 * weights[2])
  )
  assert warm.converged.all()
  assert warm.evaluations[0] < 5
  assert (warm.weights[:, 2] == 0).all()
  np.testing.assert_allclose(warm.weights, cold.weights, atol=1e-3)


@pytest.mark.parametrize('column', [(7, 1e-2), (1e4, 0.1)])
def test_nearly_constant_columns_agree_with_scikit_learn(column):
  """It gets centered features: with the others it does not converge."""
  features, labels = make_problem(12, [0] * 5, 3, seed=2)
  features[:, 1] = column[0] + column[1] * features[:, 1]
  penalties = [1e-4, 1e-2, 1.0]
  path = path_lib.fit_path(features, labels, penalties)
  assert path.converged.all()
  for index, penalty in enumerate(penalties):
    peer = LogisticRegression(
      C=1 / penalty, solver='newton-cholesky', tol=1e-10, max_iter=1000
    ).fit(features - features.mean(0), labels)
    theirs, *_ = reference.evaluate(
      peer.coef_.T,
      peer.intercept_,
      features - features.mean(0),
      labels,
      penalty,
    )
    assert path.objective[index] == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize(
  ('num_devices', 'device_memory'), [(1, None), (8, 1.0)]
)
def test_large_scales_converge_in_few_evaluations(num_devices, device_memory):
  """Float32 hovers over the optimum: it is left after a few idle steps.

  Also where the features are spread over devices and stay with the host.
  """
  features, labels = make_problem(12, [9] * 5, 3, seed=3)
  path = path_lib.fit_path(
    features.astype(np.float32),
    labels,
    PENALTIES,
    mesh=devices.data_mesh(jax.devices()[:num_devices]),
    device_memory=device_memory,
  )
  assert path.converged.all()
  assert path.evaluations.max() < 2500
  check_optimum(features.astype(np.float32), labels, path)
