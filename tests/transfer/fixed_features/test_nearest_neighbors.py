"""Tests the nearest neighbors against scikit-learn."""

import numpy as np
import pytest
import sklearn.neighbors

from tf_transfer import errors


def test_agrees_with_scikit_learn(digits, fit):
  x, y, test = digits
  grid = [1, 4, 30]
  neighbors = fit('nearest_neighbors', x, y, grid, 10)
  for k, scores in zip(grid, neighbors.scores(test), strict=True):
    model = sklearn.neighbors.KNeighborsClassifier(
      k, metric='cosine', algorithm='brute'
    ).fit(x.astype(np.float64), y)
    shares = model.predict_proba(test.astype(np.float64))
    np.testing.assert_allclose(scores, 2 * shares - 1, atol=1e-12)


def test_multi_label_does_not_count_ignored_labels(
  digits, digits_multi_label, fit
):
  x, _, test = digits
  labels = digits_multi_label
  (scores,) = fit('nearest_neighbors', x, labels, [7], 3).scores(test)
  search = sklearn.neighbors.NearestNeighbors(metric='cosine').fit(x)
  nearest = labels[search.kneighbors(test, 7, return_distance=False)]
  expected = ((nearest == 1).sum(axis=1) - (nearest == 0).sum(axis=1)) / 7
  np.testing.assert_allclose(scores, expected)


def test_more_neighbors_than_examples(digits, fit):
  with pytest.raises(
    errors.InputError, match='301 neighbors, but only 300 training examples'
  ):
    fit('nearest_neighbors', *digits[:2], [1, 301], 10)
