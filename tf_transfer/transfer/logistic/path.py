"""Fits L2-regularized logistic regression for a whole path of penalties.

The paper's section 3 fits it to fixed features, with 45 penalties per dataset.
The objective is

  sum of losses + penalty / 2 * |W|^2,

the bias not penalized: scikit-learn's with C = 1 / penalty. Losses are the
softmax cross-entropy, or one sigmoid cross-entropy per class where each label
is a row of zeros and ones (VOC 2007: independent classes, one penalty).

    path = fit_path(features, labels)
    val_logits = logits(path.weights, path.bias, val_features)
    index = ...  # The best on val; of equals, the largest penalty.
    final = refit(all_features, all_labels, path.penalties[index],
                  initial=(path.weights[index], path.bias[index]))

Every solution comes with `bound`, a proven upper bound on how far its
objective is from the optimum, and nothing else counts as converged. The proof
is in `objective`.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from tf_transfer.errors import InputError
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
from tf_transfer.transfer.logistic.validation import (
  check_features,
  check_initial,
  check_labels,
  check_penalties,
  fitted_classes,
  unfitted_bias,
)

PENALTIES = 10 ** np.linspace(-6, 5, 45)
"""The paper's: 10^-6 to 10^5, four to a decade (appendix on fixed features)."""

# The most rows of the BFGS history. More save next to no evaluations, and are
# read in each.
MAX_DIRECTIONS = 24

# What the solver aims at, as a part of the tolerance. The rest is for rounding.
_TARGET = 0.9


class Path(NamedTuple):
  """Solutions, one per penalty, in the order that the penalties were given.

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


class _Limits(NamedTuple):
  """When a penalty is done.

  Attributes:
    tolerance: of the bound, relative to the objective.
    max_evaluations: after which the solver gives up.
  """

  tolerance: float
  max_evaluations: int


def fit_path(
  features: ArrayLike,
  labels: ArrayLike,
  penalties: ArrayLike = PENALTIES,
  *,
  num_classes: int | None = None,
  initial: tuple[ArrayLike, ArrayLike] | None = None,
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
    num_classes: C for labels [N]; by default the largest label plus one.
    initial: weights [D, C] and bias [C] to start the largest penalty from.
    tolerance: a solution has converged when its bound is at most this part of
      its objective.
    max_evaluations: per penalty.
    device_memory: bytes that the features may take on each device; by default
      half of what the device has. Larger ones stay in the host's memory, and
      are copied block by block at each evaluation. (With fewer examples than
      values all are copied once, whatever this says.)
    mesh: one axis, `data`, over which the examples are spread; by default this
      process's devices, as many as have enough to do.
    progress: called with the number of penalties done and of all.

  Raises:
    InputError: an argument is not as above; the message says which.
  """
  features = check_features(features)
  labels = check_labels(labels, len(features), num_classes)
  penalties = check_penalties(penalties)
  if not tolerance > 0:
    raise InputError(f'tolerance must be positive, not {tolerance}')
  limits = _Limits(tolerance, max_evaluations)
  fitted = fitted_classes(*labels)
  initial = check_initial(initial, features.shape[1], len(labels[0]))
  path = _empty_path(penalties, features.shape[1], *labels)
  with _exact_arithmetic():
    problem = _build_problem(features, labels, fitted, device_memory, mesh)
    initial = tuple(array[fitted] for array in initial)
    _fill(path, fitted, problem, len(features), initial, limits, progress)
  path.converged[:] = path.bound <= tolerance * path.objective
  return path


def refit(
  features: ArrayLike, labels: ArrayLike, penalty: float, **options: Any
) -> Path:
  """Fits one penalty; returns a path of length one.

  Args:
    features: [N, D].
    labels: [N] or [N, C].
    penalty: positive.
    **options: as in `fit_path`; give `initial` to start from a solution.
  """
  return fit_path(features, labels, [penalty], **options)


def logits(
  weights: ArrayLike, bias: ArrayLike, features: ArrayLike
) -> np.ndarray:
  """Computes logits [N, C], or [P, N, C] for a whole path.

  Args:
    weights: [D, C], or the path's [P, D, C].
    bias: [C], or the path's [P, C].
    features: [N, D].

  Raises:
    InputError: the features have another number of values than the weights.
  """
  weights, bias = np.asarray(weights), np.asarray(bias)
  features = check_features(features)
  if weights.shape[-2] != features.shape[1]:
    raise InputError(
      f'weights are for features of {weights.shape[-2]} values, but these have '
      f'{features.shape[1]}'
    )
  return features @ weights + bias[..., None, :]


