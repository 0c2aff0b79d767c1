"""Predictions by classifiers that were not fitted on what they predict."""

import ml_collections
import numpy as np
import pytest

from tf_transfer import errors
from tf_transfer.configs import base
from tf_transfer.study.choice import out_of_fold
from tf_transfer.transfer.fixed_features import classifiers


@pytest.fixture
def ridge():
  fields = base.get_config().ridge
  fields.num_penalties = 4
  return fields


def data(count=60, classes=3):
  rng = np.random.default_rng(0)
  labels = np.arange(count) % classes
  features = rng.standard_normal((count, 5)).astype(np.float32)
  features[np.arange(count), labels] += 1.5
  return features, labels


def test_predictions_are_those_of_fits_by_hand(ridge):
  """With one penalty there is nothing to choose."""
  ridge.num_penalties, ridge.penalty_max = 1, ridge.penalty_min
  features, labels = data()
  folds = np.arange(60) // 20
  predicted = out_of_fold.predict(
    'ridge',
    features,
    labels,
    3,
    out_of_fold.by_fold(folds),
    'top1',
    ridge,
  )
  classifier = classifiers.CLASSIFIERS['ridge']
  for fold in range(3):
    own = folds == fold
    fitted = classifier.fit(
      features[~own], labels[~own], classifier.grid(ridge), ridge, 3
    )
    expected = next(fitted.scores(features[own])).argmax(axis=1)
    np.testing.assert_array_equal(predicted.predictions[own], expected)


def test_no_image_is_predicted_by_a_fit_that_saw_it():
  """Random labels are memorized by 1-NN, and out of fold they are not."""
  rng = np.random.default_rng(0)
  features = rng.standard_normal((200, 8)).astype(np.float32)
  labels = rng.integers(0, 2, 200)
  config = ml_collections.ConfigDict({'neighbors': (1,)})
  predicted = out_of_fold.predict(
    'nearest_neighbors',
    features,
    labels,
    2,
    out_of_fold.by_fold(np.arange(200) % 5),
    'top1',
    config,
  )
  assert 0.3 < np.mean(predicted.predictions == labels) < 0.7


def test_no_image_chooses_its_own_hyperparameter():
  # Value 0 is right on the first half alone, value 1 on the second.
  scores = np.zeros((2, 4, 2), np.float16)
  scores[0, :2, 1] = scores[1, 2:, 1] = 1
  labels, parts = np.ones(4, int), np.array([0, 0, 1, 1])
  chosen = out_of_fold._choose(
    scores, labels, parts, np.array([1.0, 2.0]), 'top1', True
  )
  # Each half takes what is best on the other: all are wrong.
  np.testing.assert_array_equal(chosen.predictions, 0)
  assert chosen.best == 1  # Of equals, the larger value.


def test_choosing_among_noise_does_not_flatter():
  """The best of many random predictions is no better than chance."""
  rng = np.random.default_rng(0)
  chosen, best = [], []
  for _ in range(20):
    scores = rng.standard_normal((50, 300, 2)).astype(np.float16)
    labels = rng.integers(0, 2, 300)
    predicted = out_of_fold._choose(
      scores, labels, np.arange(300) % 5, np.arange(50.0), 'top1', True
    )
    chosen.append((predicted.predictions == labels).mean())
    best.append((scores.argmax(axis=2)[predicted.best] == labels).mean())
  assert min(best) >= 0.55
  assert abs(np.mean(chosen) - 0.5) < 0.02


def test_val_alone_is_predicted_by_one_fit_on_train(ridge):
  features, labels = data()
  division = out_of_fold.on_val(40, np.arange(20) % 5)
  assert division.predicted.sum() == 20
  predicted = out_of_fold.predict(
    'ridge', features, labels, 3, division, 'top1', ridge
  )
  assert predicted.predictions.shape == (20,)
  assert predicted.scores.shape == (20, 3)
  assert np.mean(predicted.predictions == labels[40:]) > 0.5


def test_a_class_that_a_fit_has_not_seen_is_never_predicted(ridge):
  features, labels = data()
  labels = labels.copy()
  labels[7] = 3
  predicted = out_of_fold.predict(
    'ridge',
    features,
    labels,
    4,
    out_of_fold.by_fold(np.arange(60) % 5),
    'top1',
    ridge,
  )
  assert predicted.predictions[7] != 3
  assert np.isfinite(predicted.scores).all()


def test_one_class_alone_is_an_error(ridge):
  features, _ = data()
  with pytest.raises(errors.InputError, match='one class alone'):
    out_of_fold.predict(
      'ridge',
      features,
      np.zeros(60, int),
      2,
      out_of_fold.by_fold(np.arange(60) % 5),
      'top1',
      ridge,
    )


def test_images_can_be_left_out_of_a_division():
  division = out_of_fold.by_fold(np.arange(6) % 2).select(np.array([0, 1, 4]))
  np.testing.assert_array_equal(division.parts, [0, 1, 0])
  np.testing.assert_array_equal(division.fits[0][1], [True, False, True])


def test_images_whose_class_was_not_fitted_are_known_by_their_scores(ridge):
  """Class 2 is in one fold alone."""
  features = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
  labels = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 2, 2])
  folds = np.array([0, 0, 1, 1, 2, 2, 0, 1, 2, 0, 1, 1])
  predicted = out_of_fold.predict(
    'ridge', features, labels, 3, out_of_fold.by_fold(folds), 'top1', ridge
  )
  known = out_of_fold.has_fitted_label(labels, predicted.scores)
  np.testing.assert_array_equal(known, labels != 2)
