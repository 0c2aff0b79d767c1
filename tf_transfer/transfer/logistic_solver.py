"""The numerical core of `logistic`: Newton's method along the penalties.

Everything here is jitted JAX on arrays and is meant to be called with 64-bit
types enabled. Arrays are class-major ([C, N] logits, [C, R] weights): skinny
matrix products run several times faster that way on CPUs.

Three things make the path cheap:

*Eigenbasis.* Features are centred (the bias absorbs the mean exactly) and
rotated into the eigenbasis of their Gram matrix, where the diagonal
`c * s_j + penalty` (`s_j` the eigenvalues, `c` the mean curvature of the loss)
is a good preconditioner. With fewer examples than features the basis spans
only the row space, which holds the minimiser, so nothing is lost.

*Newton steps by conjugate gradients.* A product with the Hessian costs as much
as a gradient. The products run in float32, gradients and objectives in
float64: an inexact product costs at worst one more step, an inexact gradient
would cost the certificate.

*Extrapolation.* The solution is a smooth function of the penalty's logarithm:
a cubic through the last four solutions starts the next one so near that one or
two Newton steps are left.

The bias is eliminated from each linear system (a Schur complement of C × C),
and the same elimination yields the certificate; see `bound` in `evaluate`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

# Solutions that the extrapolation looks back on: cubic. Quartic and quintic
# were worse, since they magnify what the tolerance leaves.
HISTORY = 4


# Products with the Hessian in one Newton step: what float32 has not reached by
# then, it reaches sooner from a new point.
MOST_PRODUCTS = 250


# Logits (float64) that `certify` holds at a time.
CERTIFIED_TOGETHER = 2**21


class Problem(NamedTuple):
  """What is fitted: features in their eigenbasis, and targets.

  Attributes:
    rows: [N, R] float64, centred and rotated features.
    rows_single: [N, R] float32, the same.
    spectrum: [R], eigenvalues of rows' Gram matrix.
    targets: [C, N] bool, one-hot classes or independent labels.
    mask: [C, N] bool, False where a label is ignored; None for one-hot.
  """

  rows: jax.Array
  rows_single: jax.Array
  spectrum: jax.Array
  targets: jax.Array
  mask: jax.Array | None


class Basis(NamedTuple):
  """How `Problem.rows` came from features: rows = (features - mean) @ axes."""

  mean: jax.Array
  axes: jax.Array


class Curvature(NamedTuple):
  """The losses' second derivative with respect to the logits.

  Attributes:
    spread: [C, N], probabilities p; for independent labels p (1 - p).
    top: [N], the most probable class; None for independent labels.
  """

  spread: jax.Array
  top: jax.Array | None


class Point(NamedTuple):
  """A point of the path, with all that a Newton step from it needs.

  Attributes:
    weights, bias: [C, R], [C].
    loss, objective: without and with the penalty's term.
    gradient: [C, R], of the objective with the bias eliminated.
    imbalance: [C], the gradient with respect to the bias.
    shift: [C], the bias's own Newton step.
    curvature: of the losses.
    inverse: [C, C] or, for independent labels, [C]: inverse of the bias's
      block of the Hessian.
    bound: at least the objective's distance from the optimum.
  """

  weights: jax.Array
  bias: jax.Array
  loss: jax.Array
  objective: jax.Array
  gradient: jax.Array
  imbalance: jax.Array
  shift: jax.Array
  curvature: Curvature
  inverse: jax.Array
  bound: jax.Array


@jax.jit
def prepare(features: jax.Array, targets, mask) -> tuple[Problem, Basis]:
  """Centres and rotates features [N, D]; R is min(N, D)."""
  features = features.astype(jnp.float64)
  mean = jnp.mean(features, axis=0)
  rows = features - mean
  count, dim = rows.shape
  if count < dim:
    row_space, triangle = jnp.linalg.qr(rows.T)
    rows = triangle.T
  spectrum, axes = jnp.linalg.eigh(rows.T @ rows)
  rows = rows @ axes
  if count < dim:
    axes = row_space @ axes
  spectrum = jnp.maximum(spectrum, 0)
  problem = Problem(rows, rows.astype(jnp.float32), spectrum, targets, mask)
  return problem, Basis(mean, axes)


def losses(logits, targets, mask):
  """Sum of the losses, residuals and curvature of logits [C, N].

  Written so that small losses and residuals keep their relative precision: at
  the smallest penalties all of them are far below float64's epsilon times one.
  """
  if mask is None:
    margins = logits - jnp.sum(jnp.where(targets, logits, 0), axis=0)
    top = jnp.max(margins, axis=0)
    powers = jnp.exp(margins - top)
    others = jnp.where(targets, 0, powers)
    total = jnp.sum(powers, axis=0)
    log_total = jnp.where(
      top > 0, top + jnp.log(total), jnp.log1p(jnp.sum(others, axis=0))
    )
    others = others / total
    residual = jnp.where(targets, -jnp.sum(others, axis=0), others)
    curvature = Curvature(powers / total, jnp.argmax(margins, axis=0))
    return jnp.sum(log_total), residual, curvature
  sign = jnp.where(targets, -1.0, 1.0)
  loss = jnp.sum(jnp.where(mask, jax.nn.softplus(sign * logits), 0))
  residual = jnp.where(mask, sign * jax.nn.sigmoid(sign * logits), 0)
  spread = jnp.abs(residual) * jax.nn.sigmoid(-sign * logits)
  return loss, residual, Curvature(spread, None)


def curve(curvature: Curvature, change):
  """The second derivative times `change` [C, N].

  For softmax it is p * (change - p . change), taken relative to the most
  probable class: where that has nearly all of the probability, the difference
  of the two terms would be rounding only.
  """
  spread, top = curvature
  if top is None:
    return spread * change
  change = change - jnp.take_along_axis(change, top[None], axis=0)
  return spread * (change - jnp.sum(spread * change, axis=0))


def bias_block(curvature: Curvature):
  """The bias's block of the Hessian, [C, C] or its diagonal [C]."""
  spread, top = curvature
  if top is None:
    return jnp.sum(spread, axis=1)
  # Rows sum to zero: what is not on the diagonal says what is.
  apart = spread @ spread.T * ~jnp.eye(len(spread), dtype=bool)
  return jnp.diag(jnp.sum(apart, axis=1)) - apart


