"""The numerical core of `logistic`: Newton's method along the penalties.

Everything here is jitted JAX on arrays and is meant to be called with 64-bit
types enabled. Arrays are class-major ([C, N] logits, [C, R] weights): skinny
matrix products run several times faster that way on CPUs.

What makes the path cheap:

*Newton steps by conjugate gradients.* A product with the Hessian costs as much
as a gradient. The products run in float32, gradients and objectives in
float64: an inexact product costs at worst one more step, an inexact gradient
would cost the certificate. The bias is eliminated from each linear system (a
Schur complement of C × C), and the same elimination yields the certificate;
see `evaluate`.

*A Kronecker preconditioner.* The Hessian is a sum over examples of A ⊗ x x',
A the C × C curvature of the example's loss. Mean A ⊗ the Gram matrix + penalty
is inverted in the eigenbases of the two factors, the second of which is found
once for the whole path.

*Directions are kept.* Each product with the Hessian teaches how the
preconditioner errs. The last directions and their images correct it (a block
BFGS update), from one penalty to the next; of the rotated digits that halves
the products.

*Extrapolation.* The solution is a smooth function of the penalty's logarithm:
a cubic through the last four solutions starts the next one so near that one or
two Newton steps are left.

Features stay as they were given, and are read in blocks where they have to be
widened to float64 or brought from the host's memory; what is held beside them
are a few arrays [C, N]. With fewer examples than features the problem is solved
in the row space, which holds the minimiser, so nothing is lost. Examples are
spread over the devices of a mesh.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from tf_transfer.runtime.devices import BATCH, DATA_AXIS, REPLICATED

# Solutions that the extrapolation looks back on: cubic. Quartic and quintic
# were worse, since they magnify what the tolerance leaves.
HISTORY = 4


# Products with the Hessian in one Newton step: what float32 has not reached by
# then, it reaches sooner from a new point.
MOST_PRODUCTS = 250


# Rows that are widened to float64 at a time.
BLOCK_ROWS = 2048


# Directions whose part of what all span is smaller than this are left out.
LEAST_SHARE = 1e-2

CLASSES_BY_EXAMPLES = P(None, DATA_AXIS)


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=['rows', 'single', 'mean', 'targets', 'mask', 'counted'],
  meta_fields=['mesh', 'streamed'],
)
@dataclasses.dataclass(frozen=True)
class Problem:
  """What is fitted.

  Attributes:
    rows: [N, R], of a float type, the first axis over the devices.
    single: [N, R] float32, the same; the same array where that is its type.
    mean: [R] float64, of rows.
    targets: [C, N] bool, one-hot classes or independent labels.
    mask: [C, N] bool, False where a label is ignored; None for one-hot.
    counted: [N] bool, False for rows that only fill up the devices.
    mesh: one axis, `data`.
    streamed: whether rows and single are in the host's memory, from which
      each block is brought when it is its turn.
  """

  rows: jax.Array
  single: jax.Array
  mean: jax.Array
  targets: jax.Array
  mask: jax.Array | None
  counted: jax.Array
  mesh: Mesh
  streamed: bool


class Spectrum(NamedTuple):
  """The rows' covariance in its eigenbasis, for the preconditioner.

  Attributes:
    values: [R] float32, eigenvalues of the centred rows' Gram matrix.
    axes: [R, R] float32, eigenvectors as columns; None where the rows
      themselves are in the eigenbasis.
  """

  values: jax.Array
  axes: jax.Array | None


class Basis(NamedTuple):
  """How rows came from features: rows = (features - mean) @ axes."""

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
  """Weights with all that Newton's method wants to know of them.

  Attributes:
    weights, bias: [C, R], [C].
    loss, objective: without and with the penalty's term.
    gradient: [C, R], of the objective with the bias eliminated.
    residual: [C, N], the losses' first derivative with respect to the logits.
    imbalance: [C], the gradient with respect to the bias.
    shift: [C], the bias's own Newton step.
    block: [C, C] or, for independent labels, [C]: the bias's block of the
      Hessian.
    bound: at least the objective's distance from the optimum.
  """

  weights: jax.Array
  bias: jax.Array
  loss: jax.Array
  objective: jax.Array
  gradient: jax.Array
  residual: jax.Array
  imbalance: jax.Array
  shift: jax.Array
  block: jax.Array
  bound: jax.Array


@jax.jit
def row_space(features: jax.Array):
  """Rows [N, N] that stand for features [N, D] with N < D, in float64.

  They are in their eigenbasis: where R is as large as N, turning them once
  is cheaper than turning in every preconditioning.

  Returns:
    The rows, their `Spectrum` and `Basis`.
  """
  features = features.astype(jnp.float64)
  mean = jnp.mean(features, axis=0)
  space, triangle = jnp.linalg.qr((features - mean).T)
  values, axes = jnp.linalg.eigh(triangle @ triangle.T)
  values = jnp.maximum(values, 0).astype(jnp.float32)
  return triangle.T @ axes, Spectrum(values, None), Basis(mean, space @ axes)


@jax.jit
def mean_row(problem: Problem) -> jax.Array:
  """The mean [R] float64 of the rows."""

  def local(rows, counted):
    def total(part, fresh):
      return jnp.where(fresh[:, None], part, 0).sum(axis=0)

    return lax.psum(_over_blocks(problem, total, rows, counted), DATA_AXIS)

  total = _sharded(problem, local, (BATCH, BATCH), REPLICATED)(
    problem.rows, problem.counted
  )
  return total / jnp.sum(problem.counted)


@jax.jit
def spectrum(problem: Problem) -> Spectrum:
  """The eigenbasis of the rows, in float32: it only preconditions."""

  def local(rows, counted):
    def gram(part, fresh):
      part = jnp.where(fresh[:, None], part - problem.mean, 0)
      part = part.astype(jnp.float32)
      return (part.T @ part).astype(jnp.float64)

    return lax.psum(_over_blocks(problem, gram, rows, counted), DATA_AXIS)

  total = _sharded(problem, local, (BATCH, BATCH), REPLICATED)(
    problem.rows, problem.counted
  )
  # To unit size: float32 must neither overflow nor underflow.
  size = jnp.maximum(jnp.max(jnp.diagonal(total)), 1e-300)
  values, axes = jnp.linalg.eigh((total / size).astype(jnp.float32))
  return Spectrum((jnp.maximum(values, 0) * size).astype(jnp.float32), axes)


def _sharded(problem: Problem, function, in_specs, out_specs):
  return jax.shard_map(
    function,
    mesh=problem.mesh,
    in_specs=in_specs,
    out_specs=out_specs,
    check_vma=False,
  )


def _blocks(count: int) -> tuple[int, int]:
  """How many blocks, and of how many rows."""
  number = -(-count // BLOCK_ROWS)
  return number, -(-count // number)


def _block(number, rows_each: int, count: int, counted):
  """The block's first row, and which of its rows no block had before.

  The last block ends with the last row and so may overlap the one before.
  """
  start = jnp.minimum(number * rows_each, count - rows_each)
  new = start + jnp.arange(rows_each) >= number * rows_each
  return start, new & lax.dynamic_slice_in_dim(counted, start, rows_each)


def _load(problem: Problem, rows, start, each):
  """A block of rows, on the device."""
  block = lax.dynamic_slice_in_dim(rows, start, each)
  if problem.streamed:
    block = jax.device_put(block, jax.memory.Space.Device)
  return block


def _over_blocks(problem: Problem, function, rows, counted):
  """Sums function(block of rows in float64, which are new) over blocks."""
  number, each = _blocks(len(rows))

  def part(i):
    start, fresh = _block(i, each, len(rows), counted)
    block = _load(problem, rows, start, each)
    return function(block.astype(jnp.float64), fresh)

  shapes = jax.eval_shape(part, 0)
  zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
  return lax.fori_loop(
    0, number, lambda i, total: jax.tree.map(jnp.add, total, part(i)), zeros
  )


def over_classes(values):
  """Sums [C, N] to [N]: on CPUs far faster as a product than as a sum."""
  return jnp.ones(len(values), values.dtype) @ values


def losses(logits, targets, mask):
  """Losses and residuals of logits [C, N].

  Written so that small losses and residuals keep their relative precision: at
  the smallest penalties all of them are far below float64's epsilon times one.

  Returns:
    Losses [N], and residuals [C, N].
  """
  if mask is None:
    margins = logits - over_classes(jnp.where(targets, logits, 0))
    top = jnp.max(margins, axis=0)
    powers = jnp.exp(margins - top)
    others = jnp.where(targets, 0, powers)
    total = over_classes(powers)
    log_total = jnp.where(
      top > 0, top + jnp.log(total), jnp.log1p(over_classes(others))
    )
    others = others / total
    return log_total, jnp.where(targets, -over_classes(others), others)
  sign = jnp.where(targets, -1.0, 1.0)
  loss = jnp.where(mask, jax.nn.softplus(sign * logits), 0)
  residual = jnp.where(mask, sign * jax.nn.sigmoid(sign * logits), 0)
  return over_classes(loss), residual


def curvature_of(residual, targets, mask) -> Curvature:
  """The curvature where the residuals [C, N] are."""
  if mask is None:
    spread = residual + targets
    return Curvature(spread, jnp.argmax(spread, axis=0))
  size = jnp.abs(residual)
  return Curvature(size * (1 - size), None)


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
  return spread * (change - over_classes(spread * change))


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


def evaluate(problem: Problem, weights, bias, penalty) -> Point:
  """Objective, gradient and certificate; one evaluation.

  The bound is a duality gap. A dual point is any set of probabilities p' whose
  residuals p' - y sum to zero for each class. Ours moves p along the
  curvature, p' = p + A u, with u (`shift`) such that the sums vanish. Then the
  gap is the sum of KL(p' || p), at most u S u with S the sum of the A's, plus
  |penalty W + X'(p' - y)|^2 / (2 penalty); and the vector in that second term
  is the gradient with the bias eliminated, which Newton's method needs anyway.
  """
  loss, residual, size, imbalance, block = _residuals(problem, weights, bias)
  shift = -apply_bias(bias_inverse(block), imbalance)
  slope, moved = _balanced_slope(problem, residual, shift)
  gradient = penalty * weights + slope
  # No probability changes by more than the factor 1 + reach.
  reach = jnp.max(jnp.abs(shift)) if block.ndim == 1 else jnp.ptp(shift)
  feasible = jnp.all(jnp.abs(imbalance + moved) <= 1e-12 * size) & (reach <= 1)
  gap = jnp.sum(gradient**2) / (2 * penalty) - shift @ imbalance
  return Point(
    weights=weights,
    bias=bias,
    loss=loss,
    objective=loss + penalty / 2 * jnp.sum(weights**2),
    gradient=gradient,
    residual=residual,
    imbalance=imbalance,
    shift=shift,
    block=block,
    bound=jnp.where(feasible, gap, jnp.inf),
  )


def _by_example(problem: Problem):
  """What belongs to examples, and how it lies on the devices."""
  arrays = problem.rows, problem.targets, problem.mask, problem.counted
  by_class = CLASSES_BY_EXAMPLES
  mask = None if problem.mask is None else by_class
  return arrays, (BATCH, by_class, mask, BATCH)


def _part(array, start, each):
  """Columns of [C, N]; None stays."""
  if array is None:
    return None
  return lax.dynamic_slice_in_dim(array, start, each, axis=1)


def _residuals(problem: Problem, weights, bias):
  """The losses' sum, residuals [C, N], and sums over examples of the
  residuals' sizes [C], of the residuals [C], and of the curvature."""
  weights, bias = weights.astype(jnp.float64), bias.astype(jnp.float64)
  classes = len(bias)

  def local(rows, targets, mask, counted):
    number, each = _blocks(len(rows))

    def step(i, carry):
      loss, residual, size, imbalance, block = carry
      start, fresh = _block(i, each, len(rows), counted)
      part = _load(problem, rows, start, each).astype(jnp.float64)
      hits, counts = _part(targets, start, each), _part(mask, start, each)
      found, here = losses(weights @ part.T + bias[:, None], hits, counts)
      here = jnp.where(lax.dynamic_slice_in_dim(counted, start, each), here, 0)
      new = jnp.where(fresh, here, 0)
      spread, top = curvature_of(here, hits, counts)
      return (
        loss + jnp.sum(jnp.where(fresh, found, 0)),
        lax.dynamic_update_slice_in_dim(residual, here, start, axis=1),
        size + jnp.sum(jnp.abs(new), axis=1),
        imbalance + jnp.sum(new, axis=1),
        block + bias_block(Curvature(jnp.where(fresh, spread, 0), top)),
      )

    sums = jnp.zeros(classes)
    first = (
      jnp.zeros(()),
      jnp.zeros((classes, len(rows))),
      sums,
      sums,
      jnp.zeros((classes, classes)) if mask is None else sums,
    )
    loss, residual, *more = lax.fori_loop(0, number, step, first)
    loss, *more = lax.psum((loss, *more), DATA_AXIS)
    return loss, residual, *more

  arrays, specs = _by_example(problem)
  out = (REPLICATED, CLASSES_BY_EXAMPLES, *[REPLICATED] * 3)
  return _sharded(problem, local, specs, out)(*arrays)


