"""The problem of `logistic` in arrays: objective, certificate, and Hessian.

Arrays are class-major ([C, N] logits, [C, R] weights): skinny matrix products
run several times faster that way on CPUs. Features stay as they were given,
and are read in blocks where they have to be widened to float64 or brought from
the host's memory; what is held beside them are a few arrays [C, N]. Examples
are spread over the devices of a mesh.
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

# Rows that are widened to float64 at a time.
BLOCK_ROWS = 2048

# Products with rows, of all classes, that a CPU's caches hold: 1 MiB.
BLOCK_PRODUCTS = 2**18

CLASSES_BY_EXAMPLES = P(None, DATA_AXIS)


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=[
    'rows',
    'single',
    'mean',
    'targets',
    'mask',
    'counted',
    'varies',
  ],
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
    varies: [R] bool, False for features that are the same in all rows: the
      bias does what they could, so that their weights are zero.
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
  varies: jax.Array
  mesh: Mesh
  streamed: bool


class Curvature(NamedTuple):
  """The losses' second derivative with respect to the logits.

  Attributes:
    spread: [C, N], probabilities p; for independent labels p (1 - p).
      Zero for rows that do not count.
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
    curvature: in float32.
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
  curvature: Curvature
  imbalance: jax.Array
  shift: jax.Array
  block: jax.Array
  bound: jax.Array


@jax.jit
def mean_row(problem: Problem) -> jax.Array:
  """The mean [R] float64 of the rows."""

  def local(rows, counted):
    def total(part, fresh):
      return jnp.where(fresh[:, None], part, 0).sum(axis=0)

    return lax.psum(over_blocks(problem, total, rows, counted), DATA_AXIS)

  total = sharded(problem, local, (BATCH, BATCH), REPLICATED)(
    problem.rows, problem.counted
  )
  return total / jnp.sum(problem.counted)


def sharded(problem: Problem, function, in_specs, out_specs):
  return jax.shard_map(
    function,
    mesh=problem.mesh,
    in_specs=in_specs,
    out_specs=out_specs,
    check_vma=False,
  )


