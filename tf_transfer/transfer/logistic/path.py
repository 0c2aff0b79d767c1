"""L2-regularized logistic regression over the whole path of penalties.

The paper's section 3 fits it to fixed features, with 45 penalties per dataset.
The objective is

  sum of losses + penalty / 2 * |W|^2,

the bias not penalized: scikit-learn's with C = 1 / penalty. Losses are the
softmax cross-entropy, or one sigmoid cross-entropy per class where each label
is a row of zeros and ones (VOC 2007: independent classes, one penalty).

    path = fit_path(features, labels)
    val_logits = logits(path.weights, path.bias, val_features)
    index = ...  # What does best on val; of equals, the largest penalty.
    final = refit(all_features, all_labels, path.penalties[index],
                  initial=(path.weights[index], path.bias[index]))

Every solution comes with `bound`, a proven upper bound on how far its
objective is from the optimum, and nothing else counts as converged.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_limits

from tf_transfer.errors import InputError
from tf_transfer.runtime import devices
from tf_transfer.transfer.logistic import newton, preconditioner, schedule
from tf_transfer.transfer.logistic import problem as problem_lib

PENALTIES = 10 ** np.linspace(-6, 5, 45)
"""The paper's: 10^-6 to 10^5, four to a decade (appendix on fixed features)."""

IGNORED = -1
"""A label [N, C] that counts neither way (VOC's difficult objects)."""

# Values of the features that make a further device worth its messages.
SIZE_PER_DEVICE = 2**24

# More save next to no evaluations, and are read in each.
MOST_DIRECTIONS = 24


class Path(NamedTuple):
  """Solutions, one a penalty, in the order that the penalties were given.

  Attributes:
    penalties: [P].
    weights: [P, D, C] float64.
    bias: [P, C] float64; -inf where no training example has the class (its
      weights are zero then), +inf where every one has it.
    objective: [P], sum of losses + penalty / 2 * |weights|^2.
    gradient_norm: [P], largest absolute entry of the objective's gradient.
    bound: [P], at least the objective's distance from the optimum.
    evaluations: [P], passes over the features there and back: gradients and
      products with the Hessian.
    converged: [P] bool, whether bound <= tolerance * objective.
  """

  penalties: np.ndarray
  weights: np.ndarray
  bias: np.ndarray
  objective: np.ndarray
  gradient_norm: np.ndarray
  bound: np.ndarray
  evaluations: np.ndarray
  converged: np.ndarray


