"""Assigns examples to splits by hashes of their contents.

Each random draw goes by a number between 0 and 1 for each example, made from
the SHA-256 of its content (or of its official name) and a seed. If a fraction
is drawn, the examples whose number is below a threshold are drawn. The split of
an example then depends on nothing else: not on the order of files, on names,
or on other examples and classes. Identical contents are in the same split. If
a given count is drawn, the examples with the lowest numbers are drawn. The
stratified draws rank the examples of each class by their numbers.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from tf_transfer.errors import InputError

# Bytes of a SHA-256.
DIGEST_SIZE = 32


@dataclasses.dataclass(frozen=True)
class RandomSplit:
  """How a dataset without official splits is split.

  Attributes:
    seed: any integer. Different seeds give independent draws.
    val_fraction: share of validation: of all examples if test is drawn too, of
      the given train if test is given.
    test_fraction: share of test in all examples.
  """

  seed: int = 0
  val_fraction: float = 0.2
  test_fraction: float = 0.2

  def __post_init__(self):
    """Checks the attributes."""
    if isinstance(self.seed, bool) or not isinstance(self.seed, int):
      raise InputError(f'seed: expected an integer, got {self.seed!r}')
    for name in ('val_fraction', 'test_fraction'):
      value = getattr(self, name)
      if not (isinstance(value, int | float) and 0 < value < 1):
        raise InputError(
          f'{name}: expected a number above 0 and below 1, got {value!r}'
        )
    if self.val_fraction + self.test_fraction >= 1:
      raise InputError(
        f'val_fraction {self.val_fraction} and test_fraction '
        f'{self.test_fraction} leave nothing to train on: '
        'their sum must be below 1'
      )


def content_digests(contents: Iterable[bytes]) -> np.ndarray:
  """Computes the SHA-256 of each content, uint8 [N, 32]."""
  joined = b''.join(hashlib.sha256(content).digest() for content in contents)
  return np.frombuffer(joined, np.uint8).reshape(-1, DIGEST_SIZE)


def uniform_numbers(digests: np.ndarray, seed: int) -> np.ndarray:
  """Computes a number in [0, 1) for each content, uniform over contents.

  Args:
    digests: uint8 [N, 32], the SHA-256 of each example's content.
    seed: any integer.

  Returns:
    float64 [N].
  """
  prefix = f'{seed}:'.encode()
  numbers = [
    int.from_bytes(hashlib.sha256(prefix + row.tobytes()).digest()[:8], 'big')
    for row in digests
  ]
  # A float64 holds 53 bits: the division is exact and below 1.
  return (np.array(numbers, np.uint64) >> np.uint64(11)) / 2.0**53


def train_val_test(
  digests: np.ndarray, random_split: RandomSplit
) -> dict[str, np.ndarray]:
  """Divides examples into train, val and test.

  Test does not depend on `val_fraction`: results with different validation
  splits are measured on the same examples.

  Args:
    digests: uint8 [N, 32].
    random_split: seed and fractions.

  Returns:
    train, val and test: int64 positions, ascending. Each of 0 to N - 1 is in
    one of them.
  """
  number = uniform_numbers(digests, random_split.seed)
  threshold = random_split.test_fraction + random_split.val_fraction
  test = number < random_split.test_fraction
  val = ~test & (number < threshold)
  masks = {'train': ~test & ~val, 'val': val, 'test': test}
  return {name: np.flatnonzero(mask) for name, mask in masks.items()}


def train_val(
  digests: np.ndarray, seed: int, fraction: float
) -> dict[str, np.ndarray]:
  """Divides a given train into train and val.

  Args:
    digests: uint8 [N, 32] of the given train.
    seed: any integer.
    fraction: share of validation.

  Returns:
    train and val: int64 positions, ascending. Each of 0 to N - 1 is in one of
    them.
  """
  val = uniform_numbers(digests, seed) < fraction
  return {'train': np.flatnonzero(~val), 'val': np.flatnonzero(val)}


@dataclasses.dataclass(frozen=True)
class _Units:
  """What a stratified draw draws: a group of examples, whole.

  Attributes:
    of_example: int64 [N], the unit that each example is of.
    sizes: int64 [U], the number of examples of each unit.
    classes: int64 [U], the rarest class of its examples, as a rank that
      depends on contents alone, not on the order or the names of classes.
    order: int64 [U], the units by their numbers, ascending.
  """

  of_example: np.ndarray
  sizes: np.ndarray
  classes: np.ndarray
  order: np.ndarray

  def by_class(self) -> list[list[int]]:
    """Returns the units of each class, by their numbers."""
    members = [[] for _ in range(int(self.classes.max(initial=-1)) + 1)]
    for unit in self.order.tolist():
      members[self.classes[unit]].append(unit)
    return members


def _find_units(
  digests: np.ndarray, labels: np.ndarray, groups: np.ndarray | None, seed: int
) -> _Units:
  """Finds the units of a stratified draw; see `stratified`."""
  names = [row.tobytes() for row in digests]
  keys = names if groups is None else np.asarray(groups).tolist()
  index = {key: i for i, key in enumerate(dict.fromkeys(keys))}
  of_example = np.array([index[key] for key in keys], np.int64)
  num_units = len(index)
  ranks = _class_ranks(names, labels)
  # The classes of each unit, the rarest first, the lowest on a tie. By its most
  # frequent class instead, no draw would see a class that is nowhere one.
  pairs = np.unique(
    np.stack([of_example, ranks], axis=1).reshape(-1, 2), axis=0
  )
  rarity = np.bincount(ranks)[pairs[:, 1]]
  by_rarity = np.lexsort((pairs[:, 1], rarity, pairs[:, 0]))
  _, first = np.unique(pairs[by_rarity, 0], return_index=True)
  lowest = {}
  for name, unit in zip(names, of_example.tolist(), strict=True):
    lowest[unit] = min(name, lowest.get(unit, name))
  joined = b''.join(lowest[unit] for unit in range(num_units))
  unit_digests = np.frombuffer(joined, np.uint8).reshape(-1, DIGEST_SIZE)
  number = uniform_numbers(unit_digests, seed)
  # Digests break ties, so that the order of examples has no influence.
  order = sorted(range(num_units), key=lambda u: (number[u], lowest[u]))
  return _Units(
    of_example,
    np.bincount(of_example, minlength=num_units),
    pairs[by_rarity, 1][first],
    np.array(order, np.int64),
  )


def _class_ranks(names: Sequence[bytes], labels: np.ndarray) -> np.ndarray:
  """Ranks classes by their contents: the rank of each example's class [N]."""
  members = {}
  for name, label in zip(names, np.asarray(labels).tolist(), strict=True):
    members.setdefault(label, []).append(name)
  keys = {
    label: (hashlib.sha256(b''.join(sorted(contents))).digest(), label)
    for label, contents in members.items()
  }
  ranks = {label: i for i, label in enumerate(sorted(keys, key=keys.get))}
  return np.array([ranks[x] for x in np.asarray(labels).tolist()], np.int64)


