"""Checks the grid of trials, the steps and the config of a search."""

import numpy as np
import pytest

from tf_transfer.configs import base
from tf_transfer.transfer.training import grid


def test_grids_are_the_papers():
  tuned = grid.build_trials(base.fine_tuned_fields())
  assert len(tuned) == 56
  rates = sorted({t.learning_rate for t in tuned})
  np.testing.assert_allclose(np.log10(rates), np.linspace(-4, -1, 7))
  decays = sorted({t.weight_decay for t in tuned})
  assert decays[0] == 0
  np.testing.assert_allclose(np.log10(decays[1:]), np.linspace(-6, -3, 7))
  fresh = grid.build_trials(base.random_init_fields())
  assert len(fresh) == 56
  rates = sorted({t.learning_rate for t in fresh})
  np.testing.assert_allclose(np.log10(rates), np.linspace(-3, 0, 7), atol=1e-12)
  decays = sorted({t.weight_decay for t in fresh})
  np.testing.assert_allclose(np.log10(decays), np.linspace(-5, -1.5, 8))


def test_steps_and_epochs():
  config = base.fine_tuned_fields()
  assert grid.build_train_config(config, 1000).steps == 20_000
  config.update({'steps': 1000, 'min_epochs': 100, 'batch_size': 64})
  assert grid.build_train_config(config, 102).steps == 1000
  # 102,000 / 64, rounded up
  assert grid.build_train_config(config, 1020).steps == 1594


@pytest.mark.parametrize(
  ('search', 'rungs', 'stops'),
  [
    ('exhaustive', (100,), (100,)),
    ('halving', (25, 50, 100), (25, 50, 100)),
    ('both', (25, 50, 100), (100,)),
  ],
)
def test_rungs_and_stops(search, rungs, stops):
  config = base.fine_tuned_fields()
  config.update({'search': search, 'halving_first': 0.25})
  assert grid.rungs(config, 100) == rungs
  assert grid.stops(config, 100) == stops
