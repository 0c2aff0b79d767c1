"""Checks the predictions that a cell's result keeps for each example."""

import dataclasses

import numpy as np

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
