"""Finds images that are in two splits, or in two classes.

Images are duplicates if their contents are the same, and near-duplicates if
they are in one group of their dataset.
"""

import collections
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from tf_transfer import datasets

NUM_SHOWN = 24


@dataclasses.dataclass(frozen=True)
class Place:
  """An image: the name of its split, and its position in it."""

  split: str
  position: int


@dataclasses.dataclass(frozen=True)
class Pair:
  """Two images that are duplicates or near-duplicates.

  Attributes:
    first: one of them.
    second: the other.
    identical: whether their contents are the same.
  """

  first: Place
  second: Place
  identical: bool


@dataclasses.dataclass(frozen=True)
class Duplicates:
  """Holds the pairs of a dataset.

  Attributes:
    between_splits: pairs in two splits, the identical ones first; one for each
      two splits that share images of a group.
    between_classes: pairs in one split with two labels, likewise.
    have_groups: whether near-duplicates are known.
  """

  between_splits: Sequence[Pair]
  between_classes: Sequence[Pair]
  have_groups: bool


def find(splits: Mapping[str, datasets.Split]) -> Duplicates:
  """Finds the duplicates among the images of all splits.

  Args:
    splits: by name.
  """
  present = {name: split for name, split in splits.items() if len(split)}
  identical = [
    (pair, True)
    for key in _by_digest(present).values()
    for pair in _pairs(key, present)
  ]
  near = [
    (pair, False)
    for key in _by_group(present).values()
    for pair in _pairs(key, present)
  ]
  seen = set()
  between_splits, between_classes = [], []
  for (first, second), same in (*identical, *near):
    # Of a group, the pair that stands for two splits may be identical already.
    if not same and _contents(first, present) == _contents(second, present):
      continue
    if (first, second) in seen:
      continue
    seen.add((first, second))
    pair = Pair(first, second, same)
    if first.split != second.split:
      between_splits.append(pair)
    else:
      between_classes.append(pair)
  have_groups = all(split.groups is not None for split in present.values())
  return Duplicates(between_splits, between_classes, have_groups)


def _by_digest(
  splits: Mapping[str, datasets.Split],
) -> dict[bytes, list[Place]]:
  """Returns the images of each content."""
  places = collections.defaultdict(list)
  for name, split in splits.items():
    for i, digest in enumerate(split.digests):
      places[digest.tobytes()].append(Place(name, i))
  return places


def _by_group(splits: Mapping[str, datasets.Split]) -> dict[int, list[Place]]:
  """Returns the images of each group."""
  places = collections.defaultdict(list)
  for name, split in splits.items():
    for i, group in enumerate(() if split.groups is None else split.groups):
      places[int(group)].append(Place(name, i))
  return places


def _pairs(
  places: Sequence[Place], splits: Mapping[str, datasets.Split]
) -> Iterator[tuple[Place, Place]]:
  """Returns a pair for each two splits, and each two classes of a split."""
  if len(places) < 2:
    return
  firsts = {}
  for place in places:
    label = splits[place.split].labels[place.position].tobytes()
    firsts.setdefault(place.split, {}).setdefault(label, place)
  representatives = [next(iter(labels.values())) for labels in firsts.values()]
  for i, first in enumerate(representatives):
    for second in representatives[i + 1 :]:
      yield first, second
  for labels in firsts.values():
    first, *others = labels.values()
    for second in others:
      yield first, second


def _contents(place: Place, splits: Mapping[str, datasets.Split]) -> bytes:
  """Returns the digest of an image."""
  return splits[place.split].digests[place.position].tobytes()
