"""The numerical core of `logistic`: Newton's method along the penalties.

Everything here is jitted JAX on arrays and is meant to be called with 64-bit
types enabled.

What makes the path cheap:

*Newton steps by conjugate gradients.* A product with the Hessian costs as much
as a gradient. The products run in float32, gradients and objectives in
float64: an inexact product costs at worst one more step, an inexact gradient
would cost the certificate. The bias is eliminated from each linear system (a
Schur complement of C × C), and the same elimination yields the certificate;
see `evaluate`.

*A preconditioner that grows with what is asked of it*; see
`logistic_preconditioner`.

*Extrapolation.* The solution is a smooth function of the penalty's logarithm:
a cubic through the last four solutions starts the next one so near that one or
two Newton steps are left.

With fewer examples than features the problem is solved in the row space, which
holds the minimizer, so nothing is lost.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from tf_transfer.transfer.logistic import preconditioner
from tf_transfer.transfer.logistic import problem as problem_lib
from tf_transfer.transfer.logistic.preconditioner import (
  Leading,
  Memory,
  Spectrum,
  Whole,
)
from tf_transfer.transfer.logistic.problem import Point, Problem

# Solutions that the extrapolation looks back on: cubic. Quartic and quintic
# were worse, since they magnify what the tolerance leaves.
HISTORY = 4


# Products with the Hessian in one Newton step: what float32 has not reached by
# then, it reaches sooner from a new point.
MOST_PRODUCTS = 250


class _Search(NamedTuple):
  """Conjugate gradients' state; `energy` is residual · preconditioned."""

  step: jax.Array
  share: jax.Array
  residual: jax.Array
  direction: jax.Array
  energy: jax.Array
  count: jax.Array
  broken: jax.Array
  directions: jax.Array
  images: jax.Array


def newton_step(
  problem: Problem,
  spectrum: Spectrum,
  memory: Memory,
  known: Leading | Whole | None,
  point: Point,
  penalty,
  target,
  limit,
):
  """Solves Newton's system by preconditioned conjugate gradients.

  Args:
    target: the bound that the step should reach; solving on is no use.
    limit: most products with the Hessian.

  Returns:
    Steps of the weights [C, R] and bias [C], the products spent, and the
    memory with what they taught.
  """
  product = problem_lib.hessian_product(problem, point, penalty)
  prepare = preconditioner.preconditioner(
    problem, spectrum, memory, known, point, penalty
  )
  descent = -point.gradient
  direction = prepare(descent)
  start = jnp.vdot(descent, direction)
  forcing = jnp.minimum(0.1, (start / point.objective) ** 0.25) ** 2
  places = len(memory.directions)

  def unfinished(state):
    left = jnp.sum(state.residual**2) / (2 * penalty)
    wanted = (state.energy > forcing * start) & (left > 0.5 * target)
    limited = state.count < jnp.minimum(limit, MOST_PRODUCTS)
    return wanted & limited & ~state.broken

  def iterate(state):
    image, share = product(state.direction)
    bend = jnp.vdot(state.direction, image)
    broken = ~(bend > 0)
    length = jnp.where(broken, 0, state.energy / bend)
    residual = state.residual - length * image
    prepared = prepare(residual)
    energy = jnp.vdot(residual, prepared)
    broken |= ~(energy >= 0)
    directions, images = state.directions, state.images
    if places:
      unit = jnp.where(broken, 0, lax.rsqrt(jnp.where(bend > 0, bend, 1)))
      taught = unit * (image - penalty * state.direction)
      place = state.count % places
      directions = preconditioner.keep(
        directions, unit * state.direction, place
      )
      images = preconditioner.keep(images, taught, place)
    return _Search(
      state.step + length * state.direction,
      state.share + length * share,
      residual,
      prepared + energy / state.energy * state.direction,
      energy,
      state.count + 1,
      broken,
      directions,
      images,
    )

  first = _Search(
    jnp.zeros_like(descent),
    jnp.zeros_like(point.bias),
    descent,
    direction,
    start,
    jnp.zeros((), jnp.int32),
    jnp.zeros((), bool),
    jnp.zeros_like(memory.directions),
    jnp.zeros_like(memory.images),
  )
  last = lax.while_loop(unfinished, iterate, first)
  if places:
    memory = preconditioner.remember(
      memory, point, last.directions, last.images, last.count
    )
  return last.step, last.share + point.shift, last.count, memory


