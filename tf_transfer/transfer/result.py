"""Defines the result that every setting returns for a cell."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_transfer import datasets
from tf_transfer.transfer import metrics


@dataclasses.dataclass(frozen=True)
class CellResult:
  """Holds the result of a cell.

  Attributes:
    validation: the metric on val with the chosen hyperparameters.
    test: the metric on test, by default after a refit on train + val.
    curve: float [H], the metric on val for each of the H hyperparameter values
      or trials that were searched; NaN for a trial without one.
    chosen: the hyperparameters that were chosen.
    solver: how closely the solver reached the optimum; empty for settings
      that train a network.
    predictions: per test example: digest, label, prediction, correct. For
      multi-label datasets, prediction is the classes' scores [N, C], and
      correct [N, C] says whether each score has the right sign.
    skipped: names of the corrupt images that were left out.
    trials: for settings that train a network, each trial that was searched,
      with its metrics on val, its losses, and when it diverged if it did.
    losses: of the refit, the mean loss of each window of its steps.
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


def per_example(
  split: datasets.Split,
  positions: np.ndarray,
  labels: np.ndarray,
  predicted: np.ndarray,
) -> dict[str, np.ndarray]:
  """Returns `CellResult.predictions`.

  Args:
    split: that was predicted.
    positions: int [N], the examples' positions in it.
    labels: int [N] or [N, C], of these examples.
    predicted: [N] or [N, C], from `predictions`.
  """
  return {
    'digest': np.asarray(split.digests)[positions],
    'label': labels,
    'prediction': predicted,
    'correct': _correct(labels, predicted),
  }


def _correct(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
  """Returns whether each prediction is right: bool [N], or [N, C] of scores."""
  if labels.ndim == 2:
    return (predicted > 0) == (labels == 1)
  return predicted == labels
