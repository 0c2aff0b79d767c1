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
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from tf_transfer.errors import InputError
from tf_transfer.transfer.logistic import problem as problem_lib
from tf_transfer.transfer.logistic import solver
from tf_transfer.transfer.logistic.problem import Problem
from tf_transfer.transfer.logistic.solver import Limits
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
  limits = Limits(tolerance, max_evaluations)
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
  limits: Limits,
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
  solutions = solver.solve(problem, num_examples, -distinct, initial, limits)
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
