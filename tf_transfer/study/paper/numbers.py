"""Reads the paper's numbers, in the form of a ledger's records.

Most of them were read off its figures, so each has an error of reading.
"""

import csv
import functools
import importlib.resources
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_transfer import datasets
from tf_transfer.study.analysis import learning_curves
from tf_transfer.study.figures import regularizers

SETTINGS = ('logistic_regression', 'fine_tuned', 'random_init')
_BATCH_SIZE = 256  # In fine-tuning and from random initialization.


def _read_rows(name: str) -> list[dict[str, str]]:
  """Reads the rows of a CSV file of the package."""
  data = importlib.resources.files('tf_transfer.study.paper') / 'data' / name
  with data.open(newline='') as file:
    return list(csv.DictReader(file))


def reading_error(accuracy: np.ndarray) -> np.ndarray:
  """Returns how far a number read off figure 2 may be off, in 0 to 1.

  It is 0.1 points at 85 % and above. Where points lie closer together on the
  logit axis it is more: 0.3 points at 50 % and below.

  Args:
    accuracy: in 0 to 1, of any shape.
  """
  return np.interp(accuracy, [0.5, 0.85], [0.003, 0.001])


@functools.cache
def imagenet_top1() -> Mapping[str, float]:
  """Returns ImageNet top-1, ±0.0005, of the paper's own networks by name."""
  return {
    row['network']: float(row['imagenet_top1_paper_percent']) / 100
    for row in _read_rows('networks.csv')
  }


@functools.cache
def image_size() -> Mapping[str, int]:
  """Returns the height and width, in pixels, of the input of each network."""
  return {
    row['network']: int(row['image_size']) for row in _read_rows('networks.csv')
  }


@functools.cache
def records() -> tuple[dict[str, Any], ...]:
  """Returns the 576 accuracies of figure 2, with the keys of ledger records.

  `low` and `high` are the ends of the error of reading, not of sampling.
  """
  all_records = []
  for row in _read_rows('accuracies.csv'):
    dataset = datasets.row(row['dataset'])
    value = float(row['accuracy_percent']) / 100
    error = float(reading_error(value))
    all_records.append(
      {
        'setting': row['setting'],
        'network': row['network'],
        'dataset': row['dataset'],
        'metric': dataset.metric,
        'imagenet_top1': imagenet_top1()[row['network']],
        'test': {
          'value': value,
          'low': value - error,
          'high': value + error,
          'examples': dataset.counts['test'],
        },
      }
    )
  return tuple(all_records)


@functools.cache
def previous_best() -> Mapping[str, float]:
  """Returns the best result before the paper on each dataset, in 0 to 1."""
  return {
    row['dataset']: float(row['previous_best_percent']) / 100
    for row in _read_rows('previous_best.csv')
  }


@functools.cache
def training_settings(
  setting: str,
) -> tuple[regularizers.Configuration, ...]:
  """Returns the points of figure 3 (logistic regression) or 5 (fine-tuned)."""
  return tuple(
    regularizers.Configuration(
      row['network'],
      row['configuration'],
      float(row['mean_log_odds']),
      float(row['imagenet_top1_percent']) / 100,
    )
    for row in _read_rows('training_settings.csv')
    if row['setting'] == setting
  )


@functools.cache
def accuracy_vs_steps() -> tuple[learning_curves.StepsCurve, ...]:
  """Returns the curves of figure 8, of the public Inception v4."""
  curves = {}
  for row in _read_rows('accuracy_vs_steps.csv'):
    points = curves.setdefault((row['setting'], row['dataset']), [])
    points.append((int(row['steps']), float(row['accuracy_percent']) / 100))
  return tuple(
    learning_curves.StepsCurve(
      setting,
      dataset,
      np.array([s for s, _ in points]),
      np.array([a for _, a in points]),
      num_training_images(dataset) / _BATCH_SIZE,
    )
    for (setting, dataset), points in curves.items()
  )


def num_training_images(dataset: str) -> int:
  """Returns the number of images in train and val together."""
  counts = datasets.row(dataset).counts
  return counts['train'] + counts['val']
