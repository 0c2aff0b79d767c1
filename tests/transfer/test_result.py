"""Checks the predictions that a cell's result keeps for each example."""

import dataclasses

import numpy as np
import scipy.special

from tf_transfer import datasets
from tf_transfer.transfer import result


def test_predictions_are_the_best_class_or_all_scores():
  scores = np.array([[0.1, 0.9, 0.2], [0.5, 0.4, 0.3]])
  digits = datasets.open('digits')
  np.testing.assert_array_equal(result.predictions(digits, scores), [1, 0])
  multi_label = dataclasses.replace(
    digits,
    splits={
      name: dataclasses.replace(split, labels=np.zeros((len(split), 3), int))
      for name, split in digits.splits.items()
    },
  )
  assert multi_label.multi_label
  assert result.predictions(multi_label, scores) is scores


def test_per_example():
  split = datasets.open('digits').splits['test']
  positions = np.array([3, 5, 6])
  labels = split.labels[positions]
  predicted = labels.copy()
  predicted[1] += 1
  arrays = result.per_example(split, positions, labels, predicted)
  for digest, position in zip(arrays['digest'], (3, 5, 6), strict=True):
    np.testing.assert_array_equal(digest, split.digests[position])
  np.testing.assert_array_equal(arrays['label'], labels)
  np.testing.assert_array_equal(arrays['prediction'], predicted)
  assert arrays['correct'].tolist() == [True, False, True]


def test_per_example_of_several_labels():
  """The sign of a score says whether a class is present."""
  split = datasets.open('digits').splits['test']
  labels = np.array([[1, 0, -1]])
  scores = np.array([[0.5, 0.5, -0.5]])
  arrays = result.per_example(split, np.array([0]), labels, scores)
  assert arrays['correct'].tolist() == [[True, False, True]]


def test_scores_keep_the_best_class_and_the_softmax():
  scores = np.random.default_rng(0).normal(scale=3, size=(50, 7)) + 1000
  compressed = result.compress(scores)
  assert compressed.dtype == np.float16
  np.testing.assert_array_equal(compressed.max(axis=1), np.zeros(50))
  best = np.arange(50), scores.argmax(axis=1)
  np.testing.assert_array_equal(compressed[best], np.zeros(50))
  np.testing.assert_allclose(
    scipy.special.softmax(compressed.astype(float), axis=1),
    scipy.special.softmax(scores, axis=1),
    atol=1e-3,
  )


def test_scores_beyond_float16_stay_finite():
  compressed = result.compress(np.array([[0.0, -1e30, 5.0]]))
  assert np.isfinite(compressed).all()
  assert compressed.argmax() == 2


def test_names_of_images_are_kept_and_can_be_printed():
  split = dataclasses.replace(
    datasets.open('digits').splits['test'],
    describe=lambda i: f'cats/{i}\x1b[2J.jpg' if i else 'x' * 600,
  )
  labels = split.labels[:2]
  names = result.per_example(split, np.arange(2), labels, labels)['name']
  assert names.tolist() == ['x' * 512, r'cats/1\x1b[2J.jpg']
