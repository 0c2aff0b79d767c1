"""Lists the classifiers on fixed features, all with the same interface.

Each row is also a setting: a new classifier is its module and a row here, and
its fields in configs/base.py.

Logistic regression is the paper's. The linear SVM and the nearest neighbors
are in its appendix; ridge regression is what few-shot evaluations use. Each is
fitted for a grid of one hyperparameter, whose larger values give smoother
classifiers, and computes scores [N, C]. With labels [N] the class of largest
score is predicted; with labels [N, C] every class of positive score is.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import ml_collections
import numpy as np

from tf_transfer.errors import InputError
from tf_transfer.transfer.fixed_features import (
  fitted,
  linear_svm,
  logistic_regression,
  nearest_neighbors,
  ridge,
)


class Fit(Protocol):
  """The function that fits a classifier for each value of a grid."""

  def __call__(
    self,
    features: np.ndarray,
    labels: np.ndarray,
    grid: np.ndarray,
    config: ml_collections.ConfigDict,
    num_classes: int,
    *,
    start: tuple[Any, int] | None = None,
    progress: Callable[[int], None] | None = None,
  ) -> fitted.Fitted:
    """Fits the classifier.

    Args:
      features: [N, D], of a float type.
      labels: int [N], classes from 0; or [N, C] of 0, 1 and -1 (ignored).
      grid: [P], values of the hyperparameter.
      config: the classifier's part of the job's config.
      num_classes: C.
      start: what an earlier fit returned and the position of its best value,
        for classifiers that can start from it.
      progress: called with the number of grid values that are done.

    Raises:
      InputError: the features or labels cannot be fitted.
    """
    ...


@dataclasses.dataclass(frozen=True)
class Classifier:
  """A way to classify fixed features.

  Attributes:
    title: for people.
    hyperparameter: the name of the values of the grid.
    grid: computes the grid [P] from the classifier's part of the config.
    fit: fits the classifier.
  """

  title: str
  hyperparameter: str
  grid: Callable[[ml_collections.ConfigDict], np.ndarray]
  fit: Fit


def penalty_grid(config: ml_collections.ConfigDict) -> np.ndarray:
  """Computes penalties [P], ascending, evenly spaced in the logarithm."""
  return np.logspace(
    np.log10(config.penalty_min),
    np.log10(config.penalty_max),
    config.num_penalties,
  )


def neighbor_grid(config: ml_collections.ConfigDict) -> np.ndarray:
  """Returns the numbers of neighbors [P], in the config's order."""
  return np.array(config.neighbors)


CLASSIFIERS: Mapping[str, Classifier] = {
  'logistic_regression': Classifier(
    title='Logistic regression',
    hyperparameter='penalty',
    grid=penalty_grid,
    fit=logistic_regression.fit,
  ),
  'linear_svm': Classifier(
    title='Linear SVM',
    hyperparameter='penalty',
    grid=penalty_grid,
    fit=linear_svm.fit,
  ),
  'nearest_neighbors': Classifier(
    title='Nearest neighbors',
    hyperparameter='neighbors',
    grid=neighbor_grid,
    fit=nearest_neighbors.fit,
  ),
  'ridge': Classifier(
    title='Ridge',
    hyperparameter='penalty',
    grid=penalty_grid,
    fit=ridge.fit,
  ),
}


def check(name: str, config: ml_collections.ConfigDict) -> None:
  """Checks a classifier's part of the config.

  Args:
    name: of the classifier.
    config: its part of the job's config.

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