def line_search(problem: Problem, point: Point, penalty, step, bias_step):
  """Halves the step until the objective falls enough.

  Returns:
    The new point (the old one if no length helps), the evaluations spent, and
    whether the point is new.
  """
  slope = jnp.vdot(point.gradient, step) + point.shift @ point.imbalance
  weights, bias = point.weights, point.bias
  objective, bound = point.objective, point.bound

  def unfinished(state):
    _, _, count, found = state
    return ~found & (count < 31)

  # Evaluated in one place, as compiling that is what takes long. The last
  # attempt has length zero: the old point, whose residuals are gone by then.
  def attempt(state):
    length, _, count, _ = state
    length = jnp.where(count < 30, length, 0)
    new = problem_lib.evaluate(
      problem, weights + length * step, bias + length * bias_step, penalty
    )
    fell = new.objective <= objective + 1e-4 * length * slope
    # Near the optimum the fall drowns in rounding, but the bound does not.
    level = new.objective <= objective * (1 + 1e-12)
    found = (fell | (level & (new.bound < 0.5 * bound))) & (count < 30)
    return length / 2, new, count + 1, found

  first = jnp.ones(()), point, jnp.zeros((), jnp.int32), jnp.zeros((), bool)
  _, new, count, found = lax.while_loop(unfinished, attempt, first)
  return new, count, found


def minimize(
  problem: Problem,
  spectrum: Spectrum,
  memory: Memory,
  point: Point,
  penalty,
  tolerance,
  limit,
  number: int,
  known: Whole | None,
):
  """Newton's method from `point`; returns solution, evaluations, memory."""
  if number:
    # Found once for a penalty: it changes little on the way.
    known = preconditioner.leading(problem, spectrum, point, penalty, number)

  def unfinished(state):
    point, count, moved, _ = state
    wanted = ~(point.bound <= tolerance * point.objective)
    return wanted & moved & (count < limit)

  def iterate(state):
    point, count, _, memory = state
    target = tolerance * point.objective
    step, bias_step, products, memory = newton_step(
      problem,
      spectrum,
      memory,
      known,
      point,
      penalty,
      target,
      limit - count,
    )
    point, tries, moved = line_search(problem, point, penalty, step, bias_step)
    return point, count + products + tries, moved, memory

  start = point, jnp.zeros((), jnp.int32), jnp.ones((), bool), memory
  point, count, _, memory = lax.while_loop(unfinished, iterate, start)
  return point, count, memory


class Trail(NamedTuple):
  """The last solutions, newest first, that the next one is guessed from.

  Attributes:
    penalties: [HISTORY] logarithms.
    weights, bias: [HISTORY, C, R], [HISTORY, C].
    loss: the newest one's.
    count: how many of the HISTORY are solutions.
    memory: what the products on the way here taught.
  """

  penalties: jax.Array
  weights: jax.Array
  bias: jax.Array
  loss: jax.Array
  count: jax.Array
  memory: Memory


class Solution(NamedTuple):
  """A solution and how good it is.

  Attributes:
    weights, bias: [C, R], [C].
    objective, gradient_norm, bound: as `logistic.Path` has them.
  """

  weights: jax.Array
  bias: jax.Array
  objective: jax.Array
  gradient_norm: jax.Array
  bound: jax.Array


def guess(trail: Trail, log_penalty):
  """The polynomial through the trail's solutions, at `log_penalty`."""
  known = jnp.arange(HISTORY) < trail.count
  gaps = trail.penalties[:, None] - trail.penalties[None]
  ours = log_penalty - trail.penalties[None]
  pairs = known[:, None] & known[None] & ~jnp.eye(HISTORY, dtype=bool)
  factors = jnp.where(pairs, ours / jnp.where(pairs, gaps, 1), 1)
  shares = jnp.where(known, jnp.prod(factors, axis=1), 0)
  weights = jnp.tensordot(shares, trail.weights, 1)
  return weights, shares @ trail.bias


