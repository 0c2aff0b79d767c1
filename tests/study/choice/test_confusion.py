"""Tests the confusion matrix and its picture."""

import base64
import io

import numpy as np
import pytest
import sklearn.metrics
from PIL import Image

from tf_transfer.study.choice import confusion


def random_labels(num_classes, count, seed=0, share=0.2):
  generator = np.random.default_rng(seed)
  labels = generator.integers(num_classes, size=count)
  other = generator.integers(num_classes, size=count)
  return labels, np.where(generator.random(count) < share, other, labels)


def pixels(matrix):
  data = base64.b64decode(matrix.image.partition(',')[2])
  return np.asarray(Image.open(io.BytesIO(data)).convert('RGBA'))


def test_counts_are_scikit_learns():
  labels, predictions = random_labels(7, 500)
  np.testing.assert_array_equal(
    confusion.count(labels, predictions, 7),
    sklearn.metrics.confusion_matrix(labels, predictions),
  )


def test_shares_are_scikit_learns():
  labels, predictions = random_labels(7, 500)
  np.testing.assert_allclose(
    confusion.normalize(confusion.count(labels, predictions, 7)),
    sklearn.metrics.confusion_matrix(labels, predictions, normalize='true'),
  )


def test_a_class_without_images_has_a_row_of_0():
  counts = confusion.count(np.array([0]), np.array([1]), 3)
  np.testing.assert_array_equal(
    confusion.normalize(counts), [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
  )


def test_classes_that_are_confused_are_side_by_side():
  """Blocks of three, spread over twelve classes, are found."""
  blocks = np.array([0, 1, 2, 3] * 3)
  same = blocks[:, None] == blocks
  counts = np.where(same, 5, 0) + 50 * np.eye(12, dtype=int)
  order = confusion.cluster(counts)
  assert sorted(order.tolist()) == list(range(12))
  ordered = blocks[order]
  assert (np.diff(ordered) != 0).sum() == 3


@pytest.mark.parametrize('num_classes', [1, 2, 3])
def test_few_classes_have_an_order(num_classes):
  counts = np.eye(num_classes, dtype=int)
  order = confusion.cluster(counts)
  assert sorted(order.tolist()) == list(range(num_classes))


def test_the_picture_has_a_pixel_a_cell():
  labels, predictions = random_labels(40, 3000)
  matrix = confusion.build(labels, predictions, [str(i) for i in range(40)])
  counts = confusion.count(labels, predictions, 40)
  counts = counts[np.ix_(matrix.order, matrix.order)]
  picture = pixels(matrix)
  assert picture.shape == (40, 40, 4)
  np.testing.assert_array_equal(picture[..., 3] > 0, counts > 0)
  assert picture[5, 5, :3].tolist() == list(confusion.RIGHT)
  row, column = np.argwhere(counts - np.diag(np.diag(counts)))[0]
  assert picture[row, column, :3].tolist() == list(confusion.WRONG)
  share = counts[row, column] / counts[row].sum()
  assert picture[row, column, 3] == round(255 * share**0.5)


def test_entries_are_the_cells_that_are_not_0():
  labels, predictions = random_labels(6, 60)
  matrix = confusion.build(labels, predictions, list('abcdef'))
  counts = np.zeros((6, 6), int)
  for row, column, value in np.reshape(matrix.entries, (-1, 3)):
    counts[matrix.order[row], matrix.order[column]] = value
  np.testing.assert_array_equal(counts, confusion.count(labels, predictions, 6))
  assert matrix.complete


def test_of_very_many_entries_the_largest_are_kept(monkeypatch):
  monkeypatch.setattr(confusion, '_MAX_ENTRIES', 6)
  labels, predictions = random_labels(6, 600)
  matrix = confusion.build(labels, predictions, list('abcdef'))
  rows, columns, values = np.reshape(matrix.entries, (-1, 3)).T
  np.testing.assert_array_equal(rows, columns)
  assert len(values) == 6
  assert not matrix.complete


def test_two_classes_have_numbers():
  matrix = confusion.build(
    np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), ['cat', 'dog']
  )
  assert sorted(cell.text for cell in matrix.numbers) == ['1', '1', '2']
  assert matrix.upright
  assert matrix.side <= 340


def test_400_classes_are_drawn_with_some_names():
  labels, predictions = random_labels(400, 8000)
  names = [f'class number {i}' for i in range(400)]
  matrix = confusion.build(labels, predictions, names)
  assert matrix.side == 800
  assert matrix.numbers == []
  gaps = np.diff([row for row, _ in matrix.names]) * matrix.cell
  assert gaps.min() >= 13
  # One image of 20 is seen: its color is not too faint.
  alpha = pixels(matrix)[..., 3]
  assert alpha[alpha > 0].min() >= 80
  assert len(matrix.confusions) == 20


def test_most_frequent_confusions():
  labels = np.array([0] * 10 + [1] * 4 + [2] * 4)
  predictions = np.array([0] * 8 + [1] * 2 + [1, 1, 0, 0] + [2, 2, 2, 0])
  matrix = confusion.build(labels, predictions, list('abc'))
  assert [
    (p.label, p.predicted, p.count, p.images) for p in matrix.confusions
  ] == [(1, 0, 2, 4), (0, 1, 2, 10), (2, 0, 1, 4)]
  assert matrix.num_confusions == 3
