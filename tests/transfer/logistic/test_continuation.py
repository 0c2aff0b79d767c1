"""From one penalty to the next."""

import jax
import numpy as np
import pytest

from tests.transfer.logistic import small
from tf_transfer.transfer.logistic import bfgs, continuation


def history_of(function, num_solutions):
  """Solutions whose weights [1, 2] are a function of the logarithm."""
  log_penalties = 3.0 - np.arange(4.0)
  # What is not known yet must not matter.
  values = np.full((4, 2), 99.0)
  for index in range(num_solutions):
    values[index] = function(log_penalties[index])
  return continuation.SolutionHistory(
    log_penalties=log_penalties,
    weights=values[:, None],
    bias=values[:, :1],
    loss=0.0,
    num_solutions=num_solutions,
    bfgs_history=bfgs.empty_history(0, 2),
  )


extrapolate = jax.jit(continuation._extrapolate)


@pytest.mark.parametrize('num_solutions', [1, 2, 3, 4])
def test_polynomial_is_as_high_as_there_are_solutions(x64, num_solutions):
  """Exact for a polynomial of that degree, at the next penalty."""

  def function(x):
    powers = x ** np.arange(num_solutions)
    return np.array([powers.sum(), 2 - powers @ np.arange(num_solutions)])

  history = history_of(function, num_solutions)
  next_log = 3.0 - num_solutions
  weights, bias = extrapolate(history, next_log)
  expected = function(next_log)
  np.testing.assert_allclose(weights, expected[None], rtol=1e-12, atol=1e-12)
  np.testing.assert_allclose(bias, expected[:1], rtol=1e-12, atol=1e-12)


def test_start_is_the_better_of_given_and_zero_weights(is_softmax):
  case = small.case(is_softmax)
  arguments = np.log(small.PENALTY), 2
  # These are random and so worse than zero.
  history = continuation.start_history(
    case.problem, case.weights, case.bias, *arguments
  )
  assert (history.weights == 0).all()
  assert history.num_solutions == 1
  targets, mask = (np.asarray(case.problem.targets), case.problem.label_mask)
  if is_softmax:
    prior = np.log(targets.mean(1))
  else:
    share = np.sum(targets & mask, 1) / np.sum(mask, 1)
    prior = np.log(share / (1 - share))
  np.testing.assert_allclose(history.bias[0], prior, rtol=1e-12)
  # A small step down the gradient is better than zero.
  good = -1e-3 * np.asarray(
    small.evaluate(
      case.problem, 0 * case.weights, prior, small.PENALTY
    ).gradient
  )
  history = continuation.start_history(case.problem, good, prior, *arguments)
  np.testing.assert_allclose(history.weights[0], good, rtol=1e-9, atol=1e-15)


def test_solutions_are_kept_newest_first(x64):
  case = small.case(True)
  history = continuation.start_history(
    case.problem, 0 * case.weights, case.bias, 0.0, 2
  )
  weights = []
  for log_penalty in (0.0, -0.5):
    history, solution, evaluations = continuation.solve_next(
      case.problem, case.spectrum, history, log_penalty, 1e-9, 500, 0, None
    )
    assert solution.bound <= 1e-9 * solution.objective
    assert evaluations > 0
    weights.append(np.asarray(solution.weights))
  np.testing.assert_array_equal(history.weights[0], weights[1])
  np.testing.assert_array_equal(history.weights[1], weights[0])
  np.testing.assert_array_equal(history.log_penalties[:2], [-0.5, 0.0])
  assert history.num_solutions == 3
  # Evaluated anew, the solution is as good as it was said to be.
  again = continuation.evaluate_solution(
    case.problem, solution.weights, solution.bias, np.exp(-0.5)
  )
  assert again.objective == pytest.approx(float(solution.objective), rel=1e-14)
  assert again.bound == pytest.approx(float(solution.bound), rel=1e-3)
