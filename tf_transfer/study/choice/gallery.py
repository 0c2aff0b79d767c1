"""Makes the galleries: mistakes, doubtful labels, duplicates as thumbnails."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tf_transfer import datasets, errors
from tf_transfer.study.choice import duplicates, labels, mistakes, thumbnails

_MAX_NAME = 300  # letters; of a longer name the end is kept


@dataclasses.dataclass(frozen=True)
class Picture:
  """An image with what is said of it.

  Attributes:
    thumbnail: of the image.
    name: of the image.
    lines: (what, its value), such as ('label', 'cat').
  """

  thumbnail: thumbnails.Thumbnail
  name: str
  lines: Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class PicturePair:
  """Two images, and whether their contents are the same."""

  first: Picture
  second: Picture
  identical: bool


@dataclasses.dataclass(frozen=True)
class Galleries:
  """Holds the pictures of a page.

  Attributes:
    worst: the worst mistakes.
    num_wrong: how many mistakes there are.
    doubtful: the images whose labels are most doubtful.
    num_doubtful: how many labels are doubtful.
    between_splits: images that are in two splits.
    num_between_splits: how many pairs there are.
    between_classes: images that are in two classes.
    num_between_classes: how many pairs there are.
    have_groups: whether near-duplicates are known.
  """

  worst: Sequence[Picture]
  num_wrong: int
  doubtful: Sequence[Picture]
  num_doubtful: int
  between_splits: Sequence[PicturePair]
  num_between_splits: int
  between_classes: Sequence[PicturePair]
  num_between_classes: int
  have_groups: bool


@dataclasses.dataclass(frozen=True)
class _Request:
  """A picture without its thumbnail."""

  split: datasets.Split
  position: int
  lines: Sequence[tuple[str, str]]


def build(
  dataset: datasets.Dataset,
  images: datasets.Split,
  predictions: np.ndarray,
  probabilities: np.ndarray,
  averaged: np.ndarray,
  can_be_doubted: np.ndarray,
  limit: int,
) -> Galleries:
  """Makes the galleries.

  Args:
    dataset: whose splits are searched for duplicates.
    images: N images that were predicted.
    predictions: int [N], of the recommended network.
    probabilities: float [N, C], of this network.
    averaged: float [N, C], over the networks that are tied; labels are doubted
      by them.
    can_be_doubted: bool [N], the images whose labels are.
    limit: of the size of all thumbnails, in bytes.
  """
  worst = _mistakes(dataset, images, predictions, probabilities)
  doubtful, num_doubtful = _doubtful(dataset, images, averaged, can_be_doubted)
  repeated = duplicates.find(dataset.splits)
  pairs = [
    repeated.between_splits[: duplicates.NUM_SHOWN],
    repeated.between_classes[: duplicates.NUM_SHOWN],
  ]
  requests = [*worst, *doubtful]
  for pair in (pair for several in pairs for pair in several):
    requests += [_place(dataset, pair.first), _place(dataset, pair.second)]
  pictures = iter(_pictures(dataset, requests, limit))
  shown_worst = [next(pictures) for _ in worst]
  shown_doubtful = [next(pictures) for _ in doubtful]
  between_splits, between_classes = (
    [PicturePair(next(pictures), next(pictures), p.identical) for p in several]
    for several in pairs
  )
  return Galleries(
    worst=shown_worst,
    num_wrong=int((images.labels != predictions).sum()),
    doubtful=shown_doubtful,
    num_doubtful=num_doubtful,
    between_splits=between_splits,
    num_between_splits=len(repeated.between_splits),
    between_classes=between_classes,
    num_between_classes=len(repeated.between_classes),
    have_groups=repeated.have_groups,
  )


def _mistakes(
  dataset: datasets.Dataset,
  images: datasets.Split,
  predictions: np.ndarray,
  probabilities: np.ndarray,
) -> list[_Request]:
  """Requests the worst mistakes."""
  positions = mistakes.worst(images.labels, predictions, probabilities)
  return [
    _Request(
      images,
      i,
      _lines(
        dataset.classes,
        ('predicted', predictions[i], probabilities[i]),
        ('label', images.labels[i], probabilities[i]),
      ),
    )
    for i in positions.tolist()
  ]


def _doubtful(
  dataset: datasets.Dataset,
  images: datasets.Split,
  averaged: np.ndarray,
  can_be_doubted: np.ndarray,
) -> tuple[list[_Request], int]:
  """Requests the most doubtful labels, and counts all."""
  positions, others = mistakes.doubtful(images.labels, averaged, can_be_doubted)
  requests = [
    _Request(
      images,
      i,
      _lines(
        dataset.classes,
        ('label', images.labels[i], averaged[i]),
        ('rather', other, averaged[i]),
      ),
    )
    for i, other in zip(
      positions[: mistakes.NUM_SHOWN].tolist(), others, strict=False
    )
  ]
  return requests, len(positions)


def _lines(
  classes: Sequence[str], *lines: tuple[str, int, np.ndarray]
) -> list[tuple[str, str]]:
  """Writes a class and its probability, for each line."""
  return [
    (what, f'{labels.shorten(classes[label], 60)}, {_percent(row[label])}')
    for what, label, row in lines
  ]


def _percent(probability: float) -> str:
  """Writes a probability; none is said to be certain."""
  percent = 100 * float(probability)
  if percent < 0.1:
    return '<\u00a00.1\u00a0%'
  return '>\u00a099.9\u00a0%' if percent > 99.9 else f'{percent:.1f}\u00a0%'


def _place(dataset: datasets.Dataset, place: duplicates.Place) -> _Request:
  """Requests one of two duplicates."""
  split = dataset.splits[place.split]
  label = split.labels[place.position]
  members = [label] if label.ndim == 0 else np.flatnonzero(label == 1)
  names = ', '.join(dataset.classes[i] for i in members)
  lines = [('split', place.split), ('label', labels.shorten(names, 60))]
  return _Request(split, place.position, lines)


def _pictures(
  dataset: datasets.Dataset, requests: Sequence[_Request], limit: int
) -> list[Picture]:
  """Makes the pictures that are requested."""
  # The page says once in which folder the files of a folder are.
  root = dataset.name.partition(':')[2].rstrip('/') + '/'
  made = thumbnails.make([(r.split, r.position) for r in requests], limit)
  return [
    Picture(
      thumbnail,
      errors.printable(r.split.describe(r.position)).removeprefix(root)[
        -_MAX_NAME:
      ],
      r.lines,
    )
    for thumbnail, r in zip(made, requests, strict=True)
  ]
