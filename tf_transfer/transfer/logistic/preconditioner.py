"""Preconditioners of `logistic_solver`: what makes Newton's systems easy.

The Hessian is a sum over examples of A ⊗ x x', A the C × C curvature of the
example's loss, plus the penalty. Three approximations stand on each other:

*A Kronecker product.* Mean A ⊗ the Gram matrix + penalty is inverted in the
eigenbases of the two factors, the second of which is found once for the whole
path. It is good while all examples are about as uncertain as each other.

*Leading examples.* At smaller penalties a few examples have nearly all of the
curvature, and each only between few classes. With p the probability of the
likeliest class a and q the others' shares of 1 - p, A is exactly

  p (1 - p) v v' + (1 - p) (diag q - q q'),  v = e_a - q,

and the second term can be split in the same way again. So the largest of these
directions v ⊗ x, M of them, give most of the Hessian by a matrix of rank M, and
Woodbury's identity inverts it with a factor M × M. What they leave out is
averaged as before.

*The whole Hessian.* With fewer weights than examples no penalty, however small,
separates the classes, and many examples matter. Then the Hessian is small
enough to be factored. Since

  A = sum over pairs of classes c < d of p_c p_d (e_c - e_d) (e_c - e_d)',

it is made of a weighted Gram matrix for each pair, and for each a few thousand
examples do, drawn by their share of it. The factor serves several penalties.

*Directions.* Each product with the Hessian teaches how the rest errs. The last
directions and their images correct it (a block BFGS update), from one penalty
to the next.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from tf_transfer.runtime.devices import BATCH, DATA_AXIS, REPLICATED
from tf_transfer.transfer.logistic import problem as problem_lib
from tf_transfer.transfer.logistic.problem import Point, Problem

# Directions whose part of what all span is smaller than this are left out.
LEAST_SHARE = 1e-2

# Examples for a Gram matrix of a pair of classes, as a multiple of its size.
DRAWN = 4

# Added to the diagonal of the whole Hessian, whose scale is one. The first is
# most often enough to stay above float32's rounding.
RIDGES = (3e-6, 3e-5, 3e-4)


class Spectrum(NamedTuple):
  """The rows' covariance in its eigenbasis.

  Attributes:
    values: [R] float32, eigenvalues of the centerd rows' Gram matrix.
    axes: [R, R] float32, eigenvectors as columns; None where the rows
      themselves are in the eigenbasis.
  """

  values: jax.Array
  axes: jax.Array | None


class Basis(NamedTuple):
  """How rows came from features: rows = (features - mean) @ axes."""

  mean: jax.Array
  axes: jax.Array


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
def spectrum(problem: Problem) -> Spectrum:
  """The eigenbasis of the rows, in float32: it only preconditions."""

  def local(rows, counted):
    def gram(part, fresh):
      part = jnp.where(fresh[:, None], part - problem.mean, 0)
      part = part.astype(jnp.float32)
      return (part.T @ part).astype(jnp.float64)

    total = problem_lib.over_blocks(problem, gram, rows, counted)
    return lax.psum(total, DATA_AXIS)

  total = problem_lib.sharded(problem, local, (BATCH, BATCH), REPLICATED)(
    problem.rows, problem.counted
  )
  # To unit size: float32 must neither overflow nor underflow.
  size = jnp.maximum(jnp.max(jnp.diagonal(total)), 1e-300)
  values, axes = jnp.linalg.eigh((total / size).astype(jnp.float32))
  return Spectrum((jnp.maximum(values, 0) * size).astype(jnp.float32), axes)


class Memory(NamedTuple):
  """Directions and their products with the losses' Hessian.

  Attributes:
    directions: [K, C R] float32, of length one in the Hessian.
    images: [K, C R] float32, the penalty's part left out.
    curvature: to which the images belong; they are scaled with it.
  """

  directions: jax.Array
  images: jax.Array
  curvature: jax.Array


def no_memory(places: int, size: int) -> Memory:
  """Nothing learned yet, of C R = size weights."""
  nothing = jnp.zeros((places, size), jnp.float32)
  return Memory(nothing, nothing, jnp.ones(()))


def keep(array, vector, place):
  """The array [K, C R] with a vector in this place."""
  row = vector.astype(jnp.float32).reshape(1, -1)
  return lax.dynamic_update_slice_in_dim(array, row, place, axis=0)


def remember(memory: Memory, point: Point, directions, images, count) -> Memory:
  """The newest directions: `count` of those given, then those known."""
  places = len(memory.directions)
  new = jnp.minimum(count, places)
  place = jnp.arange(places)
  curvature = problem_lib.total_curvature(point)
  grown = curvature / memory.curvature

  def merge(fresh, old, scale):
    moved = jnp.take(old, jnp.maximum(place - new, 0), axis=0)
    return jnp.where((place < new)[:, None], fresh, scale * moved)

  return Memory(
    merge(directions, memory.directions, 1).astype(jnp.float32),
    merge(images, memory.images, grown).astype(jnp.float32),
    curvature,
  )


class Leading(NamedTuple):
  """The Hessian without bias, where few examples make most of it.

  It is taken as B + U U' with B = rest ⊗ Gram matrix + penalty. Rows of U' are
  the Kronecker products of those of `classes` and `rows`.

  Attributes:
    classes: [M, C] float32, between which classes.
    rows: [M, R] float32, centerd, in the eigenbasis, with the curvature's root.
    root: [M, M] float32, Q with Q' Q the inverse of 1 + U' B^-1 U, the bias
      included.
    rest: [C] float32, the mean curvature of all else; alike for all classes
      of a softmax.
  """

  classes: jax.Array
  rows: jax.Array
  root: jax.Array
  rest: jax.Array


def leading(
  problem: Problem, spectrum: Spectrum, point: Point, penalty, number: int
) -> Leading:
  """Finds the `number` directions of examples with the largest curvature."""
  curvature = point.curvature
  counted = jnp.sum(problem.counted)
  if curvature.top is None:
    chosen, index, classes = _leading_labels(curvature.spread, number)
    taken = classes.T @ chosen
    rest = jnp.maximum(point.block - taken, 0) / counted
  else:
    chosen, index, classes = _leading_pairs(problem, curvature, number)
    taken = chosen @ jnp.sum(classes**2, axis=1)
    total = problem_lib.total_curvature(point)
    each = jnp.maximum(total - taken, 0) / (len(curvature.spread) - 1)
    rest = jnp.full(len(curvature.spread), each / counted)
  size = jnp.sqrt(chosen)
  rows = size.astype(jnp.float32)[:, None] * _centerd(problem, spectrum, index)
  rest, classes = rest.astype(jnp.float32), classes.astype(jnp.float32)
  # With one-hot classes each row has its own class's scale; those of a softmax
  # are all the same.
  scale = jnp.sqrt(_scale(spectrum, rest, penalty))
  scale = classes @ scale if curvature.top is None else scale[0]
  scaled = rows * scale
  # The bias, whose Hessian is eliminated, is like a weight of a constant.
  bias = counted * rest + 1e-3 * jnp.sum(chosen) / len(rest)
  bias = classes @ bias if curvature.top is None else bias[0]
  constant = (size / jnp.sqrt(bias)).astype(jnp.float32)
  scaled = jnp.concatenate([scaled, constant[:, None]], axis=1)
  meet = (classes @ classes.T) * (scaled @ scaled.T)
  # More than rounding can take away from the least eigenvalue.
  most = jnp.max(jnp.sum(jnp.abs(meet), axis=1))
  meet += (1 + 2e-7 * most) * jnp.eye(number, dtype=jnp.float32)
  return Leading(classes, rows, _inverse_factor(meet), rest)


def _leading_labels(spread, number: int):
  """Of independent labels [C, N]: curvatures, examples, one-hot classes."""
  chosen, place = lax.top_k(spread.ravel(), number)
  count = spread.shape[1]
  return chosen, place % count, jax.nn.one_hot(place // count, len(spread))


def _leading_pairs(problem, curvature: problem_lib.Curvature, number: int):
  """Of a softmax: curvatures [M], examples [M], and v [M, C]."""
  sizes = _pair_sizes(problem, curvature)
  count = sizes.shape[1]
  chosen, place = lax.top_k(sizes.ravel(), number)
  index = place % count
  # Again, of those chosen alone: all vectors would be much to hold.
  top = curvature.top[index]
  _, others, left = _without(curvature.spread[:, index], top)
  second = jnp.argmax(others, axis=0)
  _, next_others, next_left = _without(others, second)

  def vector(first, others, total):
    share = others / jnp.where(total > 0, total, 1)
    return jax.nn.one_hot(first, len(others), axis=0) - share

  classes = jnp.where(
    place < count,
    vector(top, others, left),
    vector(second, next_others, next_left),
  )
  return chosen, index, classes.T


def _without(spread, first):
  """Takes a class of [C, N] away: its values, the others', and their sum."""
  chance = jnp.take_along_axis(spread, first[None], axis=0)[0]
  others = jnp.where(jnp.arange(len(spread))[:, None] == first, 0, spread)
  return chance, others, problem_lib.over_classes(others)


