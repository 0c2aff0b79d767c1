"""Checks how often the intervals of a correlation contain the truth.

`benchmarks.coverage` draws each 4,000 times; docs/intervals.md has its table.
"""

import functools
import itertools

import numpy as np
import pytest

from benchmarks import coverage_correlations
from tf_transfer.study.analysis import evidence

FAMILIES_AND_DATASETS = functools.partial(
  coverage_correlations.draw_over_datasets, evidence.FAMILIES_AND_DATASETS
)


def covered(draw, repetitions):
  """Draws with a fixed seed, and returns how often the truth was inside."""
  generator = np.random.default_rng(12)
  draws = np.array([draw(generator) for _ in range(repetitions)])
  low, truth, high = draws.T
  return np.mean((low <= truth) & (truth <= high))


@pytest.mark.parametrize(('rho', 'intraclass'), [(0.0, 0.6), (0.9, 0.0)])
def test_over_families_covers_whatever_families_share(rho, intraclass):
  """Three standard errors of 400 draws are 3.3 points, of 95 %."""
  draw = functools.partial(
    coverage_correlations.draw_over_families, rho, intraclass
  )
  assert 0.917 <= covered(draw, 400) <= 0.983


def test_bootstrap_over_five_families_covers_too_rarely():
  """About 85 %, which is why the interval is another."""
  draw = functools.partial(
    coverage_correlations.draw_bootstrap_of_families, 0.5, 0.0
  )
  assert covered(draw, 400) < 0.90


@pytest.mark.parametrize(
  ('intraclass', 'spread'), [(0.0, (0.5, 0.5)), (0.6, (1.5, 0.5))]
)
def test_over_families_and_datasets_covers(intraclass, spread):
  draw = functools.partial(FAMILIES_AND_DATASETS, 0.5, intraclass, spread)
  assert covered(draw, 200) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 200)


@pytest.mark.parametrize(
  ('draw', 'size'),
  [
    (coverage_correlations.draw_with_runs, 1.2),
    (coverage_correlations.draw_with_top1_error, 0.7),
  ],
)
def test_errors_that_are_allowed_for_are_covered(draw, size):
  """They are not where errors of measurement are ignored."""
  allowed = functools.partial(draw, 0.9, size)
  assert covered(allowed, 200) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 200)
  ignored = functools.partial(draw, 0.9, size, allow=False)
  assert covered(ignored, 200) < 0.95 - 3 * np.sqrt(0.95 * 0.05 / 200)


def test_bootstrap_of_families_is_that_of_all_resamples():
  """By 3,125 equally likely resamples, one by one."""
  x, y = np.random.default_rng(3).normal(size=(2, 16))
  family = coverage_correlations.FAMILY
  drawn = []
  for families in itertools.product(range(5), repeat=5):
    rows = np.concatenate([np.flatnonzero(family == f) for f in families])
    drawn.append(np.corrcoef(x[rows], y[rows])[0, 1])
  expected = np.quantile(drawn, [0.025, 0.975], method='inverted_cdf')
  assert coverage_correlations.bootstrap_of_families(x, y) == pytest.approx(
    tuple(expected)
  )


def test_networks_have_the_correlation_and_share_families_effects():
  generator = np.random.default_rng(2)
  x, y = np.array(
    [
      coverage_correlations.draw_networks(0.5, 0.6, generator)
      for _ in range(4000)
    ]
  ).transpose(1, 0, 2)
  assert np.corrcoef(x[:, 0], y[:, 0])[0, 1] == pytest.approx(0.5, abs=0.04)
  # The first two are of one family, the last of another.
  assert np.corrcoef(x[:, 0], x[:, 1])[0, 1] == pytest.approx(0.6, abs=0.04)
  assert np.corrcoef(x[:, 0], x[:, 15])[0, 1] == pytest.approx(0, abs=0.05)
  assert x.std() == pytest.approx(1, abs=0.02)


def test_truth_over_datasets_is_what_many_networks_have():
  """Of 30,000 networks, each a family of one, on 12 datasets; 50 such sets."""
  generator = np.random.default_rng(7)
  found = []
  for _ in range(50):
    x, noise = generator.normal(size=(2, 30_000))
    y = 0.5 * x + np.sqrt(0.75) * noise
    slope = 0.5 * generator.normal(size=12).mean()
    rest = np.sqrt(2 / 12) * 0.5 * generator.normal(size=len(x))
    found.append(np.arctanh(np.corrcoef(x, y + slope * x + rest)[0, 1]))
  truth = coverage_correlations.truth_over_datasets(0.5, 0.5, 0.5)
  error = 3 * np.std(found) / np.sqrt(len(found))
  assert np.arctanh(truth) == pytest.approx(np.mean(found), abs=error)
