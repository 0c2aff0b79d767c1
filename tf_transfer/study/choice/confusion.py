"""Draws the confusion matrix, classes that are confused side by side."""

import base64
import dataclasses
import io
import math
from collections.abc import Sequence

import numpy as np
import scipy.cluster.hierarchy
import scipy.spatial.distance
from PIL import Image

from tf_transfer.study.choice import labels as labels_lib

NUM_LISTED = 20
# Pixels of the matrix: of few classes, so that a phone shows it; of more.
_SMALL_SIZE, _SIZE = 340, 620
_MIN_CELL, _MAX_CELL = 2, 96
_LARGE = 500  # classes, whose cells are one pixel
_WITH_NUMBER = 34  # pixels of a cell that a number fits in
_LINE = 13  # pixels of a label
_MAX_LETTERS = 18
_MAX_ENTRIES = 20_000  # that the page can tell of
# Of a right and of a wrong prediction; they are seen on white and on black.
RIGHT, WRONG = (0, 130, 180), (225, 90, 0)


@dataclasses.dataclass(frozen=True)
class Cell:
  """A cell with a number: its place, its number and how strong its color is."""

  x: float
  y: float
  text: str
  strength: float


@dataclasses.dataclass(frozen=True)
class Pair:
  """A confusion.

  Attributes:
    label: the class of the images.
    predicted: the class that they are taken for.
    count: how many are.
    images: how many the class has.
  """

  label: int
  predicted: int
  count: int
  images: int


@dataclasses.dataclass(frozen=True)
class Matrix:
  """The confusion matrix as a picture.

  Attributes:
    order: int [C], the class of each row and column.
    cell: pixels of a cell.
    side: pixels of the matrix.
    left: pixels of the labels on the left.
    top: pixels of the labels above.
    upright: whether the labels above are not turned.
    step: of how many classes one is named.
    image: the matrix as a data URL, a pixel a cell.
    names: (row, name) of the rows and columns that are named.
    numbers: of the cells, where they fit.
    entries: row, column and count of the cells that are not 0, in one list;
      the largest if there are very many.
    complete: whether these are all.
    confusions: the most frequent, the first the most frequent.
    num_confusions: how many pairs of classes are confused.
  """

  order: Sequence[int]
  cell: float
  side: float
  left: float
  top: float
  upright: bool
  step: int
  image: str
  names: Sequence[tuple[int, str]]
  numbers: Sequence[Cell]
  entries: Sequence[int]
  complete: bool
  confusions: Sequence[Pair]
  num_confusions: int


def count(
  labels: np.ndarray, predictions: np.ndarray, num_classes: int
) -> np.ndarray:
  """Counts the images of each class by predicted class, int [C, C]."""
  pairs = labels.astype(np.int64) * num_classes + predictions
  counts = np.bincount(pairs, minlength=num_classes**2)
  return counts.reshape(num_classes, num_classes)


def normalize(counts: np.ndarray) -> np.ndarray:
  """Divides each row by its sum; rows of 0 stay 0."""
  return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def cluster(counts: np.ndarray) -> np.ndarray:
  """Orders classes so that those that are confused are side by side.

  Average linkage, where two classes are the nearer the larger the share of
  images that are taken from one for the other; then the order of leaves in
  which neighbors are nearest.

  Args:
    counts: int [C, C].

  Returns:
    int [C], a permutation.
  """
  if len(counts) < 3:
    return np.arange(len(counts))
  shares = normalize(counts)
  distances = 1 - (shares + shares.T) / 2
  np.fill_diagonal(distances, 0)
  condensed = scipy.spatial.distance.squareform(distances, checks=False)
  tree = scipy.cluster.hierarchy.linkage(
    condensed, 'average', optimal_ordering=len(counts) <= _LARGE
  )
  return scipy.cluster.hierarchy.leaves_list(tree).astype(np.int64)