def _pair_sizes(problem: Problem, curvature: problem_lib.Curvature):
  """Curvatures [2, N] of both terms that the likeliest classes give."""

  def local(counted, curvature):
    number, each = problem_lib.blocks(len(counted))

    def step(i, sizes):
      start, _ = problem_lib.locate(i, each, len(counted), counted)
      spread, top = problem_lib.part_of(curvature, start, each)
      chance, others, left = _without(spread, top)
      next_chance, _, next_left = _without(others, jnp.argmax(others, axis=0))
      both = jnp.stack(
        [
          chance * left,
          next_chance * next_left / jnp.where(left > 0, left, 1),
        ]
      )
      return lax.dynamic_update_slice_in_dim(sizes, both, start, axis=1)

    blank = jnp.zeros((2, len(counted)), jnp.float32)
    return lax.fori_loop(0, number, step, blank)

  return problem_lib.sharded(
    problem,
    local,
    (BATCH, problem_lib.lies(problem)),
    problem_lib.CLASSES_BY_EXAMPLES,
  )(problem.counted, curvature)


class Whole(NamedTuple):
  """Cholesky's factor of a softmax's Hessian with bias, in blocks of R + 1.

  It is in the eigenbasis of the rows, scaled, so that float32 does.

  Attributes:
    below: C (C - 1) / 2 blocks [R + 1, R + 1] float32 under the diagonal, row
      by row.
    inverses: C inverses of the blocks on the diagonal.
    scale: [R] float32, by which the rows were scaled.
  """

  below: tuple[jax.Array, ...]
  inverses: tuple[jax.Array, ...]
  scale: jax.Array


