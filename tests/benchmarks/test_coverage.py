"""Checks the simulations of intervals' coverage, and their table."""

import numpy as np
import pytest

from benchmarks import coverage
from tf_transfer import datasets


def draw_mean(generator):
  """Draws the 80 % interval of the mean of four normal numbers around 3."""
  center, half = generator.normal(3, 1, 4).mean(), 1.2815516 / 2
  return coverage.Draw(center - half, 3.0, center + half)


MEAN = coverage.Simulation('mean', 'four normal numbers', draw_mean, 0.8, 2000)


def test_coverage_of_a_known_interval():
  simulated = coverage.simulate(MEAN)
  # Three standard errors of 2,000 draws are 2.7 %, of a side's 10 % 2 %.
  assert simulated.inside == pytest.approx(0.8, abs=0.027)
  assert simulated.below == pytest.approx(0.1, abs=0.02)
  assert simulated.inside + simulated.below + simulated.above == pytest.approx(
    1
  )
  assert simulated.width == pytest.approx(1.2815516)
  assert coverage.simulate(MEAN) == simulated
  assert coverage.simulate(MEAN, 10).repetitions == 10


def test_table():
  lines = coverage.table([MEAN], 10).splitlines()
  cells = {line.count('|') for line in lines}
  assert len(lines) == 3
  assert len(cells) == 1
  assert '`mean`' in lines[2]
  assert '80%' in lines[2]


@pytest.mark.parametrize('slope', [0.0, 1.0, -1.0])
def test_accuracies_have_the_mean_and_slope(slope):
  accuracies = coverage.class_accuracies(coverage.CALTECH, slope, 0.9)
  assert accuracies.mean() == pytest.approx(0.9)
  log_odds = np.log(accuracies / (1 - accuracies))
  ratios = np.log(coverage.CALTECH)
  np.testing.assert_allclose(
    log_odds - log_odds.mean(), slope * (ratios - ratios.mean()), atol=1e-9
  )


@pytest.mark.parametrize(
  ('name', 'counts'),
  [
    ('caltech101', coverage.CALTECH),
    ('flowers', coverage.FLOWERS),
    ('aircraft', coverage.AIRCRAFT),
    ('pets', coverage.PETS),
  ],
)
def test_counts_are_those_of_the_test_splits(name, counts):
  row = datasets.row(name)
  assert (len(counts), sum(counts)) == (row.classes, row.counts['test'])


@pytest.mark.parametrize(
  'simulation', coverage.SIMULATIONS, ids=lambda s: s.what
)
def test_simulations_draw(simulation, monkeypatch):
  monkeypatch.setattr(coverage, '_true_map11', lambda: 0.9)
  drawn = simulation.draw(np.random.default_rng(0))
  assert drawn.low < drawn.high
  assert 0 < simulation.nominal < 1