def bias_inverse(block):
  """Pseudo-inverse of `bias_block`; shifting all classes alike is free."""
  if block.ndim == 1:
    return jnp.where(block > 0, 1 / jnp.where(block > 0, block, 1), 0)
  # Masses of classes differ by many powers of ten: scale before inverting.
  size = jnp.diagonal(block)
  scale = jnp.where(size > 0, lax.rsqrt(jnp.where(size > 0, size, 1)), 0)
  values, vectors = jnp.linalg.eigh(scale[:, None] * block * scale)
  usable = values > 1e-13
  values = jnp.where(usable, 1 / jnp.where(usable, values, 1), 0)
  vectors = scale[:, None] * vectors
  return (vectors * values) @ vectors.T


def apply_bias(matrix, vector):
  """A [C, C] matrix, or a diagonal [C], times a vector [C]."""
  return matrix @ vector if matrix.ndim == 2 else matrix * vector


class Balance(NamedTuple):
  """How far the residuals' sums are from zero, and what would make them so.

  Attributes:
    imbalance: [C], the sums: the gradient with respect to the bias.
    inverse: see `Point`.
    shift: [C], the bias's own Newton step.
    moved: [C, N], how the shift changes the residuals to first order.
    feasible: whether residuals + moved are those of probabilities, and sum to
      zero to within rounding.
  """

  imbalance: jax.Array
  inverse: jax.Array
  shift: jax.Array
  moved: jax.Array
  feasible: jax.Array


