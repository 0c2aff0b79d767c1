import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from tf_transfer.transfer import metrics


def test_by_hand():
  labels = np.array([0, 0, 0, 1])
  predictions = np.array([0, 0, 1, 1])
  assert metrics.top1(labels, predictions) == 0.75
  # Class 0: 2 of 3; class 1: 1 of 1.
  assert metrics.mean_per_class(labels, predictions) == pytest.approx(5 / 6)


def test_mean_per_class_is_balanced_accuracy():
  rng = np.random.default_rng(0)
  labels = rng.choice([0, 2, 5, 9], 300, p=[0.7, 0.1, 0.15, 0.05])
  predictions = np.where(rng.random(300) < 0.6, labels, rng.choice(labels, 300))
  assert metrics.mean_per_class(labels, predictions) == pytest.approx(
    sklearn.metrics.balanced_accuracy_score(labels, predictions)
  )


@pytest.mark.parametrize('correct', [0, 1, 37, 99, 100])
def test_top1_interval_is_wilsons(correct):
  labels = np.zeros(100, int)
  predictions = np.arange(100) >= correct
  measured = metrics.measure('top1', labels, predictions.astype(int))
  reference = scipy.stats.binomtest(correct, 100).proportion_ci(method='wilson')
  assert measured.value == correct / 100
  assert measured.low == pytest.approx(reference.low, abs=1e-12)
  assert measured.high == pytest.approx(reference.high, abs=1e-12)
  assert measured.examples == 100


def test_effective_examples():
  balanced = np.repeat(np.arange(5), 20)
  assert metrics.effective_examples('mean_per_class', balanced) == 100
  # Two classes of 1 and 99: variance (1 + 1/99) / 4, hardly better than one
  # example of each.
  skewed = np.array([0] + [1] * 99)
  assert metrics.effective_examples('mean_per_class', skewed) == pytest.approx(
    4 / (1 + 1 / 99)
  )


def test_interval_of_mean_per_class_covers_the_truth():
  rng = np.random.default_rng(1)
  accuracy = np.array([0.95, 0.7, 0.85, 0.6])
  counts = np.array([40, 25, 60, 30])
  labels = np.repeat(np.arange(4), counts)
  covered = 0
  for _ in range(400):
    correct = rng.random(len(labels)) < accuracy[labels]
    measured = metrics.measure(
      'mean_per_class', labels, np.where(correct, labels, 9)
    )
    covered += measured.low <= accuracy.mean() <= measured.high
  # 95 % nominal; it errs on the wide side.
  assert covered / 400 > 0.94
