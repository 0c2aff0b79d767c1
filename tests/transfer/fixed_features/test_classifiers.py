"""Each classifier against scikit-learn, or the equations it solves."""

import numpy as np
import pytest
import sklearn.datasets
import sklearn.neighbors
import sklearn.preprocessing
import sklearn.svm
from tf_transfer.configs import base

from tf_transfer import errors
from tf_transfer.transfer.fixed_features import classifiers


@pytest.fixture(scope='module')
def digits():
  """Pixels as features, with columns of zeros; train and test."""
  x, y = sklearn.datasets.load_digits(return_X_y=True)
  x = x.astype(np.float32)
  return x[:300], y[:300].astype(np.int32), x[300:500]


def several(labels, seed=0):
  """Three questions about each digit, some of them not to be counted."""
  rng = np.random.default_rng(seed)
  asked = np.stack([labels > 4, labels % 2 == 0, labels == 3], axis=1)
  return np.where(rng.random(asked.shape) < 0.2, -1, asked).astype(np.int32)


def fit(name, features, labels, grid, classes, **changes):
  config = base.get_config()[name]
  config.update(changes)
  return classifiers.CLASSIFIERS[name].fit(
    features, labels, np.asarray(grid), config, classes
  )


def test_grids():
  config = base.get_config()
  grids = {
    name: classifier.grid(config[name])
    for name, classifier in classifiers.CLASSIFIERS.items()
  }
  paper = grids['logistic_regression']
  assert len(paper) == 45
  np.testing.assert_allclose(paper[[0, -1]], [1e-6, 1e5])
  np.testing.assert_allclose(np.diff(np.log10(paper)), 0.25)
  np.testing.assert_allclose(grids['ridge'], 2.0 ** np.arange(-10, 20))
  np.testing.assert_allclose(np.diff(np.log10(grids['linear_svm'])), 0.5)


def ridge_scores(x, targets, penalty, test):
  """Normal equations of the standardized features with a column of 100."""
  x, test = x.astype(np.float64), test.astype(np.float64)
  mean, std = x.mean(axis=0), x.std(axis=0) + 1e-5
  one, two = (
    np.pad((a - mean) / std, [(0, 0), (0, 1)], constant_values=100)
    for a in (x, test)
  )
  gram = one.T @ one + penalty * np.eye(one.shape[1])
  return two @ np.linalg.solve(gram, one.T @ targets)


@pytest.mark.parametrize('count', [300, 40])
def test_ridge_solves_its_equations(digits, count):
  """With more examples than features, and with fewer."""
  x, y, test = (digits[0][:count], digits[1][:count], digits[2])
  grid = [2.0**-4, 1.0, 2.0**10]
  found = fit('ridge', x, y, grid, 10)
  targets = 2 * np.eye(10)[y] - 1
  for penalty, scores in zip(grid, found.scores(test), strict=True):
    expected = ridge_scores(x, targets, penalty, test)
    np.testing.assert_allclose(scores, expected, rtol=1e-7, atol=1e-7)


def test_ridge_of_several_labels_leaves_out_what_does_not_count(digits):
  x, y, test = digits
  labels = several(y)
  (scores,) = fit('ridge', x, labels, [8.0], 3).scores(test)
  for c in range(3):
    counted = labels[:, c] != -1
    expected = ridge_scores(
      x[counted], 2.0 * labels[counted, c : c + 1] - 1, 8.0, test
    )
    np.testing.assert_allclose(scores[:, [c]], expected, rtol=1e-7, atol=1e-7)


def liblinear(x, labels, penalty, test):
  model = sklearn.svm.LinearSVC(
    C=1 / penalty, tol=1e-8, max_iter=100_000, dual=False
  )
  normalize = sklearn.preprocessing.normalize
  model.fit(normalize(x.astype(np.float64)), labels)
  return model, model.decision_function(normalize(test.astype(np.float64)))


@pytest.mark.parametrize('classes', [10, 2])
def test_linear_svm(digits, classes):
  x, y, test = digits
  x, y = x[y < classes], y[y < classes]
  grid = [0.01, 1.0]
  found = fit(
    'linear_svm', x, y, grid, classes, tolerance=1e-8, max_evaluations=100_000
  )
  assert found.converged.all()
  for penalty, scores in zip(grid, found.scores(test), strict=True):
    _, expected = liblinear(x, y, penalty, test)
    assert scores.shape == (len(test), classes)
    if classes == 2:
      expected = np.stack([-expected, expected], axis=1)
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_linear_svm_of_several_labels(digits):
  x, y, test = digits
  labels = np.pad(several(y), [(0, 0), (0, 1)])  # and a class that none has
  (scores,) = fit('linear_svm', x, labels, [0.1], 4, tolerance=1e-8).scores(
    test
  )
  for c in range(3):
    counted = labels[:, c] != -1
    _, expected = liblinear(x[counted], labels[counted, c], 0.1, test)
    np.testing.assert_allclose(scores[:, c], expected, atol=1e-5)
  assert (scores[:, 3] == -np.inf).all()


def test_linear_svm_says_what_did_not_converge(digits):
  x, y, _ = digits
  found = fit('linear_svm', x, y, [1e-6, 1e4], 10, max_evaluations=8)
  assert list(found.converged) == [False, True]


@pytest.mark.parametrize('name', ['linear_svm', 'nearest_neighbors', 'ridge'])
def test_class_without_examples_is_not_predicted(digits, name):
  x, y, test = digits
  x, y = x[y != 4], y[y != 4]
  (scores,) = fit(name, x, y, [5], 10).scores(test)
  assert scores.shape == (len(test), 10)
  assert not (scores.argmax(axis=1) == 4).any()


def test_nearest_neighbors(digits):
  x, y, test = digits
  grid = [1, 4, 30]
  found = fit('nearest_neighbors', x, y, grid, 10)
  for k, scores in zip(grid, found.scores(test), strict=True):
    model = sklearn.neighbors.KNeighborsClassifier(
      k, metric='cosine', algorithm='brute'
    ).fit(x.astype(np.float64), y)
    shares = model.predict_proba(test.astype(np.float64))
    np.testing.assert_allclose(scores, 2 * shares - 1, atol=1e-12)


def test_nearest_neighbors_of_several_labels(digits):
  x, y, test = digits
  labels = several(y)
  (scores,) = fit('nearest_neighbors', x, labels, [7], 3).scores(test)
  search = sklearn.neighbors.NearestNeighbors(metric='cosine').fit(x)
  nearest = labels[search.kneighbors(test, 7, return_distance=False)]
  expected = ((nearest == 1).sum(axis=1) - (nearest == 0).sum(axis=1)) / 7
  np.testing.assert_allclose(scores, expected)


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
def test_bad_input(digits, name, change, message):
  with pytest.raises(errors.InputError, match=message):
    fit(name, *change(*digits[:2]), [1], 10)


@pytest.mark.parametrize('name', ['logistic_regression', 'linear_svm'])
def test_one_class_only(digits, name):
  with pytest.raises(errors.InputError, match='at least two'):
    fit(name, digits[0], 0 * digits[1], [1.0], 10)


def test_more_neighbors_than_examples(digits):
  with pytest.raises(errors.InputError, match='301 of only 300'):
    fit('nearest_neighbors', *digits[:2], [1, 301], 10)
