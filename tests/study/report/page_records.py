"""Makes records with every field, with accuracies near the paper's numbers."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np

from tf_transfer import datasets
from tf_transfer.configs import base
from tf_transfer.networks import recipe
from tf_transfer.study import ledger, schema
from tf_transfer.study.paper import numbers
from tf_transfer.transfer import metrics
from tf_transfer.transfer import result as result_lib
from tf_transfer.transfer.training import grid

FIXED = 'logistic_regression'
VERSIONS = {'tf_transfer': '0.1.0', 'python': '3.11.7', 'jax': '0.10.2'}
# TF-Slim's, as far as they are known.
SMOOTHED = recipe.Recipe(True, True, True, False, 'imagenet')
LOGISTIC = {
  'num_penalties': 45,
  'penalty_min': 1e-6,
  'penalty_max': 1e5,
  'tolerance': 1e-9,
  'max_evaluations': 5000,
}
# As in records: without the fields that change no result.
TRAINING = {
  name: value
  for name, value in {
    **base.fine_tuned_fields(),
    'steps': 60,
    'batch_size': 32,
    'num_learning_rates': 2,
    'learning_rate_min': 1e-2,
    'num_weight_decays': 2,
    'include_zero_weight_decay': False,
    'seed': 3,
  }.items()
  if name not in grid.OPERATIONAL
}


def _fixed() -> dict[str, Any]:
  """Makes the fields of a setting on fixed features."""
  curve = 0.5 + 0.3 * np.exp(-(np.linspace(-3, 2, 45) ** 2))
  best = int(curve.argmax())
  return {
    'search': LOGISTIC,
    'chosen': {'penalty': float(np.logspace(-6, 5, 45)[best])},
    'validation_curve': curve.tolist(),
    'validation': {'value': curve[best], 'low': 0.7, 'high': 0.9},
    'solver': {'converged': True, 'unconverged_penalties': []},
    'trials': [],
    'preprocessing': 'whole_image',
  }


def _measured(value: float) -> dict[str, Any]:
  """Makes a measurement on val."""
  return {'value': value, 'low': 0.0, 'high': 1.0, 'examples': 100}


def trials(
  fields: Mapping[str, Any], values: Sequence[float | None]
) -> list[dict[str, Any]]:
  """Makes the trials of a search, with these values on val; None: diverged."""
  grid_trials = grid.build_trials(ml_collections.ConfigDict(fields))
  return [
    {
      **dataclasses.asdict(trial),
      'validation': {} if value is None else {'whole_image': _measured(value)},
      'diverged': 7 if value is None else None,
      'steps': 60,
      'losses': [],
      'evaluations': [],
    }
    for trial, value in zip(grid_trials, values, strict=True)
  ]


def _trained() -> dict[str, Any]:
  """Makes the fields of a setting that trains."""
  curve = [0.71, 0.73, 0.7, None]
  all_trials = trials(TRAINING, curve)
  return {
    'search': TRAINING,
    'chosen': {
      'learning_rate': all_trials[1]['learning_rate'],
      'weight_decay': all_trials[1]['weight_decay'],
      'view': 'whole_image',
      'steps': 60,
    },
    'validation_curve': curve,
    'validation': {'value': 0.73, 'low': 0.7, 'high': 0.76},
    'solver': {},
    'trials': all_trials,
    'preprocessing': 'random_crop_and_flip',
  }


# A record and its predictions of each test image.
Cell = tuple[dict[str, Any], Mapping[str, np.ndarray]]


def record(
  network: str,
  dataset: str,
  setting: str,
  value: float,
  top1: float | None,
  **more: Any,
) -> Cell:
  """Makes a record of 500 test images, and their predictions.

  Args:
    network: its name.
    dataset: its name.
    setting: its name.
    value: near the test accuracy.
    top1: on ImageNet.
    **more: fields that are replaced.
  """
  labels = np.arange(500) % 10
  seed = int(
    hashlib.sha256(f'{network} {dataset}'.encode()).hexdigest()[:8], 16
  )
  wrong = np.random.default_rng(seed).permutation(500) >= round(500 * value)
  predicted = np.where(wrong, (labels + 1) % 10, labels)
  measured = metrics.measure('top1', labels, predicted)
  digests = np.zeros((500, 32), np.uint8)
  digests[:, :2] = np.arange(500, dtype='>u2')[:, None].view(np.uint8)
  split = datasets.Split('test', labels, digests, None, str)
  fields = {
    'version': schema.VERSION,
    'schema': schema.SCHEMA,
    'network': network,
    'weights_sha256': hashlib.sha256(network.encode()).hexdigest(),
    'dataset': dataset,
    'splits_sha256': {'train': 'a' * 64, 'val': 'b' * 64, 'test': split.hash},
    'setting': setting,
    'metric': 'top1',
    'image_size': 0,
    'layer': '',
    'pyramid': [1],
    'corrupt': 'error',
    'num_classes': 10,
    'split_seed': 0,
    'imagenet_top1': top1,
    'imagenet_top1_source': 'made up',
    'recipe': SMOOTHED.to_json(),
    'test': {
      'value': measured.value,
      'low': measured.low,
      'high': measured.high,
      'examples': measured.examples,
    },
    'losses': [],
    'skipped': [],
    'notes': [],
    'versions': VERSIONS,
    'device': '1 x cpu',
    'seconds': 12.5,
    'finished': '2026-01-02T03:04:05+00:00',
    **(_fixed() if setting == FIXED else _trained()),
    **more,
  }
  fields['validation'].setdefault('examples', 100)
  fields['identity'] = schema.identity(fields)
  fields['predictions'] = f'predictions/{fields["identity"]}.npz'
  return fields, result_lib.per_example(
    split, np.arange(500), labels, predicted
  )


def cell(
  network: str,
  value: float,
  top1: float | None,
  dataset: str = 'pets',
  **more: Any,
) -> Cell:
  """Makes a cell of logistic regression."""
  return record(network, dataset, FIXED, value, top1, **more)


def with_scores(cell: Cell, temperature: float = 2.0) -> Cell:
  """Adds scores on test and val to the predictions of a cell.

  The logits that label the examples of val are as large as the scores over the
  temperature.
  """
  fields, arrays = cell
  rng = np.random.default_rng(0)
  rows, predicted = np.arange(500), arrays['prediction']
  scores = rng.normal(scale=2 * temperature, size=(500, 10))
  best = scores.argmax(axis=1)
  scores[rows, best], scores[rows, predicted] = (
    scores[rows, predicted],
    scores[rows, best],
  )
  val_scores = rng.normal(scale=2 * temperature, size=(100, 10))
  val_labels = (val_scores / temperature + rng.gumbel(size=(100, 10))).argmax(1)
  return fields, {
    **arrays,
    'scores': result_lib.compress(scores),
    **result_lib.on_val(val_labels, val_scores),
  }


def write(
  workdir: pathlib.Path,
  cells: Sequence[Cell],
  failed: Sequence[Mapping[str, str]] = (),
) -> list[dict[str, Any]]:
  """Adds cells, and those that failed, to a workdir; returns all records."""
  one = ledger.Ledger(workdir)
  for fields, predictions in cells:
    one.add(fields, predictions)
  if failed:
    lines = ''.join(json.dumps(line) + '\n' for line in failed)
    (workdir / 'failures.jsonl').write_text(lines)
  return list(one.read().values())


def of_the_paper(
  networks: int = 8, settings: Sequence[str] = (FIXED, 'fine_tuned')
) -> list[Cell]:
  """Makes cells near the paper's numbers, on two of its datasets."""
  names = list(numbers.imagenet_top1())[:networks]
  return [
    record(
      one['network'],
      one['dataset'],
      one['setting'],
      one['test']['value'],
      one['imagenet_top1'] - 0.01,
    )
    for one in numbers.records()
    if one['network'] in names
    and one['setting'] in settings
    and one['dataset'] in ('cars', 'pets')
  ]
