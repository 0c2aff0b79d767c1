"""Classifiers on fixed features, all behind one face.

Logistic regression is the paper's. Its appendix has the linear SVM and the
nearest neighbors; ridge regression is what few-shot evaluations use. Each is
fitted for a grid of one hyperparameter, larger values being smoother, and
gives scores [N, C]: the class with the largest is predicted; where labels are
[N, C], the classes whose score is positive are.
"""

import dataclasses
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import ml_collections
import numpy as np
import scipy.linalg
import sklearn.exceptions
import sklearn.svm
from threadpoolctl import threadpool_limits

from tf_transfer.errors import InputError
from tf_transfer.transfer.logistic import path as path_lib

_BLOCK = 1024  # rows that are converted or compared at once


class Fitted(Protocol):
  """A classifier fitted for each value of a grid.

  Attributes:
    converged: bool [P].
    evaluations: passes over the examples, in all.
    certificate: of the last fit; more that is known of how good it is.
  """

  converged: np.ndarray
  evaluations: int
  certificate: Mapping[str, float]

  def scores(self, features: np.ndarray) -> Iterator[np.ndarray]:
    """Of features [N, D]: [N, C] for each value of the grid."""
    ...


@dataclasses.dataclass(frozen=True)
class Linear:
  """Weights [P, D, C] and bias [P, C]; otherwise as `Fitted`."""

  weights: np.ndarray
  bias: np.ndarray
  converged: np.ndarray
  evaluations: int = 0
  certificate: Mapping[str, float] = dataclasses.field(default_factory=dict)
  normalized: bool = False

  def scores(self, features: np.ndarray) -> Iterator[np.ndarray]:
    """Of features [N, D]: [N, C] for each value of the grid."""
    if self.normalized:
      features = normalize(features)
    for weights, bias in zip(self.weights, self.bias, strict=True):
      yield path_lib.logits(weights, bias, features)


def normalize(features: np.ndarray) -> np.ndarray:
  """Each row [D] divided by its L2 norm; a row of zeros stays."""
  norms = np.linalg.norm(features, axis=1, keepdims=True)
  return features / np.where(norms > 0, norms, 1)


def penalties(config: ml_collections.ConfigDict) -> np.ndarray:
  """The grid [P], ascending, evenly spaced in the logarithm."""
  return np.logspace(
    np.log10(config.penalty_min),
    np.log10(config.penalty_max),
    config.num_penalties,
  )


# What all `fit` take. start is (an earlier fit's Fitted, the position of its
# best), or None; progress is called with the number of grid values done.
_Fit = Callable[..., Fitted]


def _logistic_regression(
  features: np.ndarray,
  labels: np.ndarray,
  grid: np.ndarray,
  config: ml_collections.ConfigDict,
  num_classes: int,
  *,
  start: tuple[Linear, int] | None = None,
  progress: Callable[[int], None] | None = None,
) -> Linear:
  """½λ‖W‖² on the sum of the losses; see `logistic`.

  A fit that starts from another is the last one, and has its tolerance.
  """
  path = path_lib.fit_path(
    features,
    labels,
    grid,
    num_classes=num_classes,
    initial=start and (start[0].weights[start[1]], start[0].bias[start[1]]),
    tolerance=config.tolerance if start is None else config.refit_tolerance,
    max_evaluations=config.max_evaluations,
    progress=progress and (lambda done, _: progress(done)),
  )
  return Linear(
    path.weights,
    path.bias,
    path.converged,
    int(path.evaluations.sum()),
    {
      name: float(getattr(path, name)[-1])
      for name in ('gradient_norm', 'objective', 'bound')
    },
  )


