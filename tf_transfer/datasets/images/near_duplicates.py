"""Groups images of a dataset that are copies of one another.

Two images are near-duplicates if their perceptual hashes differ in a few bits,
and if their thumbnails differ little too, brightness and contrast aside. The
hash alone is not enough: those of simple drawings are often the same.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from tf_transfer.datasets.images.perceptual_hash import BITS

# The most bits of near-duplicates that differ, and the largest root mean square
# of the difference of their thumbnails, each with channels of mean 0 and of
# deviation 1.
MAX_BITS = 8
MAX_DIFFERENCE = 0.12
# Levels. Images of a smaller deviation show nothing to compare.
_MIN_CONTRAST = 6
# Distances of hashes, and pairs of thumbnails, that are computed at once.
_BLOCK_SIZE = 2**22
_PAIRS_AT_ONCE = 8192


@dataclasses.dataclass(frozen=True, eq=False)
class Groups:
  """What is grouped.

  Attributes:
    numbers: int64 [N], the same for images of one group.
    similar: int64 [K, 2], positions of the images of each pair of
      near-duplicates whose contents differ.
    num_refused: pairs of these that are in two groups, because one group may
      hold no more than half of the contents of a class.
  """

  numbers: np.ndarray
  similar: np.ndarray
  num_refused: int


def find_pairs(
  hashes: np.ndarray, thumbnails: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Finds the pairs of near-duplicates.

  Args:
    hashes: uint64 [N], perceptual hashes.
    thumbnails: uint8 [N, H, W, 3].

  Returns:
    Positions of the images of each pair, int64 [K, 2], the lower one first,
    and the differences of their thumbnails [K].
  """
  has_contrast = np.zeros(len(thumbnails), bool)
  for start in range(0, len(thumbnails), _PAIRS_AT_ONCE):
    rows = slice(start, start + _PAIRS_AT_ONCE)
    has_contrast[rows] = _center(thumbnails[rows])[1] >= _MIN_CONTRAST
  members = np.flatnonzero(has_contrast)
  pairs, differences = [np.zeros((0, 2), np.int64)], [np.zeros(0)]
  for candidates in _near_hashes(hashes[members]):
    chunk = members[candidates]
    difference = _differences(thumbnails[chunk[:, 0]], thumbnails[chunk[:, 1]])
    is_near = difference <= MAX_DIFFERENCE
    pairs.append(chunk[is_near])
    differences.append(difference[is_near])
  return np.concatenate(pairs), np.concatenate(differences)


def _near_hashes(hashes: np.ndarray) -> Iterator[np.ndarray]:
  """Yields the pairs of near hashes, int64 [K, 2], a bounded number at once.

  Two hashes that differ in MAX_BITS bits are equal in one of MAX_BITS + 1 bands
  of bits, so that only hashes of one value in a band are compared.
  """
  bands = np.array_split(np.arange(BITS, dtype=np.uint64), MAX_BITS + 1)
  masks = [np.bitwise_or.reduce(np.uint64(1) << band) for band in bands]
  for number, mask in enumerate(masks):
    values = hashes & mask
    order = np.argsort(values, kind='stable')
    ends = np.flatnonzero(np.diff(values[order])) + 1
    for members in np.split(order, ends):
      for pairs in _near_in_block(hashes, members):
        differing = hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]
        # Pairs that an earlier band yields are left out.
        is_new = np.ones(len(pairs), bool)
        for earlier in masks[:number]:
          is_new &= (differing & earlier) != 0
        if is_new.any():
          yield pairs[is_new]