def _balanced_slope(problem: Problem, residual, shift):
  """Residuals moved along the curvature by a shift [C] of the bias.

  Returns:
    What they give times the rows, [C, R], and the sums [C] of the movement.
  """
  arrays, specs = _by_example(problem)

  def local(rows, targets, mask, counted, residual):
    number, each = _blocks(len(rows))

    def step(i, carry):
      slope, total = carry
      start, fresh = _block(i, each, len(rows), counted)
      part = _load(problem, rows, start, each).astype(jnp.float64)
      here = _part(residual, start, each)
      curvature = curvature_of(
        here, _part(targets, start, each), _part(mask, start, each)
      )
      moved = curve(curvature, jnp.broadcast_to(shift[:, None], here.shape))
      moved = jnp.where(fresh, moved, 0)
      balanced = jnp.where(fresh, here, 0) + moved
      return slope + balanced @ part, total + jnp.sum(moved, axis=1)

    zeros = jnp.zeros((len(shift), rows.shape[1])), jnp.zeros(len(shift))
    return lax.psum(lax.fori_loop(0, number, step, zeros), DATA_AXIS)

  return _sharded(problem, local, (*specs, CLASSES_BY_EXAMPLES), REPLICATED)(
    *arrays, residual
  )


def _along_rows(problem: Problem, change):
  """change [C, R] times the rows, [C, N], in float32."""
  if not problem.streamed:
    return change @ problem.single.T

  def local(rows):
    number, each = _blocks(len(rows))

    def step(i, found):
      start = jnp.minimum(i * each, len(rows) - each)
      part = change @ _load(problem, rows, start, each).T
      return lax.dynamic_update_slice_in_dim(found, part, start, axis=1)

    blank = jnp.zeros((len(change), len(rows)), jnp.float32)
    return lax.fori_loop(0, number, step, blank)

  return _sharded(problem, local, (BATCH,), CLASSES_BY_EXAMPLES)(problem.single)