def _linear_svm(
  features: np.ndarray,
  labels: np.ndarray,
  grid: np.ndarray,
  config: ml_collections.ConfigDict,
  num_classes: int,
  *,
  start: tuple[Linear, int] | None = None,
  progress: Callable[[int], None] | None = None,
) -> Linear:
  """½λ‖w‖² on the sum of squared hinge losses, a class against the rest.

  By LIBLINEAR (C = 1/λ), on L2-normalized features, each in double precision
  beside LIBLINEAR's own copy: five times the memory of the features. It
  penalizes the bias like a weight, and cannot start from an earlier fit.
  """
  del start
  features = normalize(path_lib.check_features(features)).astype(np.float64)
  targets, mask = path_lib.check_labels(labels, len(features), num_classes)
  weights = np.zeros((len(grid), features.shape[1], num_classes))
  bias = np.full((len(grid), num_classes), -np.inf)
  iterations = np.zeros(len(grid), int)
  for p, penalty in enumerate(grid):

    def fit(rows, labels, penalty=penalty):
      model = sklearn.svm.LinearSVC(
        C=1 / penalty,
        tol=config.tolerance,
        max_iter=config.max_evaluations,
        # Fewer unknowns, and far faster where there are more than examples.
        dual=len(labels) < features.shape[1],
        random_state=0,
      )
      with warnings.catch_warnings():
        # Said by `converged`.
        warnings.simplefilter('ignore', sklearn.exceptions.ConvergenceWarning)
        return model.fit(features[rows], labels)

    if mask is None:
      if np.sum(targets.any(axis=1)) < 2:
        raise InputError(
          'all labels are of one class; a classifier needs at least two'
        )
      model = fit(slice(None), labels)
      signs = [[-1], [1]] if len(model.classes_) == 2 else 1
      weights[p][:, model.classes_] = (model.coef_ * signs).T
      bias[p, model.classes_] = np.ravel(model.intercept_ * signs)
      iterations[p] = model.n_iter_
    for c in range(num_classes if mask is not None else 0):
      counted = targets[c][mask[c]]
      if counted.all() or not counted.any():
        # No example to tell it by: all scores alike.
        bias[p, c] = np.inf if counted.any() else -np.inf
        continue
      model = fit(mask[c], counted)
      weights[p, :, c], bias[p, c] = model.coef_[0], model.intercept_[0]
      iterations[p] = max(iterations[p], model.n_iter_)
    if progress:
      progress(p + 1)
  return Linear(
    weights,
    bias,
    iterations < config.max_evaluations,
    int(iterations.sum()),
    normalized=True,
  )


# The bias is the weight of a column of this, so hardly penalized.
_RIDGE_BIAS = 100.0


def _ridge(
  features: np.ndarray,
  labels: np.ndarray,
  grid: np.ndarray,
  config: ml_collections.ConfigDict,
  num_classes: int,
  *,
  start: tuple[Linear, int] | None = None,
  progress: Callable[[int], None] | None = None,
) -> Linear:
  """λ‖W‖² on the sum of squares, to targets of −1 and 1, in closed form.

  As in big_vision's few-shot evaluation: features standardized by mean and
  standard deviation + 10⁻⁵, and a bias column of 100. One eigendecomposition,
  of features or of examples, whichever are fewer, serves all penalties; where
  classes ignore different examples, one for each such set.
  """
  del config, start
  features = path_lib.check_features(features)
  targets, mask = path_lib.check_labels(labels, len(features), num_classes)
  weights = np.zeros((len(grid), features.shape[1], num_classes))
  bias = np.zeros((len(grid), num_classes))
  if mask is None:
    problems = [(slice(None), np.arange(num_classes))]
  else:
    sets, which = np.unique(mask, axis=0, return_inverse=True)
    problems = [(s, np.flatnonzero(which == i)) for i, s in enumerate(sets)]
  for rows, classes in problems:
    weights[..., classes], bias[:, classes] = _ridge_path(
      features[rows], 2.0 * targets[classes][:, rows].T - 1, grid
    )
  if progress:
    progress(len(grid))
  return Linear(weights, bias, np.ones(len(grid), bool), len(problems))


def _ridge_path(features, targets, grid):
  """Weights [P, D, C] and bias [P, C] for features [N, D], targets [N, C]."""
  mean = features.mean(axis=0, dtype=np.float64)
  blocks = range(0, len(features), _BLOCK)

  def centerd(start):
    return features[start : start + _BLOCK] - mean

  variance = sum((centerd(i) ** 2).sum(axis=0) for i in blocks)
  std = np.sqrt(variance / len(features)) + 1e-5
  with threadpool_limits(1, user_api='blas'):
    if len(features) < features.shape[1]:
      # (XᵀX + λ)⁻¹ Xᵀ = Xᵀ (XXᵀ + λ)⁻¹.
      x = (features - mean) / std
      values, vectors = scipy.linalg.eigh(x @ x.T)
      left, right = x.T @ vectors, vectors.T @ targets
    else:
      gram = sum(_gram(centerd(i) / std) for i in blocks)
      values, left = scipy.linalg.eigh(gram)
      right = left.T @ sum(
        (centerd(i) / std).T @ targets[i : i + _BLOCK] for i in blocks
      )
    inverse = 1 / (np.maximum(values, 0) + grid[:, None])
    weights = left @ (inverse[:, :, None] * right) / std[:, None]
  # Standardized features sum to zero, so the bias is a problem of its own.
  square = _RIDGE_BIAS**2
  bias = square * targets.sum(axis=0) / (
    square * len(features) + grid[:, None]
  ) - np.einsum('d,pdc->pc', mean, weights)
  return weights, bias