def fit_path(
  features,
  labels,
  penalties=PENALTIES,
  *,
  num_classes: int | None = None,
  initial: tuple[np.ndarray, np.ndarray] | None = None,
  tolerance: float = 1e-9,
  max_evaluations: int = 5000,
  device_memory: float | None = None,
  mesh: jax.sharding.Mesh | None = None,
  progress: Callable[[int, int], None] | None = None,
) -> Path:
  """Fits one logistic regression for each penalty.

  Args:
    features: [N, D], any float type.
    labels: [N] classes from 0, or [N, C] zeros and ones, -1 where ignored.
    penalties: [P], positive, in any order.
    num_classes: how many classes [N] labels count to; by default what the
      largest of them says.
    initial: weights [D, C] and bias [C] to start the largest penalty from.
    tolerance: a solution has converged when its bound is at most this part of
      its objective.
    max_evaluations: per penalty.
    device_memory: bytes that the features may take on each device. Larger ones
      stay in the host's memory and pass in blocks, at each evaluation anew; by
      default half of what the device has. (With fewer examples than values
      they are on the device once, whatever this says.)
    mesh: one axis, `data`, over which the examples are spread; by default this
      process's devices, as many as have enough to do.
    progress: called with how many penalties are done, and of how many.

  Raises:
    InputError: something is not as above; the message says what.
  """
  features = check_features(features)
  targets, mask = check_labels(labels, len(features), num_classes)
  penalties = check_penalties(penalties)
  if not tolerance > 0:
    raise InputError(f'tolerance must be positive, not {tolerance}')
  fitted = _fitted_classes(targets, mask)
  dim, classes = features.shape[1], len(targets)
  initial = _check_initial(initial, dim, classes)
  mesh = mesh or _mesh(features.size)
  streamed = dim <= len(features) and _is_too_large(
    features.nbytes / mesh.size, device_memory, mesh
  )
  distinct, position = np.unique(-penalties, return_inverse=True)
  # LAPACK on CPUs (the eigenbasis) is OpenBLAS, whose threads spin: where
  # another process wants the cores, two were up to twenty times slower than
  # one. XLA's own threads, which do all else, are not limited by this.
  # Products of float32 are to be that exact on accelerators too.
  with (
    jax.enable_x64(True),
    jax.default_matmul_precision('highest'),
    threadpool_limits(1, user_api='blas'),
  ):
    problem = _problem(
      features,
      targets[fitted],
      None if mask is None else mask[fitted],
      mesh,
      streamed,
    )
    # Each solution goes where it is returned and nowhere else: 45 of them are
    # not little memory.
    count = len(penalties)
    path = Path(
      penalties=penalties,
      weights=np.zeros((count, dim, classes)),
      bias=np.tile(_unfitted_bias(targets, mask), (count, 1)),
      objective=np.zeros(count),
      gradient_norm=np.zeros(count),
      bound=np.zeros(count),
      evaluations=np.zeros(count, int),
      converged=np.zeros(count, bool),
    )
    solutions = _solutions(
      problem,
      len(features),
      -distinct,
      (initial[0][fitted], initial[1][fitted]),
      (tolerance, max_evaluations),
    )
    for number, (found, evaluations) in enumerate(solutions):
      for index in np.flatnonzero(position == number):
        path.weights[index][:, fitted] = found.weights.T
        path.bias[index, fitted] = found.bias
        path.objective[index] = found.objective
        path.gradient_norm[index] = found.gradient_norm
        path.bound[index] = found.bound
        path.evaluations[index] = evaluations
      if progress:
        progress(number + 1, len(distinct))
  path.converged[:] = path.bound <= tolerance * path.objective
  return path


def refit(features, labels, penalty: float, **options) -> Path:
  """Fits one penalty; a path of length one, with the same certificate.

  Args:
    features: [N, D].
    labels: [N] or [N, C].
    penalty: positive.
    **options: as in `fit_path`; give `initial` to start from a solution.
  """
  return fit_path(features, labels, [penalty], **options)


def logits(weights, bias, features) -> np.ndarray:
  """Features [N, D] times weights, plus bias: [N, C].

  With the path's weights [P, D, C] and bias [P, C], for all penalties:
  [P, N, C].
  """
  weights, bias = np.asarray(weights), np.asarray(bias)
  features = check_features(features)
  if weights.shape[-2] != features.shape[1]:
    raise InputError(
      f'weights are for features of {weights.shape[-2]} values, but these have '
      f'{features.shape[1]}'
    )
  return features @ weights + bias[..., None, :]


def check_features(features) -> np.ndarray:
  """Features [N, D], finite; raises InputError otherwise."""
  features = np.asarray(features)
  if features.ndim != 2:
    raise InputError(
      'features must be a matrix [examples, values], not an array of shape '
      f'{list(features.shape)}; pool or flatten them first'
    )
  if not np.issubdtype(features.dtype, np.floating):
    raise InputError(
      f'features must be of a float type, not {features.dtype}; convert them '
      'first'
    )
  if 0 in features.shape:
    raise InputError(
      f'features have shape {list(features.shape)}: there is nothing to fit; '
      'is the split empty?'
    )
  # In blocks: what says it for all values at once takes a quarter of them.
  bad = np.concatenate(
    [
      np.count_nonzero(~np.isfinite(features[i : i + 4096]), axis=1)
      for i in range(0, len(features), 4096)
    ]
  )
  if bad.any():
    rows = np.flatnonzero(bad)
    raise InputError(
      f'{bad.sum()} values of the features, in {len(rows)} of {len(features)} '
      f'rows, are NaN or infinite; the first such row is {rows[0]}. Compute '
      'the features again'
    )
  return features


