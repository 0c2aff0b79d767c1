"""Defines the result that every setting returns for a cell."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_transfer import datasets, errors
from tf_transfer.transfer import metrics
from tf_transfer.transfer.estimators import Estimate

_LARGEST = float(np.finfo(np.float16).max)
_MAX_NAME = 512  # letters; of a longer name the end is kept


@dataclasses.dataclass(frozen=True)
class Run:
  """Holds one of several final trainings that differ in their seed alone.

  Attributes:
    seed: of the training.
    test: the metric on test.
  """

  seed: int
  test: metrics.Measurement


@dataclasses.dataclass(frozen=True, eq=False)
class Head:
  """Holds the linear classifier of a cell, to be put on its network again.

  Attributes:
    weights: float32 [D, C].
    bias: float32 [C].
    temperature: by which its scores are divided before the softmax; fitted on
      val with the classifier that was chosen there, as it was before a refit.
    classes: the name of each class.
  """

  weights: np.ndarray
  bias: np.ndarray
  temperature: float
  classes: tuple[str, ...]

  def arrays(self) -> dict[str, np.ndarray]:
    """Returns the fields as arrays, as they are stored."""
    return {
      'weights': np.asarray(self.weights, np.float32),
      'bias': np.asarray(self.bias, np.float32),
      'temperature': np.float64(self.temperature),
      'classes': np.array(self.classes, np.str_),
    }


@dataclasses.dataclass(frozen=True)
class Fold:
  """Holds what a fold of a cross-validation gave.

  Attributes:
    fold: its number, from 0.
    examples: that were tested in it.
    value: the metric on them.
    chosen: the hyperparameters that were chosen in it.
  """

  fold: int
  examples: int
  value: float
  chosen: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class CellResult:
  """Holds the result of a cell.

  Attributes:
    validation: the metric on val with the chosen hyperparameters.
    test: the metric on test, by default after a refit on train + val; where
      there are several runs the mean of theirs, with the sampling interval at
      this mean.
    curve: float [H], the metric on val for each of the H hyperparameter values
      or trials that were searched; NaN for a trial without one.
    chosen: the hyperparameters that were chosen; of folds, by most of them.
    solver: how closely the solver reached the optimum; empty for settings
      that train a network.
    predictions: arrays by name. Per test example digest, name, label,
      prediction and correct; and scores, float16 [N, C], from which the largest
      of each row is subtracted. For multi-label datasets, prediction is the
      classes' scores [N, C], correct [N, C] says whether each score has the
      right sign, and there is no array of scores. Of the network or classifier
      that was chosen on val, as it was before a refit: val_label and
      val_scores. Where there are several runs, all these are of the first, and
      run_predictions [R, N], or [R, N, C] of scores, has those of each. Of
      folds, fold [N] is the number of that in which each example was tested.
    skipped: names of the corrupt images that were left out.
    trials: for settings that train a network, each trial that was searched,
      with its metrics on val, its losses, and when it diverged if it did.
    losses: of the refit, the mean loss of each window of its steps.
    runs: final trainings with different seeds; empty where there is one.
    folds: of a cross-validation; else empty.
    estimates: of how well the network transfers, by estimator, from train and
      val; empty where none was asked for.
    fit_seconds: that search and refit of a classifier took, without features;
      None where they were not timed.
    head: for classifiers on fixed features that are linear in the features,
      the one that was tested.
  """

  validation: metrics.Measurement
  test: metrics.Measurement
  curve: np.ndarray
  chosen: Mapping[str, Any]
  solver: Mapping[str, Any]
  predictions: Mapping[str, np.ndarray]
  skipped: tuple[str, ...]
  trials: tuple[Mapping[str, Any], ...] = ()
  losses: tuple[float, ...] = ()
  runs: tuple[Run, ...] = ()
  folds: tuple[Fold, ...] = ()
  estimates: Mapping[str, Estimate] = dataclasses.field(default_factory=dict)
  fit_seconds: float | None = None
  head: Head | None = None


def predictions(dataset: datasets.Dataset, scores: np.ndarray) -> np.ndarray:
  """Returns predictions as the dataset's metric takes them.

  Args:
    dataset: the dataset.
    scores: float [N, C].

  Returns:
    int [N], the classes with the highest scores; for multi-label datasets the
    scores.
  """
  return scores if dataset.multi_label else scores.argmax(axis=1)


def names(split: datasets.Split, positions: np.ndarray) -> np.ndarray:
  """Returns the names of examples of a split, as results keep them: str [N]."""
  texts = [errors.printable(split.describe(int(i))) for i in positions]
  return np.array([text[-_MAX_NAME:] for text in texts], np.str_)


def per_example(
  split: datasets.Split,
  positions: np.ndarray,
  labels: np.ndarray,
  predicted: np.ndarray,
  scores: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
  """Returns what `CellResult.predictions` has of each test example.

  Args:
    split: that was predicted.
    positions: int [N], the examples' positions in it.
    labels: int [N] or [N, C], of these examples.
    predicted: [N] or [N, C], from `predictions`.
    scores: float [N, C], of which `predicted` is the best class; None where
      `predicted` are scores.
  """
  arrays = {
    'digest': np.asarray(split.digests)[positions],
    'name': names(split, positions),
    'label': labels,
    'prediction': predicted,
    'correct': is_correct(labels, predicted),
  }
  return arrays if scores is None else {**arrays, 'scores': compress(scores)}


def on_val(labels: np.ndarray, scores: np.ndarray) -> dict[str, np.ndarray]:
  """Returns what `CellResult.predictions` has of the examples of val.

  Args:
    labels: int [V] or [V, C].
    scores: float [V, C], of the network or classifier that was chosen on val.
  """
  compressed = compress(scores) if labels.ndim == 1 else scores
  return {'val_label': labels, 'val_scores': compressed}


def compress(scores: np.ndarray) -> np.ndarray:
  """Returns scores [N, C] as float16, after subtracting each row's largest.

  Neither changes which class is best, nor, but for rounding, the softmax.
  Differences from the best class, which matter most, are kept to a thousandth.
  """
  below = scores - scores.max(axis=1, keepdims=True)
  return np.clip(below, -_LARGEST, 0).astype(np.float16)


def is_correct(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
  """Returns whether each prediction is right: bool [N], or [N, C] of scores."""
  if labels.ndim == 2:
    return (predicted > 0) == (labels == 1)
  return predicted == labels