def _gram(x: np.ndarray) -> np.ndarray:
  return x.T @ x


@dataclasses.dataclass(frozen=True)
class _Neighbors:
  """The examples themselves, L2-normalized, and the votes [N, C] of each."""

  features: np.ndarray
  votes: np.ndarray
  grid: np.ndarray
  converged: np.ndarray
  evaluations: int = 0
  certificate: Mapping[str, float] = dataclasses.field(default_factory=dict)

  def scores(self, features: np.ndarray) -> Iterator[np.ndarray]:
    """Of features [N, D]: [N, C] for each value of the grid."""
    features = normalize(path_lib.check_features(features))
    most = self.grid.max()
    nearest = np.empty((len(features), most), np.int64)
    for start in range(0, len(features), _BLOCK):
      cosines = features[start : start + _BLOCK] @ self.features.T
      top = np.argpartition(-cosines, most - 1, axis=1)[:, :most]
      top.sort(axis=1)  # Equal ones in the order of the examples.
      order = np.argsort(
        -np.take_along_axis(cosines, top, axis=1), axis=1, kind='stable'
      )
      nearest[start : start + _BLOCK] = np.take_along_axis(top, order, axis=1)
    for k in self.grid:
      total = np.zeros((len(features), self.votes.shape[1]))
      for rank in range(k):
        total += self.votes[nearest[:, rank]]
      yield total / k


def _nearest_neighbors(
  features: np.ndarray,
  labels: np.ndarray,
  grid: np.ndarray,
  config: ml_collections.ConfigDict,
  num_classes: int,
  *,
  start: tuple[Fitted, int] | None = None,
  progress: Callable[[int], None] | None = None,
) -> _Neighbors:
  """The k examples of largest cosine, a vote each; equal ones: first class.

  By cosine is by distance of L2-normalized features. Of labels [N, C] a
  neighbor votes 1 or −1 for a class, or 0 where it does not count.
  """
  del config, start
  features = normalize(path_lib.check_features(features))
  targets, mask = path_lib.check_labels(labels, len(features), num_classes)
  if grid.max() > len(features):
    raise InputError(
      f'config.nearest_neighbors.neighbors: {grid.max()} of only '
      f'{len(features)} training examples; name smaller numbers'
    )
  votes = 2 * targets.T.astype(np.int8) - 1
  if mask is not None:
    votes *= mask.T
  if progress:
    progress(len(grid))
  return _Neighbors(features, votes, grid, np.ones(len(grid), bool))


@dataclasses.dataclass(frozen=True)
class Classifier:
  """One way to classify fixed features.

  Attributes:
    hyperparameter: what the grid is of.
    grid: [P], from its part of the config.
    fit: from features [N, D], labels [N] or [N, C] and a grid.
  """

  hyperparameter: str
  grid: Callable[[ml_collections.ConfigDict], np.ndarray]
  fit: _Fit


def _neighbors(config: ml_collections.ConfigDict) -> np.ndarray:
  return np.array(config.neighbors)


CLASSIFIERS: Mapping[str, Classifier] = {
  'logistic_regression': Classifier('penalty', penalties, _logistic_regression),
  'linear_svm': Classifier('penalty', penalties, _linear_svm),
  'nearest_neighbors': Classifier('neighbors', _neighbors, _nearest_neighbors),
  'ridge': Classifier('penalty', penalties, _ridge),
}


def check(name: str, config: ml_collections.ConfigDict) -> None:
  """Finds what is wrong with a classifier's part of a config.

  Raises:
    InputError: a number is out of range.
  """
  numbers: dict[str, Any] = config.to_dict()
  if 'penalty_min' in numbers and not (
    0 < config.penalty_min <= config.penalty_max
  ):
    raise InputError(
      f'config.{name}: expected 0 < penalty_min <= penalty_max, found '
      f'{config.penalty_min} and {config.penalty_max}'
    )
  for field in ('num_penalties', 'max_evaluations', 'neighbors'):
    values = np.atleast_1d(numbers.get(field, 1))
    if not values.size or values.min() < 1:
      raise InputError(
        f'config.{name}.{field}: expected 1 or more, not {numbers[field]}'
      )
