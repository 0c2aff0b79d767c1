"""Minimizes the objective for one penalty by Newton's method.

Each step is found by preconditioned conjugate gradients, whose products with
the Hessian (`hessian`) cost as much as a gradient. Products run in float32,
objectives and gradients in float64: an inexact product costs one more step at
worst, an inexact gradient would cost the certificate (`objective`).

Conjugate gradients stop

- when the residual r of Newton's system, measured by r . M r with the
  preconditioner M, has fallen to the part that an inexact Newton method needs
  for its fast convergence: eta^2 with eta = min(0.1, (g . M g / F)^(1/4)), or
- when |r|^2 / (2 penalty) is half of the bound that is asked for. To first
  order, r is the gradient after the step, and that term is the larger part of
  the bound there.

A line search halves the step until the objective falls.

Where float32 is not exact enough, steps go on without an end and bring nothing:
the objective is level and the bound goes up and down. A few of them in a row,
and the minimization gives up. `solver` then goes on in float64, where steps
without progress are followed by more exact ones.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from tf_transfer.transfer.logistic import (
  bfgs,
  hessian,
  preconditioner,
)
from tf_transfer.transfer.logistic import objective as objective_lib
from tf_transfer.transfer.logistic.bfgs import BfgsHistory
from tf_transfer.transfer.logistic.block_cholesky import BlockCholesky
from tf_transfer.transfer.logistic.leading_examples import LeadingExamples
from tf_transfer.transfer.logistic.objective import Point
from tf_transfer.transfer.logistic.problem import Problem
from tf_transfer.transfer.logistic.spectrum import Spectrum

# Products with the Hessian in one Newton step. What float32 has not reached by
# then it reaches sooner from a new point.
MAX_PRODUCTS = 250

# Halvings of a step. The attempt after the last one has length zero.
_MAX_HALVINGS = 30

# The part of the fall that the slope promises which a step must bring.
_SUFFICIENT_DECREASE = 1e-4

# Steps in a row without progress after which the minimization gives up. What
# float32 does not reach, float64 may.
MAX_IDLE_STEPS = 5
MAX_IDLE_STEPS_FLOAT64 = 15

# The part of the bound that is asked for at which conjugate gradients stop in
# float64; a tenth of it after each idle step, down to the least.
_EXACTNESS_FLOAT64 = 1e-2
_LEAST_EXACTNESS = 1e-6

# Progress is a fall of the objective by this part of the bound that is asked
# for, or a bound of half of the lowest so far.
_LEAST_PROGRESS = 0.1

# Objectives are equal up to this part, which is rounding.
OBJECTIVE_ROUNDING = 1e-12


class _Progress(NamedTuple):
  """How far the minimization has come.

  Attributes:
    objective: at the last progress.
    bound: the lowest at any progress.
    num_idle: steps since.
  """

  objective: jax.Array
  bound: jax.Array
  num_idle: jax.Array


class _ConjugateGradients(NamedTuple):
  """The state of conjugate gradients.

  Attributes:
    step: [C, R], the solution so far.
    bias_change: [C], what the step adds to the bias's own step.
    residual: [C, R], of Newton's system.
    direction: [C, R], the next one.
    energy: residual . preconditioned residual.
    num_products: with the Hessian.
    failed: whether rounding has made direction . Hessian direction, or the
      energy, negative or not a number.
    directions: [K, C R], the last ones, of length one in the Hessian.
    images: [K, C R], their products with the losses' Hessian.
  """

  step: jax.Array
  bias_change: jax.Array
  residual: jax.Array
  direction: jax.Array
  energy: jax.Array
  num_products: jax.Array
  failed: jax.Array
  directions: jax.Array
  images: jax.Array


def minimize(
  problem: Problem,
  spectrum: Spectrum,
  history: BfgsHistory,
  approximation: LeadingExamples | BlockCholesky | None,
  point: Point,
  penalty: ArrayLike,
  tolerance: ArrayLike,
  max_evaluations: ArrayLike,
) -> tuple[Point, jax.Array, BfgsHistory]:
  """Runs Newton's method from a point.

  Args:
    problem: what is fitted.
    spectrum: of its rows.
    history: earlier products with the Hessian.
    approximation: of the Hessian, for the preconditioner.
    point: where to start.
    penalty: of the objective.
    tolerance: of the bound, relative to the objective.
    max_evaluations: gradients and products with the Hessian, at most.

  Returns:
    The solution, the number of evaluations, and the history with what the
    products showed.
  """

  def is_unfinished(state: tuple) -> jax.Array:
    point, num_evaluations, moved, progress, _ = state
    # Written so that a bound that is not a number counts as too large.
    too_large = ~(point.bound <= tolerance * point.objective)
    may_go_on = moved & (progress.num_idle < _max_idle_steps(problem))
    return too_large & may_go_on & (num_evaluations < max_evaluations)

  def iterate(state: tuple) -> tuple:
    point, num_evaluations, _, progress, history = state
    target = tolerance * point.objective
    step, bias_step, num_products, history = newton_step(
      problem,
      spectrum,
      history,
      approximation,
      point,
      penalty,
      _exactness(problem, progress) * target,
      max_evaluations - num_evaluations,
    )
    point, num_attempts, moved = line_search(
      problem, point, penalty, step, bias_step
    )
    spent = num_evaluations + num_products + num_attempts
    return point, spent, moved, _advance(progress, point, target), history

  zero = jnp.zeros((), jnp.int32)
  progress = _Progress(point.objective, point.bound, zero)
  initial = point, zero, jnp.ones((), bool), progress, history
  point, num_evaluations, _, _, history = lax.while_loop(
    is_unfinished, iterate, initial
  )
  return point, num_evaluations, history


def newton_step(
  problem: Problem,
  spectrum: Spectrum,
  history: BfgsHistory,
  approximation: LeadingExamples | BlockCholesky | None,
  point: Point,
  penalty: ArrayLike,
  target: ArrayLike,
  max_products: ArrayLike,
) -> tuple[jax.Array, jax.Array, jax.Array, BfgsHistory]:
  """Solves Newton's system by preconditioned conjugate gradients.

  Args:
    problem: what is fitted.
    spectrum: of its rows.
    history: earlier products with the Hessian.
    approximation: of the Hessian, for the preconditioner.
    point: where.
    penalty: of the objective.
    target: the bound that is asked for; a more exact step would be a waste.
    max_products: with the Hessian.

  Returns:
    Steps of the weights [C, R] and the bias [C], the number of products, and
    the history with what they showed.
  """
  multiply = hessian.hessian_product(problem, point, penalty)
  precondition = preconditioner.build_preconditioner(
    problem, spectrum, history, approximation, point, penalty
  )
  initial = _start_conjugate_gradients(point, precondition, history)
  forcing = jnp.minimum(0.1, (initial.energy / point.objective) ** 0.25) ** 2

  def is_unfinished(state: _ConjugateGradients) -> jax.Array:
    bound = jnp.sum(state.residual**2) / (2 * penalty)
    is_inexact = (state.energy > forcing * initial.energy) & (
      bound > 0.5 * target
    )
    may_go_on = state.num_products < jnp.minimum(max_products, MAX_PRODUCTS)
    return is_inexact & may_go_on & ~state.failed

  def iterate(state: _ConjugateGradients) -> _ConjugateGradients:
    return _iterate_conjugate_gradients(state, multiply, precondition, penalty)

  last = lax.while_loop(is_unfinished, iterate, initial)
  if len(history.directions):
    history = bfgs.update_history(
      history, point, last.directions, last.images, last.num_products
    )
  bias_step = last.bias_change + point.bias_step
  return last.step, bias_step, last.num_products, history


def line_search(
  problem: Problem,
  point: Point,
  penalty: ArrayLike,
  step: jax.Array,
  bias_step: jax.Array,
) -> tuple[Point, jax.Array, jax.Array]:
  """Halves a step until the objective falls enough.

  Args:
    problem: what is fitted.
    point: where the step begins.
    penalty: of the objective.
    step: [C, R], of the weights.
    bias_step: [C].

  Returns:
    The new point (the old one if no length helps), the number of evaluations,
    and whether the point is new.
  """
  slope = jnp.vdot(point.gradient, step) + point.bias_step @ point.bias_gradient
  weights, bias = point.weights, point.bias
  objective, bound = point.objective, point.bound

  def is_unfinished(state: tuple) -> jax.Array:
    _, _, num_attempts, accepted = state
    return ~accepted & (num_attempts < _MAX_HALVINGS + 1)

  # There is one call of `evaluate`, since compiling it is what takes long. The
  # last attempt has length zero: it restores the old point's curvature, which
  # is not kept.
  def attempt(state: tuple) -> tuple:
    length, _, num_attempts, _ = state
    length = jnp.where(num_attempts < _MAX_HALVINGS, length, 0)
    new = objective_lib.evaluate(
      problem, weights + length * step, bias + length * bias_step, penalty
    )
    falls = new.objective <= objective + _SUFFICIENT_DECREASE * length * slope
    # Near the optimum the fall drowns in rounding, but that of the bound does
    # not.
    is_level = new.objective <= objective * (1 + OBJECTIVE_ROUNDING)
    accepted = (falls | (is_level & (new.bound < 0.5 * bound))) & (
      num_attempts < _MAX_HALVINGS
    )
    return length / 2, new, num_attempts + 1, accepted

  initial = jnp.ones(()), point, jnp.zeros((), jnp.int32), jnp.zeros((), bool)
  _, new, num_attempts, accepted = lax.while_loop(
    is_unfinished, attempt, initial
  )
  return new, num_attempts, accepted


def _max_idle_steps(problem: Problem) -> int:
  """Returns the steps without progress after which to give up."""
  in_float64 = problem.product_type == jnp.float64
  return MAX_IDLE_STEPS_FLOAT64 if in_float64 else MAX_IDLE_STEPS


def _exactness(problem: Problem, progress: _Progress) -> ArrayLike:
  """Returns the part of the target that conjugate gradients aim at.

  A residual that is small only where curvature is large leaves the directions
  of small curvature as they are. Float32 could not do more.
  """
  if problem.product_type != jnp.float64:
    return 1.0
  exactness = _EXACTNESS_FLOAT64 * 0.1**progress.num_idle
  return jnp.maximum(exactness, _LEAST_EXACTNESS)


def _advance(progress: _Progress, point: Point, target: jax.Array) -> _Progress:
  """Returns the progress after a step to a point."""
  least = progress.objective - _LEAST_PROGRESS * target
  made = (point.objective <= least) | (point.bound <= 0.5 * progress.bound)
  return _Progress(
    jnp.where(made, point.objective, progress.objective),
    jnp.where(made, jnp.fmin(point.bound, progress.bound), progress.bound),
    jnp.where(made, 0, progress.num_idle + 1),
  )


def _start_conjugate_gradients(
  point: Point,
  precondition: Callable[[jax.Array], jax.Array],
  history: BfgsHistory,
) -> _ConjugateGradients:
  """Returns the state before the first product: a step of zero."""
  residual = -point.gradient
  direction = precondition(residual)
  return _ConjugateGradients(
    step=jnp.zeros_like(residual),
    bias_change=jnp.zeros_like(point.bias),
    residual=residual,
    direction=direction,
    energy=jnp.vdot(residual, direction),
    num_products=jnp.zeros((), jnp.int32),
    failed=jnp.zeros((), bool),
    directions=jnp.zeros_like(history.directions),
    images=jnp.zeros_like(history.images),
  )


def _iterate_conjugate_gradients(
  state: _ConjugateGradients,
  multiply: Callable[[jax.Array], tuple[jax.Array, jax.Array]],
  precondition: Callable[[jax.Array], jax.Array],
  penalty: ArrayLike,
) -> _ConjugateGradients:
  """Does one iteration of conjugate gradients.

  Args:
    state: ahead of it.
    multiply: by the Hessian; see `hessian.hessian_product`.
    precondition: see `preconditioner.build_preconditioner`.
    penalty: of the objective.
  """
  image, bias_change = multiply(state.direction)
  square = jnp.vdot(state.direction, image)
  failed = ~(square > 0)
  length = jnp.where(failed, 0, state.energy / square)
  residual = state.residual - length * image
  preconditioned = precondition(residual)
  energy = jnp.vdot(residual, preconditioned)
  failed |= ~(energy >= 0)
  directions, images = state.directions, state.images
  if len(directions):
    unit = jnp.where(failed, 0, lax.rsqrt(jnp.where(square > 0, square, 1)))
    loss_image = unit * (image - penalty * state.direction)
    index = state.num_products % len(directions)
    directions = bfgs.write_row(directions, unit * state.direction, index)
    images = bfgs.write_row(images, loss_image, index)
  return _ConjugateGradients(
    step=state.step + length * state.direction,
    bias_change=state.bias_change + length * bias_change,
    residual=residual,
    direction=preconditioned + energy / state.energy * state.direction,
    energy=energy,
    num_products=state.num_products + 1,
    failed=failed,
    directions=directions,
    images=images,
  )