def blocks(count: int, most: int = BLOCK_ROWS) -> tuple[int, int]:
  """How many blocks, and of how many rows, `most` at the most."""
  number = -(-count // most)
  return number, -(-count // number)


def locate(number, rows_each: int, count: int, counted):
  """The block's first row, and which of its rows no block had before.

  The last block ends with the last row and so may overlap the one before.
  """
  start = jnp.minimum(number * rows_each, count - rows_each)
  new = start + jnp.arange(rows_each) >= number * rows_each
  return start, new & lax.dynamic_slice_in_dim(counted, start, rows_each)


def load(problem: Problem, rows, start, each):
  """A block of rows, on the device."""
  block = lax.dynamic_slice_in_dim(rows, start, each)
  if problem.streamed:
    block = jax.device_put(block, jax.memory.Space.Device)
  return block


def through(problem: Problem, step, first, rows, counted, most=BLOCK_ROWS):
  """Passes through the examples of a device in blocks.

  Args:
    step: (carry, first row, [E] which rows no block had before, [E, R] rows) ->
      carry.
    first: the first carry.
    rows: [N, R].
    counted: [N] bool.
    most: rows of a block, at the most.

  Returns:
    The last carry.
  """
  number, each = blocks(len(rows), most)

  def body(i, carry):
    start, fresh = locate(i, each, len(rows), counted)
    return step(carry, start, fresh, load(problem, rows, start, each))

  return lax.fori_loop(0, number, body, first)


def _product_rows(problem: Problem, count: int) -> int:
  """The rows of a block for products in float32, of `count` on a device.

  Products of a block are still in a CPU's caches when they are curved; an
  accelerator, whose units a block leaves idle, takes all examples at once.
  """
  on_cpu = problem.mesh.devices.flat[0].platform == 'cpu'
  if on_cpu or problem.streamed:
    return max(BLOCK_ROWS, BLOCK_PRODUCTS // len(problem.targets))
  return count


def over_blocks(problem: Problem, function, rows, counted):
  """Sums function(block of rows in float64, which are new) over blocks."""
  number, each = blocks(len(rows))

  def part(i):
    start, fresh = locate(i, each, len(rows), counted)
    block = load(problem, rows, start, each)
    return function(block.astype(jnp.float64), fresh)

  shapes = jax.eval_shape(part, 0)
  zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
  return lax.fori_loop(
    0, number, lambda i, total: jax.tree.map(jnp.add, total, part(i)), zeros
  )


def over_classes(values):
  """Sums [C, N] to [N]: on CPUs far faster as a product than as a sum."""
  return jnp.ones(len(values), values.dtype) @ values


def over_examples(values):
  """Sums [C, N] to [C], as a product where the values go into one as well.

  XLA would fuse a sum with that, which then takes three times as long on CPUs.
  """
  return values @ jnp.ones(values.shape[1], values.dtype)


def losses(logits, targets, mask):
  """Losses of logits [C, N] and their derivatives.

  Written so that small losses and derivatives keep their relative precision: at
  the smallest penalties all of them are far below float64's epsilon times one.

  Returns:
    Losses [N], residuals [C, N], which are the first derivatives, and the
    second ones.
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
    residual = jnp.where(targets, -over_classes(others), others)
    spread = powers / total
    top = jnp.argmax(spread, axis=0).astype(jnp.int32)
    return log_total, residual, Curvature(spread, top)
  sign = jnp.where(targets, -1.0, 1.0)
  loss = jnp.where(mask, jax.nn.softplus(sign * logits), 0)
  wrong = jnp.where(mask, jax.nn.sigmoid(sign * logits), 0)
  spread = wrong * jax.nn.sigmoid(-sign * logits)
  return over_classes(loss), sign * wrong, Curvature(spread, None)


def widen(curvature: Curvature) -> Curvature:
  """From float32 to float64, such that probabilities sum to one in that."""
  spread, top = curvature
  spread = spread.astype(jnp.float64)
  if top is not None:
    first = jnp.arange(len(spread))[:, None] == top
    rest = 1 - over_classes(jnp.where(first, 0, spread))
    spread = jnp.where(first & (spread > 0), rest, spread)
  return Curvature(spread, top)


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
  loss, slope, curvature, size, imbalance, block = _slope(
    problem, weights, bias
  )
  shift = -apply_bias(bias_inverse(block), imbalance)
  movement, moved = _movement(problem, curvature, shift)
  gradient = penalty * weights + slope + movement
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
    curvature=curvature,
    imbalance=imbalance,
    shift=shift,
    block=block,
    bound=jnp.where(feasible, gap, jnp.inf),
  )


def total_loss(problem: Problem, weights, bias):
  """The sum of the losses, without the penalty."""
  return _slope(problem, weights, bias)[0]


def _by_example(problem: Problem):
  """What belongs to examples, and how it lies on the devices."""
  arrays = problem.rows, problem.targets, problem.mask, problem.counted
  by_class = CLASSES_BY_EXAMPLES
  mask = None if problem.mask is None else by_class
  return arrays, (BATCH, by_class, mask, BATCH)


def part_of(arrays, start, each):
  """A block of examples of arrays [C, N] or [N]; None stays."""
  return jax.tree.map(
    lambda array: lax.dynamic_slice_in_dim(array, start, each, axis=-1), arrays
  )


def _slope(problem: Problem, weights, bias):
  """The losses and all of their derivatives, in one pass over the rows.

  Returns:
    The losses' sum, its gradient [C, R] with respect to the weights, the
    curvature in float32, and sums over examples of the residuals' sizes [C],
    of the residuals [C], and of the curvature.
  """
  weights, bias = weights.astype(jnp.float64), bias.astype(jnp.float64)
  classes = len(bias)

  def local(rows, targets, mask, counted):
    def step(carry, start, fresh, part):
      loss, slope, curvature, size, imbalance, block = carry
      each, part = len(part), part.astype(jnp.float64)
      found, residual, here = losses(
        weights @ part.T + bias[:, None],
        part_of(targets, start, each),
        part_of(mask, start, each),
      )
      residual = jnp.where(fresh, residual, 0)
      counts = part_of(counted, start, each)
      spread = jnp.where(counts, here.spread, 0).astype(jnp.float32)
      here = here._replace(spread=spread)
      # Of what is kept: what is computed from that later, agrees to the bit.
      spread, top = widen(here)
      return (
        loss + jnp.sum(jnp.where(fresh, found, 0)),
        slope + residual @ part,
        jax.tree.map(
          lambda whole, new: lax.dynamic_update_slice_in_dim(
            whole, new, start, axis=-1
          ),
          curvature,
          here,
        ),
        size + jnp.sum(jnp.abs(residual), axis=1),
        imbalance + jnp.sum(residual, axis=1),
        block + bias_block(Curvature(jnp.where(fresh, spread, 0), top)),
      )

    blank = jnp.zeros((classes, len(rows)), jnp.float32)
    sums = jnp.zeros(classes)
    first = (
      jnp.zeros(()),
      jnp.zeros(weights.shape),
      Curvature(
        blank, jnp.zeros(len(rows), jnp.int32) if mask is None else None
      ),
      sums,
      sums,
      jnp.zeros((classes, classes)) if mask is None else sums,
    )
    loss, slope, curvature, *more = through(problem, step, first, rows, counted)
    loss, slope, *more = lax.psum((loss, slope, *more), DATA_AXIS)
    # Of what is the same in all rows, the residuals' zero sums leave rounding.
    return loss, jnp.where(problem.varies, slope, 0), curvature, *more

  arrays, specs = _by_example(problem)
  out = (REPLICATED, REPLICATED, lies(problem), *[REPLICATED] * 3)
  return sharded(problem, local, specs, out)(*arrays)


def lies(problem: Problem) -> Curvature:
  """How a curvature lies on the devices."""
  return Curvature(CLASSES_BY_EXAMPLES, BATCH if problem.mask is None else None)


def _movement(problem: Problem, curvature: Curvature, shift):
  """What a shift [C] of the bias changes, along the curvature.

  Its part of the slope, a small one, is in float32.

  Returns:
    The changes of the residuals times the rows, [C, R], and their sums [C].
  """
  # To unit size: float32 must neither overflow nor underflow.
  unit = jnp.maximum(jnp.max(jnp.abs(shift)), 1e-300)
  shift = (shift / unit)[:, None]

  def local(single, counted, curvature):
    most = _product_rows(problem, len(single))

    def step(carry, start, fresh, part):
      slope, total = carry
      here = part_of(curvature, start, len(part))
      change = curve(widen(here), jnp.broadcast_to(shift, here.spread.shape))
      change = jnp.where(fresh, change, 0)
      return (
        slope + change.astype(jnp.float32) @ part,
        total + over_examples(change),
      )

    blank = jnp.zeros((len(shift), single.shape[1]), jnp.float32)
    first = blank, jnp.zeros(len(shift))
    return lax.psum(
      through(problem, step, first, single, counted, most), DATA_AXIS
    )

  slope, total = sharded(
    problem, local, (BATCH, BATCH, lies(problem)), REPLICATED
  )(problem.single, problem.counted, curvature)
  slope = jnp.where(problem.varies, slope, 0)
  return unit * slope.astype(jnp.float64), unit * total


def gradient_norm(problem: Problem, point: Point):
  """The largest absolute entry of the objective's gradient."""
  # The point's gradient has the bias eliminated.
  movement, _ = _movement(problem, point.curvature, point.shift)
  slope = point.gradient - movement
  return jnp.maximum(jnp.max(jnp.abs(slope)), jnp.max(jnp.abs(point.imbalance)))


def hessian_product(problem: Problem, point: Point, penalty):
  """Returns change [C, R] -> (its product, the bias's share [C]).

  The bias's share is what eliminating the bias adds to its Newton step.
  """
  mean = problem.mean.astype(jnp.float32)
  inverse = bias_inverse(point.block)
  specs = BATCH, BATCH, lies(problem)

  def local_slopes(single, counted, curvature, change):
    """change [C, R] times the centerd rows, and the sums of what is curved."""
    # A step of the bias away from what it should be, and much more exact.
    offset = (change @ mean)[:, None]
    most = _product_rows(problem, len(single))

    def step(carry, start, fresh, part):
      slopes, sums = carry
      found = change @ part.T - offset
      curved = curve(part_of(curvature, start, len(part)), found)
      curved = jnp.where(fresh, curved, 0)
      return (
        lax.dynamic_update_slice_in_dim(slopes, found, start, axis=1),
        sums + jnp.sum(curved, axis=1, dtype=jnp.float64),
      )

    blank = jnp.zeros((len(change), len(single)), jnp.float32)
    first = blank, jnp.zeros(len(change))
    slopes, sums = through(problem, step, first, single, counted, most)
    return slopes, lax.psum(sums, DATA_AXIS)

  def local_image(single, counted, curvature, slopes, share):
    """What is curved of slopes [C, N] and a share [C], times centerd rows."""
    most = _product_rows(problem, len(single))

    def step(carry, start, fresh, part):
      total, left = carry
      found = part_of(slopes, start, len(part)) + share[:, None]
      curved = curve(part_of(curvature, start, len(part)), found)
      curved = jnp.where(fresh, curved, 0)
      return total + curved @ part, left + over_examples(curved)

    blank = jnp.zeros((len(share), single.shape[1]), jnp.float32)
    first = blank, jnp.zeros_like(share)
    total, left = lax.psum(
      through(problem, step, first, single, counted, most), DATA_AXIS
    )
    return total - left[:, None] * mean

  along = sharded(
    problem,
    local_slopes,
    (*specs, REPLICATED),
    (CLASSES_BY_EXAMPLES, REPLICATED),
  )
  back = sharded(
    problem,
    local_image,
    (*specs, CLASSES_BY_EXAMPLES, REPLICATED),
    REPLICATED,
  )

  def product(change):
    # Scaled to unit size: float32 must neither overflow nor underflow.
    size = jnp.maximum(jnp.max(jnp.abs(change)), 1e-300)
    change_single = (change / size).astype(jnp.float32)
    change_single = jnp.where(problem.varies, change_single, 0)
    examples = problem.single, problem.counted, point.curvature
    slopes, sums = along(*examples, change_single)
    share = -apply_bias(inverse, sums)
    image = back(*examples, slopes, share.astype(jnp.float32))
    image = jnp.where(problem.varies, image, 0).astype(jnp.float64)
    share -= (change_single @ mean).astype(jnp.float64)
    return size * image + penalty * change, size * share

  return product


def total_curvature(point: Point):
  """The sum of all examples' curvatures' traces."""
  block = point.block
  return jnp.sum(block) if block.ndim == 1 else jnp.trace(block)
