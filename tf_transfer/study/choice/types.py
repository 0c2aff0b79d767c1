"""Defines what a choice among networks is made of.

Each network that is tried is a `Candidate`: its predictions, cost and estimates
on the images that the choice is made on. All candidates give a `Choice`, of
which console and page are made.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from tf_transfer import datasets
from tf_transfer.transfer import metrics
from tf_transfer.transfer.estimators import Estimate as Estimate


@dataclasses.dataclass(frozen=True)
class Cost:
  """What a network costs whoever uses it.

  Attributes:
    parameters: their number, without those of a head; 0 if it is not known.
    flops: floating-point operations of an image, a multiplication and an
      addition counting as two; NaN if they are not known.
    images_per_second: by batch size, measured on this device; decoding and
      resizing do not count.
    file_size: of the weights file, in bytes; 0 where there is none.
    seconds: that trying the network took.
  """

  parameters: int
  flops: float
  images_per_second: Mapping[int, float]
  file_size: int
  seconds: float


@dataclasses.dataclass(frozen=True, eq=False)
class Candidate:
  """A network that was tried.

  Attributes:
    network: its name among the networks that are tried.
    title: for people.
    weights: the name or path by which a config can name it.
    weights_sha256: of its weights file.
    accuracy: on the images that the choice is made on, each predicted by a
      classifier that was not fitted on it.
    predictions: int [N], the predicted class of each of these images.
    scores: float16 [N, C], compressed as by `result.compress`.
    chosen: the hyperparameters, on all these images.
    converged: whether each fit reached its tolerance.
    cost: of the network.
    estimates: by the name of the estimator.
  """

  network: str
  title: str
  weights: str
  weights_sha256: str
  accuracy: metrics.Measurement
  predictions: np.ndarray
  scores: np.ndarray
  chosen: Mapping[str, float]
  converged: bool
  cost: Cost
  estimates: Mapping[str, Estimate]


@dataclasses.dataclass(frozen=True)
class Skipped:
  """A network that was not tried to the end.

  Attributes:
    network: its name.
    reason: why not, with what is known of it.
  """

  network: str
  reason: str


@dataclasses.dataclass(frozen=True)
class Verdict:
  """Holds which network to take.

  Attributes:
    best: the network with the highest accuracy.
    p_values: of each other network, that it is as good as the best; adjusted
      for the number of pairs of networks (Holm).
    tied: the networks that the test does not tell from the best, the best
      among them, from the cheapest to the most expensive.
    recommended: the cheapest of them whose accuracy is within one standard
      error of that of the best.
    lines: sentences for console and page, the most important first.
  """

  best: str
  p_values: Mapping[str, float]
  tied: tuple[str, ...]
  recommended: str
  lines: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class LearningPoint:
  """Holds the accuracy with some of the training images.

  Attributes:
    examples: that the classifier was fitted on.
    accuracies: in 0 to 1, of each draw.
  """

  examples: int
  accuracies: tuple[float, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class LearningCurve:
  """Holds the accuracy as a function of the number of training images.

  Attributes:
    network: whose features they are.
    points: by examples, ascending.
    examples: float [K], ascending, where the fitted curve is evaluated; up to 4
      times as many as there are.
    fitted: float [K], the fitted accuracy.
    low: float [K], the lower end of its 95 % interval.
    high: float [K], the upper end.
    lines: sentences on what more images would bring.
  """

  network: str
  points: tuple[LearningPoint, ...]
  examples: np.ndarray
  fitted: np.ndarray
  low: np.ndarray
  high: np.ndarray
  lines: tuple[str, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Choice:
  """A choice among networks for a dataset.

  Attributes:
    dataset: that the choice is for.
    images: the N images that the choice is made on: train + val, or all where
      the dataset is too small to hold test images out. Never those of test.
    folds: int [N], the fold in which an image was predicted; all 0 where the
      choice is made on val alone.
    candidates: the networks that were tried, the most accurate first.
    skipped: the others.
    verdict: which network to take.
    test: accuracy of the recommended network on test; None where there is no
      test split, or the network was not tested.
    test_name: what `test` is measured on, in words.
    learning_curve: of the recommended network, if it was computed.
    notes: what else must be known, such as images that were left out.
  """

  dataset: datasets.Dataset
  images: datasets.Split
  folds: np.ndarray
  candidates: tuple[Candidate, ...]
  skipped: tuple[Skipped, ...]
  verdict: Verdict
  test: metrics.Measurement | None
  test_name: str
  learning_curve: LearningCurve | None
  notes: tuple[str, ...] = ()

  def candidate(self, network: str) -> Candidate:
    """Returns the candidate of a name."""
    return next(c for c in self.candidates if c.network == network)