def _onto_rows(problem: Problem, values):
  """values [C, N] times the rows, [C, R], in float32."""
  if not problem.streamed:
    return values @ problem.single

  def local(rows, counted, values):
    number, each = _blocks(len(rows))

    def step(i, total):
      start, fresh = _block(i, each, len(rows), counted)
      part = jnp.where(fresh, _part(values, start, each), 0)
      return total + part @ _load(problem, rows, start, each)

    blank = jnp.zeros((len(values), rows.shape[1]), jnp.float32)
    return lax.psum(lax.fori_loop(0, number, step, blank), DATA_AXIS)

  specs = BATCH, BATCH, CLASSES_BY_EXAMPLES
  return _sharded(problem, local, specs, REPLICATED)(
    problem.single, problem.counted, values
  )


def gradient_norm(problem: Problem, point: Point):
  """The largest absolute entry of the objective's gradient."""
  # The point's gradient has the bias eliminated. What that added is small, so
  # float32 tells it exactly enough.
  curvature = curvature_of(point.residual, problem.targets, problem.mask)
  shift = jnp.broadcast_to(point.shift[:, None], point.residual.shape)
  size = jnp.maximum(jnp.max(jnp.abs(shift)), 1e-300)
  moved = curve(curvature, shift / size).astype(jnp.float32)
  slope = point.gradient - size * _onto_rows(problem, moved)
  return jnp.maximum(jnp.max(jnp.abs(slope)), jnp.max(jnp.abs(point.imbalance)))