def whole(
  problem: Problem, spectrum: Spectrum, weights, bias, penalty, drawn=DRAWN
) -> Whole | None:
  """Factors the Hessian at weights [C, R] and bias [C]; not to be jitted.

  Args:
    drawn: examples for each pair of classes, as a multiple of R + 1.

  Returns:
    The factor, or None where float32 is not fine enough for it.
  """
  drawing, floor = _drawing(problem, spectrum, weights, bias, penalty)
  for ridge in RIDGES:
    found = _factored(problem, spectrum, drawing, floor + ridge, drawn)
    # Of a matrix that is not positive in float32, all that follows is NaN.
    if jnp.isfinite(found.inverses[-1]).all():
      return found
  return None


def _factored(problem, spectrum, drawing, ridge, drawn) -> Whole:
  """The factor with this diagonal [R + 1] added to the losses' Hessian."""
  classes = len(problem.targets)
  # What all classes share has no curvature, and gradients have none of it.
  shared = jnp.eye(len(ridge), dtype=jnp.float32) / classes
  blocks = {(c, c): shared + jnp.diag(ridge) for c in range(classes)}
  for c in range(classes):
    for d in range(c):
      gram = _pair_gram(problem, spectrum, drawing, c, d, drawn)
      blocks[c, c] += gram
      blocks[d, d] += gram
      blocks[c, d] = shared - gram
  below, inverses = [], []
  for c in range(classes):
    for d in range(c):
      for e in range(d):
        blocks[c, d] = _less(blocks[c, d], blocks[c, e], blocks[d, e])
      blocks[c, d] = blocks[c, d] @ inverses[d].T
      blocks[c, c] = _less(blocks[c, c], blocks[c, d], blocks[c, d])
      below.append(blocks[c, d])
    inverses.append(_inverse_factor(blocks.pop((c, c))))
  return Whole(tuple(below), tuple(inverses), drawing.scale)


class _Drawing(NamedTuple):
  """What `_pair_gram` draws examples by, and scales them with."""

  spread: jax.Array
  lengths: jax.Array
  scale: jax.Array
  constant: jax.Array