def balance(curvature: Curvature, residual) -> Balance:
  """Balances residuals [C, N] by a step along the curvature."""
  inverse = bias_inverse(bias_block(curvature))
  imbalance = jnp.sum(residual, axis=1)
  shift = -apply_bias(inverse, imbalance)
  moved = curve(curvature, shift[:, None])
  left = jnp.abs(imbalance + jnp.sum(moved, axis=1))
  rounding = 1e-12 * jnp.sum(jnp.abs(residual), axis=1)
  # No probability changes by more than the factor 1 + reach.
  reach = jnp.max(jnp.abs(shift)) if curvature.top is None else jnp.ptp(shift)
  feasible = jnp.all(left <= rounding) & (reach <= 1)
  return Balance(imbalance, inverse, shift, moved, feasible)


def evaluate(problem: Problem, weights, bias, penalty) -> Point:
  """Objective, gradient and certificate; one evaluation.

  The bound is a duality gap. A dual point is any set of probabilities p' whose
  residuals p' - y sum to zero for each class. Ours moves p along the
  curvature, p' = p + A u, with u (`shift`) such that the sums vanish. Then the
  gap is the sum of KL(p' || p), at most u S u with S the sum of the A's, plus
  |penalty W + X'(p' - y)|^2 / (2 penalty); and the vector in that second term
  is the gradient with the bias eliminated, which Newton's method needs anyway.
  """
  logits = weights @ problem.rows.T + bias[:, None]
  loss, residual, curvature = losses(logits, problem.targets, problem.mask)
  even = balance(curvature, residual)
  gradient = penalty * weights + (residual + even.moved) @ problem.rows
  return Point(
    weights=weights,
    bias=bias,
    loss=loss,
    objective=loss + penalty / 2 * jnp.sum(weights**2),
    gradient=gradient,
    imbalance=even.imbalance,
    shift=even.shift,
    curvature=curvature,
    inverse=even.inverse,
    bound=duality_gap(even, gradient, penalty),
  )


def duality_gap(even: Balance, gradient, penalty):
  """The bound of `evaluate`, from the gradient with the bias eliminated."""
  gap = jnp.sum(gradient**2) / (2 * penalty) - even.shift @ even.imbalance
  return jnp.where(even.feasible, gap, jnp.inf)


def hessian_product(problem: Problem, point: Point, penalty):
  """Returns change [C, R] -> (its product, the bias's share [C]).

  The bias's share is what eliminating the bias adds to its Newton step.
  """
  rows = problem.rows_single
  curvature = point.curvature._replace(
    spread=point.curvature.spread.astype(jnp.float32)
  )

  def product(change):
    # Scaled to unit size: float32 must neither overflow nor underflow.
    size = jnp.maximum(jnp.max(jnp.abs(change)), 1e-300)
    slopes = (change / size).astype(jnp.float32) @ rows.T
    curved = curve(curvature, slopes)
    sums = jnp.sum(curved, axis=1, dtype=jnp.float64)
    share = -apply_bias(point.inverse, sums)
    curved += curve(curvature, share.astype(jnp.float32)[:, None])
    back = (curved @ rows).astype(jnp.float64)
    return size * back + penalty * change, size * share

  return product


class _Search(NamedTuple):
  """Conjugate gradients' state; `energy` is residual · preconditioned."""

  step: jax.Array
  share: jax.Array
  residual: jax.Array
  direction: jax.Array
  energy: jax.Array
  count: jax.Array
  broken: jax.Array


def mean_curvature(curvature: Curvature):
  """The mean of the second derivative's eigenvalues that need not be zero."""
  spread, top = curvature
  if top is None:
    return jnp.mean(spread)
  classes = len(spread)
  return jnp.mean(spread * (1 - spread)) * classes / (classes - 1)


