"""Solves a problem for falling penalties, in the form that suits it.

With fewer examples than features it is solved in the row space, unless rounding
of its axes keeps a penalty from converging. Products with
the Hessian run in float32, which is exact enough for nearly all features. Where
a penalty does not converge that way, it and all smaller ones are solved again
with products in float64 and centered rows: columns whose scales differ by many
powers of ten, or that hardly vary beside their size, need the digits.
"""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tf_transfer.runtime import devices
from tf_transfer.transfer.logistic import (
  block_cholesky,
  blocks,
  continuation,
  schedule,
)
from tf_transfer.transfer.logistic import problem as problem_lib
from tf_transfer.transfer.logistic import spectrum as spectrum_lib
from tf_transfer.transfer.logistic.continuation import Solution
from tf_transfer.transfer.logistic.problem import Problem
from tf_transfer.transfer.logistic.spectrum import RowSpace, Spectrum

# The most rows of the BFGS history. More save next to no evaluations, and are
# read in each.
MAX_DIRECTIONS = 24

# What the solver aims at, as a part of the tolerance. The rest is for rounding.
_TARGET = 0.9


# Evaluations of one penalty in float32, at most; float64 gets the others.
MAX_EVALUATIONS_FLOAT32 = 2000


class Limits(NamedTuple):
  """When a penalty is done.

  Attributes:
    tolerance: of the bound, relative to the objective.
    max_evaluations: after which the solver gives up.
  """

  tolerance: float
  max_evaluations: int


def solve(
  problem: Problem,
  num_examples: int,
  penalties: np.ndarray,
  initial: tuple[np.ndarray, np.ndarray],
  limits: Limits,
) -> Iterator[tuple[Solution, int]]:
  """Yields the solution of each penalty, with its number of evaluations.

  With fewer examples than features the problem is solved in the row space, and
  each solution is evaluated anew in terms of the features: its certificate is
  that of the weights which are returned.

  Args:
    problem: what is fitted.
    num_examples: without padding.
    penalties: [P], falling.
    initial: weights [C, D] and bias [C].
    limits: when a penalty is done.
  """
  if num_examples >= problem.rows.shape[1]:
    mean = blocks.mean_row(problem)
    problem = dataclasses.replace(problem, mean=mean)
    spectrum = spectrum_lib.compute_spectrum(problem)
    solutions = _follow(problem, spectrum, penalties, initial, limits)
    for solution, evaluations in solutions:
      yield jax.tree.map(np.asarray, solution), evaluations
    return
  reduced, spectrum, row_space = _reduce(problem, num_examples)
  weights, bias = initial
  initial = weights @ row_space.axes, bias + weights @ row_space.mean
  solutions = _follow(reduced, spectrum, penalties, initial, limits)
  centered = problem_lib.in_float64(
    dataclasses.replace(problem, mean=row_space.mean)
  )
  for index, (solution, evaluations) in enumerate(solutions):
    penalty = penalties[index]
    weights = solution.weights @ row_space.axes.T
    weights = jnp.where(problem.varies, weights, 0)
    bias = solution.bias - weights @ row_space.mean
    evaluated = continuation.evaluate_solution(problem, weights, bias, penalty)
    if not _has_converged(evaluated, limits.tolerance):
      evaluated = _evaluate_centered(centered, weights, solution.bias, penalty)
    if (
      _has_converged(evaluated, limits.tolerance)
      or evaluations >= limits.max_evaluations
    ):
      yield jax.tree.map(np.asarray, evaluated), evaluations
      continue
    # The axes are exact to rounding in the scale of the largest column.
    solutions.close()
    initial = weights, solution.bias
    yield from _follow_in_float64(
      centered, penalties[index:], initial, limits, evaluations
    )
    return


def _reduce(
  problem: Problem, num_examples: int
) -> tuple[Problem, Spectrum, RowSpace]:
  """Returns the problem in the row space, for fewer examples than features."""
  rows, spectrum, row_space = spectrum_lib.reduce_to_row_space(
    problem.rows[:num_examples]
  )
  product_rows = rows.astype(jnp.float32)
  reduced = dataclasses.replace(
    problem,
    rows=problem_lib.spread(rows, problem.mesh, devices.BATCH, axis=0),
    product_rows=problem_lib.spread(
      product_rows, problem.mesh, devices.BATCH, axis=0
    ),
    shift=jnp.zeros(num_examples),
    mean=jnp.zeros(num_examples),
    varies=jnp.ones(num_examples, bool),
  )
  return reduced, spectrum, row_space


