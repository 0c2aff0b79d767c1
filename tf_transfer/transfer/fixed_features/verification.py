"""Verifies computed features before they are used or cached.

With memory nearly exhausted, XLA on CPU has returned wrong numbers without an
error, finite ones beside NaNs. So features must be finite, and a sample of
them, an image from each of many batches, is computed again and compared. The
other batch that an image is in then, and the other row, must not matter.
"""

import dataclasses
import types
from collections.abc import Sequence
from typing import Protocol, Self

import jax
import numpy as np

from tf_transfer import datasets, errors, networks
from tf_transfer.transfer.fixed_features import feature_cache

# Shards that are verified together, with one more batch.
_SHARDS = 2
# After these what is finished is kept.
_INTERRUPTIONS = (KeyboardInterrupt, errors.InputError, errors.Preempted)
# Of a row's largest value. What is computed twice is equal but for float noise.
_TOLERANCE = 1e-5


class Extractor(Protocol):
  """What computes features; the class of this name in `features`."""

  batch_size: int

  @property
  def network(self) -> networks.Network:
    """The network."""

  def to_devices(self, images: np.ndarray) -> jax.Array:
    """Transfers images [B, S, S, 3]."""

  def apply(self, images: jax.Array) -> jax.Array:
    """Computes features [B, D]."""


@dataclasses.dataclass(frozen=True, eq=False)
class Shard:
  """The features of a shard that one network has computed.

  Attributes:
    extractor: of the network.
    entry: of the cache, where they are written.
    start: position in the split of the shard's first example.
    values: [n, D] float32.
    valid: bool [n], which rows are features.
  """

  extractor: Extractor
  entry: feature_cache.Entry
  start: int
  values: np.ndarray
  valid: np.ndarray

  @property
  def remedy(self) -> str:
    """What to do where the features are wrong."""
    return (
      f'Nothing of them is in the cache {self.entry.root}. '
      + self.extractor.network.wrong_features_advice
    )


class Sample:
  """Images of a shard, at most one of each batch.

  Attributes:
    images: uint8 [S, S, 3] each.
    rows: of the shard, one for each image.
  """

  def __init__(self, num_examples: int, batch_size: int) -> None:
    """Chooses the batches.

    Args:
      num_examples: of the shard.
      batch_size: images per batch.
    """
    self.images: list[np.ndarray] = []
    self.rows: list[int] = []
    num_batches = -(-num_examples // batch_size)
    self._every = -(-num_batches // max(1, batch_size // _SHARDS))
    self._num_batches = 0

  def add(self, images: np.ndarray, rows: np.ndarray) -> None:
    """Takes an image of a batch, if the batch is a chosen one.

    Args:
      images: uint8 [k, S, S, 3], those of the batch that could be decoded.
      rows: int [k], their rows in the shard.
    """
    if self._num_batches % self._every == 0 and len(rows):
      # Of each batch another one.
      number = self._num_batches % len(rows)
      self.images.append(images[number].copy())
      self.rows.append(int(rows[number]))
    self._num_batches += 1


class Unverified:
  """Shards that wait to be verified, and are then written to the cache.

  As a context it verifies at its end those that are left. An extraction that
  is interrupted thus keeps what it has finished.
  """

  def __init__(self, split: datasets.Split, batch_size: int) -> None:
    """Starts without shards.

    Args:
      split: whose features these are.
      batch_size: images per batch.
    """
    self._split = split
    self._batch_size = batch_size
    self._waiting: list[tuple[Sequence[Shard], Sample]] = []

  def add(self, shards: Sequence[Shard], sample: Sample) -> None:
    """Adds the shards that several networks have computed of the same images.

    Raises:
      InputError: a feature is not finite or is another when it is computed
        again, or the cache cannot be written.
    """
    for shard in shards:
      self._check_finite(shard)
    self._waiting.append((shards, sample))
    if len(self._waiting) == _SHARDS:
      self._verify()

  def __enter__(self) -> Self:
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: types.TracebackType | None,
  ) -> None:
    if error is None or (
      isinstance(error, _INTERRUPTIONS)
      and not isinstance(error, errors.CannotWrite)
    ):
      self._verify()

  def _check_finite(self, shard: Shard) -> None:
    """Raises an InputError where a valid row is not finite."""
    wrong = shard.valid & ~np.isfinite(shard.values).all(axis=1)
    if wrong.any():
      example = shard.start + int(np.flatnonzero(wrong)[0])
      raise errors.InputError(
        f'{shard.extractor.network.name}: features with NaN or infinity, of '
        f'{int(wrong.sum())} of {len(wrong)} images; the first is of '
        f'{self._split.describe(example)}. {shard.remedy}'
      )

  def _verify(self) -> None:
    """Computes the samples again, and writes the shards that agree."""
    waiting, self._waiting = self._waiting, []
    extractors = {
      id(shard.extractor): shard.extractor
      for shards, _ in waiting
      for shard in shards
    }
    for extractor in extractors.values():
      sampled = [
        (shard, sample)
        for shards, sample in waiting
        for shard in shards
        if shard.extractor is extractor
      ]
      self._compare(extractor, sampled)
      for shard, _ in sampled:
        shard.entry.write(shard.start, shard.values, shard.valid)

  def _compare(
    self, extractor: Extractor, shards: Sequence[tuple[Shard, Sample]]
  ) -> None:
    """Raises an InputError where a network computes other features now."""
    images = [image for _, sample in shards for image in sample.images]
    rows = [(shard, row) for shard, sample in shards for row in sample.rows]
    for start in range(0, len(images), self._batch_size):
      chosen = np.stack(images[start : start + self._batch_size])
      batch = np.zeros((self._batch_size, *chosen.shape[1:]), chosen.dtype)
      batch[: len(chosen)] = chosen
      again = np.asarray(extractor.apply(extractor.to_devices(batch)))
      for (shard, row), new in zip(rows[start:], again, strict=False):
        old = shard.values[row]
        # A NaN is not within it either.
        if not np.abs(new - old).max() <= _TOLERANCE * np.abs(old).max():
          raise errors.InputError(
            f'{extractor.network.name}: the features of '
            f'{self._split.describe(shard.start + row)} are others when they '
            f'are computed again. {shard.remedy}'
          )