def _empty_path(
  penalties: np.ndarray,
  dim: int,
  targets: np.ndarray,
  label_mask: np.ndarray | None,
) -> Path:
  """Returns a path to be filled in, with the biases of trivial classes.

  Each solution is written to where it is returned and nowhere else: 45 of them
  take much memory.
  """
  num_penalties, num_classes = len(penalties), len(targets)
  bias = unfitted_bias(targets, label_mask)
  return Path(
    penalties=penalties,
    weights=np.zeros((num_penalties, dim, num_classes)),
    bias=np.tile(bias, (num_penalties, 1)),
    objective=np.zeros(num_penalties),
    gradient_norm=np.zeros(num_penalties),
    bound=np.zeros(num_penalties),
    evaluations=np.zeros(num_penalties, int),
    converged=np.zeros(num_penalties, bool),
  )


@contextlib.contextmanager
def _exact_arithmetic() -> Iterator[None]:
  """Enables 64-bit types and exact products, and limits LAPACK to a thread.

  LAPACK on CPUs (the eigenbasis) is OpenBLAS, whose threads spin: where another
  process uses the cores, two were up to twenty times slower than one. XLA's own
  threads, which do all else, are not limited by this. Accelerators would
  otherwise compute products of float32 in fewer bits.
  """
  with (
    jax.enable_x64(True),
    jax.default_matmul_precision('highest'),
    threadpool_limits(1, user_api='blas'),
  ):
    yield


def _build_problem(
  features: np.ndarray,
  labels: tuple[np.ndarray, np.ndarray | None],
  fitted: np.ndarray,
  device_memory: float | None,
  mesh: jax.sharding.Mesh | None,
) -> Problem:
  """Puts features and the labels of fitted classes where they are used.

  Args:
    features: [N, D].
    labels: targets and mask, as `check_labels` returns them.
    fitted: indices of the classes to fit.
    device_memory: as in `fit_path`.
    mesh: as in `fit_path`.
  """
  targets, label_mask = labels
  mesh = mesh or problem_lib.choose_mesh(features.size)
  num_examples, dim = features.shape
  streamed = dim <= num_examples and problem_lib.exceeds_device_memory(
    features.nbytes / mesh.size, device_memory, mesh
  )
  return problem_lib.build_problem(
    features,
    targets[fitted],
    None if label_mask is None else label_mask[fitted],
    mesh,
    streamed,
  )


def _fill(
  path: Path,
  fitted: np.ndarray,
  problem: Problem,
  num_examples: int,
  initial: tuple[np.ndarray, np.ndarray],
  limits: _Limits,
  progress: Callable[[int, int], None] | None,
) -> None:
  """Solves for all penalties, the largest first, and fills in the path.

  Args:
    path: its arrays are written to, but for `converged`.
    fitted: indices of the problem's classes in the path's.
    problem: what is fitted.
    num_examples: without padding.
    initial: weights [C, D] and bias [C].
    limits: when a penalty is done.
    progress: as in `fit_path`.
  """
  distinct, position = np.unique(-path.penalties, return_inverse=True)
  solutions = _solve(problem, num_examples, -distinct, initial, limits)
  for number, (solution, evaluations) in enumerate(solutions):
    for index in np.flatnonzero(position == number):
      path.weights[index][:, fitted] = solution.weights.T
      path.bias[index, fitted] = solution.bias
      path.objective[index] = solution.objective
      path.gradient_norm[index] = solution.gradient_norm
      path.bound[index] = solution.bound
      path.evaluations[index] = evaluations
    if progress:
      progress(number + 1, len(distinct))


def _solve(
  problem: Problem,
  num_examples: int,
  penalties: np.ndarray,
  initial: tuple[np.ndarray, np.ndarray],
  limits: _Limits,
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
  for penalty, (solution, evaluations) in zip(
    penalties, solutions, strict=True
  ):
    weights = solution.weights @ row_space.axes.T
    weights = jnp.where(problem.varies, weights, 0)
    bias = solution.bias - weights @ row_space.mean
    evaluated = continuation.evaluate_solution(problem, weights, bias, penalty)
    if not _has_converged(evaluated, limits.tolerance):
      evaluated = _evaluate_centered(centered, weights, solution.bias, penalty)
    yield jax.tree.map(np.asarray, evaluated), evaluations


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
  limits: _Limits,
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
    spectrum = spectrum_lib.compute_spectrum(problem)
    remaining = penalties[index:]
    solutions = _follow_in_type(
      problem, spectrum, remaining, initial, limits, evaluations
    )
    for penalty, (solution, evaluations) in zip(
      remaining, solutions, strict=True
    ):
      solution = _evaluate_centered(
        problem, solution.weights, solution.bias, penalty
      )
      yield solution, evaluations
    return


def _follow_in_type(
  problem: Problem,
  spectrum: Spectrum,
  penalties: np.ndarray,
  initial: tuple[jax.Array, jax.Array],
  limits: _Limits,
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
      limits.max_evaluations - num_spent,
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
