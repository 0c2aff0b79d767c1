"""Finds images that look alike with 64-bit hashes, or with features.

The perceptual hash is that of Zauner (Implementation and Benchmarking of
Perceptual Image Hash Functions, 2010): of the image at 32 x 32 gray pixels, the
8 x 8 lowest frequencies of the cosine transform, and for each whether it is
above their median. Recompression, resizing or a slight crop change a few of the
bits; hashes of unrelated photos differ in about half of them.
"""

import numpy as np
import scipy.fft

from tf_transfer.contract import Contract
from tf_transfer.datasets import pipeline
from tf_transfer.datasets.dataset import Progress, Split

BITS = 64

_CONTRACT = Contract(32, mean=(0, 0, 0), std=(1, 1, 1))
# Weights of red, green and blue of ITU-R BT.601, as for gray in JPEG and
# Pillow.
_GRAY_WEIGHTS = np.array([0.299, 0.587, 0.114])
_BATCH_SIZE = 256
# Distances that are computed at once.
_BLOCK_SIZE = 2**24


def hash_split(
  split: Split, progress: Progress, description: str
) -> tuple[np.ndarray, np.ndarray]:
  """Computes the perceptual hash of every example.

  Args:
    split: the examples.
    progress: a wrapper of iterables like tqdm.
    description: of the progress bar.

  Returns:
    The hashes, uint64 [N], and whether each example can be decoded, bool [N].
    The hash of one that cannot is 0.
  """
  hashes = np.zeros(len(split), np.uint64)
  readable = np.zeros(len(split), bool)
  batches = pipeline.batches(split, _CONTRACT, _BATCH_SIZE, corrupt='skip')
  total = -(-len(split) // _BATCH_SIZE)
  for batch in progress(batches, total=total, desc=description, unit='batch'):
    positions = batch['index'][batch['mask']]
    hashes[positions] = hash_images(batch['image'][batch['mask']])
    readable[positions] = True
  return hashes, readable


def hash_images(images: np.ndarray) -> np.ndarray:
  """Computes the hashes, uint64 [N], of images, uint8 [N, 32, 32, 3]."""
  frequencies = scipy.fft.dctn(images @ _GRAY_WEIGHTS, axes=(1, 2))[:, :8, :8]
  frequencies = frequencies.reshape(len(images), BITS)
  # The first one is the mean brightness, which is of another magnitude.
  median = np.median(frequencies[:, 1:], axis=1, keepdims=True)
  bits = np.packbits(frequencies > median, axis=1)
  return np.ascontiguousarray(bits).view('>u8').reshape(-1).astype(np.uint64)


def nearest(
  queries: np.ndarray, hashes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Finds the nearest hash to each query, the first of equally near ones.

  Args:
    queries: uint64 [M].
    hashes: uint64 [N], N > 0.

  Returns:
    Positions in `hashes` [M], and the numbers of bits that differ [M].
  """
  position = np.zeros(len(queries), np.int64)
  distance = np.zeros(len(queries), np.int64)
  step = max(1, _BLOCK_SIZE // len(hashes))
  for start in range(0, len(queries), step):
    rows = slice(start, start + step)
    distances = np.bitwise_count(queries[rows, None] ^ hashes[None, :])
    position[rows] = distances.argmin(axis=1)
    distance[rows] = distances.min(axis=1)
  return position, distance


def most_similar(
  queries: np.ndarray, vectors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Finds the vector with the largest cosine to each query.

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
  step = max(1, _BLOCK_SIZE // len(vectors))
  for start in range(0, len(queries), step):
    rows = slice(start, start + step)
    cosines = queries[rows] @ vectors.T
    position[rows] = cosines.argmax(axis=1)
    cosine[rows] = cosines.max(axis=1)
  return position, cosine