def _draw_units(
  members: Sequence[int], sizes: np.ndarray, target: float, most: int
) -> list[int]:
  """Draws units of a class until they hold about a number of examples.

  A unit that would lead further away from the target is passed over.

  Args:
    members: the units, in the order in which they are drawn.
    sizes: the number of examples of each unit of the dataset.
    target: number of examples.
    most: the most units to draw; if it is above 0, one unit at least is drawn.
  """
  drawn, count = [], 0
  for unit in members:
    if len(drawn) < most and count + sizes[unit] / 2 <= target:
      drawn.append(unit)
      count += int(sizes[unit])
  if not drawn and most > 0:
    drawn.append(min(members, key=lambda unit: sizes[unit]))
  return drawn


def stratified(
  digests: np.ndarray,
  labels: np.ndarray,
  groups: np.ndarray | None,
  random_split: RandomSplit,
) -> dict[str, np.ndarray]:
  """Divides examples into train, val and test, each class by itself.

  What is drawn are groups of examples, whole. The number of a group is that of
  its lowest digest, its class the rarest in the dataset of those that it has
  examples of (as iterative stratification does, Sechidis et al. 2011), so that
  a class that is the smaller part of each group is drawn too. Of the groups of
  each class those with the lowest numbers are test, until test has about
  its fraction of the examples of the class, and those that follow are val.
  Test has a group at least of each class of two groups or more, val of each
  class of three or more; train has one of each class. Test does not depend on
  `val_fraction`.

  The draw depends on contents, groups, the seed, and on which examples share a
  class: names and the order of files or classes have no influence.

  Args:
    digests: uint8 [N, 32].
    labels: int [N].
    groups: int [N], the same for examples that stay together; identical
      contents must be of one group. None: each content is a group.
    random_split: seed and fractions.

  Returns:
    train, val and test: int64 positions, ascending. Each of 0 to N - 1 is in
    one of them.
  """
  units = _find_units(digests, labels, groups, random_split.seed)
  split_of = np.zeros(len(units.sizes), np.int64)
  for members in units.by_class():
    total = int(units.sizes[members].sum())
    # Where there are three units, val keeps one and train another.
    most = max(len(members) - 2, min(len(members) - 1, 1))
    target = random_split.test_fraction * total
    test = set(_draw_units(members, units.sizes, target, most))
    others = [unit for unit in members if unit not in test]
    target = random_split.val_fraction * total
    most = len(others) - 1 if len(members) > 2 else 0
    val = _draw_units(others, units.sizes, target, most)
    split_of[list(test)] = 2
    split_of[val] = 1
  of_example = split_of[units.of_example]
  names = ('train', 'val', 'test')
  return {name: np.flatnonzero(of_example == i) for i, name in enumerate(names)}