def _near_in_block(
  hashes: np.ndarray, members: np.ndarray
) -> Iterator[np.ndarray]:
  """Yields the pairs of near hashes among members, ascending positions."""
  start = 0
  while start < len(members):
    others = members[start:]
    count = max(1, _BLOCK_SIZE // len(others))
    queries = hashes[others[:count]]
    bits = np.bitwise_count(queries[:, None] ^ hashes[others][None, :])
    pairs = np.stack(np.nonzero(bits <= MAX_BITS), axis=1)
    pairs = others[pairs[pairs[:, 0] < pairs[:, 1]]]
    for first in range(0, len(pairs), _PAIRS_AT_ONCE):
      yield pairs[first : first + _PAIRS_AT_ONCE]
    start += count


def _center(thumbnails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Subtracts the mean of each channel of thumbnails, uint8 [K, H, W, 3].

  Returns:
    The flat centered pixels, float32 [K, P], and their deviations [K].
  """
  pixels = thumbnails.reshape(len(thumbnails), -1, 3).astype(np.float32)
  pixels -= pixels.mean(axis=1, keepdims=True)
  pixels = pixels.reshape(len(thumbnails), -1)
  return pixels, np.sqrt(np.mean(pixels**2, axis=1))


def _differences(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Computes the differences [K] of thumbnails, uint8 [K, H, W, 3]."""
  (first, contrast), (second, other) = _center(first), _center(second)
  difference = first / contrast[:, None] - second / other[:, None]
  return np.sqrt(np.mean(difference**2, axis=1))


def group(
  digests: np.ndarray,
  labels: np.ndarray,
  hashes: np.ndarray,
  thumbnails: np.ndarray,
  keys: Sequence[str],
) -> Groups:
  """Groups identical images, images of one key, and near-duplicates.

  Near-duplicates of near-duplicates are in one group. The nearest pairs are
  joined first. Pairs are not joined if the group would hold more than half of
  the contents of a class, rounded up: no chain swallows a class.

  Args:
    digests: uint8 [N, 32], the SHA-256 of each file.
    labels: int [N].
    hashes: uint64 [N], perceptual hashes.
    thumbnails: uint8 [N, H, W, 3].
    keys: [N], images of one key stay together; '': the image has none.
  """
  # In the order of contents, so that the order of files has no influence.
  _, first, content = np.unique(
    digests, axis=0, return_index=True, return_inverse=True
  )
  content = content.reshape(-1)
  forest = _Forest(content, labels, len(first))
  of_key = {}
  for key, node in zip(keys, content.tolist(), strict=True):
    if key:
      forest.join(of_key.setdefault(key, node), node)
  pairs, differences = find_pairs(hashes[first], thumbnails[first])
  pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0], differences))]
  for a, b in pairs.tolist():
    if forest.fits(a, b):
      forest.join(a, b)
  roots = np.array([forest.root(i) for i in range(len(first))], np.int64)
  refused = roots[pairs[:, 0]] != roots[pairs[:, 1]]
  return Groups(roots[content], first[pairs], int(refused.sum()))


class _Forest:
  """Disjoint sets of contents, and how many of each class are in each."""

  def __init__(
    self, content: np.ndarray, labels: np.ndarray, count: int
  ) -> None:
    """Puts each content in a set of its own.

    Args:
      content: int [N], the content of each image.
      labels: int [N].
      count: of contents.
    """
    self._parent = list(range(count))
    self._classes = [Counter() for _ in range(count)]
    for node, label in set(zip(content.tolist(), labels.tolist(), strict=True)):
      self._classes[node][label] = 1
    self._totals = sum(self._classes, Counter())

  def root(self, node: int) -> int:
    """Returns the lowest content of the set that a content is in."""
    while self._parent[node] != node:
      self._parent[node] = self._parent[self._parent[node]]
      node = self._parent[node]
    return node

  def fits(self, a: int, b: int) -> bool:
    """Whether the sets of two contents may become one."""
    a, b = self.root(a), self.root(b)
    joined = self._classes[a] + self._classes[b]
    return a == b or all(
      2 * number <= self._totals[label] + 1 for label, number in joined.items()
    )

  def join(self, a: int, b: int) -> None:
    """Makes one set of those of two contents."""
    a, b = sorted((self.root(a), self.root(b)))
    if a != b:
      self._parent[b] = a
      self._classes[a] += self._classes[b]
