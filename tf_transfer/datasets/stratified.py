"""Divides examples class by class, with groups that stay whole.

The unit of a draw is a group of examples: near-duplicates, or the images of one
patient. Examples without a group are units with the copies of their content.
The number of a unit is that of the lowest digest in it (see
`splits.uniform_numbers`), and its class is that of most of its examples. The
units of each class are taken by their numbers. Neither names nor the order of
examples or classes has an influence.
"""

import dataclasses

import numpy as np

from tf_transfer.datasets import splits

# A unit that is larger than this multiple of what is still to be drawn is left
# to train while there are others.
_MAX_OVERSHOOT = 1.5


@dataclasses.dataclass(frozen=True)
class _Units:
  """The units of a draw.

  Attributes:
    members: of each unit, the positions of its examples.
    order: positions of units by their numbers, ascending.
    label: int [U], the class of each.
    size: int [U], the number of examples of each.
  """

  members: tuple[np.ndarray, ...]
  order: np.ndarray
  label: np.ndarray
  size: np.ndarray

  def classes(self) -> list[np.ndarray]:
    """Returns the units of each class by number; classes by their first."""
    by_class: dict[int, list[int]] = {}
    for unit in self.order.tolist():
      by_class.setdefault(int(self.label[unit]), []).append(unit)
    return [np.array(units) for units in by_class.values()]

  def positions(self, units: np.ndarray | list[int]) -> np.ndarray:
    """Returns the positions of the examples of some units, ascending."""
    empty = np.zeros(0, np.int64)
    return np.sort(np.concatenate([empty, *(self.members[u] for u in units)]))


def train_val_test(
  digests: np.ndarray,
  labels: np.ndarray,
  groups: np.ndarray | None,
  random_split: splits.RandomSplit,
) -> dict[str, np.ndarray]:
  """Divides examples into train, val and test, class by class.

  Of each class test has about `test_fraction`, at least one unit where there
  are two; val has about `val_fraction`, at least one unit where there are
  three. Train has at least one. Test does not depend on `val_fraction`.

  Args:
    digests: uint8 [N, 32].
    labels: int [N].
    groups: int [N], or None; see `Split`.
    random_split: seed and fractions.

  Returns:
    train, val and test: int64 positions, ascending. Each of 0 to N - 1 is in
    one of them.
  """
  units = _make_units(digests, labels, groups, random_split.seed)
  drawn: dict[str, list[int]] = {'train': [], 'val': [], 'test': []}
  for members in units.classes():
    count = int(units.size[members].sum())
    rest = members.tolist()
    for name, fraction in (
      ('test', random_split.test_fraction),
      ('val', random_split.val_fraction),
    ):
      chosen = _draw(units, rest, max(1, round(fraction * count)))
      drawn[name] += chosen
      rest = [unit for unit in rest if unit not in set(chosen)]
    drawn['train'] += rest
  return {name: units.positions(drawn[name]) for name in drawn}


def train_val(
  digests: np.ndarray,
  labels: np.ndarray,
  groups: np.ndarray | None,
  seed: int,
  fraction: float,
) -> dict[str, np.ndarray]:
  """Divides a given train into train and val, class by class.

  Args:
    digests: uint8 [N, 32] of the given train.
    labels: int [N].
    groups: int [N], or None; see `Split`.
    seed: any integer.
    fraction: share of validation in each class; at least one unit where there
      are two.

  Returns:
    train and val: int64 positions, ascending. Each of 0 to N - 1 is in one of
    them.
  """
  units = _make_units(digests, labels, groups, seed)
  drawn: dict[str, list[int]] = {'train': [], 'val': []}
  for members in units.classes():
    target = max(1, round(fraction * int(units.size[members].sum())))
    chosen = _draw(units, members.tolist(), target)
    drawn['val'] += chosen
    drawn['train'] += [u for u in members.tolist() if u not in set(chosen)]
  return {name: units.positions(drawn[name]) for name in drawn}


def assign_folds(
  digests: np.ndarray,
  labels: np.ndarray,
  groups: np.ndarray | None,
  num_folds: int,
  seed: int,
) -> np.ndarray:
  """Assigns examples to folds, balanced in each class and in total.

  Args:
    digests: uint8 [N, 32].
    labels: int [N].
    groups: int [N], or None; see `Split`.
    num_folds: K, two or more.
    seed: any integer.

  Returns:
    int64 [N], 0 to K - 1.
  """
  units = _make_units(digests, labels, groups, seed)
  folds = np.zeros(len(labels), np.int64)
  total = np.zeros(num_folds, int)
  for members in units.classes():
    of_class = np.zeros(num_folds, int)
    # Large units first: the small ones then even out what they left.
    sizes = units.size[members]
    for unit in members[np.argsort(-sizes, kind='stable')].tolist():
      fold = np.lexsort((total, of_class))[0]
      folds[units.members[unit]] = fold
      of_class[fold] += units.size[unit]
      total[fold] += units.size[unit]
  return folds


def _make_units(
  digests: np.ndarray,
  labels: np.ndarray,
  groups: np.ndarray | None,
  seed: int,
) -> _Units:
  """Makes the units of a draw."""
  digests, labels = np.asarray(digests), np.asarray(labels)
  rows = [row.tobytes() for row in digests]
  keys = rows if groups is None else np.asarray(groups).tolist()
  by_key: dict[object, list[int]] = {}
  for position, key in enumerate(keys):
    by_key.setdefault(key, []).append(position)
  members = tuple(np.array(one, np.int64) for one in by_key.values())
  lowest = [min(one, key=rows.__getitem__) for one in by_key.values()]
  numbers = splits.uniform_numbers(digests[lowest], seed)
  order = sorted(
    range(len(members)), key=lambda unit: (numbers[unit], rows[lowest[unit]])
  )
  return _Units(
    members,
    np.array(order, np.int64),
    np.array([_majority(labels[one], rows, one) for one in members], np.int64),
    np.array([len(one) for one in members], np.int64),
  )


def _majority(
  labels: np.ndarray, rows: list[bytes], positions: np.ndarray
) -> int:
  """Returns the most frequent label; of several that of the lowest digest."""
  values, counts = np.unique(labels, return_counts=True)
  most = set(values[counts == counts.max()].tolist())
  first = min(
    (i for i, label in enumerate(labels.tolist()) if label in most),
    key=lambda i: rows[positions[i]],
  )
  return int(labels[first])


def _draw(units: _Units, available: list[int], target: int) -> list[int]:
  """Draws units of one class until they have about as many examples as asked.

  Args:
    units: all units.
    available: those of the class that can be drawn, by number.
    target: the number of examples.

  Returns:
    The units; none where there is only one, which is left to train.
  """
  chosen, count = [], 0
  for unit in available:
    if len(chosen) + 1 == len(available) or count >= target:
      break
    size = int(units.size[unit])
    # The nearer of the counts with and without the unit is taken.
    if size <= _MAX_OVERSHOOT * (target - count) and (
      abs(count + size - target) <= abs(count - target) or not chosen
    ):
      chosen.append(unit)
      count += size
  if not chosen and len(available) > 1:
    chosen = [min(available, key=lambda unit: int(units.size[unit]))]
  return chosen
