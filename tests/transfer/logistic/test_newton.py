"""Newton's method for one penalty."""

import jax
import numpy as np
import pytest

from tests.transfer.logistic import reference, small
from tf_transfer.transfer.logistic import bfgs, newton

line_search = jax.jit(newton.line_search)


@jax.jit
def minimize(case_arrays, tolerance, max_evaluations):
  """Minimizes from a case's point, with a history of two directions."""
  problem, spectrum, point = case_arrays
  return newton.minimize(
    problem,
    spectrum,
    bfgs.empty_history(2, 12),
    None,
    point,
    small.PENALTY,
    tolerance,
    max_evaluations,
  )


def arrays(case):
  return case.problem, case.spectrum, case.point


def test_step_solves_newtons_system(is_softmax):
  case = small.case(is_softmax)

  @jax.jit
  def step(problem, spectrum, point):
    return newton.newton_step(
      problem,
      spectrum,
      bfgs.empty_history(2, 12),
      None,
      # A huge objective makes the forcing term tiny, and the step exact.
      point._replace(objective=1e30),
      small.PENALTY,
      0.0,
      200,
    )

  weights_step, bias_step, num_products, history = step(*arrays(case))
  _, slope, bias_slope = reference.evaluate(
    case.weights.T,
    case.bias,
    case.features.astype(float),
    case.labels,
    small.PENALTY,
  )
  expected = small.newton_step(case, -slope.T, -bias_slope)
  bias_shift = 0
  if is_softmax:
    # The same step of all classes changes nothing.
    bias_shift = np.mean(bias_step) - np.mean(expected[1])
    expected = expected[0] - expected[0].mean(0), expected[1]
    weights_step = weights_step - weights_step.mean(0)
  np.testing.assert_allclose(weights_step, expected[0], rtol=1e-3, atol=1e-4)
  np.testing.assert_allclose(
    bias_step - bias_shift, expected[1], rtol=1e-3, atol=1e-4
  )
  assert 2 < num_products <= 200
  # The last two directions are of length one in the Hessian.
  lengths = np.sum(
    history.directions * (history.images + small.PENALTY * history.directions),
    axis=1,
  )
  np.testing.assert_allclose(lengths, 1, rtol=1e-3)


def test_minimum_is_the_references(x64):
  case = small.case(True)
  point, num_evaluations, _ = minimize(arrays(case), 1e-10, 1000)
  start = np.concatenate([case.weights.T, case.bias[None]])
  optimum, _ = reference.minimum(
    case.features.astype(float), case.labels, small.PENALTY, 3, start.ravel()
  )
  assert point.bound <= 1e-10 * point.objective
  assert point.objective - optimum <= point.bound + 1e-14 * optimum
  assert point.objective == pytest.approx(optimum, rel=1e-10)
  assert 0 < num_evaluations < 100


@pytest.mark.parametrize('max_evaluations', [0, 5])
def test_evaluations_are_limited(x64, max_evaluations):
  """The line search of the last step goes a little beyond."""
  case = small.case(True)
  point, num_evaluations, _ = minimize(arrays(case), 1e-10, max_evaluations)
  assert point.bound > 1e-10 * point.objective
  assert max_evaluations <= num_evaluations <= max_evaluations + 6


def test_line_search_halves_a_step_that_is_too_long(x64):
  """A hundred times the gradient is one."""
  case = small.case(True)
  descent = -case.point.gradient
  point, num_attempts, moved = line_search(
    case.problem, case.point, small.PENALTY, 100 * descent, case.bias * 0
  )
  assert moved
  assert num_attempts > 1
  assert point.objective < case.point.objective
  length = 100 * 0.5 ** (int(num_attempts) - 1)
  np.testing.assert_allclose(
    point.weights, case.weights + length * descent, rtol=1e-12
  )


def test_line_search_returns_the_old_point_where_no_length_helps(x64):
  case = small.case(True)
  point, num_attempts, moved = line_search(
    case.problem, case.point, small.PENALTY, case.point.gradient, case.bias * 0
  )
  assert not moved
  assert num_attempts == 31
  np.testing.assert_array_equal(point.weights, case.weights)
  assert point.objective == case.point.objective
