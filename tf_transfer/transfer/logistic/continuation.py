"""Follows the solution from one penalty to the next.

The solution is a smooth function of the penalty's logarithm. The polynomial
through the last four solutions, a cubic, extrapolates to the next penalty, and
from there one or two Newton steps are left. Where the last solution itself has
the lower objective, that is the start instead.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from tf_transfer.transfer.logistic import bfgs, leading_examples, newton
from tf_transfer.transfer.logistic import objective as objective_lib
from tf_transfer.transfer.logistic.bfgs import BfgsHistory
from tf_transfer.transfer.logistic.block_cholesky import BlockCholesky
from tf_transfer.transfer.logistic.objective import Point
from tf_transfer.transfer.logistic.problem import Problem
from tf_transfer.transfer.logistic.spectrum import Spectrum

# Solutions that are extrapolated from. With five or six the polynomial was
# worse, since it magnifies the error that the tolerance leaves.
NUM_SOLUTIONS = 4


class SolutionHistory(NamedTuple):
  """The last solutions, newest first, from which the next is extrapolated.

  Attributes:
    log_penalties: [NUM_SOLUTIONS], natural logarithms.
    weights: [NUM_SOLUTIONS, C, R].
    bias: [NUM_SOLUTIONS, C].
    loss: the newest one's, without the penalty.
    num_solutions: how many of NUM_SOLUTIONS there are.
    bfgs_history: products with the Hessian on the way here.
  """

  log_penalties: jax.Array
  weights: jax.Array
  bias: jax.Array
  loss: jax.Array
  num_solutions: jax.Array
  bfgs_history: BfgsHistory


class Solution(NamedTuple):
  """A solution and how good it is.

  Attributes:
    weights: [C, R].
    bias: [C].
    objective: sum of losses + penalty / 2 * |weights|^2.
    gradient_norm: the largest absolute entry of the objective's gradient.
    bound: at least the objective's distance from the optimum.
  """

  weights: jax.Array
  bias: jax.Array
  objective: jax.Array
  gradient_norm: jax.Array
  bound: jax.Array


@functools.partial(jax.jit, static_argnames='num_directions')
def start_history(
  problem: Problem,
  weights: jax.Array,
  bias: jax.Array,
  log_penalty: ArrayLike,
  num_directions: int,
) -> SolutionHistory:
  """Starts from given weights, or from zero where that is better.

  With zero weights the bias is the logarithm of the classes' frequencies, or
  the log-odds of labels. It also takes over what weights of features that do
  not vary would do.

  Args:
    problem: what is fitted.
    weights: [C, R].
    bias: [C].
    log_penalty: natural logarithm, of the first solution to come.
    num_directions: K, of the BFGS history.
  """
  if problem.is_softmax:
    # What all classes share changes no loss and only costs penalty.
    weights = weights - jnp.mean(weights, axis=0)
  bias = bias + jnp.where(problem.varies, 0, weights) @ problem.mean
  weights = jnp.where(problem.varies, weights, 0)
  penalty = jnp.exp(log_penalty)
  weights = jnp.stack([jnp.zeros_like(weights), weights])
  bias = jnp.stack([_prior_bias(problem), bias])
  loss = lax.map(
    lambda pair: objective_lib.total_loss(problem, *pair), (weights, bias)
  )
  best = jnp.argmin(loss + penalty / 2 * jnp.sum(weights**2, axis=(1, 2)))

  def put_first(array: jax.Array) -> jax.Array:
    return jnp.zeros((NUM_SOLUTIONS, *array.shape)).at[0].set(array)

  return SolutionHistory(
    # Far from every penalty and from each other: the polynomial is finite.
    log_penalties=log_penalty + jnp.arange(1.0, NUM_SOLUTIONS + 1),
    weights=put_first(weights[best]),
    bias=put_first(bias[best]),
    loss=loss[best],
    num_solutions=jnp.ones((), jnp.int32),
    bfgs_history=bfgs.empty_history(
      num_directions, weights[0].size, problem.product_type
    ),
  )


@functools.partial(
  jax.jit, static_argnames='num_leading', donate_argnames='history'
)
def solve_next(
  problem: Problem,
  spectrum: Spectrum,
  history: SolutionHistory,
  log_penalty: ArrayLike,
  tolerance: ArrayLike,
  max_evaluations: ArrayLike,
  num_leading: int,
  cholesky: BlockCholesky | None,
) -> tuple[SolutionHistory, Solution, jax.Array]:
  """Solves for the next penalty.

  Args:
    problem: what is fitted.
    spectrum: of its rows.
    history: the solutions so far; its memory is taken over.
    log_penalty: natural logarithm, below those before.
    tolerance: of the bound, relative to the objective.
    max_evaluations: gradients and products with the Hessian, at most.
    num_leading: leading examples of the preconditioner, 0 for none.
    cholesky: a factor of the Hessian near here, used where num_leading is 0.

  Returns:
    The history with the solution, the solution, and the number of evaluations.
  """
  penalty = jnp.exp(log_penalty)
  point, num_attempts = _start_point(problem, history, log_penalty, penalty)
  approximation = cholesky
  if num_leading:
    # Found once per penalty: they change little on the way.
    approximation = leading_examples.find_leading_examples(
      problem, spectrum, point, penalty, num_leading
    )
  point, num_evaluations, bfgs_history = newton.minimize(
    problem,
    spectrum,
    history.bfgs_history,
    approximation,
    point,
    penalty,
    tolerance,
    max_evaluations - num_attempts,
  )
  history = SolutionHistory(
    log_penalties=jnp.roll(history.log_penalties, 1).at[0].set(log_penalty),
    weights=jnp.roll(history.weights, 1, axis=0).at[0].set(point.weights),
    bias=jnp.roll(history.bias, 1, axis=0).at[0].set(point.bias),
    loss=point.loss,
    num_solutions=jnp.minimum(history.num_solutions + 1, NUM_SOLUTIONS),
    bfgs_history=bfgs_history,
  )
  return history, _solution(problem, point), num_evaluations + num_attempts


@jax.jit
def evaluate_solution(
  problem: Problem, weights: jax.Array, bias: jax.Array, penalty: ArrayLike
) -> Solution:
  """Evaluates weights [C, R] and bias [C], with a certificate."""
  point = objective_lib.evaluate(problem, weights, bias, penalty)
  return _solution(problem, point)


def _prior_bias(problem: Problem) -> jax.Array:
  """Returns the bias [C] that is best with zero weights, up to a constant."""
  is_counted = jnp.broadcast_to(
    problem.row_mask if problem.is_softmax else problem.label_mask,
    problem.targets.shape,
  )
  num_positive = jnp.sum(problem.targets & is_counted, axis=1)
  frequency = num_positive / jnp.sum(is_counted, axis=1)
  log_rest = 0 if problem.is_softmax else jnp.log1p(-frequency)
  return jnp.log(frequency) - log_rest


def _start_point(
  problem: Problem,
  history: SolutionHistory,
  log_penalty: ArrayLike,
  penalty: ArrayLike,
) -> tuple[Point, jax.Array]:
  """Evaluates where Newton's method starts, and counts the evaluations.

  It starts at the extrapolation, or at the last solution if its objective is
  lower.
  """
  last = history.weights[0], history.bias[0]
  objective = history.loss + penalty / 2 * jnp.sum(last[0] ** 2)

  # There is one call of `evaluate`, since compiling it is what takes long.
  def attempt(state: tuple) -> tuple:
    num_attempts, candidate, _ = state
    return (
      num_attempts + 1,
      last,
      objective_lib.evaluate(problem, *candidate, penalty),
    )

  def is_unfinished(state: tuple) -> jax.Array:
    num_attempts, _, point = state
    # Written so that an extrapolation that overflowed counts as worse.
    is_worse = ~(point.objective <= objective * (1 + newton.OBJECTIVE_ROUNDING))
    return (num_attempts == 0) | (is_worse & (num_attempts == 1))

  zeros = jax.tree.map(
    lambda leaf: jnp.zeros(leaf.shape, leaf.dtype),
    jax.eval_shape(objective_lib.evaluate, problem, *last, penalty),
  )
  initial = jnp.zeros((), jnp.int32), _extrapolate(history, log_penalty), zeros
  num_attempts, _, point = lax.while_loop(is_unfinished, attempt, initial)
  return point, num_attempts


def _extrapolate(
  history: SolutionHistory, log_penalty: ArrayLike
) -> tuple[jax.Array, jax.Array]:
  """Evaluates the polynomial through the solutions, in Lagrange's form.

  Returns:
    Weights [C, R] and bias [C] at `log_penalty`.
  """
  is_known = jnp.arange(NUM_SOLUTIONS) < history.num_solutions
  gaps = history.log_penalties[:, None] - history.log_penalties[None]
  distances = log_penalty - history.log_penalties[None]
  is_pair = is_known[:, None] & is_known[None]
  is_pair &= ~jnp.eye(NUM_SOLUTIONS, dtype=bool)
  factors = jnp.where(is_pair, distances / jnp.where(is_pair, gaps, 1), 1)
  coefficients = jnp.where(is_known, jnp.prod(factors, axis=1), 0)
  weights = jnp.tensordot(coefficients, history.weights, 1)
  return weights, coefficients @ history.bias


def _solution(problem: Problem, point: Point) -> Solution:
  """Returns the point as a solution, with its gradient's norm."""
  return Solution(
    weights=point.weights,
    bias=point.bias,
    objective=point.objective,
    gradient_norm=objective_lib.gradient_norm(problem, point),
    bound=point.bound,
  )