def stratified_val(
  digests: np.ndarray,
  labels: np.ndarray,
  groups: np.ndarray | None,
  seed: int,
  fraction: float,
) -> dict[str, np.ndarray]:
  """Divides a given train into train and val, as `stratified` draws test.

  Returns:
    train and val: int64 positions, ascending. Each of 0 to N - 1 is in one of
    them.
  """
  units = _find_units(digests, labels, groups, seed)
  is_val = np.zeros(len(units.sizes), bool)
  for members in units.by_class():
    target = fraction * int(units.sizes[members].sum())
    is_val[_draw_units(members, units.sizes, target, len(members) - 1)] = True
  of_example = is_val[units.of_example]
  return {
    'train': np.flatnonzero(~of_example),
    'val': np.flatnonzero(of_example),
  }


def assign_folds(
  digests: np.ndarray,
  labels: np.ndarray,
  groups: np.ndarray | None,
  num_folds: int,
  seed: int,
) -> np.ndarray:
  """Assigns examples to the folds of a cross-validation.

  Groups stay whole. Each goes to the fold that has the fewest examples of its
  class so far, of these to the one with the fewest in total, large groups
  first, else in the order of their numbers. With groups of one, the numbers of
  a class's examples in two folds differ by 1 at most, and so do the totals.
  The folds depend on nothing that `stratified` does not depend on.

  Args:
    digests: uint8 [N, 32].
    labels: int [N].
    groups: int [N], as in `stratified`.
    num_folds: K.
    seed: any integer.

  Returns:
    int64 [N], from 0 to K - 1. A fold is empty if there are fewer groups.
  """
  units = _find_units(digests, labels, groups, seed)
  fold_of = np.zeros(len(units.sizes), np.int64)
  totals = [0] * num_folds
  for members in units.by_class():
    counts = [0] * num_folds
    for unit in sorted(members, key=lambda unit: -units.sizes[unit]):
      fold = min(range(num_folds), key=lambda k: (counts[k], totals[k]))
      fold_of[unit] = fold
      counts[fold] += int(units.sizes[unit])
      totals[fold] += int(units.sizes[unit])
  return fold_of[units.of_example]


def draw_lowest(
  digests: np.ndarray,
  seed: int,
  count: int,
  labels: np.ndarray | None = None,
) -> np.ndarray:
  """Draws a given count of examples: those with the lowest numbers.

  Args:
    digests: uint8 [N, 32], of the examples' contents or names.
    seed: any integer.
    count: of examples; of each class, if labels are given. All are drawn if
      there are fewer.
    labels: int [N]; draws from each class separately.

  Returns:
    bool [N], whether an example is drawn.
  """
  number = uniform_numbers(digests, seed)
  # Digests break ties, so that the order of examples has no influence.
  keys = [(x, row.tobytes()) for x, row in zip(number, digests, strict=True)]
  labels = np.zeros(len(keys), int) if labels is None else labels
  is_drawn = np.zeros(len(keys), bool)
  for label in np.unique(labels):
    members = np.flatnonzero(labels == label).tolist()
    is_drawn[sorted(members, key=keys.__getitem__)[:count]] = True
  return is_drawn


def occurs_in(digests: np.ndarray, other: np.ndarray) -> np.ndarray:
  """Finds the contents that occur in another set too.

  Args:
    digests: uint8 [N, 32].
    other: uint8 [M, 32].

  Returns:
    bool [N].
  """
  known = {row.tobytes() for row in other}
  return np.array([row.tobytes() in known for row in digests], bool)


def sort_order(
  labels: np.ndarray, digests: np.ndarray, names: Sequence[str] | None = None
) -> np.ndarray:
  """Computes the order of examples in a split: by class, content and name.

  The name only breaks ties between identical contents of one class.

  Args:
    labels: int [N], or [N, C], whose rows are compared as lists.
    digests: uint8 [N, 32].
    names: of the N examples; None if identical examples are interchangeable.

  Returns:
    int64 [N], the positions in order.
  """
  names = names if names is not None else [''] * len(labels)
  keys = [
    (label, digest.tobytes(), name)
    for label, digest, name in zip(
      np.asarray(labels).tolist(), digests, names, strict=True
    )
  ]
  return np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64)