def build(
  labels: np.ndarray, predictions: np.ndarray, classes: Sequence[str]
) -> Matrix:
  """Draws the matrix.

  Args:
    labels: int [N].
    predictions: int [N].
    classes: their names.
  """
  num_classes = len(classes)
  counts = count(labels, predictions, num_classes)
  order = cluster(counts)
  ordered = counts[np.ix_(order, order)]
  cell = _cell_size(num_classes)
  strength = _strength(ordered, cell)
  step = math.ceil(_LINE / cell)
  names = [
    (row, labels_lib.shorten(classes[order[row]], _MAX_LETTERS))
    for row in range(0, num_classes, step)
  ]
  widest = max(labels_lib.width(name, 11.5) for _, name in names)
  margin = math.ceil(widest) + 10
  upright = widest < cell
  entries, complete = _entries(ordered)
  listed, num_confusions = _confusions(counts)
  return Matrix(
    order=order.tolist(),
    cell=cell,
    side=cell * num_classes,
    left=margin,
    top=20 if upright else margin,
    upright=upright,
    step=step,
    image=_image(strength),
    names=names,
    numbers=_numbers(ordered, strength, cell),
    entries=entries,
    complete=complete,
    confusions=listed,
    num_confusions=num_confusions,
  )


def _cell_size(num_classes: int) -> int:
  """Returns the pixels of a cell."""
  if num_classes > _LARGE:
    return 1
  if num_classes * _WITH_NUMBER <= _SIZE:
    return min(max(_SMALL_SIZE // num_classes, _WITH_NUMBER), _MAX_CELL)
  return max(_SIZE // num_classes, _MIN_CELL)


def _strength(counts: np.ndarray, cell: int) -> np.ndarray:
  """Returns how strong the color of each cell is, 0 to 1.

  It is the square root of the share of the row; of small cells, which the eye
  would not find, not less than a third.
  """
  strength = np.sqrt(normalize(counts))
  least = 0.34 if cell < _LINE else 0
  return np.where(counts > 0, np.maximum(strength, least), 0)


def _image(strength: np.ndarray) -> str:
  """Draws the matrix, a pixel a cell, the color as strong as its share."""
  pixels = np.empty((*strength.shape, 4), np.uint8)
  pixels[..., :3] = WRONG
  pixels[np.arange(len(pixels)), np.arange(len(pixels)), :3] = RIGHT
  pixels[..., 3] = np.rint(255 * strength)
  file = io.BytesIO()
  Image.fromarray(pixels).save(file, 'png', optimize=True)
  return 'data:image/png;base64,' + base64.b64encode(file.getvalue()).decode()


def _numbers(
  counts: np.ndarray, strength: np.ndarray, cell: float
) -> list[Cell]:
  """Writes the counts into the cells, where they fit."""
  if cell < _WITH_NUMBER:
    return []
  return [
    Cell(
      (column + 0.5) * cell,
      (row + 0.5) * cell,
      f'{counts[row, column]:,}',
      round(float(strength[row, column]), 2),
    )
    for row, column in np.argwhere(counts)
  ]


def _entries(counts: np.ndarray) -> tuple[list[int], bool]:
  """Lists row, column and count of the cells that are not 0, and if all are."""
  rows, columns = np.nonzero(counts)
  values = counts[rows, columns]
  largest = np.argsort(-values, kind='stable')[:_MAX_ENTRIES]
  entries = np.stack([rows, columns, values], axis=1)[np.sort(largest)]
  return entries.ravel().tolist(), len(values) <= _MAX_ENTRIES


def _confusions(counts: np.ndarray) -> tuple[list[Pair], int]:
  """Lists the most frequent confusions, and counts all pairs."""
  wrong = counts.copy()
  np.fill_diagonal(wrong, 0)
  images = counts.sum(axis=1)
  rows, columns = np.nonzero(wrong)
  values = wrong[rows, columns]
  # Of equally many, those of which the class has the larger share.
  first = np.lexsort((-values / images[rows], -values))[:NUM_LISTED]
  pairs = [
    Pair(int(rows[i]), int(columns[i]), int(values[i]), int(images[rows[i]]))
    for i in first
  ]
  return pairs, len(values)
