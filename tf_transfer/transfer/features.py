"""A frozen network × a split -> feature matrix, cached on disk.

Images of a split -> batches of uint8 pixels, whole image at the network's
input size -> scaled on the device -> features [N, D] float32. The split is
cut into shards; a shard is written once it is complete, so an interrupted
extraction goes on from the last one. (Section 4 of the protocol: the features
that feed the logits layer, batch norm in inference mode, no augmentation, no
normalisation.)
"""

import dataclasses
import hashlib
import json
import pathlib
import zipfile
from collections.abc import Iterator

import jax
import numpy as np
from absl import logging

from tf_transfer import datasets, errors, networks
from tf_transfer.datasets import pipeline
from tf_transfer.runtime import devices, files, progress

# Part of every cache key: raise it when what is computed changes.
_VERSION = 1
_SHARD_SIZE = 2048  # images


@dataclasses.dataclass(frozen=True)
class Features:
  """The feature matrix of a split.

  Attributes:
    values: [N, D] float32, in the order of the split.
    labels: [N] int32, or [N, C] where several count.
    kept: [N] int, the examples' numbers in the split.
    skipped: names of the corrupt images that were left out.
    computed: how many images went through the network just now; the others
      came from the cache.
  """

  values: np.ndarray
  labels: np.ndarray
  kept: np.ndarray
  skipped: tuple[str, ...]
  computed: int

  def __len__(self) -> int:
    return len(self.values)


def concatenate(first: Features, second: Features) -> Features:
  """The features of one split followed by those of another."""
  return Features(
    np.concatenate([first.values, second.values]),
    np.concatenate([first.labels, second.labels]),
    np.concatenate([first.kept, second.kept]),
    first.skipped + second.skipped,
    first.computed + second.computed,
  )


