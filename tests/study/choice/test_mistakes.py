"""Tests which mistakes are the worst and which labels are doubtful."""

import numpy as np
import pytest

from tf_transfer.study.choice import mistakes

# 16 images of 3 classes; what is doubtful, in which order, and the thresholds
# are the output of cleanlab 2.9.0: find_label_issues with
# filter_by='confident_learning' and return_indices_ranked_by=
# 'normalized_margin', and get_confident_thresholds.
LABELS = np.array([0, 2, 2, 0, 1, 0, 0, 1, 2, 1, 1, 2, 1, 1, 0, 0])
PROBABILITIES = np.array(
  [
    *([0.52, 0.42, 0.06], [0.01, 0.95, 0.04], [0.25, 0.02, 0.73]),
    *([0.6, 0.35, 0.05], [0.17, 0.57, 0.26], [0.02, 0.15, 0.83]),
    *([0.94, 0.0, 0.06], [0.29, 0.49, 0.22], [0.42, 0.09, 0.49]),
    *([0.62, 0.37, 0.01], [0.31, 0.68, 0.01], [0.14, 0.3, 0.56]),
    *([0.5, 0.44, 0.06], [0.45, 0.49, 0.06], [0.18, 0.14, 0.68]),
    [0.51, 0.03, 0.46],
  ]
)
THRESHOLDS = [0.4616666666666667, 0.5066666666666667, 0.455]
DOUBTFUL = [1, 5, 14, 9, 12]


def doubtful(labels, p):
  return mistakes.doubtful(labels, p, np.ones(len(labels), bool))


def test_thresholds_are_cleanlabs():
  assert mistakes.thresholds(LABELS, PROBABILITIES) == pytest.approx(THRESHOLDS)


def test_doubtful_labels_are_cleanlabs():
  found, other = doubtful(LABELS, PROBABILITIES)
  assert found.tolist() == DOUBTFUL
  assert other.tolist() == [1, 2, 2, 0, 0]


def test_wrong_labels_are_found_among_many_images():
  generator = np.random.default_rng(0)
  truth = generator.integers(10, size=2000)
  p = generator.dirichlet(np.ones(10), size=2000)
  p[np.arange(2000), truth] += 2
  p /= p.sum(axis=1, keepdims=True)
  labels = truth.copy()
  wrong = generator.choice(2000, 40, replace=False)
  labels[wrong] = (labels[wrong] + 1 + generator.integers(9, size=40)) % 10
  found, other = doubtful(labels, p.astype(np.float32))
  assert set(found[:24].tolist()) <= set(wrong.tolist())
  np.testing.assert_array_equal(other[:24], truth[found[:24]])


def test_a_class_without_images_is_no_other_class():
  p = np.array([[0.6, 0.4, 0.0], [0.1, 0.9, 0.0], [0.0, 0.1, 0.9]])
  labels = np.array([0, 1, 1])
  assert mistakes.thresholds(labels, p)[2] == np.inf
  found, _ = doubtful(labels, p)
  assert found.tolist() == []


def test_a_class_that_was_not_fitted_is_neither_doubted_nor_another():
  """Its images would set its threshold to 0, which every image reaches."""
  p = np.array([[0.8, 0.2, 0.0], [0.4, 0.6, 0.0], [0.1, 0.9, 0.0]])
  p = np.concatenate([p, [[0.4, 0.6, 0.0], [0.45, 0.55, 0.0]]])
  labels = np.array([0, 0, 1, 1, 2])
  assert doubtful(labels, p)[1].tolist() == [2, 2]  # of probability 0
  positions, others = mistakes.doubtful(labels, p, labels != 2)
  assert positions.tolist() == []
  assert others.tolist() == []


def test_equal_probabilities_reach_their_own_mean():
  """float32 values whose mean in float64 is not quite the same number."""
  p = np.tile(np.float32([0.3, 0.7]), (7, 1))
  found, _ = doubtful(np.array([0] * 3 + [1] * 4), p)
  assert found.tolist() == [0, 1, 2]


def test_worst_mistakes():
  labels = np.array([0, 0, 1, 1, 0])
  p = np.array([[0.2, 0.8], [0.9, 0.1], [0.7, 0.3], [0.6, 0.4], [0.05, 0.95]])
  found = mistakes.worst(labels, p.argmax(axis=1), p)
  assert found.tolist() == [4, 0, 2, 3]


def test_no_mistake():
  labels = np.array([0, 1])
  found = mistakes.worst(labels, labels, np.eye(2))
  assert found.tolist() == []


def test_at_most_24_are_shown():
  labels = np.zeros(100, int)
  p = np.tile([0.4, 0.6], (100, 1))
  assert len(mistakes.worst(labels, labels + 1, p)) == 24