def newton_step(problem: Problem, point: Point, penalty, target, limit):
  """Solves Newton's system by preconditioned conjugate gradients.

  Args:
    target: the bound that the step should reach; solving on is no use.
    limit: most products with the Hessian.

  Returns:
    Steps of the weights [C, R] and bias [C], and the products spent.
  """
  product = hessian_product(problem, point, penalty)
  scale = 1 / (mean_curvature(point.curvature) * problem.spectrum + penalty)
  start = jnp.sum(point.gradient**2 * scale)
  ratio = point.bound / point.objective
  forcing = jnp.minimum(0.1, ratio**0.25) ** 2

  def unfinished(state):
    left = jnp.sum(state.residual**2) / (2 * penalty)
    wanted = (state.energy > forcing * start) & (left > 0.1 * target)
    limited = state.count < jnp.minimum(limit, MOST_PRODUCTS)
    return wanted & limited & ~state.broken

  def iterate(state):
    image, share = product(state.direction)
    bend = jnp.vdot(state.direction, image)
    broken = ~(bend > 0)
    length = jnp.where(broken, 0, state.energy / bend)
    residual = state.residual - length * image
    energy = jnp.sum(residual**2 * scale)
    direction = scale * residual + energy / state.energy * state.direction
    step = state.step + length * state.direction
    share = state.share + length * share
    count = state.count + 1
    return _Search(step, share, residual, direction, energy, count, broken)

  zero = jnp.zeros_like(point.gradient)
  descent = -point.gradient
  first = _Search(
    zero,
    jnp.zeros_like(point.bias),
    descent,
    scale * descent,
    start,
    jnp.zeros((), jnp.int32),
    jnp.zeros((), bool),
  )
  last = lax.while_loop(unfinished, iterate, first)
  return last.step, last.share + point.shift, last.count


def line_search(problem: Problem, point: Point, penalty, step, bias_step):
  """Halves the step until the objective falls enough.

  Returns:
    The new point (the old one if no length helps), the evaluations spent, and
    whether the point is new.
  """
  slope = jnp.vdot(point.gradient, step) + point.shift @ point.imbalance

  def unfinished(state):
    _, _, count, found = state
    return ~found & (count < 30)

  # Evaluated in one place, as compiling that is what takes long.
  def attempt(state):
    length, _, count, _ = state
    weights = point.weights + length * step
    new = evaluate(problem, weights, point.bias + length * bias_step, penalty)
    fell = new.objective <= point.objective + 1e-4 * length * slope
    # Near the optimum the fall drowns in rounding, but the bound does not.
    found = fell | (new.bound < 0.5 * point.bound)
    return length / 2, new, count + 1, found

  first = jnp.ones(()), point, jnp.zeros((), jnp.int32), jnp.zeros((), bool)
  _, new, count, found = lax.while_loop(unfinished, attempt, first)
  return _choose(found, new, point), count, found


def _choose(condition, one, other):
  return jax.tree.map(lambda a, b: jnp.where(condition, a, b), one, other)


def minimise(problem: Problem, point: Point, penalty, tolerance, limit):
  """Newton's method from `point`; returns the solution and evaluations."""

  def unfinished(state):
    point, count, moved = state
    wanted = ~(point.bound <= tolerance * point.objective)
    return wanted & moved & (count < limit)

  def iterate(state):
    point, count, _ = state
    target = tolerance * point.objective
    step, bias_step, products = newton_step(
      problem, point, penalty, target, limit - count
    )
    point, tries, moved = line_search(problem, point, penalty, step, bias_step)
    return point, count + products + tries, moved

  start = (point, jnp.zeros((), jnp.int32), jnp.ones((), bool))
  point, count, _ = lax.while_loop(unfinished, iterate, start)
  return point, count


class Trail(NamedTuple):
  """The last solutions, newest first, that the next one is guessed from.

  Attributes:
    penalties: [HISTORY] logarithms.
    weights, bias: [HISTORY, C, R], [HISTORY, C].
    loss: the newest one's.
    count: how many of the HISTORY are solutions.
  """

  penalties: jax.Array
  weights: jax.Array
  bias: jax.Array
  loss: jax.Array
  count: jax.Array


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
    return count + 1, last, evaluate(problem, *candidate, penalty)

  def unfinished(state):
    count, _, point = state
    # Written so that a guess that overflowed counts as worse.
    worse = ~(point.objective <= objective * (1 + 1e-12))
    return (count == 0) | (worse & (count == 1))

  blank = jax.tree.map(
    lambda leaf: jnp.zeros(leaf.shape, leaf.dtype),
    jax.eval_shape(evaluate, problem, *last, penalty),
  )
  first = jnp.zeros((), jnp.int32), guess(trail, log_penalty), blank
  count, _, point = lax.while_loop(unfinished, attempt, first)
  return point, count


