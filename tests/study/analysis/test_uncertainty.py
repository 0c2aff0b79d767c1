import numpy as np
import pytest
import scipy.stats

from benchmarks import coverage, coverage_of_runs
from tf_transfer.study.analysis import statistics, uncertainty


def record(values, low=0.75, high=0.85, examples=200):
  """A cell of some runs, with a sampling interval around their mean."""
  test = {'value': 0.8, 'low': low, 'high': high, 'examples': examples}
  runs = [{'seed': i, 'test': {'value': v}} for i, v in enumerate(values)]
  return {'test': test, 'runs': runs} if runs else {'test': test}


def test_one_run_keeps_the_interval_of_the_record():
  one = uncertainty.interval(record([]))
  assert (one.low, one.high) == (0.75, 0.85)
  assert one.covers == uncertainty.IMAGES


def test_folds_keep_the_interval_of_the_record():
  one = uncertainty.interval({**record([]), 'folds': [{}, {}]})
  assert (one.low, one.high) == (0.75, 0.85)
  assert one.covers == uncertainty.IMAGES_AND_TRAINING_SETS
  assert uncertainty.interval(
    {**record([0.78, 0.82]), 'folds': [{}, {}]}
  ) == uncertainty.interval(record([0.78, 0.82]))


def test_several_runs_add_their_variance_in_log_odds():
  values = [0.78, 0.8, 0.82]
  one = uncertainty.interval(record(values))
  assert one.covers == uncertainty.IMAGES_AND_RUNS
  log_odds = statistics.log_odds(np.array(values))
  of_runs = log_odds.var(ddof=1) / 3
  middle, end = statistics.log_odds(np.array([0.8, 0.85]))
  of_images = ((end - middle) / 1.959964) ** 2
  quantile = of_images * 1.959964 + of_runs * scipy.stats.t.ppf(0.975, 2)
  quantile /= of_images + of_runs
  half = quantile * np.sqrt(of_images + of_runs)
  assert statistics.log_odds(one.high) == pytest.approx(middle + half, rel=1e-5)


@pytest.mark.parametrize('value', [0.0, 1.0])
def test_an_end_of_the_scale(value):
  low, high = (0.98, 1.0) if value else (0.0, 0.02)
  several = record([value, value], low, high)
  several['test']['value'] = value
  one = uncertainty.interval(several)
  assert one.low <= value <= one.high


def test_equal_runs_add_nothing():
  one = uncertainty.interval(record([0.8, 0.8]))
  assert (one.low, one.high) == pytest.approx((0.75, 0.85))


def test_quantiles_are_between_the_normal_and_students():
  for tail in (0.025, 0.2):
    z, t = scipy.stats.norm.isf(tail), scipy.stats.t.isf(tail, 2)
    assert uncertainty.combined_quantile(1, 0, 2, tail) == pytest.approx(z)
    assert uncertainty.combined_quantile(0, 1, 2, tail) == pytest.approx(t)
    assert uncertainty.combined_quantile(1, 1, 2, tail) == pytest.approx(
      (z + t) / 2
    )


def test_p_is_where_the_quantile_is_the_ratio():
  assert uncertainty.combined_p(2.0, 1.0, 0.0, 2) == pytest.approx(
    2 * scipy.stats.norm.sf(2)
  )
  assert uncertainty.combined_p(-2.0, 0.0, 1.0, 2) == pytest.approx(
    2 * scipy.stats.t.sf(2, 2)
  )
  assert uncertainty.combined_p(0.0, 1.0, 1.0, 2) == 1
  assert uncertainty.combined_p(1.0, 0.0, 0.0, 2) == 0
  assert uncertainty.combined_p(1e3, 1.0, 0.0, 2) == 0


@pytest.mark.parametrize('degrees', [*range(1, 13), 18, 50])
def test_p_and_quantile_agree_for_any_number_of_runs(degrees):
  for p in (1e-6, 0.05, 0.9):
    quantile = uncertainty.combined_quantile(2.0, 1.0, degrees, p / 2)
    found = uncertainty.combined_p(quantile * np.sqrt(3), 2.0, 1.0, degrees)
    assert found == pytest.approx(p)


def test_next_run():
  assert uncertainty.next_run(record([])) is None
  low, high = uncertainty.next_run(record([0.78, 0.8, 0.82]))
  values = statistics.log_odds(np.array([0.78, 0.8, 0.82]))
  half = scipy.stats.t.ppf(0.975, 2) * values.std(ddof=1) * np.sqrt(4 / 3)
  np.testing.assert_allclose(
    statistics.log_odds(np.array([low, high])),
    [values.mean() - half, values.mean() + half],
  )


def test_next_run_holds_the_next_of_normal_runs_in_95_percent():
  generator = np.random.default_rng(0)
  inside = []
  for _ in range(1000):
    *values, next_one = 1 / (1 + np.exp(-generator.normal(1, 0.1, 4)))
    low, high = uncertainty.next_run(record(values))
    inside.append(low <= next_one <= high)
  assert np.mean(inside) == pytest.approx(0.95, abs=0.021)


@pytest.mark.parametrize('spread', [0.0, 0.3])
def test_coverage(spread):
  """The truth is the mean over all images and runs."""
  (row,) = (
    one
    for one in coverage_of_runs.SIMULATIONS
    if one.name == 'runs' and f'3 runs, spread {spread}' in one.what
  )
  assert coverage.simulate(row, 200).inside >= 0.92