def check_labels(labels, count: int, num_classes: int | None):
  """Labels as targets [C, N] bool and a mask [C, N] bool (None for [N])."""
  labels = np.asarray(labels)
  if labels.ndim not in (1, 2):
    raise InputError(
      'labels must be classes [N] or zeros and ones [N, C], not an array of '
      f'shape {list(labels.shape)}'
    )
  if len(labels) != count:
    raise InputError(f'{count} rows of features but {len(labels)} labels')
  if labels.ndim == 1:
    return _check_classes(labels, num_classes), None
  if num_classes not in (None, labels.shape[1]):
    raise InputError(
      f'num_classes is {num_classes} but labels have {labels.shape[1]} columns'
    )
  odd = ~np.isin(labels, (0, 1, IGNORED))
  if odd.any():
    row, column = np.argwhere(odd)[0]
    raise InputError(
      f'labels [N, C] must be 0, 1 or {IGNORED} (ignored); row {row} has '
      f'{labels[row, column]} for class {column}'
    )
  return labels.T == 1, labels.T != IGNORED


def _check_classes(labels, num_classes: int | None) -> np.ndarray:
  if not np.issubdtype(labels.dtype, np.integer):
    raise InputError(f'labels [N] must be integers, not {labels.dtype}')
  top = labels.max() + 1 if num_classes is None else num_classes
  bad = (labels < 0) | (labels >= top)
  if bad.any():
    row = bad.argmax()
    raise InputError(
      f'labels must be classes from 0 to {top - 1}; row {row} has '
      f'{labels[row]}' + (' (and more rows)' if bad.sum() > 1 else '')
    )
  return labels == np.arange(top)[:, None]


def check_penalties(penalties) -> np.ndarray:
  """Penalties [P] as float64; raises InputError unless all are positive."""
  penalties = np.atleast_1d(np.asarray(penalties, np.float64))
  if penalties.ndim != 1 or not penalties.size:
    raise InputError('penalties must be a list of at least one number')
  bad = ~((penalties > 0) & np.isfinite(penalties))
  if bad.any():
    raise InputError(
      f'penalties must be positive and finite, not {penalties[bad][0]:g}; '
      'without a penalty separable classes have no solution'
    )
  return penalties


def _fitted_classes(targets, mask) -> np.ndarray:
  """Indices of the classes whose weights are not zero for a trivial reason."""
  if mask is None:
    fitted = np.flatnonzero(targets.any(axis=1))
  else:
    fitted = np.flatnonzero((targets).any(1) & (~targets & mask).any(1))
  if mask is None and len(fitted) < 2:
    raise InputError(
      f'all {targets.shape[1]} labels are class {fitted[0]}; a classifier '
      'needs at least two'
    )
  if not len(fitted):
    raise InputError('no class has both examples with it and without it')
  return fitted


def _unfitted_bias(targets, mask) -> np.ndarray:
  """[C], the optimal bias of classes that `_fitted_classes` leaves out."""
  if mask is None:
    return np.full(len(targets), -np.inf)
  positive, negative = targets.any(1), (~targets & mask).any(1)
  return np.where(positive, np.inf, np.where(negative, -np.inf, 0))


def _check_initial(initial, dim: int, classes: int):
  """Weights [C, D] and bias [C] to start from."""
  if initial is None:
    return np.zeros((classes, dim)), np.zeros(classes)
  weights, bias = (np.asarray(part, np.float64) for part in initial)
  if weights.shape != (dim, classes) or bias.shape != (classes,):
    raise InputError(
      f'initial weights and bias have shapes {list(weights.shape)} and '
      f'{list(bias.shape)}; expected [{dim}, {classes}] and [{classes}]'
    )
  # Infinite biases belong to classes that were missing then.
  weights = np.where(np.isfinite(weights), weights, 0).T
  return weights, np.where(np.isfinite(bias), bias, 0)


