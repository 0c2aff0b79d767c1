import numpy as np
import pytest

from tests.study.analysis.tables import make_table
from tf_transfer.study.analysis import attenuation


def test_reliability_by_hand():
  """Variance 2.5 of 1 to 5; errors 0, 1, 0, 1, 0.5: 2.25 / 5 / 2.5 = 0.18."""
  errors = np.array([0, 1, 0, 1, 0.5])
  values = np.arange(1.0, 6)
  assert attenuation.reliability(values, errors) == pytest.approx(0.82)
  assert attenuation.reliability(values, 0 * errors) == 1
  assert attenuation.reliability(values, 9 * errors) == 0.1


def test_what_errors_leave_of_a_correlation():
  """By the delta method: 0.01 at 0.8 is 0.01 / 0.16 = 0.0625 in log-odds."""
  table = make_table(
    top1=[0.8, 0.7, 0.6],
    accuracy=[[0.9, 0.8], [0.8, 0.7], [0.7, 0.5]],
    top1_error=[0.01, 0, 0],
    run_error=[[0.3, 0.4], [np.nan, np.nan], [0.2, np.nan]],
  )
  result = attenuation.from_table(table)
  x = np.log(table.imagenet_top1 / (1 - table.imagenet_top1))
  assert result.top1 == pytest.approx(1 - 0.0625**2 / 3 / x.var(ddof=1))
  # Of means over two datasets: 0.5 / 2, none and 0.2 / 2.
  y = table.log_odds.mean(axis=1)
  assert result.mean == pytest.approx(
    1 - (0.25**2 + 0.1**2) / 3 / y.var(ddof=1)
  )
  assert result.factor == pytest.approx(np.sqrt(result.top1 * result.mean))
  assert (result.num_top1, result.num_cells) == (1, 3)


def test_without_known_errors_nothing_changes():
  table = make_table(top1=[0.8, 0.7, 0.6], accuracy=[[0.9], [0.8], [0.7]])
  result = attenuation.from_table(table)
  assert not result.is_known
  assert result.factor == 1
  assert result.widened(0.1234, 0.5678) == (0.1234, 0.5678)


@pytest.mark.parametrize(
  ('ends', 'expected'),
  [
    ((0.2, 0.4), (0.2, 0.5)),
    ((-0.2, 0.4), (-0.25, 0.5)),
    ((-0.4, -0.2), (-0.5, -0.2)),
    ((0.5, 0.9), (0.5, 1.0)),
  ],
)
def test_an_interval_is_widened_to_contain_both(ends, expected):
  errors = attenuation.Attenuation(0.8, 0.8, 1, 1)
  assert errors.widened(*ends) == pytest.approx(expected)


def test_the_factor_is_that_by_which_noise_weakens_r():
  """100,000 networks, of which noise leaves the factor times r."""
  generator = np.random.default_rng(8)
  x = generator.normal(size=100_000)
  y = 0.8 * x + 0.6 * generator.normal(size=len(x))
  x_error, y_error = 0.3 * np.ones(len(x)), generator.uniform(0, 1, len(x))
  noisy_x = x + x_error * generator.normal(size=len(x))
  noisy_y = y + y_error * generator.normal(size=len(x))
  errors = attenuation.Attenuation(
    attenuation.reliability(noisy_x, x_error),
    attenuation.reliability(noisy_y, y_error),
    1,
    1,
  )
  measured = np.corrcoef(noisy_x, noisy_y)[0, 1]
  assert measured == pytest.approx(0.665, abs=0.01)
  assert errors.corrected(measured) == pytest.approx(0.8, abs=0.01)
