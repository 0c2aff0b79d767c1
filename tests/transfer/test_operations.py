"""Estimates of operations, against numbers worked out by hand."""

import types

import pytest

from tf_transfer.configs import base
from tf_transfer.transfer import operations, settings

NETWORK = types.SimpleNamespace(
  name='resnet50',
  parameters=23_508_032,
  contract=types.SimpleNamespace(image_size=224),
  feature_dim=2048,
)
DATASET = types.SimpleNamespace(
  splits={'train': range(600), 'val': range(200), 'test': range(200)},
  classes=range(10),
  folds=(),
)


def test_forward_pass_of_resnet50():
  """He et al. (2016) count 3.8e9 multiply-adds, which are 7.6e9 operations."""
  assert operations.forward(NETWORK) == pytest.approx(7.6e9, rel=0.1)


def test_extraction_passes_every_image_once():
  assert operations.extraction(NETWORK, DATASET) == pytest.approx(
    1000 * operations.forward(NETWORK)
  )


def test_extraction_of_folds_passes_every_image_once():
  """Test is all images, some of which are train and val of the first fold."""
  folded = types.SimpleNamespace(
    splits={'train': range(600), 'val': range(200), 'test': range(1000)},
    classes=range(10),
    folds=(DATASET, DATASET),
  )
  assert operations.extraction(NETWORK, folded) == pytest.approx(
    1000 * operations.forward(NETWORK)
  )


@pytest.mark.parametrize(
  ('fields', 'steps', 'runs'),
  [
    ({}, 57 * 80, 57),
    ({'search': 'both'}, 57 * 80, 57),
    # An eighth of the steps of all, then half of them as far again, and so on.
    ({'search': 'halving'}, 56 * 10 + 28 * 10 + 14 * 20 + 7 * 40 + 80, 57),
    ({'refit_on_trainval': False}, 56 * 80, 56),
    ({'min_epochs': 2}, 57 * 120, 57),
    ({'num_seeds': 3}, 59 * 80, 59),
    ({'num_seeds': 3, 'refit_on_trainval': False}, 58 * 80, 58),
  ],
)
def test_training_counts_the_steps_of_a_search(fields, steps, runs):
  config = base.fine_tuned_fields()
  config.update({'steps': 80, 'batch_size': 10, **fields})
  cost = settings.SETTINGS['fine_tuned'].cost(
    NETWORK, DATASET, {'fine_tuned': config}
  )
  assert operations.training_steps(DATASET, config) == steps
  expected = 3 * 10 * steps + 1000 * runs
  assert cost / operations.forward(NETWORK) == pytest.approx(expected)