def _advance_one(problem: Problem, trail: Trail, log_penalty, tolerance, limit):
  penalty = jnp.exp(log_penalty)
  point, spent = first_point(problem, trail, log_penalty, penalty)
  point, count = minimise(problem, point, penalty, tolerance, limit - spent)
  trail = Trail(
    jnp.roll(trail.penalties, 1).at[0].set(log_penalty),
    jnp.roll(trail.weights, 1, axis=0).at[0].set(point.weights),
    jnp.roll(trail.bias, 1, axis=0).at[0].set(point.bias),
    point.loss,
    jnp.minimum(trail.count + 1, HISTORY),
  )
  bias = point.bias + jnp.where(jnp.isfinite(point.bound), point.shift, 0)
  return trail, (point.weights, bias, count + spent)


@jax.jit
def advance(problem: Problem, trail: Trail, log_penalties, tolerance, limit):
  """Solves for each penalty in turn.

  Args:
    log_penalties: [P] natural logarithms, falling.
    tolerance: of the bound relative to the objective.
    limit: most evaluations per penalty.

  Returns:
    The trail, and weights [P, C, R], bias [P, C] and evaluations [P].
  """

  def step(trail, log_penalty):
    return _advance_one(problem, trail, log_penalty, tolerance, limit)

  return lax.scan(step, trail, log_penalties)


@jax.jit
def start(problem: Problem, basis: Basis, weights, bias, log_penalty) -> Trail:
  """A trail of one guess: the better of the one given and the zero weights.

  Args:
    weights, bias: [C, D], [C], in the original coordinates.
    log_penalty: that of the first solution wanted.
  """
  bias = bias + weights @ basis.mean
  weights = weights @ basis.axes
  if problem.mask is None:
    # What all classes share changes no loss and only costs penalty.
    weights = weights - jnp.mean(weights, axis=0)
  penalty = jnp.exp(log_penalty)
  mask = problem.mask
  counted = jnp.ones_like(problem.targets) if mask is None else mask
  share = jnp.sum(problem.targets & counted, axis=1) / jnp.sum(counted, axis=1)
  prior = jnp.log(share) - (0 if mask is None else jnp.log1p(-share))
  weights = jnp.stack([jnp.zeros_like(weights), weights])
  bias = jnp.stack([prior, bias])
  logits = weights @ problem.rows.T + bias[..., None]
  loss = jnp.stack([losses(part, problem.targets, mask)[0] for part in logits])
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
  )


class Certified(NamedTuple):
  """Solutions in the original coordinates; one entry a penalty.

  Attributes:
    weights, bias: [P, C, D], [P, C].
    objective, gradient_norm, bound: [P], as `logistic.Path` has them.
  """

  weights: jax.Array
  bias: jax.Array
  objective: jax.Array
  gradient_norm: jax.Array
  bound: jax.Array


@jax.jit
def certify(features, basis: Basis, targets, mask, solutions) -> Certified:
  """Judges solutions by the features [N, D] as they were given.

  The eigenbasis, its rounding and the float32 products play no part here.

  Args:
    solutions: (weights [P, C, R], bias [P, C], penalties [P]).
  """
  features = features.astype(jnp.float64)

  def judge(solution):
    weights, bias, penalty = solution
    weights = weights @ basis.axes.T
    bias = bias - weights @ basis.mean
    logits = weights @ features.T + bias[:, None]
    loss, residual, curvature = losses(logits, targets, mask)
    even = balance(curvature, residual)
    gradient = penalty * weights + residual @ features
    norm = jnp.maximum(
      jnp.max(jnp.abs(gradient)), jnp.max(jnp.abs(even.imbalance))
    )
    objective = loss + penalty / 2 * jnp.sum(weights**2)
    bound = duality_gap(even, gradient + even.moved @ features, penalty)
    return Certified(weights, bias, objective, norm, bound)

  # Several penalties share a reading of the features, as many as make matrix
  # products efficient and no large array beside the features.
  together = max(1, min(CERTIFIED_TOGETHER // targets.size, len(solutions[2])))
  return lax.map(judge, solutions, batch_size=together)
