"""Objective, gradient and certificate against NumPy."""

import jax
import numpy as np
import pytest

from tests.transfer.logistic import reference, small
from tf_transfer.transfer.logistic import objective


def test_objective_and_gradients(is_softmax, layout):
  case = small.case(is_softmax, layout)
  value, slope, bias_slope = reference.evaluate(
    case.weights.T,
    case.bias,
    case.features.astype(float),
    case.labels,
    small.PENALTY,
  )
  assert case.point.objective == pytest.approx(value, rel=1e-12)
  penalty_term = small.PENALTY / 2 * np.sum(case.weights**2)
  assert case.point.loss == pytest.approx(value - penalty_term, rel=1e-12)
  np.testing.assert_allclose(case.point.bias_gradient, bias_slope, rtol=1e-10)
  norm = jax.jit(objective.gradient_norm)(case.problem, case.point)
  expected = max(np.abs(slope).max(), np.abs(bias_slope).max())
  assert norm == pytest.approx(expected, rel=1e-5)


def test_gradient_is_that_after_the_step_of_the_bias(is_softmax):
  """To first order: g_w + H_wb u with u = -H_bb^-1 g_b."""
  case = small.case(is_softmax)
  _, slope, bias_slope = reference.evaluate(
    case.weights.T,
    case.bias,
    case.features.astype(float),
    case.labels,
    small.PENALTY,
  )
  hessian = small.dense_hessian(case)
  step = -np.linalg.pinv(hessian[:, 4, :, 4], rcond=1e-10) @ bias_slope
  step_ours = case.point.bias_step
  if is_softmax:
    # The same step of all classes changes nothing.
    step, step_ours = step - step.mean(), step_ours - step_ours.mean()
  np.testing.assert_allclose(step_ours, step, rtol=1e-5)
  expected = slope.T + hessian[:, :4, :, 4] @ step
  np.testing.assert_allclose(
    case.point.gradient, expected, rtol=1e-5, atol=1e-5
  )


@pytest.mark.parametrize('distance', [1e-6, 1e-3, 1e-1])
def test_bound_is_above_the_distance_from_the_optimum(is_softmax, distance):
  """At points near the optimum in random directions."""
  case = small.case(is_softmax)
  features = case.features.astype(float)
  start = np.concatenate([case.weights.T, case.bias[None]])
  optimum, both = reference.minimum(
    features, case.labels, small.PENALTY, 3, start.ravel()
  )
  rng = np.random.default_rng(2)
  finite = 0
  for _ in range(5):
    near = both.reshape(5, 3) + distance * rng.normal(size=(5, 3))
    point = small.evaluate(
      case.problem, near[:4].T.copy(), near[4].copy(), small.PENALTY
    )
    excess = point.objective - optimum
    assert excess <= point.bound
    finite += bool(np.isfinite(point.bound))
    # It is worth something: not much larger than what it bounds.
    if distance < 1e-2:
      assert point.bound <= 100 * excess
  assert finite or distance == 1e-1


def test_no_bound_where_there_is_no_dual_point(is_softmax):
  """With a bias that is far off, its step leaves the probabilities' range."""
  case = small.case(is_softmax)
  bias = case.bias + np.array([20.0, 0, 0])
  point = small.evaluate(case.problem, case.weights, bias, small.PENALTY)
  assert point.bound == np.inf


def test_total_loss_is_the_objective_without_penalty(is_softmax):
  case = small.case(is_softmax)
  loss = jax.jit(objective.total_loss)(case.problem, case.weights, case.bias)
  assert loss == pytest.approx(float(case.point.loss), rel=1e-14)


def test_trace_is_that_of_all_curvatures(is_softmax):
  case = small.case(is_softmax)
  trace = np.trace(small.dense_curvature(case).sum(0))
  assert objective.curvature_trace(case.point) == pytest.approx(trace, rel=1e-5)
