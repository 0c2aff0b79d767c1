import numpy as np
import pytest
import scipy.stats

from tf_transfer.study.analysis import jackknife


def test_interval_by_hand():
  """tanh 0.5, and z without each of four groups off by 0.1, −0.1, 0.2 and 0.

  Variance 3/4 · 0.06 = 0.045; Student's 97.5 % point of 3 degrees of freedom is
  3.1824: half the width is 3.1824 · √0.045 = 0.67509.
  """
  without = np.tanh([0.6, 0.4, 0.7, 0.5])
  low, high = jackknife.interval(np.tanh(0.5), without)
  assert np.arctanh(low) == pytest.approx(0.5 - 0.67509, abs=1e-5)
  assert np.arctanh(high) == pytest.approx(0.5 + 0.67509, abs=1e-5)


def test_two_ways_by_hand():
  """Variances add up; Satterthwaite's degrees of freedom.

  0.045 with 3 and 2/3 · 0.02 = 0.013333 with 2: 0.058333² / (0.045² / 3 +
  0.013333² / 2) = 4.4538 degrees of freedom.
  """
  families, datasets = np.tanh([0.6, 0.4, 0.7, 0.5]), np.tanh([0.6, 0.4, 0.5])
  low, high = jackknife.interval(np.tanh(0.5), families, datasets)
  half = (np.arctanh(high) - np.arctanh(low)) / 2
  # By hand 0.64439, narrower than of families alone: those stand.
  assert scipy.stats.t.ppf(0.975, 4.4538) * np.sqrt(0.058333) == pytest.approx(
    0.64439, abs=1e-4
  )
  assert half == pytest.approx(0.67509, abs=1e-5)
  datasets = np.tanh([0.9, 0.1, 0.5])
  low, high = jackknife.interval(np.tanh(0.5), families, datasets)
  total = 0.045 + 2 / 3 * 0.32
  degrees = total**2 / (0.045**2 / 3 + (2 / 3 * 0.32) ** 2 / 2)
  expected = scipy.stats.t.ppf(0.975, degrees) * np.sqrt(total)
  alone = scipy.stats.t.ppf(0.975, 2) * np.sqrt(2 / 3 * 0.32)
  half = (np.arctanh(high) - np.arctanh(low)) / 2
  assert half == pytest.approx(max(expected, alone))


@pytest.mark.parametrize(
  'ways',
  [
    [[0.4, 0.6]],
    [[0.4, 0.5, 0.6], [0.4, 0.6]],
    [[0.4, 0.5, np.nan]],
    [[0.4, 0.5, 1.0]],
    [[]],
  ],
)
def test_no_interval_of_too_few_groups_or_without_a_value(ways):
  ends = jackknife.interval(0.5, *map(np.array, ways))
  assert np.isnan(ends).all()
  assert np.isnan(jackknife.interval(1.0, np.array([0.4, 0.5, 0.6]))).all()
