import numpy as np
import pytest
import scipy.stats

from tf_transfer import errors
from tf_transfer.study.analysis import dependent_correlations


@pytest.mark.parametrize(
  ('first', 'second', 'between', 'count', 't', 'p'),
  [
    # R's cocor: cocor.dep.groups.overlap(.3, .4, .5, 100), williams1959, which
    # its tests take from the program of Silver, Hittner and May (2006).
    (0.3, 0.4, 0.5, 100, -1.0767, 0.2843),
    # R's psych: r.test(103, .4, .5, .1), Steiger's example.
    (0.4, 0.5, 0.1, 103, -0.89, 0.37),
  ],
)
def test_williams(first, second, between, count, t, p):
  found = dependent_correlations.williams(first, second, between, count)
  decimals = len(f'{t}'.partition('.')[2])
  assert [round(one, decimals) for one in found] == [t, p]
  swapped = dependent_correlations.williams(second, first, between, count)
  assert swapped == pytest.approx((-found[0], found[1]))


def test_equal_correlations():
  assert dependent_correlations.williams(0.5, 0.5, 1.0, 16) == (0, 1)


def draw(generator, count=16, noise=(0.5, 0.5)):
  x = generator.normal(size=count)
  shared = generator.normal(size=count)
  own = generator.normal(size=(2, count)) * 0.5
  return x, x + noise[0] * (shared + own[0]), x + noise[1] * (shared + own[1])


def test_williams_size_and_power():
  generator = np.random.default_rng(0)
  rates = []
  for noise in ((1, 1), (0.3, 1.5)):
    p = []
    for _ in range(2000):
      x, first, second = draw(generator, noise=noise)
      r = np.corrcoef([x, first, second])
      _, one = dependent_correlations.williams(r[0, 1], r[0, 2], r[1, 2], 16)
      p.append(one <= 0.05)
    rates.append(np.mean(p))
  # Three standard errors of 2,000 draws are 1.5 %.
  assert rates[0] == pytest.approx(0.05, abs=0.015)
  assert rates[1] > 0.5


def test_compare():
  x, first, second = draw(np.random.default_rng(1), noise=(0.2, 2.0))
  families = ['a', 'b', 'c', 'd'] * 4
  change = dependent_correlations.compare(
    x, first, second, families, resamples=2000
  )
  assert change.first == pytest.approx(scipy.stats.pearsonr(x, first).statistic)
  assert change.second == pytest.approx(
    scipy.stats.pearsonr(x, second).statistic
  )
  difference = change.first - change.second
  for low, high in (
    (change.low, change.high),
    (change.family_low, change.family_high),
  ):
    assert low < difference < high
  assert change.p < 0.05
  assert change.num_networks == 16
  # SciPy's own bootstrap of the same statistic.
  scipys = scipy.stats.bootstrap(
    (x, first, second),
    lambda x, a, b: np.corrcoef(x, a)[0, 1] - np.corrcoef(x, b)[0, 1],
    paired=True,
    vectorized=False,
    n_resamples=2000,
    method='percentile',
    rng=np.random.default_rng(1),
  ).confidence_interval
  assert (change.low, change.high) == pytest.approx(tuple(scipys), abs=0.05)


def test_jackknife_by_hand():
  """Leaving out each of M families of one is the usual jackknife."""
  x, first, second = draw(np.random.default_rng(2), count=8)
  change = dependent_correlations.compare(
    x, first, second, list('abcdefgh'), resamples=100
  )
  without = []
  for i in range(8):
    kept = np.arange(8) != i
    r = np.corrcoef([x[kept], first[kept], second[kept]])
    without.append(r[0, 1] - r[0, 2])
  difference = change.first - change.second
  error = np.sqrt(7 / 8 * np.sum((np.array(without) - difference) ** 2))
  assert change.family_high - difference == pytest.approx(
    scipy.stats.t.ppf(0.975, 7) * error
  )
  two = dependent_correlations.compare(
    x, first, second, ['a', 'b'] * 4, resamples=100
  )
  assert np.isnan(two.family_low)


def test_what_has_no_comparison():
  x = np.arange(4.0)
  with pytest.raises(errors.InputError, match='five|5 networks or more'):
    dependent_correlations.compare(x, x, x, list('abcd'))
  x = np.arange(6.0)
  with pytest.raises(errors.InputError, match='the same'):
    dependent_correlations.compare(x, x, np.ones(6), list('abcdef'))
