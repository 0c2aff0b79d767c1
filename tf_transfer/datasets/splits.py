"""Which example goes where, as a pure function of what it is.

Every held-out draw goes by a number between 0 and 1 that is derived from the
SHA-256 of the example's content (or of its official name) and a seed. Where a
share is held out the draw is a threshold on that number: an example's side
depends on nothing else, not on the order of files, not on names, not on other
examples or classes, and identical content is always on the same side. Where a
published size has to be met, the examples with the lowest numbers are drawn.
"""

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np

from tf_transfer.errors import InputError

# Bytes of a SHA-256.
DIGEST_SIZE = 32


@dataclasses.dataclass(frozen=True)
class Draw:
  """What is held out where a dataset has no official splits.

  Attributes:
    seed: any integer; another seed is another, independent draw.
    val_fraction: share of validation: of all examples where test is drawn
      too, of the given train where test is given.
    test_fraction: share of test in all examples.
  """

  seed: int = 0
  val_fraction: float = 0.2
  test_fraction: float = 0.2

  def __post_init__(self):
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


def content_digests(contents: Sequence[bytes]) -> np.ndarray:
  """The SHA-256 of each content, as uint8 [N, 32]."""
  joined = b''.join(hashlib.sha256(content).digest() for content in contents)
  return np.frombuffer(joined, np.uint8).reshape(-1, DIGEST_SIZE)


def uniforms(digests: np.ndarray, seed: int) -> np.ndarray:
  """One number in [0, 1) for each content, uniform over contents.

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
  # 53 bits are what a float64 holds: the division is exact and below 1.
  return (np.array(numbers, np.uint64) >> np.uint64(11)) / 2.0**53


def train_val_test(digests: np.ndarray, draw: Draw) -> dict[str, np.ndarray]:
  """Divides examples three ways.

  Test does not depend on `val_fraction`: whoever holds out more for
  validation is still measured on the same examples.

  Args:
    digests: uint8 [N, 32].
    draw: seed and fractions.

  Returns:
    train, val and test: int64 indices, ascending, which together are each of
    0 to N - 1 once.
  """
  number = uniforms(digests, draw.seed)
  test = number < draw.test_fraction
  val = ~test & (number < draw.test_fraction + draw.val_fraction)
  masks = {'train': ~test & ~val, 'val': val, 'test': test}
  return {name: np.flatnonzero(mask) for name, mask in masks.items()}


def train_val(
  digests: np.ndarray, seed: int, fraction: float
) -> dict[str, np.ndarray]:
  """Holds validation out of a given train.

  Args:
    digests: uint8 [N, 32] of the given train.
    seed: any integer.
    fraction: share of validation.

  Returns:
    train and val: int64 indices, ascending, which together are each of
    0 to N - 1 once.
  """
  val = uniforms(digests, seed) < fraction
  return {'train': np.flatnonzero(~val), 'val': np.flatnonzero(val)}


def lowest(
  digests: np.ndarray,
  seed: int,
  count: int,
  labels: np.ndarray | None = None,
) -> np.ndarray:
  """Draws exactly so many examples: those with the lowest numbers.

  Args:
    digests: uint8 [N, 32], of the examples' contents or names.
    seed: any integer.
    count: how many; of each class, where labels are given. Where there are
      fewer, all of them are drawn.
    labels: int [N], to draw from each class apart.

  Returns:
    bool [N], whether an example is drawn.
  """
  number = uniforms(digests, seed)
  # Digests decide between equal numbers, so that order never does.
  keys = [(x, row.tobytes()) for x, row in zip(number, digests, strict=True)]
  labels = np.zeros(len(keys), int) if labels is None else labels
  drawn = np.zeros(len(keys), bool)
  for label in np.unique(labels):
    members = np.flatnonzero(labels == label).tolist()
    drawn[sorted(members, key=keys.__getitem__)[:count]] = True
  return drawn


def also_in(digests: np.ndarray, other: np.ndarray) -> np.ndarray:
  """Which contents occur in another set too.

  Args:
    digests: uint8 [N, 32].
    other: uint8 [M, 32].

  Returns:
    bool [N].
  """
  known = {row.tobytes() for row in other}
  return np.array([row.tobytes() in known for row in digests], bool)


def content_order(
  labels: np.ndarray, digests: np.ndarray, names: Sequence[str] | None = None
) -> np.ndarray:
  """The order of examples in a split: by class, then by content, then by name.

  The name decides between identical contents of one class only.

  Args:
    labels: int [N], or [N, C], whose rows count as they are.
    digests: uint8 [N, 32].
    names: N names, or None where identical examples need no telling apart.

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
