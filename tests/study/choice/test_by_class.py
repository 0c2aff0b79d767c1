"""Tests the accuracy of each class."""

import numpy as np
import pytest

from tf_transfer.study.choice import by_class


def test_classes_are_sorted_by_accuracy():
  counts = np.array([[9, 1, 0], [0, 3, 7], [0, 10, 10]])
  rows = by_class.build(counts)
  assert [row.label for row in rows] == [1, 2, 0]
  assert [row.accuracy.value for row in rows] == pytest.approx([0.3, 0.5, 0.9])
  assert [row.accuracy.examples for row in rows] == [10, 20, 10]
  assert [(row.mistaken_for, row.mistaken) for row in rows] == [
    (2, 7),
    (1, 10),
    (1, 1),
  ]


def test_intervals_are_wilsons():
  (row,) = by_class.build(np.array([[30]]))
  assert row.accuracy.high == pytest.approx(1)
  # 1 / (1 + z² / n), the lower end where all n are right.
  assert row.accuracy.low == pytest.approx(1 / (1 + 1.959964**2 / 30))
  assert row.mistaken_for is None


def test_a_class_without_images_is_the_last():
  rows = by_class.build(np.array([[0, 0], [1, 2]]))
  assert [row.label for row in rows] == [1, 0]
  assert rows[1].accuracy is None
  assert rows[1].mistaken_for is None


def test_of_equally_accurate_classes_the_larger_is_first():
  rows = by_class.build(np.array([[1, 1], [5, 5]]))
  assert [row.label for row in rows] == [1, 0]
