"""Tests the linear SVM against scikit-learn on normalized features."""

import numpy as np
import pytest
import sklearn.preprocessing
import sklearn.svm


def expected_scores(
  x: np.ndarray, labels: np.ndarray, penalty: float, test: np.ndarray
) -> np.ndarray:
  """Fits scikit-learn's LinearSVC to features [N, D] and labels [N]."""
  model = sklearn.svm.LinearSVC(
    C=1 / penalty, tol=1e-8, max_iter=100_000, dual=False
  )
  normalize = sklearn.preprocessing.normalize
  model.fit(normalize(x.astype(np.float64)), labels)
  return model.decision_function(normalize(test.astype(np.float64)))


@pytest.mark.parametrize('num_classes', [10, 2])
def test_agrees_with_scikit_learn(digits, fit, num_classes):
  x, y, test = digits
  x, y = x[y < num_classes], y[y < num_classes]
  grid = [0.01, 1.0]
  svm = fit(
    'linear_svm',
    x,
    y,
    grid,
    num_classes,
    tolerance=1e-8,
    max_evaluations=100_000,
  )
  assert svm.converged.all()
  for penalty, scores in zip(grid, svm.scores(test), strict=True):
    expected = expected_scores(x, y, penalty, test)
    assert scores.shape == (len(test), num_classes)
    if num_classes == 2:
      expected = np.stack([-expected, expected], axis=1)
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_multi_label_leaves_out_ignored_examples(
  digits, digits_multi_label, fit
):
  x, _, test = digits
  # The fourth class has no example.
  labels = np.pad(digits_multi_label, [(0, 0), (0, 1)])
  svm = fit('linear_svm', x, labels, [0.1], 4, tolerance=1e-8)
  (scores,) = svm.scores(test)
  for c in range(3):
    counted = labels[:, c] != -1
    expected = expected_scores(x[counted], labels[counted, c], 0.1, test)
    np.testing.assert_allclose(scores[:, c], expected, atol=1e-5)
  assert (scores[:, 3] == -np.inf).all()


def test_reports_which_penalties_did_not_converge(digits, fit):
  x, y, _ = digits
  svm = fit('linear_svm', x, y, [1e-6, 1e4], 10, max_evaluations=8)
  assert list(svm.converged) == [False, True]