def hessian_product(problem: Problem, point: Point, penalty):
  """Returns change [C, R] -> (its product, the bias's share [C]).

  The bias's share is what eliminating the bias adds to its Newton step.
  """
  mean = problem.mean.astype(jnp.float32)
  curvature = curvature_of(point.residual, problem.targets, problem.mask)
  curvature = curvature._replace(spread=curvature.spread.astype(jnp.float32))
  inverse = bias_inverse(point.block)

  def product(change):
    # Scaled to unit size: float32 must neither overflow nor underflow.
    size = jnp.maximum(jnp.max(jnp.abs(change)), 1e-300)
    change_single = (change / size).astype(jnp.float32)
    # A step of the bias away from what it should be, and much more exact.
    slopes = _along_rows(problem, change_single)
    slopes -= (change_single @ mean)[:, None]
    curved = curve(curvature, slopes)
    sums = jnp.sum(curved, axis=1, dtype=jnp.float64)
    share = -apply_bias(inverse, sums)
    curved += curve(
      curvature,
      jnp.broadcast_to(share.astype(jnp.float32)[:, None], slopes.shape),
    )
    left = jnp.sum(curved, axis=1)
    back = _onto_rows(problem, curved) - left[:, None] * mean
    back = back.astype(jnp.float64)
    share -= (change_single @ mean).astype(jnp.float64)
    return size * back + penalty * change, size * share

  return product