@jax.jit
def _drawing(problem: Problem, spectrum: Spectrum, weights, bias, penalty):
  """A `_Drawing` and the diagonal [R + 1] of penalties."""
  point = problem_lib.evaluate(problem, weights, bias, penalty)
  curvature = problem_lib.total_curvature(point) / (len(bias) - 1)
  counted = jnp.sum(problem.counted)
  scale = jnp.sqrt(_scale(spectrum, (curvature / counted)[None], penalty)[0])
  # The bias is a weight of a constant, of about the size of the others.
  constant = lax.rsqrt(curvature).astype(jnp.float32)
  ridge = jnp.append(penalty * scale.astype(jnp.float64) ** 2, 1e-4)
  drawing = _Drawing(point.curvature.spread, _lengths(problem), scale, constant)
  return drawing, ridge.astype(jnp.float32)


@functools.partial(jax.jit, static_argnames='drawn')
def _pair_gram(problem: Problem, spectrum: Spectrum, drawing, c, d, drawn):
  """The Gram matrix [R + 1, R + 1] of rows weighted by p_c p_d, about."""
  spread, lengths, scale, constant = drawing
  chances = spread[c] * spread[d] * lengths
  index, total = _drawn(chances, drawn * (len(scale) + 1))
  rows = _centerd(problem, spectrum, index) * scale
  rows = jnp.pad(rows, [(0, 0), (0, 1)], constant_values=constant)
  rows *= jnp.sqrt(total / len(rows) / lengths[index])[:, None]
  return rows.T @ rows


@functools.partial(jax.jit, donate_argnums=0)
def _less(block, left, right):
  return block - left @ right.T


@jax.jit
def _inverse_factor(block):
  """The inverse of Cholesky's factor: solving with that would take twenty times
  as long on CPUs."""
  return jax.scipy.linalg.solve_triangular(
    lax.linalg.cholesky(block, symmetrize_input=False),
    jnp.eye(len(block), dtype=block.dtype),
    lower=True,
  )


def _lengths(problem: Problem):
  """Squared lengths [N] float32 of the centerd rows; one where that is zero."""

  def local(rows, counted):
    mean = problem.mean.astype(jnp.float32)

    def step(lengths, start, _, part):
      part = jnp.where(problem.varies, part - mean, 0)
      return lax.dynamic_update_slice_in_dim(
        lengths, jnp.sum(part**2, axis=1), start, axis=0
      )

    blank = jnp.zeros(len(rows), jnp.float32)
    return problem_lib.through(problem, step, blank, rows, counted)

  lengths = problem_lib.sharded(problem, local, (BATCH, BATCH), BATCH)(
    problem.single, problem.counted
  )
  return jnp.where(lengths > 0, lengths, 1)


def _drawn(chances, number: int):
  """Indices [number] in proportion to chances [N], and the chances' sum.

  At even distances along their running sum: an example with a share of k of
  `number` is drawn k times, as near as whole numbers come.
  """
  running = jnp.cumsum(chances.astype(jnp.float64))
  places = (jnp.arange(number) + 0.5) / number * running[-1]
  index = jnp.minimum(jnp.searchsorted(running, places), len(chances) - 1)
  return index, running[-1].astype(jnp.float32)


def _centerd(problem: Problem, spectrum: Spectrum, index) -> jax.Array:
  """Rows of these indices, centerd and in the eigenbasis."""
  rows = _gather(problem, index) - problem.mean.astype(jnp.float32)
  rows = jnp.where(problem.varies, rows, 0)
  return rows if spectrum.axes is None else rows @ spectrum.axes


def _gather(problem: Problem, index) -> jax.Array:
  """Rows [M, R] float32 of these indices, wherever they lie."""

  def local(rows, counted):
    first = lax.axis_index(DATA_AXIS) * len(rows)

    def take(part, start, found):
      place = index - first - start
      mine = (place >= 0) & (place < len(part))
      taken = part[jnp.clip(place, 0, len(part) - 1)]
      return jnp.where(mine[:, None], taken, found)

    found = jnp.zeros((len(index), rows.shape[1]), jnp.float32)
    if not problem.streamed:
      return lax.psum(take(rows, 0, found), DATA_AXIS)
    number, each = problem_lib.blocks(len(rows))

    def step(i, found):
      start, _ = problem_lib.locate(i, each, len(rows), counted)
      part = problem_lib.load(problem, rows, start, each)
      return take(part, start, found)

    return lax.psum(lax.fori_loop(0, number, step, found), DATA_AXIS)

  return problem_lib.sharded(problem, local, (BATCH, BATCH), REPLICATED)(
    problem.single, problem.counted
  )


def _scale(spectrum: Spectrum, curvatures, penalty):
  """The inverse [C, R] of curvatures [C] ⊗ Gram matrix + penalty."""
  scale = 1 / (curvatures[:, None] * spectrum.values + penalty)
  return scale.astype(jnp.float32)


