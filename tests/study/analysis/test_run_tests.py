import numpy as np
import pytest

from benchmarks import coverage_of_runs
from tf_transfer import errors
from tf_transfer.study.analysis import run_tests


def test_by_hand():
  # Two runs of four images and one; the scores of an image are a quarter.
  labels = np.zeros(4, int)
  first = np.array([[1, 1, 1, 1], [1, 1, 1, 0]], bool)
  second = np.array([[1, 1, 0, 0]], bool)
  test = run_tests.compare('top1', labels, first, second)
  # Means over runs 1, 1, 1, 1/2 against 1, 1, 0, 0: differences 1/4 and 1/8.
  assert test.value == pytest.approx(3 / 8)
  assert test.sampling == pytest.approx(1 / 16 + 1 / 64)
  # Of 1 and 3/4: variance 1/32, divided by 2 runs and by 1.
  assert test.runs == pytest.approx(1 / 32 * 1.5)
  assert test.degrees == 1
  assert 0.1 < test.p < 1


def test_equal_networks():
  labels = np.zeros(4, int)
  right = np.ones((2, 4), bool)
  assert run_tests.compare('top1', labels, right, right).p == 1


def test_one_run_each_has_no_variance_over_runs():
  one = np.ones((1, 4), bool)
  with pytest.raises(errors.InputError, match='two or more'):
    run_tests.compare('top1', np.zeros(4, int), one, one)
  with pytest.raises(errors.InputError, match='the same examples'):
    run_tests.compare('top1', np.zeros(4, int), one, one[:, :3])


def test_labels_of_map():
  labels = np.array([[1, 0], [0, -1], [1, 1]])
  first = np.ones((2, 3, 2), bool)
  second = np.array([[[1, 1], [0, 1], [1, 1]]], bool)
  test = run_tests.compare('map11', labels, first, second)
  assert test.value == pytest.approx(1 / 5)  # Of five labels that count.


@pytest.mark.parametrize('runs', [(2, 2), (3, 1), (5, 5)])
@pytest.mark.parametrize('spread', [0.0, 0.3])
def test_size_under_the_null(runs, spread):
  """It rejects equal networks in no more than 5 %; see the coverage page."""
  rejected = coverage_of_runs.rejection_rate(runs, spread, repetitions=200)
  # Two standard errors of 200 draws are 3 %.
  assert rejected <= 0.08


def test_images_alone_would_reject_far_too_often():
  rejected = coverage_of_runs.rejection_rate(
    (1, 1), 0.6, repetitions=300, images_alone=True
  )
  assert rejected > 0.3


def test_folds_raise_the_variance_of_the_images():
  generator = np.random.default_rng(0)
  first, second = generator.random((2, 3, 200)) < 0.8
  labels = np.zeros(200, int)
  one = run_tests.compare('top1', labels, first, second)
  folded = run_tests.compare(
    'top1', labels, first, second, variance_factor=2.25
  )
  assert folded.sampling == pytest.approx(2.25 * one.sampling)
  assert folded.runs == one.runs
  assert folded.p > one.p
