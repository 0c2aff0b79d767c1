import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tf_transfer import errors
from tf_transfer.study.analysis import paired_tests, statistics
from tf_transfer.transfer import metrics


def test_difficulty_of_datasets_does_not_count_in_the_error():
  values = np.random.default_rng(0).normal(size=(5, 7))
  _, error = statistics.averages(values)
  _, harder = statistics.averages(values + np.linspace(-9, 9, 7))
  np.testing.assert_allclose(harder, error)


def outcomes(both, first, second, neither):
  """Right or wrong of two networks, so many examples of each kind."""
  pairs = (
    [(True, True)] * both
    + [(True, False)] * first
    + [(False, True)] * second
    + [(False, False)] * neither
  )
  return tuple(np.array(pairs, bool).reshape(-1, 2).T)


def test_mcnemar_by_hand():
  # 1 against 5 of 6: (1 + 6) / 64 in each tail.
  assert paired_tests.mcnemar(*outcomes(9, 1, 5, 2)) == pytest.approx(14 / 64)
  assert paired_tests.mcnemar(*outcomes(9, 0, 10, 0)) == pytest.approx(2 / 1024)
  assert paired_tests.mcnemar(*outcomes(9, 3, 3, 0)) == 1
  assert paired_tests.mcnemar(*outcomes(9, 0, 0, 4)) == 1


def exact(first, second):
  """Share of all ways to swap that lie as far from zero as what was seen."""
  difference = first - second
  swapped = np.array(list(itertools.product([1, -1], repeat=len(first))))
  sums = np.abs((swapped * difference).sum(axis=1))
  return np.mean(sums >= abs(difference.sum()) - 1e-12)


@given(
  hnp.arrays(bool, st.tuples(st.just(2), st.integers(1, 9))),
  st.lists(st.integers(0, 2), min_size=9, max_size=9),
)
# The sum of the differences is zero but for float noise.
@example(
  np.array([[1, 1, 0, 1, 0], [0, 0, 1, 1, 1]], bool),
  [0, 1, 0, 0, 1, 0, 0, 0, 0],
)
def test_permutation_test_is_exact_enumeration(correct, labels):
  labels = np.array(labels)[: correct.shape[1]]
  scores = [
    paired_tests.example_scores('mean_per_class', labels, row)
    for row in correct
  ]
  result = paired_tests.permutation_test(*scores)
  assert result == pytest.approx(exact(*scores), abs=1e-12)
  assert result == paired_tests.compare('mean_per_class', labels, *correct)


@given(hnp.arrays(bool, st.tuples(st.just(2), st.integers(1, 9))))
def test_mcnemar_is_the_permutation_test_of_top1(correct):
  scores = [
    paired_tests.example_scores('top1', np.zeros(len(row)), row)
    for row in correct
  ]
  assert paired_tests.mcnemar(*correct) == pytest.approx(exact(*scores))


def test_drawn_permutations_come_near_the_exact():
  """40 that differ, all of one weight: the binomial is exact."""
  first, second = outcomes(50, 27, 13, 10)
  p = paired_tests.mcnemar(first, second)
  result = paired_tests.permutation_test(first / 100, second / 100)
  # Four standard errors of 10,000 draws, doubled as p is of two tails.
  assert abs(result - p) < 8 * np.sqrt(p / 2 / 10_000)


def test_example_scores_add_up_to_the_metric():
  generator = np.random.default_rng(0)
  labels, predictions = generator.integers(0, 5, size=(2, 60))
  for metric in ('top1', 'mean_per_class'):
    scores = paired_tests.example_scores(metric, labels, labels == predictions)
    assert scores.sum() == pytest.approx(
      metrics.METRICS[metric](labels, predictions)
    )


def test_difficult_labels_do_not_count():
  labels = np.array([[1, -1], [0, 1]])
  correct = np.array([[True, True], [False, True]])
  # Of three labels the first image has one, right, the second two, one right.
  np.testing.assert_allclose(
    paired_tests.example_scores('map11', labels, correct), [1 / 3, 1 / 3]
  )


def test_comparing_needs_the_same_examples():
  with pytest.raises(errors.InputError, match='the same examples'):
    paired_tests.compare(
      'top1', np.zeros(3, int), np.ones(3, bool), np.ones(2, bool)
    )


def test_paired_t_test():
  first, second = np.random.default_rng(0).normal(size=(2, 12))
  difference = first - second
  t = difference.mean() / (difference.std(ddof=1) / np.sqrt(12))
  assert paired_tests.paired_t_test(first, second) == pytest.approx(
    2 * scipy.stats.t.sf(abs(t), 11)
  )
  assert paired_tests.paired_t_test(first, first) == 1
  assert paired_tests.paired_t_test(np.array([2.0, 3]), np.array([1.0, 2])) == 0
  with pytest.raises(errors.InputError, match='two or more; found 1'):
    paired_tests.paired_t_test(np.ones(1), np.zeros(1))


def test_holm_by_hand():
  # Sorted 0.01, 0.02, 0.03, 0.4 times 4, 3, 2, 1, never falling.
  np.testing.assert_allclose(
    paired_tests.holm([0.02, 0.4, 0.01, 0.03]), [0.06, 0.4, 0.04, 0.06]
  )
  np.testing.assert_allclose(paired_tests.holm([0.9, 0.8]), [1, 1])
  assert paired_tests.holm([]).shape == (0,)
