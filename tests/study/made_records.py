"""Makes records with every field, and their predictions, for tests."""

import hashlib
from typing import Any

import numpy as np

from tf_transfer import datasets
from tf_transfer.study import record_types, schema
from tf_transfer.transfer import metrics
from tf_transfer.transfer import result as result_lib

NUM_CLASSES = 5


def sha256(text: str) -> str:
  """Returns a hash that stands for what the text names."""
  return hashlib.sha256(text.encode()).hexdigest()


def identity(name: str) -> str:
  """Returns the identity of the cell that tests call by a short name."""
  return sha256(name)[:32]


def predictions(
  value: float, num_examples: int = 100, seed: int = 0
) -> dict[str, np.ndarray]:
  """Makes predictions of which this share is right, the first ones."""
  labels = np.arange(num_examples, dtype=np.int32) % NUM_CLASSES
  wrong = np.arange(num_examples) >= round(num_examples * value)
  digests = np.random.default_rng(seed).integers(
    256, size=(num_examples, 32), dtype=np.uint8
  )
  split = datasets.Split('test', labels, digests, None, str)
  return result_lib.per_example(
    split,
    np.arange(num_examples),
    split.labels,
    np.where(wrong, (labels + 1) % NUM_CLASSES, labels),
  )


def hash_of_test(arrays: dict[str, np.ndarray]) -> str:
  """Returns the hash of the split that predictions are of."""
  return datasets.Split(
    'test', arrays['label'], arrays['digest'], None, str
  ).hash


def record(name: str, value: float = 0.5, **more: Any) -> dict[str, Any]:
  """Makes the record of a cell of ridge regression on 100 test images.

  Args:
    name: short; the identity and hashes are made of it.
    value: the test accuracy.
    **more: fields that are replaced.
  """
  arrays = predictions(value)
  test = metrics.measure('top1', arrays['label'], arrays['prediction'])
  measured = {
    'value': test.value,
    'low': test.low,
    'high': test.high,
    'examples': test.examples,
  }
  fields = {
    'identity': identity(name),
    'version': schema.VERSION,
    'schema': schema.SCHEMA,
    'network': f'network_{name}',
    'weights_sha256': sha256(f'weights {name}'),
    'recipe': {
      **dict.fromkeys(
        ('bn_scale', 'label_smoothing', 'dropout', 'auxiliary_head')
      ),
      'trained_on': 'imagenet',
      'notes': '',
      'details': {},
    },
    'imagenet_top1': 0.7,
    'imagenet_top1_source': 'made up',
    'dataset': 'pets',
    'num_classes': NUM_CLASSES,
    'metric': 'top1',
    'splits_sha256': {
      'train': sha256('train'),
      'val': sha256('val'),
      'test': hash_of_test(arrays),
    },
    'split_seed': 0,
    'setting': 'ridge',
    'search': {'num_penalties': 2, 'penalty_min': 0.1, 'penalty_max': 1.0},
    'preprocessing': 'whole_image',
    'image_size': 0,
    'layer': '',
    'pyramid': [1],
    'corrupt': 'error',
    'skipped': [],
    'chosen': {'penalty': 0.1},
    'validation': dict(measured),
    'test': measured,
    'validation_curve': [value, 0.1],
    'solver': {'converged': True, 'unconverged_penalties': []},
    'trials': [],
    'losses': [],
    'predictions': f'predictions/{identity(name)}.npz',
    'notes': [],
    'versions': {'tf_transfer': '0.1.0', 'python': '3.11.7', 'jax': '0.10.2'},
    'device': '1 x cpu',
    'seconds': 3.0,
    'finished': '2026-01-02T03:04:05+00:00',
    **more,
  }
  return record_types.check(fields, name)
