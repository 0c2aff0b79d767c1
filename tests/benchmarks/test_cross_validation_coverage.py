"""Checks the simulation of cross-validation, and a small case of each kind."""

import numpy as np
import pytest

from benchmarks import cross_validation_coverage as simulation


def test_folds_divide_each_class():
  population = simulation.populations()[2]
  draw = simulation.cross_validate(population, np.random.default_rng(0))
  assert np.bincount(draw.folds).tolist() == [12] * 5
  assert draw.correct.shape == (2, 60)
  assert 0.7 < draw.accuracy <= 1


@pytest.mark.parametrize('name', ['nearest mean', 'ridge'])
def test_interval_covers_where_independent_examples_do_not(name):
  # Two classes, a small separation: training sets matter most.
  population = next(
    one
    for one in simulation.populations()
    if one.name == name and (one.num_examples, one.num_classes) == (200, 2)
  )
  outcome = simulation.simulate(population, 300)
  # Three standard errors of 95 % of 300 draws are 3.8 %.
  assert outcome.coverage['corrected'] >= 0.95 - 0.038
  assert outcome.coverage['as independent'] < 0.95 - 0.038
  assert outcome.width['corrected'] < outcome.width['spread over folds']
  assert outcome.rejected['corrected'] <= 0.05 + 0.038


def test_worse_network_is_told_from_the_best():
  outcome = simulation.simulate(simulation.populations(worse=True)[6], 60)
  assert outcome.rejected['corrected'] > 0.3
