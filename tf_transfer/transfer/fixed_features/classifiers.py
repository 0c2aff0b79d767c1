"""Lists the classifiers on fixed features, all with the same interface.

Each row is also a setting: a new classifier is its module and a row here, and,
if it has a hyperparameter, its fields in configs/base.py.

Logistic regression is the paper's. The linear SVM and the nearest neighbors
are in its appendix; ridge regression is what few-shot evaluations use. Each is
fitted for a grid of one hyperparameter. Larger values give smoother
classifiers. The nearest class mean has no hyperparameter. A fitted classifier
computes scores [N, C]. With labels [N] the class with the largest score is
predicted; with labels [N, C] every class with a positive score is predicted.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import ml_collections
import numpy as np

from tf_transfer.transfer.fixed_features import (
  fitted,
  linear_svm,
  logistic_regression,
  nearest_class_mean,
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
    hyperparameter: the name of the values of the grid. None where there is
      nothing to choose: then the grid has one value without a meaning, and the
      config has no fields for the classifier.
    grid: computes the grid [P] from the classifier's part of the config.
    fit: fits the classifier.
    scores_are_logits: whether scores are log-probabilities up to a constant, so
      that their softmax is what the classifier holds for likely.
  """

  title: str
  hyperparameter: str | None
  grid: Callable[[ml_collections.ConfigDict], np.ndarray]
  fit: Fit
  scores_are_logits: bool


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


def no_grid(config: ml_collections.ConfigDict) -> np.ndarray:
  """Returns the grid [1] of a classifier that has no hyperparameter."""
  del config
  return np.zeros(1)


CLASSIFIERS: Mapping[str, Classifier] = {
  'logistic_regression': Classifier(
    title='Logistic regression',
    hyperparameter='penalty',
    grid=penalty_grid,
    fit=logistic_regression.fit,
    scores_are_logits=True,
  ),
  'linear_svm': Classifier(
    title='Linear SVM',
    hyperparameter='penalty',
    grid=penalty_grid,
    fit=linear_svm.fit,
    scores_are_logits=False,
  ),
  'nearest_neighbors': Classifier(
    title='Nearest neighbors',
    hyperparameter='neighbors',
    grid=neighbor_grid,
    fit=nearest_neighbors.fit,
    scores_are_logits=False,
  ),
  'ridge': Classifier(
    title='Ridge',
    hyperparameter='penalty',
    grid=penalty_grid,
    fit=ridge.fit,
    scores_are_logits=False,
  ),
  'nearest_class_mean': Classifier(
    title='Nearest class mean',
    hyperparameter=None,
    grid=no_grid,
    fit=nearest_class_mean.fit,
    scores_are_logits=False,
  ),
}
