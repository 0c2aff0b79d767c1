"""Decoded images that stay in memory."""

import dataclasses
import threading

import numpy as np

from tf_transfer.datasets.dataset import Split


def keep_decoded(split: Split, budget: int) -> Split:
  """The same split, whose images are kept in memory once they are decoded.

  As many as fit: those that come when the budget is spent are decoded each
  time, as before. The pixels are the same either way.

  Args:
    split: the examples.
    budget: bytes of pixels that may be kept.
  """
  kept = _Kept(split, budget)
  return dataclasses.replace(split, read=kept.read, encoded=kept.encoded)


class _Kept:
  """The images of a split that are kept; many threads may use it at once."""

  def __init__(self, split: Split, budget: int):
    self._split = split
    self._left = budget
    self._images: dict[int, np.ndarray] = {}
    self._lock = threading.Lock()

  def read(self, i: int) -> np.ndarray:
    image = self._images.get(i)
    if image is not None:
      return image
    image = self._split.read(i)
    with self._lock:
      if image.nbytes > self._left:
        self._left = 0
      elif i not in self._images:
        # Whoever reads it next must not change it for all who follow.
        image.flags.writeable = False
        self._images[i] = image
        self._left -= image.nbytes
    return image

  def encoded(self, i: int) -> bytes | None:
    # An image that might still be kept is worth decoding as a whole.
    if i in self._images or self._left > 0:
      return None
    return self._split.encoded(i)