def _follow(
  problem: Problem,
  spectrum: Spectrum,
  penalties: np.ndarray,
  initial: tuple[jax.Array, jax.Array],
  limits: Limits,
) -> Iterator[tuple[Solution, int]]:
  """Yields solutions along falling penalties, each started from the last.

  Where one does not converge with products in float32, it and all later ones
  are solved with products in float64: at the smallest penalties, where the
  features' scales differ by much.

  Args:
    problem: what is fitted.
    spectrum: of its rows.
    penalties: [P], falling.
    initial: weights [C, R] and bias [C].
    limits: when a penalty is done.
  """
  solutions = _follow_in_type(problem, spectrum, penalties, initial, limits)
  for index, (solution, evaluations) in enumerate(solutions):
    if (
      _has_converged(solution, limits.tolerance)
      or evaluations >= limits.max_evaluations
    ):
      yield solution, evaluations
      continue
    # What the first solutions took is freed.
    solutions.close()
    problem = problem_lib.in_float64(problem)
    initial = solution.weights, solution.bias + solution.weights @ problem.shift
    yield from _follow_in_float64(
      problem, penalties[index:], initial, limits, evaluations
    )
    return


def _follow_in_float64(
  problem: Problem,
  penalties: np.ndarray,
  initial: tuple[jax.Array, jax.Array],
  limits: Limits,
  num_spent: int,
) -> Iterator[tuple[Solution, int]]:
  """Yields solutions in terms of the features.

  Args:
    problem: the features', with products in float64.
    penalties: [P], falling.
    initial: weights [C, R] and bias [C], of centered rows.
    limits: when a penalty is done.
    num_spent: evaluations that the first penalty has taken before.
  """
  spectrum = spectrum_lib.compute_spectrum(problem)
  solutions = _follow_in_type(
    problem, spectrum, penalties, initial, limits, num_spent
  )
  for penalty, (solution, evaluations) in zip(
    penalties, solutions, strict=True
  ):
    solution = _evaluate_centered(
      problem, solution.weights, solution.bias, penalty
    )
    yield jax.tree.map(np.asarray, solution), evaluations


def _follow_in_type(
  problem: Problem,
  spectrum: Spectrum,
  penalties: np.ndarray,
  initial: tuple[jax.Array, jax.Array],
  limits: Limits,
  num_spent: int = 0,
) -> Iterator[tuple[Solution, int]]:
  """Yields solutions with products in the problem's type.

  Args:
    problem: what is fitted.
    spectrum: of its rows.
    penalties: [P], falling.
    initial: weights [C, R] and bias [C].
    limits: when a penalty is done.
    num_spent: evaluations that the first penalty has taken before.
  """
  num_classes = len(problem.targets)
  history = continuation.start_history(
    problem,
    *initial,
    np.log(penalties[0]),
    _num_directions(*problem.rows.shape, num_classes),
  )
  preconditioner_schedule = schedule.PreconditionerSchedule(
    *problem.rows.shape,
    num_classes,
    problem.is_softmax,
    may_factor=problem.product_type == np.float32,
  )
  max_evaluations = limits.max_evaluations
  if problem.product_type == np.float32:
    max_evaluations = min(max_evaluations, MAX_EVALUATIONS_FLOAT32)
  cholesky = None
  for penalty in penalties:
    if preconditioner_schedule.factor_now:
      # The old factor's memory is freed before a new one is made.
      cholesky = None
      cholesky = block_cholesky.factor_hessian(
        problem, spectrum, history.weights[0], history.bias[0], penalty
      )
    history, solution, evaluations = continuation.solve_next(
      problem,
      spectrum,
      history,
      np.log(penalty),
      _TARGET * limits.tolerance,
      max_evaluations - num_spent,
      preconditioner_schedule.num_leading,
      cholesky,
    )
    yield solution, num_spent + int(evaluations)
    preconditioner_schedule.update(int(evaluations))
    num_spent = 0


def _has_converged(solution: Solution, tolerance: float) -> bool:
  """Returns whether a solution's bound is within the tolerance."""
  return bool(solution.bound <= tolerance * solution.objective)


def _evaluate_centered(
  problem: Problem, weights: jax.Array, bias: jax.Array, penalty: float
) -> Solution:
  """Evaluates a solution in terms of the features, with centered rows.

  The certificate is that of the bias which is returned, with all that rounding
  does to it.

  Args:
    problem: with products in float64.
    weights: [C, R].
    bias: [C], of centered rows.
    penalty: of the objective.
  """
  offset = np.asarray(weights, np.longdouble) @ np.asarray(problem.shift)
  rounded = (np.asarray(bias) - offset).astype(np.float64)
  solution = continuation.evaluate_solution(
    problem, weights, (rounded + offset).astype(np.float64), penalty
  )
  return solution._replace(bias=rounded)


def _num_directions(num_examples: int, dim: int, num_classes: int) -> int:
  """Returns how many rows the BFGS history has.

  To read and to hold them must cost little beside the features.
  """
  affordable = max(2**23, num_examples * dim // 16) // (4 * num_classes * dim)
  return int(np.clip(min(num_examples // 64, affordable), 2, MAX_DIRECTIONS))
