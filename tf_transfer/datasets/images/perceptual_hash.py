"""How alike images look: 64-bit hashes that survive small changes.

The perceptual hash of Zauner (Implementation and Benchmarking of Perceptual
Image Hash Functions, 2010): a picture of 32 x 32 gray levels, the 8 x 8 lowest
frequencies of its cosine transform, and for each whether it is above their
median. Other compression, another size or a slightly other crop change a few
of the bits; unrelated photos differ in about half.
"""

import numpy as np
import scipy.fft

from tf_transfer.contract import Contract
from tf_transfer.datasets import pipeline
from tf_transfer.datasets.dataset import Progress, Split

BITS = 64

_PICTURE = Contract(32, mean=(0, 0, 0), std=(1, 1, 1))
# ITU-R BT.601, as the gray of JPEG and Pillow.
_GREY = np.array([0.299, 0.587, 0.114])
_BATCH_SIZE = 256
# Of the table of distances, in entries.
_BLOCK = 2**24


def hashes(
  split: Split, progress: Progress, description: str
) -> tuple[np.ndarray, np.ndarray]:
  """The perceptual hash of every example.

  Args:
    split: the examples.
    progress: shows how far it is.
    description: what to call it.

  Returns:
    uint64 [N], and bool [N], whether the example can be decoded: where not,
    the hash means nothing.
  """
  found = np.zeros(len(split), np.uint64)
  good = np.zeros(len(split), bool)
  batches = pipeline.batches(split, _PICTURE, _BATCH_SIZE, corrupt='skip')
  total = -(-len(split) // _BATCH_SIZE)
  for batch in progress(batches, total=total, desc=description, unit='batch'):
    rows = batch['index'][batch['mask']]
    found[rows] = hash_pictures(batch['image'][batch['mask']])
    good[rows] = True
  return found, good


def hash_pictures(pictures: np.ndarray) -> np.ndarray:
  """The hashes, uint64 [N], of uint8 [N, 32, 32, 3]."""
  waves = scipy.fft.dctn(pictures @ _GREY, axes=(1, 2))[:, :8, :8]
  waves = waves.reshape(len(pictures), BITS)
  # The first is the mean brightness, of another magnitude.
  middle = np.median(waves[:, 1:], axis=1, keepdims=True)
  bits = np.packbits(waves > middle, axis=1)
  return np.ascontiguousarray(bits).view('>u8').reshape(-1).astype(np.uint64)


def nearest(
  queries: np.ndarray, hashes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """The most alike of a set for each query, the first among equals.

  Args:
    queries: uint64 [M].
    hashes: uint64 [N], N > 0.

  Returns:
    Positions in `hashes` [M], and in how many bits they differ [M].
  """
  position = np.zeros(len(queries), np.int64)
  distance = np.zeros(len(queries), np.int64)
  step = max(1, _BLOCK // len(hashes))
  for start in range(0, len(queries), step):
    rows = slice(start, start + step)
    differ = np.bitwise_count(queries[rows, None] ^ hashes[None, :])
    position[rows] = differ.argmin(axis=1)
    distance[rows] = differ.min(axis=1)
  return position, distance


def most_similar(
  queries: np.ndarray, vectors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """The vector of the largest cosine with each query.

  Args:
    queries: float [M, D].
    vectors: float [N, D], N > 0.

  Returns:
    Positions in `vectors` [M], and the cosines [M].
  """
  queries, vectors = (
    v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-30)
    for v in (queries, vectors)
  )
  position = np.zeros(len(queries), np.int64)
  cosine = np.zeros(len(queries))
  step = max(1, _BLOCK // len(vectors))
  for start in range(0, len(queries), step):
    rows = slice(start, start + step)
    cosines = queries[rows] @ vectors.T
    position[rows] = cosines.argmax(axis=1)
    cosine[rows] = cosines.max(axis=1)
  return position, cosine