class Memory(NamedTuple):
  """Directions and their products with the losses' Hessian.

  Attributes:
    directions: [M, C R] float32, of length one in the Hessian.
    images: [M, C R] float32, the penalty's part left out.
    curvature: to which the images belong; they are scaled with it.
  """

  directions: jax.Array
  images: jax.Array
  curvature: jax.Array


def preconditioner(problem, spectrum, memory: Memory, point: Point, penalty):
  """Returns gradient [C, R] -> an approximate Newton step."""
  count = jnp.sum(problem.counted)
  values, axes = spectrum
  if point.block.ndim == 1:
    turn, mean_curvatures = None, point.block / count
  else:
    mean_curvatures, turn = jnp.linalg.eigh(point.block / count)
    turn = turn.astype(jnp.float32)
  mean_curvatures = jnp.maximum(mean_curvatures, 0)
  scale = 1 / (mean_curvatures[:, None] * values + penalty)

  def kronecker(vector):
    size = jnp.maximum(jnp.max(jnp.abs(vector)), 1e-300)
    result = (vector / size).astype(jnp.float32)
    if axes is not None:
      result = result @ axes
    if turn is not None:
      result = turn.T @ result
    result = (scale * result).astype(jnp.float64)
    largest = jnp.maximum(jnp.max(jnp.abs(result)), 1e-300)
    result = (result / largest).astype(jnp.float32)
    if turn is not None:
      result = turn @ result
    if axes is not None:
      result = result @ axes.T
    return size * largest * result.astype(jnp.float64)

  directions, images, inverse = _span(memory, point, penalty)

  def corrected(vector):
    """Block BFGS: exact on what the directions span, Kronecker beside it."""
    size = jnp.maximum(jnp.max(jnp.abs(vector)), 1e-300)
    flat = (vector / size).astype(jnp.float32).ravel()
    shares = inverse @ (directions @ flat)
    rest = (flat - shares @ images).reshape(vector.shape)
    other = kronecker(rest.astype(jnp.float64))
    small = jnp.maximum(jnp.max(jnp.abs(other)), 1e-300)
    other_flat = (other / small).astype(jnp.float32).ravel()
    back = inverse @ (images @ other_flat)
    result = other.ravel() - small * (back @ directions)
    result += (shares @ directions).astype(jnp.float64)
    return size * result.reshape(vector.shape)

  return corrected if len(directions) else kronecker


