"""Predicts images with classifiers that were not fitted on them.

With folds, the classifier's path of hyperparameters is fitted once for each
fold, on the other folds. On val alone, it is fitted once, on train. Either way
the hyperparameter with which an image is predicted is the one that does best on
the predictions of images in other parts, so that no image chooses its own.
"""

import dataclasses
from collections.abc import Callable, Sequence

import ml_collections
import numpy as np

from tf_transfer import errors
from tf_transfer.transfer import metrics, result
from tf_transfer.transfer.fixed_features import classifiers

# The score of a class of which no image was fitted, the lowest that there is.
_NOT_FITTED = np.finfo(np.float16).min


@dataclasses.dataclass(frozen=True, eq=False)
class Division:
  """Says which images are predicted, by classifiers fitted on which.

  Attributes:
    fits: for each fit the images that it is fitted on, and those that it
      predicts, bool [N] each. Each image is predicted once at most.
    parts: int [N], the part in which an image chooses hyperparameters for the
      images of other parts.
  """

  fits: Sequence[tuple[np.ndarray, np.ndarray]]
  parts: np.ndarray

  @property
  def predicted(self) -> np.ndarray:
    """Which images are predicted, bool [N]."""
    return np.any([predicted for _, predicted in self.fits], axis=0)

  def select(self, positions: np.ndarray) -> 'Division':
    """Returns the division of some of the images, at int [K] positions."""
    fits = [(fit[positions], own[positions]) for fit, own in self.fits]
    return Division(fits, self.parts[positions])


def by_fold(folds: np.ndarray) -> Division:
  """Divides images for cross-validation: int [N], the fold of each."""
  numbers = np.unique(folds)
  return Division([(folds != k, folds == k) for k in numbers], folds)


def on_val(num_train: int, parts: np.ndarray) -> Division:
  """Divides train followed by val: a fit on train predicts val.

  Args:
    num_train: the images of train.
    parts: int [V], the part of each image of val.
  """
  is_val = np.arange(num_train + len(parts)) >= num_train
  return Division(
    [(~is_val, is_val)], np.concatenate([np.zeros(num_train, int), parts])
  )


@dataclasses.dataclass(frozen=True, eq=False)
class Predicted:
  """Holds the predictions of the M images that are predicted.

  Attributes:
    predictions: int [M].
    scores: float16 [M, C], compressed as by `result.compress`.
    best: the position in the grid of the hyperparameter that does best on all
      M images.
    converged: whether the fits with the hyperparameters used did.
  """

  predictions: np.ndarray
  scores: np.ndarray
  best: int
  converged: bool


def predict(
  setting: str,
  features: np.ndarray,
  labels: np.ndarray,
  num_classes: int,
  division: Division,
  metric: str,
  config: ml_collections.ConfigDict,
  progress: Callable[[int], None] = lambda num_done: None,
) -> Predicted:
  """Predicts images by a classifier on their features.

  Args:
    setting: a name in `classifiers.CLASSIFIERS`.
    features: float32 [N, D].
    labels: int [N].
    num_classes: C.
    division: who is predicted, and by whom.
    metric: that hyperparameters are chosen by.
    config: the classifier's fields.
    progress: is called with the number of grid values that are done, of all
      fits together.

  Raises:
    InputError: the features or labels cannot be fitted.
  """
  classifier = classifiers.CLASSIFIERS[setting]
  grid = classifier.grid(config)
  chosen = division.predicted
  row_of = np.cumsum(chosen) - 1
  scores = np.zeros((len(grid), chosen.sum(), num_classes), np.float16)
  converged = np.ones((len(grid), len(division.fits)), bool)
  for number, (fit, own) in enumerate(division.fits):
    present, inverse = np.unique(labels[fit], return_inverse=True)
    if len(present) < 2:
      raise errors.InputError(
        'a classifier is fitted on images of one class alone: give more images '
        'of the other classes'
      )

    def show(done: int, before: int = number * len(grid)) -> None:
      progress(before + done)

    path = classifier.fit(
      features[fit], inverse, grid, config, len(present), progress=show
    )
    progress((number + 1) * len(grid))
    converged[:, number] = path.converged
    for i, own_scores in enumerate(path.scores(features[own])):
      scores[i, row_of[own]] = _spread(own_scores, present, num_classes)
  return _choose(
    scores,
    labels[chosen],
    division.parts[chosen],
    grid,
    metric,
    bool(converged.all()),
  )


def _spread(
  scores: np.ndarray, present: np.ndarray, num_classes: int
) -> np.ndarray:
  """Returns compressed scores [n, C] of scores [n, K] of the K classes present.

  A class of which no image was fitted has the lowest score that there is.
  """
  every = np.full((len(scores), num_classes), _NOT_FITTED)
  every[:, present] = result.compress(np.asarray(scores))
  return every.astype(np.float16)


def has_fitted_label(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
  """Tells whether the classifier of each image was fitted on its class.

  Args:
    labels: int [M].
    scores: [M, C], as in `Predicted`.

  Returns:
    bool [M]; False for all images of a class that is too small for the folds.
  """
  return scores[np.arange(len(labels)), labels] > _NOT_FITTED


def _choose(
  scores: np.ndarray,
  labels: np.ndarray,
  parts: np.ndarray,
  grid: np.ndarray,
  metric: str,
  converged: bool,
) -> Predicted:
  """Chooses each part's hyperparameter on the other parts.

  Args:
    scores: float16 [P, M, C].
    labels: int [M].
    parts: int [M].
    grid: [P].
    metric: that is compared.
    converged: for the result.
  """
  predictions = scores.argmax(axis=2)
  chosen = np.empty(len(labels), int)
  for part in np.unique(parts):
    others = parts != part
    # With one part alone there is no other image to choose by.
    others = others if others.any() else ~others
    chosen[parts == part] = _best(
      metric, labels[others], predictions[:, others], grid
    )
  rows = np.arange(len(labels))
  return Predicted(
    predictions[chosen, rows],
    scores[chosen, rows],
    _best(metric, labels, predictions, grid),
    converged,
  )


def _best(
  metric: str, labels: np.ndarray, predictions: np.ndarray, grid: np.ndarray
) -> int:
  """Returns the position of the best value; of equals, the largest value."""
  values = [metrics.METRICS[metric](labels, row) for row in predictions]
  return max(range(len(grid)), key=lambda i: (values[i], grid[i]))