class Extractor:
  """Extracts features with one network, compiled once for all splits."""

  def __init__(
    self,
    net: networks.Network,
    cache_dir: pathlib.Path,
    *,
    batch_size: int = 64,
    resize: str = 'whole_image',
    corrupt: str = 'error',
    mesh: jax.sharding.Mesh | None = None,
  ):
    """Prepares the extraction.

    Args:
      net: the network.
      cache_dir: where feature matrices are kept.
      batch_size: images at once on all devices together, rounded up to a
        multiple of their number. It does not change the features.
      resize: how images become the network's input, as for `batches`.
      corrupt: 'error', or 'skip' to leave out what cannot be decoded.
      mesh: the devices; default all.
    """
    self._net = net
    self._cache_dir = cache_dir
    self._resize = resize
    self._corrupt = corrupt
    mesh = devices.data_mesh() if mesh is None else mesh
    self._batch_size = -(-batch_size // mesh.size) * mesh.size
    self._data = devices.sharding(mesh, devices.BATCH)
    self._variables = jax.device_put(
      net.variables, devices.sharding(mesh, devices.REPLICATED)
    )
    # Each device works on its own images alone.
    self._apply = jax.jit(
      jax.shard_map(
        lambda variables, image: net.apply_features(
          variables, net.contract.scale(image)
        ),
        mesh=mesh,
        in_specs=(devices.REPLICATED, devices.BATCH),
        out_specs=devices.BATCH,
      ),
      compiler_options=devices.compiler_options(),
    )

  def key(self, split: datasets.Split) -> dict[str, object]:
    """Everything that determines the features of a split."""
    return {
      'version': _VERSION,
      'weights': self._net.sha256,
      'contract': self._net.contract.to_json(),
      'resize': self._resize,
      'dtype': 'float32',
      'split': split.hash,
    }

  def __call__(self, split: datasets.Split, name: str) -> Features:
    """Features of a split, from the cache where they are in it.

    Args:
      split: the examples.
      name: of dataset and split, for the progress bar.

    Raises:
      InputError: an image is corrupt and `corrupt` is 'error', or the cache
        cannot be written.
    """
    directory = self._directory(split)
    starts = range(0, len(split), _SHARD_SIZE)
    shards, computed = [], 0
    with progress.bar(
      total=len(split), desc=f'{self._net.name}: {name}', unit=' images'
    ) as bar:
      for start in starts:
        stop = min(start + _SHARD_SIZE, len(split))
        path = directory / f'{start:08d}-{stop:08d}.npz'
        shard = self._read(path, stop - start)
        if shard is None:
          shard = self._compute(split, start, stop, bar)
          with files.atomic_write(path) as file:
            np.savez(file, values=shard[0], good=shard[1])
          computed += stop - start
        else:
          bar.update(stop - start)
        shards.append(shard)
    values, good = (
      np.concatenate(parts) for parts in zip(*shards, strict=True)
    )
    return self._checked(split, values, good, computed)

  def _checked(
    self, split: datasets.Split, values, good, computed: int
  ) -> Features:
    skipped = tuple(split.describe(int(i)) for i in np.flatnonzero(~good))
    if skipped and self._corrupt == 'error':
      # Cached by a run that was allowed to skip; this one is not.
      raise errors.InputError(
        f'{skipped[0]} cannot be decoded ({len(skipped)} such in all). Mend '
        "or remove it, or set --config.data.corrupt='skip'."
      )
    if not good.any():
      raise errors.InputError('no image of the split can be decoded')
    kept = np.flatnonzero(good)
    values = values[kept]
    if not np.all(np.isfinite(values)):
      raise errors.InputError(
        f'{self._net.name}: features with NaN or infinity; the first is of '
        f'{split.describe(int(kept[~np.isfinite(values).all(axis=1)][0]))}'
      )
    return Features(values, split.labels[kept], kept, skipped, computed)

  def _directory(self, split: datasets.Split) -> pathlib.Path:
    text = json.dumps(self.key(split), sort_keys=True, indent=2)
    digest = hashlib.sha256(text.encode()).hexdigest()
    directory = files.make_directory(self._cache_dir / digest[:32])
    key_file = directory / 'key.json'
    if not key_file.exists():
      with files.atomic_write(key_file) as file:
        file.write(text.encode())
    return directory

  def _read(
    self, path: pathlib.Path, count: int
  ) -> tuple[np.ndarray, np.ndarray] | None:
    """A shard of the cache, or None where there is none or a damaged one."""
    try:
      # Opened here: np.load leaves a damaged file open.
      with open(path, 'rb') as file, np.load(file) as arrays:
        values, good = arrays['values'], arrays['good']
    except FileNotFoundError:
      return None
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError) as e:
      logging.warning('%s is damaged (%s): computed again', path, e)
      return None
    if values.shape != (count, self._net.feature_dim) or good.shape != (count,):
      logging.warning('%s has another shape: computed again', path)
      return None
    return values, good

  def _compute(
    self, split: datasets.Split, start: int, stop: int, bar
  ) -> tuple[np.ndarray, np.ndarray]:
    values = np.zeros((stop - start, self._net.feature_dim), np.float32)
    good = np.zeros(stop - start, bool)
    for batch, result in self._results(split, start, stop):
      valid = batch['mask']
      rows = batch['index'][valid] - start
      values[rows] = np.asarray(result)[valid]
      good[rows] = True
      bar.update(int(np.sum(batch['index'] >= 0)))
    return values, good

  def _results(
    self, split: datasets.Split, start: int, stop: int
  ) -> Iterator[tuple[dict[str, np.ndarray], jax.Array]]:
    """Batches with their features, one batch ahead of the consumer."""
    pending = None
    for batch in pipeline.batches(
      split,
      self._net.contract,
      self._batch_size,
      resize=self._resize,
      start=start,
      stop=stop,
      corrupt=self._corrupt,
    ):
      image = jax.device_put(batch['image'], self._data)
      result = self._apply(self._variables, image)
      if pending is not None:
        yield pending
      pending = batch, result
    if pending is not None:
      yield pending