def _span(memory: Memory, point: Point, penalty):
  """Directions, their images, and the inverse of how they meet [M, M]."""
  directions = memory.directions
  grown = total_curvature(point) / memory.curvature
  images = (grown * memory.images + penalty * directions).astype(jnp.float32)
  meet = (directions @ images.T).astype(jnp.float64)
  meet = (meet + meet.T) / 2
  # Places that hold no direction yet are zero.
  size = jnp.diagonal(meet)
  scale = jnp.where(size > 0, lax.rsqrt(jnp.where(size > 0, size, 1)), 0)
  values, vectors = jnp.linalg.eigh(scale[:, None] * meet * scale)
  usable = values > LEAST_SHARE * jnp.maximum(jnp.max(values), 1)
  values = jnp.where(usable, 1 / jnp.where(usable, values, 1), 0)
  vectors = scale[:, None] * vectors
  inverse = ((vectors * values) @ vectors.T).astype(jnp.float32)
  return directions, images, inverse


def total_curvature(point: Point):
  block = point.block
  return jnp.sum(block) if block.ndim == 1 else jnp.trace(block)


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


def newton_step(problem, spectrum, memory, point, penalty, target, limit):
  """Solves Newton's system by preconditioned conjugate gradients.

  Args:
    target: the bound that the step should reach; solving on is no use.
    limit: most products with the Hessian.

  Returns:
    Steps of the weights [C, R] and bias [C], the products spent, and the
    memory with what they taught.
  """
  product = hessian_product(problem, point, penalty)
  prepare = preconditioner(problem, spectrum, memory, point, penalty)
  descent = -point.gradient
  direction = prepare(descent)
  start = jnp.vdot(descent, direction)
  ratio = point.bound / point.objective
  forcing = jnp.minimum(0.1, ratio**0.25) ** 2
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
      directions = _kept(directions, unit * state.direction, place)
      images = _kept(images, taught, place)
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
  memory = _remember(memory, point, last) if places else memory
  return last.step, last.share + point.shift, last.count, memory


def _kept(array, vector, place):
  row = vector.astype(jnp.float32).reshape(1, -1)
  return lax.dynamic_update_slice_in_dim(array, row, place, axis=0)