def _without_size(function, vector):
  """A linear function in float32, which must neither over- nor underflow."""
  size = jnp.maximum(jnp.max(jnp.abs(vector)), 1e-300)
  result = function((vector / size).astype(jnp.float32))
  return size * result.astype(jnp.float64)


def preconditioner(
  problem: Problem,
  spectrum: Spectrum,
  memory: Memory,
  known: Leading | Whole | None,
  point: Point,
  penalty,
):
  """Returns gradient [C, R] -> an approximate Newton step."""
  match known:
    case None:
      turned = _kronecker(problem, spectrum, point, penalty)
    case Leading():
      turned = _woodbury(spectrum, known, penalty)
    case Whole():
      turned = _substitution(known)

  def inner(vector):
    if spectrum.axes is None:
      return turned(vector)
    result = turned(_without_size(lambda v: v @ spectrum.axes, vector))
    return _without_size(lambda v: v @ spectrum.axes.T, result)

  if not len(memory.directions):
    return inner
  directions, images, inverse = _span(memory, point, penalty)

  def corrected(vector):
    """Block BFGS: exact on what the directions span, `inner` beside it."""
    size = jnp.maximum(jnp.max(jnp.abs(vector)), 1e-300)
    flat = (vector / size).astype(jnp.float32).ravel()
    shares = inverse @ (directions @ flat)
    rest = (flat - shares @ images).reshape(vector.shape)
    other = inner(rest.astype(jnp.float64))
    small = jnp.maximum(jnp.max(jnp.abs(other)), 1e-300)
    other_flat = (other / small).astype(jnp.float32).ravel()
    back = inverse @ (images @ other_flat)
    result = other.ravel() - small * (back @ directions)
    result += (shares @ directions).astype(jnp.float64)
    return size * result.reshape(vector.shape)

  return corrected


def _kronecker(problem, spectrum, point, penalty):
  """Mean curvature ⊗ Gram matrix + penalty, for vectors in the eigenbasis."""
  mean = point.block / jnp.sum(problem.counted)
  if mean.ndim == 1:
    scale = _scale(spectrum, mean, penalty)
    return lambda vector: _without_size(lambda v: scale * v, vector)
  curvatures, turn = jnp.linalg.eigh(mean)
  scale = _scale(spectrum, jnp.maximum(curvatures, 0), penalty)
  turn = turn.astype(jnp.float32)

  def turned(vector):
    result = _without_size(lambda v: scale * (turn.T @ v), vector)
    return _without_size(lambda v: turn @ v, result)

  return turned


def _woodbury(spectrum, leading, penalty):
  """B^-1 - B^-1 U (1 + U' B^-1 U)^-1 U' B^-1, in the eigenbasis."""
  scale = _scale(spectrum, leading.rest, penalty)

  def turned(vector):
    alone = _without_size(lambda v: scale * v, vector)

    def moved(alone):
      along = jnp.sum((leading.rows @ alone.T) * leading.classes, axis=1)
      # (Q x)' Q, as XLA would transpose Q in memory, each time.
      share = (leading.root @ along) @ leading.root
      return scale * ((leading.classes * share[:, None]).T @ leading.rows)

    return alone - _without_size(moved, alone)

  return turned


def _substitution(whole: Whole):
  """The factored inverse, in the eigenbasis; the bias's part is dropped."""
  count = len(whole.inverses)

  def block(c, d):
    return whole.below[c * (c - 1) // 2 + d]

  def solve(vector):
    # The bias is eliminated: nothing asks for it.
    parts = jnp.pad(vector * whole.scale, [(0, 0), (0, 1)])
    parts = list(parts - jnp.mean(parts, axis=0))
    for c in range(count):
      for d in range(c):
        parts[c] -= block(c, d) @ parts[d]
      parts[c] = whole.inverses[c] @ parts[c]
    for c in reversed(range(count)):
      for d in range(c + 1, count):
        parts[c] -= parts[d] @ block(d, c)
      parts[c] = parts[c] @ whole.inverses[c]
    parts = jnp.stack(parts)[:, :-1]
    return (parts - jnp.mean(parts, axis=0)) * whole.scale

  return lambda vector: _without_size(solve, vector)


def _span(memory: Memory, point: Point, penalty):
  """Directions, their images, and the inverse of how they meet [K, K]."""
  directions = memory.directions
  grown = problem_lib.total_curvature(point) / memory.curvature
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
