"""Assigns examples to splits by hashes of their contents.

Each random draw goes by a number between 0 and 1 for each example, made from
the SHA-256 of its content (or of its official name) and a seed. If a fraction
is drawn, the examples whose number is below a threshold are drawn. The split of
an example then depends on nothing else: not on the order of files, on names,
or on other examples and classes. Identical contents are in the same split. If
a given count is drawn, the examples with the lowest numbers are drawn.
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
