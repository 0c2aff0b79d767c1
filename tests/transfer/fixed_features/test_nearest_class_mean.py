"""Tests the nearest class mean against its definition."""

import numpy as np


def unit(x):
  return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_scores_are_cosines_with_the_means(digits, fit):
  x, y, test = (a.astype(np.float64) for a in digits)
  (scores,) = fit('nearest_class_mean', *digits[:2], [0], 10).scores(digits[2])
  means = np.stack([unit(x)[y == c].mean(axis=0) for c in range(10)])
  np.testing.assert_allclose(scores, unit(test) @ unit(means).T, atol=1e-6)


def test_multi_label_compares_two_means(digits, digits_multi_label, fit):
  x, _, test = digits
  labels = digits_multi_label
  (scores,) = fit('nearest_class_mean', x, labels, [0], 3).scores(test)
  for c in range(3):
    own, others = (
      unit(unit(x)[labels[:, c] == value].mean(axis=0)) for value in (1, 0)
    )
    expected = unit(test) @ (own - others)
    np.testing.assert_allclose(scores[:, c], expected, atol=1e-5)


def test_labels_that_tell_nothing_apart(digits, fit):
  x, _, test = digits
  labels = np.tile([1, 0, -1], (len(x), 1))
  (scores,) = fit('nearest_class_mean', x, labels, [0], 3).scores(test)
  assert (scores == [np.inf, -np.inf, -np.inf]).all()
