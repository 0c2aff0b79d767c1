import numpy as np
import pytest
import scipy.interpolate
import scipy.stats

from tests.study.analysis import shift_tables
from tf_transfer.study.analysis import shift_residuals

NAME = shift_tables.NAME


@pytest.fixture(scope='module')
def noise():
  """Normal with a standard deviation of 0.1, none beyond 3.03 of them."""
  ranks = np.random.default_rng(0).permutation(400)
  return 0.1 * scipy.stats.norm.ppf((ranks + 0.5) / 400)


def curved(x):
  return np.sin(x) + 0.3 * x


def natural_spline(x, y, positions):
  """Least squares in SciPy's natural splines through unit values at knots."""
  knots = np.quantile(x, shift_residuals._KNOT_SHARES)
  cardinal = scipy.interpolate.CubicSpline(
    knots, np.eye(len(knots)), bc_type='natural'
  )
  slopes = cardinal(knots[[0, -1]], 1)

  def basis(at):
    values = cardinal(np.clip(at, knots[0], knots[-1]))
    values += np.minimum(at - knots[0], 0)[:, None] * slopes[0]
    return values + np.maximum(at - knots[-1], 0)[:, None] * slopes[1]

  return basis(positions) @ np.linalg.lstsq(basis(x), y)[0]


def test_curve_is_the_natural_cubic_spline(noise):
  x = np.sort(np.random.default_rng(1).uniform(-2, 3, 400))
  y = curved(x) + noise
  positions = np.linspace(-3, 4, 50)
  found = shift_residuals.curve(shift_tables.make(x, y), NAME, positions)
  assert found == pytest.approx(natural_spline(x, y, positions), abs=1e-7)


def test_a_family_does_not_predict_itself(noise):
  """Residuals are of a spline that SciPy fits without the family."""
  x = np.linspace(-1, 2, 400)
  y = curved(x) + noise
  table = shift_tables.make(x, y)
  value = shift_residuals.residuals(table)[NAME].value
  own = table.families == 'f3'
  # All knots are those of all points.
  knots = np.quantile(x, shift_residuals._KNOT_SHARES)
  cardinal = scipy.interpolate.CubicSpline(
    knots, np.eye(len(knots)), bc_type='natural', extrapolate=True
  )
  inner = own & (x > knots[0]) & (x < knots[-1])
  rows = ~own & (x > knots[0]) & (x < knots[-1])
  fit = np.linalg.lstsq(cardinal(x[rows]), y[rows])[0]
  # Those beyond the outer knots, left out here, change the curve a little.
  expected = y[inner] - cardinal(x[inner]) @ fit
  assert value[inner] == pytest.approx(expected, abs=0.03)
  # A family far off its curve does not pull it.
  y = y + 5 * own
  far = shift_residuals.residuals(shift_tables.make(x, y))[NAME].value
  assert far[own] == pytest.approx(value[own] + 5, abs=1e-9)


def test_who_is_better_than_chance(noise):
  """20 of another group, 1 above the curve; 10 spreads, found; others not."""
  x = np.concatenate([np.linspace(-1, 2, 400), np.linspace(-0.9, 1.9, 20)])
  y = curved(x) + np.concatenate([noise, np.full(20, 1.0)])
  groups = ['imagenet_1k'] * 400 + ['language'] * 20
  families = [f'f{i % 10}' for i in range(400)] + ['new'] * 20
  table = shift_tables.make(x, y, groups, families)
  found = shift_residuals.residuals(table)[NAME]
  assert found.better[400:].all()
  assert not found.better[:400].any()
  assert not found.worse.any()
  # The noise is 0.1.
  assert found.score[400:] == pytest.approx(np.full(20, 10), rel=0.35)
  (base, other) = shift_residuals.group_means(table, {NAME: found})
  assert (base.group, base.num_checkpoints, base.num_families) == (
    *('imagenet_1k', 400, 10),
  )
  assert base.low < 0 < base.high
  assert other.mean == pytest.approx(1, abs=0.05)
  assert (other.num_better, other.num_families) == (20, 1)
  assert np.isnan(other.low)


def test_p_is_holms_of_a_normal_score(noise):
  x = np.linspace(-1, 2, 400)
  found = shift_residuals.residuals(shift_tables.make(x, curved(x) + noise))
  one = found[NAME]
  first = np.argmax(np.abs(one.score))
  p = 2 * scipy.stats.norm.sf(np.abs(one.score[first]))
  assert one.p[first] == pytest.approx(min(1, 400 * p))
  assert one.compared.sum() == 400


def test_interval_of_a_group_is_students_over_families(noise):
  x = np.linspace(-1, 2, 400)
  table = shift_tables.make(x, curved(x) + noise)
  found = shift_residuals.residuals(table)
  (mean,) = shift_residuals.group_means(table, found)
  value = found[NAME].value
  means = [value[table.families == f].mean() for f in set(table.families)]
  result = scipy.stats.ttest_1samp(means, 0).confidence_interval(0.95)
  assert (mean.low, mean.high) == pytest.approx((result.low, result.high))


def test_beyond_the_curve_nothing_is_compared(noise):
  x = np.concatenate([np.linspace(-1, 2, 400), [2.5, 1.0]])
  y = np.concatenate([curved(x[:400]) + noise, [9, 9]])
  table = shift_tables.make(x, y, ['imagenet_1k'] * 400 + ['language'] * 2)
  found = shift_residuals.residuals(table)[NAME]
  assert found.num_beyond == 1
  assert np.isnan(found.value[400])
  assert found.better[401]