def _solutions(problem, count, penalties, initial, limits):
  """Yields a `Solution` and its evaluations for each of falling penalties."""
  weights, bias = initial
  reduced, basis = problem, None
  if count < problem.rows.shape[1]:
    rows, spectrum, basis = preconditioner.row_space(problem.rows[:count])
    bias, weights = bias + weights @ basis.mean, weights @ basis.axes
    reduced = dataclasses.replace(
      problem,
      rows=_spread(rows, problem.mesh, devices.BATCH, axis=0),
      single=_spread(
        rows.astype(jnp.float32), problem.mesh, devices.BATCH, axis=0
      ),
      mean=jnp.zeros(count),
      varies=jnp.ones(count, bool),
    )
  else:
    mean = problem_lib.mean_row(problem)
    problem = reduced = dataclasses.replace(problem, mean=mean)
    spectrum = preconditioner.spectrum(problem)
  trail = newton.start(
    reduced,
    weights,
    bias,
    np.log(penalties[0]),
    _places(*reduced.rows.shape, len(bias)),
  )
  for penalty, (found, evaluations) in zip(
    penalties,
    _along((reduced, spectrum, trail), penalties, limits),
    strict=True,
  ):
    if basis is not None:
      weights = found.weights @ basis.axes.T
      bias = found.bias - weights @ basis.mean
      found = newton.judge(problem, weights, bias, penalty)
    yield jax.tree.map(np.asarray, found), int(evaluations)


def _along(given, penalties, limits):
  """Solves for a penalty after the other."""
  problem, spectrum, trail = given
  tolerance, max_evaluations = limits
  plan = schedule.Plan(
    *problem.rows.shape, len(problem.targets), problem.mask is None
  )
  whole = None
  for penalty in penalties:
    if plan.factor_now:
      # The old one is let go of first.
      whole = None
      whole = preconditioner.whole(
        problem, spectrum, trail.weights[0], trail.bias[0], penalty
      )
    # A tenth of the tolerance is left for rounding.
    trail, found, evaluations = newton.advance(
      problem,
      spectrum,
      trail,
      np.log(penalty),
      0.9 * tolerance,
      max_evaluations,
      plan.number,
      whole,
    )
    yield found, evaluations
    plan.took(int(evaluations))


def _problem(features, targets, mask, mesh, streamed):
  """Arrays on the devices of a mesh, or features in the host's memory."""
  by_class = problem_lib.CLASSES_BY_EXAMPLES
  kind = 'pinned_host' if streamed else None
  rows = _spread(features, mesh, devices.BATCH, 0, kind)
  single = rows
  if rows.dtype != jnp.float32:
    single = _spread(features.astype(np.float32), mesh, devices.BATCH, 0, kind)
  return problem_lib.Problem(
    rows=rows,
    single=single,
    mean=jnp.zeros(features.shape[1]),
    varies=jnp.asarray(_varies(features)),
    targets=_spread(targets, mesh, by_class, 1),
    mask=None if mask is None else _spread(mask, mesh, by_class, 1),
    counted=_spread(np.ones(len(features), bool), mesh, devices.BATCH, 0),
    mesh=mesh,
    streamed=streamed,
  )


def _varies(features) -> np.ndarray:
  """[D] bool, False where all rows have the same value."""
  varies = np.zeros(features.shape[1], bool)
  for i in range(0, len(features), 4096):
    varies |= (features[i : i + 4096] != features[0]).any(axis=0)
    if varies.all():
      break
  return varies


def _spread(array, mesh, spec, axis, memory_kind=None) -> jax.Array:
  """Over the mesh, filled up with zeros where the devices ask for that."""
  lacking = -array.shape[axis] % mesh.size
  if lacking:
    pads = [(0, lacking if i == axis else 0) for i in range(array.ndim)]
    array = np.pad(array, pads)
  sharding = jax.sharding.NamedSharding(mesh, spec, memory_kind=memory_kind)
  return jax.device_put(array, sharding, may_alias=True)


def _mesh(size: int) -> jax.sharding.Mesh:
  """This process's devices, as many as have enough to do."""
  local = jax.local_devices()
  wanted = max(1, size // SIZE_PER_DEVICE)
  return devices.data_mesh(local[: min(wanted, len(local))])


def _is_too_large(size: float, limit: float | None, mesh) -> bool:
  """Whether features of so many bytes a device stay with the host."""
  if limit is None:
    # CPUs do not say, and have nothing to gain.
    memory = mesh.devices.flat[0].memory_stats() or {}
    limit = memory.get('bytes_limit', np.inf) / 2
  return size > limit


def _places(count: int, dim: int, classes: int) -> int:
  """How many directions the solver keeps: reading them must cost little
  beside reading the features, and so must holding them."""
  fitting = max(2**23, count * dim // 16) // (4 * classes * dim)
  return int(np.clip(min(count // 64, fitting), 2, MOST_DIRECTIONS))
