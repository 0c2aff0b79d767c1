"""Keeps decoded images in memory."""

import dataclasses
import threading

import numpy as np

from tf_transfer.datasets.dataset import Split


def cache_images(split: Split, max_bytes: int) -> Split:
  """Returns a split that keeps its images in memory once they are decoded.

  Images that do not fit are decoded each time. The pixels are the same.

  Args:
    split: the examples.
    max_bytes: memory for pixels.
  """
  cache = _ImageCache(split, max_bytes)
  return dataclasses.replace(split, read=cache.read, encoded=cache.encoded)


class _ImageCache:
  """The cached images of a split; safe to use from several threads."""

  def __init__(self, split: Split, max_bytes: int):
    """Starts with no image; `max_bytes` is the memory for pixels."""
    self._split = split
    self._bytes_left = max_bytes
    self._images: dict[int, np.ndarray] = {}
    self._lock = threading.Lock()

  def read(self, i: int) -> np.ndarray:
    """Returns image i as uint8 [H, W, 3], and caches it if there is room."""
    image = self._images.get(i)
    if image is not None:
      return image
    image = self._split.read(i)
    with self._lock:
      if image.nbytes > self._bytes_left:
        self._bytes_left = 0
      elif i not in self._images:
        # All later readers share this array.
        image.flags.writeable = False
        self._images[i] = image
        self._bytes_left -= image.nbytes
    return image

  def encoded(self, i: int) -> bytes | None:
    """Returns the file of image i, or None if `read` should be called."""
    # An image that may still be cached is decoded as a whole.
    if i in self._images or self._bytes_left > 0:
      return None
    return self._split.encoded(i)
