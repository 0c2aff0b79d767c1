"""Tests what fitting a classifier returns, on numbers worked out by hand."""

import numpy as np

from tf_transfer.transfer.fixed_features import fitted


def test_normalize_divides_rows_by_their_length():
  rows = fitted.normalize(np.array([[3.0, 4.0], [0.0, 0.0], [0.0, -2.0]]))
  np.testing.assert_allclose(rows, [[0.6, 0.8], [0.0, 0.0], [0.0, -1.0]])


def test_scores_of_each_grid_value():
  """Two penalties, two values a feature vector, one class."""
  weights = np.array([[[1.0], [2.0]], [[10.0], [0.0]]])
  bias = np.array([[0.5], [-1.0]])
  features = np.array([[3.0, 4.0], [0.0, 5.0]])
  linear = fitted.FittedLinear(weights, bias, np.ones(2, bool))
  np.testing.assert_allclose(
    list(linear.scores(features)), [[[11.5], [10.5]], [[29.0], [-1.0]]]
  )
  linear = fitted.FittedLinear(weights, bias, np.ones(2, bool), normalized=True)
  np.testing.assert_allclose(
    list(linear.scores(features)), [[[2.7], [2.5]], [[5.0], [-1.0]]]
  )