def _remember(memory: Memory, point: Point, last: _Search) -> Memory:
  """The newest directions, those of the last search first."""
  places = len(memory.directions)
  new = jnp.minimum(last.count, places)
  place = jnp.arange(places)
  curvature = total_curvature(point)
  grown = curvature / memory.curvature

  def merge(fresh, old, scale):
    moved = jnp.take(old, jnp.maximum(place - new, 0), axis=0)
    return jnp.where((place < new)[:, None], fresh, scale * moved)

  return Memory(
    merge(last.directions, memory.directions, 1).astype(jnp.float32),
    merge(last.images, memory.images, grown).astype(jnp.float32),
    curvature,
  )


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
    new = evaluate(
      problem, weights + length * step, bias + length * bias_step, penalty
    )
    fell = new.objective <= objective + 1e-4 * length * slope
    # Near the optimum the fall drowns in rounding, but the bound does not.
    found = (fell | (new.bound < 0.5 * bound)) & (count < 30)
    return length / 2, new, count + 1, found

  first = jnp.ones(()), point, jnp.zeros((), jnp.int32), jnp.zeros((), bool)
  _, new, count, found = lax.while_loop(unfinished, attempt, first)
  return new, count, found


def minimise(problem, spectrum, memory, point, penalty, tolerance, limit):
  """Newton's method from `point`; returns solution, evaluations, memory."""

  def unfinished(state):
    point, count, moved, _ = state
    wanted = ~(point.bound <= tolerance * point.objective)
    return wanted & moved & (count < limit)

  def iterate(state):
    point, count, _, memory = state
    target = tolerance * point.objective
    step, bias_step, products, memory = newton_step(
      problem, spectrum, memory, point, penalty, target, limit - count
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
  """Solutions and how good they are; one entry a penalty.

  Attributes:
    weights, bias: [P, C, R], [P, C].
    objective, gradient_norm, bound: [P], as `logistic.Path` has them.
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


def _advance_one(
  problem, spectrum, trail: Trail, log_penalty, tolerance, limit
):
  penalty = jnp.exp(log_penalty)
  point, spent = first_point(problem, trail, log_penalty, penalty)
  point, count, memory = minimise(
    problem, spectrum, trail.memory, point, penalty, tolerance, limit - spent
  )
  trail = Trail(
    jnp.roll(trail.penalties, 1).at[0].set(log_penalty),
    jnp.roll(trail.weights, 1, axis=0).at[0].set(point.weights),
    jnp.roll(trail.bias, 1, axis=0).at[0].set(point.bias),
    point.loss,
    jnp.minimum(trail.count + 1, HISTORY),
    memory,
  )
  return trail, (_judged(problem, point), count + spent)


def _judged(problem: Problem, point: Point) -> Solution:
  return Solution(
    point.weights,
    point.bias,
    point.objective,
    gradient_norm(problem, point),
    point.bound,
  )


@jax.jit
def advance(problem, spectrum, trail, log_penalties, tolerance, limit):
  """Solves for each penalty in turn.

  Args:
    log_penalties: [P] natural logarithms, falling.
    tolerance: of the bound relative to the objective.
    limit: most evaluations per penalty.

  Returns:
    The trail, the `Solution` of each, and evaluations [P].
  """

  def step(trail, log_penalty):
    return _advance_one(problem, spectrum, trail, log_penalty, tolerance, limit)

  return lax.scan(step, trail, log_penalties)


@jax.jit
def judge(problem: Problem, weights, bias, penalties) -> Solution:
  """Evaluates solutions [P, C, R] and [P, C] of penalties [P]."""
  return lax.map(
    lambda one: _judged(problem, evaluate(problem, *one)),
    (weights, bias, penalties),
  )


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
  loss = lax.map(lambda one: _residuals(problem, *one)[0], (weights, bias))
  best = jnp.argmin(loss + penalty / 2 * jnp.sum(weights**2, axis=(1, 2)))

  def stack(array):
    return jnp.zeros((HISTORY, *array.shape)).at[0].set(array)

  nothing = jnp.zeros((places, weights[0].size), jnp.float32)
  return Trail(
    # Far from every penalty and from each other: weights of guesses are finite.
    log_penalty + jnp.arange(1.0, HISTORY + 1),
    stack(weights[best]),
    stack(bias[best]),
    loss[best],
    jnp.ones((), jnp.int32),
    Memory(nothing, nothing, jnp.ones(())),
  )
