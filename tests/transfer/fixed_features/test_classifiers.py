"""Tests the table of classifiers, and what all of them have in common."""

import ml_collections
import numpy as np
import pytest

from tf_transfer import errors
from tf_transfer.transfer.fixed_features import classifiers

NO_FIELDS = ml_collections.ConfigDict()


def test_grids(config):
  grids = {
    name: classifier.grid(config.get(name, NO_FIELDS))
    for name, classifier in classifiers.CLASSIFIERS.items()
  }
  paper = grids['logistic_regression']
  assert len(paper) == 45
  np.testing.assert_allclose(paper[[0, -1]], [1e-6, 1e5])
  np.testing.assert_allclose(np.diff(np.log10(paper)), 0.25)
  np.testing.assert_allclose(grids['ridge'], 2.0 ** np.arange(-10, 20))
  np.testing.assert_allclose(np.diff(np.log10(grids['linear_svm'])), 0.5)
  assert list(grids['nearest_neighbors']) == [1, 2, 3, 5, 10, 20, 50]


@pytest.mark.parametrize('name', ['linear_svm', 'nearest_neighbors', 'ridge'])
def test_class_without_examples_is_not_predicted(digits, fit, name):
  x, y, test = digits
  x, y = x[y != 4], y[y != 4]
  (scores,) = fit(name, x, y, [5], 10).scores(test)
  assert scores.shape == (len(test), 10)
  assert not (scores.argmax(axis=1) == 4).any()


@pytest.mark.parametrize('name', classifiers.CLASSIFIERS)
@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (lambda x, y: (x * np.nan, y), 'NaN or infinite'),
    (lambda x, y: (x[:0], y[:0]), 'nothing to fit'),
    (lambda x, y: (x, y + 1), 'classes from 0 to 9'),
    (lambda x, y: (x, y[:-1]), 'labels'),
  ],
)
def test_bad_features_or_labels(digits, fit, name, change, message):
  with pytest.raises(errors.InputError, match=message):
    fit(name, *change(*digits[:2]), [1], 10)


@pytest.mark.parametrize('name', ['logistic_regression', 'linear_svm'])
def test_one_class_only(digits, fit, name):
  with pytest.raises(errors.InputError, match='at least two'):
    fit(name, digits[0], 0 * digits[1], [1.0], 10)
