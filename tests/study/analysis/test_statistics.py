import numpy as np
import pytest

from tf_transfer import errors
from tf_transfer.study.analysis import statistics


def test_log_odds_by_hand():
  # log 1 = 0, log 3, log (1/9).
  np.testing.assert_allclose(
    statistics.log_odds(np.array([0.5, 0.75, 0.1])),
    [0, 1.0986122886681098, -2.1972245773362196],
    rtol=1e-14,
  )


def test_continuity_correction_is_half_an_example():
  # 0 and 100 of 100 become 0.5 and 99.5; 1 and 99 stay.
  result = statistics.log_odds(np.array([0, 0.01, 0.99, 1]), 100)
  by_hand = np.log([0.5 / 99.5, 1 / 99, 99, 99.5 / 0.5])
  np.testing.assert_allclose(result, by_hand, rtol=1e-12)


def test_log_odds_of_what_has_none():
  with pytest.raises(errors.InputError, match='0 or 100 % has no log-odds'):
    statistics.log_odds(np.array([0.3, 1.0]))
  with pytest.raises(errors.InputError, match='divide percentages by 100'):
    statistics.log_odds(np.array([0.3, 93.3]))
  assert np.isnan(statistics.log_odds(np.nan))


def test_averages_and_morey_by_hand():
  values = np.array([[1.0, 2, 6], [3, 2, 4]])
  mean, error = statistics.averages(values)
  np.testing.assert_allclose(mean, [3, 3])
  # Less the datasets' means 2, 2, 5: [-1, 0, 1] and [1, 0, -1]. Sample SD
  # √(2/2), over √3, times √(2/1).
  np.testing.assert_allclose(error, np.full(2, np.sqrt(2 / 2 / 3 * 2)))


def test_morey_of_six_datasets_is_as_the_papers():
  values = np.array([[1.0, 2, 6, 1, 2, 6], [3, 2, 4, 3, 2, 4]])
  _, error = statistics.averages(values)
  # As above, twice: population SD √(4/6), over √6, times √(2/1).
  np.testing.assert_allclose(error, np.full(2, np.sqrt(4 / 6 / 6 * 2)))
  assert [n for n in range(2, 13) if statistics.uses_sample_sd(n)] == [
    *(2, 3, 4, 5),
  ]


def test_morey_of_few_datasets_is_not_too_small():
  """Over many draws its square is the variance of the mean, as for many."""
  generator = np.random.default_rng(0)
  for num_datasets in (2, 3, 5):
    values = generator.normal(size=(4000, 4, num_datasets))
    squares = np.mean([statistics.averages(v)[1] ** 2 for v in values])
    assert squares == pytest.approx(1 / num_datasets, rel=0.03)


@pytest.mark.parametrize('shape', [(1, 4), (4, 1)])
def test_no_error_of_one_network_or_one_dataset(shape):
  mean, error = statistics.averages(np.ones(shape))
  np.testing.assert_array_equal(mean, np.ones(shape[0]))
  assert np.isnan(error).all()


def test_steps_to_share_by_hand():
  # Odds 1, 3, 4, 3.5 of accuracies that are odds / (1 + odds).
  odds = np.array([1, 3, 4, 3.5])
  steps = np.array([76, 152, 305, 610])
  accuracy = odds / (1 + odds)
  assert statistics.steps_to_share(steps, accuracy, 0.75 - 1e-9) == 152
  assert statistics.steps_to_share(steps, accuracy) == 305
  assert statistics.steps_to_share(steps, accuracy, 0.2) == 76
