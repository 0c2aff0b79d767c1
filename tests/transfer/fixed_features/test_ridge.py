"""Tests ridge regression against its normal equations."""

import numpy as np
import pytest


def expected_scores(
  x: np.ndarray, targets: np.ndarray, penalty: float, test: np.ndarray
) -> np.ndarray:
  """Solves for standardized features with a column of 100."""
  x, test = x.astype(np.float64), test.astype(np.float64)
  mean, std = x.mean(axis=0), x.std(axis=0) + 1e-5
  x, test = (
    np.pad((a - mean) / std, [(0, 0), (0, 1)], constant_values=100)
    for a in (x, test)
  )
  gram = x.T @ x + penalty * np.eye(x.shape[1])
  return test @ np.linalg.solve(gram, x.T @ targets)


@pytest.mark.parametrize('count', [300, 40])
def test_solves_its_equations(digits, fit, count):
  """With more examples than features, and with fewer."""
  x, y, test = (digits[0][:count], digits[1][:count], digits[2])
  grid = [2.0**-4, 1.0, 2.0**10]
  ridge = fit('ridge', x, y, grid, 10)
  targets = 2 * np.eye(10)[y] - 1
  for penalty, scores in zip(grid, ridge.scores(test), strict=True):
    expected = expected_scores(x, targets, penalty, test)
    np.testing.assert_allclose(scores, expected, rtol=1e-7, atol=1e-7)


def test_multi_label_leaves_out_ignored_examples(
  digits, digits_multi_label, fit
):
  x, _, test = digits
  labels = digits_multi_label
  (scores,) = fit('ridge', x, labels, [8.0], 3).scores(test)
  for c in range(3):
    counted = labels[:, c] != -1
    expected = expected_scores(
      x[counted], 2.0 * labels[counted, c : c + 1] - 1, 8.0, test
    )
    np.testing.assert_allclose(scores[:, [c]], expected, rtol=1e-7, atol=1e-7)
