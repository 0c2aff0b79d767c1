import numpy as np
import pytest
import scipy.stats

from tests.study.report.table_records import record
from tf_transfer.study.analysis import estimator_ranks


def records_of(accuracies, values, dataset='digits', name='logme'):
  return [
    record(
      f'net{i}',
      0.7,
      accuracy,
      dataset,
      estimates={
        name: {
          'value': value,
          'seconds': 0.5,
          'reason': 'no head' if value is None else '',
        }
      },
      fit_seconds=10.0,
    )
    for i, (accuracy, value) in enumerate(zip(accuracies, values, strict=True))
  ]


def tau_by_pairs(x, y, ranks):
  """Weighted tau by its definition, a pair at a time."""
  both = only_x = only_y = 0
  for i in range(len(x)):
    for j in range(i):
      weight = 1 / (1 + ranks[i]) + 1 / (1 + ranks[j])
      a, b = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])
      both += weight * a * b
      only_x += weight * a**2
      only_y += weight * b**2
  return both / np.sqrt(only_x * only_y)


@pytest.mark.parametrize('decimals', [0, 8])
def test_correlations_are_scipys(decimals):
  """With ties among estimates and without."""
  rng = np.random.default_rng(0)
  x, y = rng.normal(size=(2, 30, 9))
  y = y.round(decimals)
  tau, rho = estimator_ranks.rank_correlations(x, y)
  for r in range(30):
    ranks = (-x[r]).argsort().argsort()  # The best has 0.
    want = scipy.stats.weightedtau(x[r], y[r], rank=ranks).statistic
    assert tau[r] == pytest.approx(want, abs=1e-12)
    want = scipy.stats.spearmanr(x[r], y[r]).statistic
    assert rho[r] == pytest.approx(want, abs=1e-12)


def test_equal_accuracies_share_the_best_of_their_ranks():
  """SciPy's weightedtau takes no ranks that are equal."""
  rng = np.random.default_rng(0)
  x, y = rng.normal(size=(2, 30, 9)).round(1)
  assert any(len(set(row)) < 9 for row in x)
  tau, rho = estimator_ranks.rank_correlations(x, y)
  for r in range(30):
    ranks = scipy.stats.rankdata(-x[r], 'min') - 1
    want = tau_by_pairs(x[r], y[r], ranks)
    assert tau[r] == pytest.approx(want, abs=1e-12)
    want = scipy.stats.spearmanr(x[r], y[r]).statistic
    assert rho[r] == pytest.approx(want, abs=1e-12)


def test_equal_values_have_no_correlation():
  values = estimator_ranks.rank_correlations(np.ones((1, 4)), np.eye(4)[:1])
  assert np.isnan(values).all()


def test_one_dataset():
  (one,) = estimator_ranks.rank(
    records_of([0.5, 0.6, 0.7, 0.8, 0.9], [1, 2, 3, 4, 5])
  )
  assert (one.estimator, one.dataset, one.num_networks) == (
    'logme',
    'digits',
    5,
  )
  assert (one.tau.value, one.rho.value) == (pytest.approx(1), pytest.approx(1))
  assert (one.seconds, one.of_fit) == (0.5, pytest.approx(0.05))


def test_interval_is_wider_with_fewer_networks_and_contains_the_value():
  rng = np.random.default_rng(1)
  widths = []
  for count in (6, 40):
    accuracy = rng.uniform(0.3, 0.9, count)
    noisy = accuracy + rng.normal(scale=0.15, size=count)
    (one,) = estimator_ranks.rank(records_of(accuracy, noisy))
    assert one.tau.low <= one.tau.value <= one.tau.high
    assert one.rho.low <= one.rho.value <= one.rho.high
    widths.append(one.rho.high - one.rho.low)
  assert widths[0] > 2 * widths[1]


def test_below_five_networks_there_is_no_interval():
  (four,) = estimator_ranks.rank(records_of([0.5, 0.6, 0.7, 0.8], [1, 3, 2, 4]))
  assert four.rho.value == pytest.approx(0.8)
  assert np.isnan([four.tau.low, four.rho.high]).all()
  (two,) = estimator_ranks.rank(records_of([0.5, 0.6], [1, 3]))
  assert np.isnan(two.rho.value)


def test_networks_without_an_estimate_are_left_out_with_the_reason():
  (one,) = estimator_ranks.rank(
    records_of([0.5, 0.6, 0.7, 0.8], [1, 2, 3, None])
  )
  assert (one.num_networks, one.reasons) == (3, ('no head',))
  assert one.tau.value == pytest.approx(1)


def test_mean_over_datasets():
  accuracies = [0.5, 0.6, 0.7, 0.8, 0.9]
  ranks = estimator_ranks.rank(
    records_of(accuracies, [1, 2, 3, 4, 5])
    + records_of(accuracies, [5, 4, 3, 2, 1], 'dtd')
  )
  assert [one.dataset for one in ranks] == ['digits', 'dtd', '']
  assert [one.rho.value for one in ranks] == pytest.approx([1, -1, 0])
  # Draws of one dataset twice reach both ends.
  assert (ranks[2].rho.low, ranks[2].rho.high) == pytest.approx((-1, 1))


def test_records_without_estimates_show_nothing():
  assert estimator_ranks.rank([record('a', 0.7, 0.9)]) == []
