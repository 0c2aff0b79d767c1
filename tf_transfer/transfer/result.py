"""Defines what every setting returns for a cell."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_transfer import datasets
from tf_transfer.transfer import metrics


@dataclasses.dataclass(frozen=True)
class CellResult:
  """What came of a cell.

  Attributes:
    validation: the metric on val at the chosen hyperparameters.
    test: the metric on test after training on train + val.
    curve: the metric on val for each value searched.
    chosen: the hyperparameters that were chosen.
    solver: how well the optimum was reached; empty where none was sought.
    predictions: per test example: digest, label, prediction, correct. Where
      several labels count, prediction is the classes' scores [N, C] and
      correct says for each class whether the score's sign is right.
    skipped: names of the corrupt images that were left out.
    trials: what was searched where hyperparameters are trained with: each
      with its metrics on val, losses, and when it diverged if it did.
    losses: of the final run, the mean of each part of its steps.
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
  """What the dataset's metric looks at: the best class, or all scores."""
  return scores if dataset.multi_label else scores.argmax(axis=1)


def per_example(
  split: datasets.Split,
  kept: np.ndarray,
  labels: np.ndarray,
  predicted: np.ndarray,
) -> dict[str, np.ndarray]:
  """The `predictions` of an outcome.

  Args:
    split: that was predicted.
    kept: [N] int, the examples' positions in it.
    labels: of these examples.
    predicted: what `predictions` gave for them.
  """
  return {
    'digest': np.asarray(split.digests)[kept],
    'label': labels,
    'prediction': predicted,
    'correct': _correct(labels, predicted),
  }


def _correct(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
  """Whether each prediction is right: bool [N], or [N, C] of scores."""
  if labels.ndim == 2:
    return (predicted > 0) == (labels == 1)
  return predicted == labels