def first_point(problem: Problem, trail: Trail, log_penalty, penalty):
  """The guess, or the last solution if that is better; and evaluations."""
  last = trail.weights[0], trail.bias[0]
  objective = trail.loss + penalty / 2 * jnp.sum(last[0] ** 2)

  def attempt(state):
    count, candidate, _ = state
    return (
      count + 1,
      last,
      problem_lib.evaluate(problem, *candidate, penalty),
    )

  def unfinished(state):
    count, _, point = state
    # Written so that a guess that overflowed counts as worse.
    worse = ~(point.objective <= objective * (1 + 1e-12))
    return (count == 0) | (worse & (count == 1))

  blank = jax.tree.map(
    lambda leaf: jnp.zeros(leaf.shape, leaf.dtype),
    jax.eval_shape(problem_lib.evaluate, problem, *last, penalty),
  )
  first = jnp.zeros((), jnp.int32), guess(trail, log_penalty), blank
  count, _, point = lax.while_loop(unfinished, attempt, first)
  return point, count


def _judged(problem: Problem, point: Point) -> Solution:
  return Solution(
    point.weights,
    point.bias,
    point.objective,
    problem_lib.gradient_norm(problem, point),
    point.bound,
  )


@functools.partial(jax.jit, static_argnames='number', donate_argnames='trail')
def advance(
  problem: Problem,
  spectrum: Spectrum,
  trail: Trail,
  log_penalty,
  tolerance,
  limit,
  number: int,
  known: Whole | None,
):
  """Solves for the next penalty.

  Args:
    log_penalty: natural logarithm, below those before.
    tolerance: of the bound relative to the objective.
    limit: most evaluations.
    number: of the preconditioner's leading examples, 0 for none.
    known: the whole Hessian near here, instead of those.

  Returns:
    The trail, the `Solution`, and the evaluations.
  """
  penalty = jnp.exp(log_penalty)
  point, spent = first_point(problem, trail, log_penalty, penalty)
  point, count, memory = minimize(
    problem,
    spectrum,
    trail.memory,
    point,
    penalty,
    tolerance,
    limit - spent,
    number,
    known,
  )
  trail = Trail(
    jnp.roll(trail.penalties, 1).at[0].set(log_penalty),
    jnp.roll(trail.weights, 1, axis=0).at[0].set(point.weights),
    jnp.roll(trail.bias, 1, axis=0).at[0].set(point.bias),
    point.loss,
    jnp.minimum(trail.count + 1, HISTORY),
    memory,
  )
  return trail, _judged(problem, point), count + spent


@jax.jit
def judge(problem: Problem, weights, bias, penalty) -> Solution:
  """Evaluates weights [C, R] and bias [C]."""
  point = problem_lib.evaluate(problem, weights, bias, penalty)
  return _judged(problem, point)


@functools.partial(jax.jit, static_argnames='places')
def start(problem: Problem, weights, bias, log_penalty, places: int) -> Trail:
  """A trail of one guess: the better of the one given and the zero weights.

  Args:
    weights, bias: [C, R], [C].
    log_penalty: that of the first solution wanted.
    places: directions that are kept.
  """
  if problem.mask is None:
    # What all classes share changes no loss and only costs penalty.
    weights = weights - jnp.mean(weights, axis=0)
  penalty = jnp.exp(log_penalty)
  mask = problem.mask
  counted = jnp.broadcast_to(
    problem.counted if mask is None else mask, problem.targets.shape
  )
  share = jnp.sum(problem.targets & counted, axis=1) / jnp.sum(counted, axis=1)
  prior = jnp.log(share) - (0 if mask is None else jnp.log1p(-share))
  weights = jnp.stack([jnp.zeros_like(weights), weights])
  bias = jnp.stack([prior, bias])
  loss = lax.map(
    lambda one: problem_lib.total_loss(problem, *one), (weights, bias)
  )
  best = jnp.argmin(loss + penalty / 2 * jnp.sum(weights**2, axis=(1, 2)))

  def stack(array):
    return jnp.zeros((HISTORY, *array.shape)).at[0].set(array)

  return Trail(
    # Far from every penalty and from each other: weights of guesses are finite.
    log_penalty + jnp.arange(1.0, HISTORY + 1),
    stack(weights[best]),
    stack(bias[best]),
    loss[best],
    jnp.ones((), jnp.int32),
    preconditioner.no_memory(places, weights[0].size),
  )
