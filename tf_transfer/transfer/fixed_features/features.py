"""Extracts the features of a split with a frozen network, cached on disk.

Images of a split -> batches of uint8 pixels at the network's input size ->
scaled on the device -> features [N, D] float32. The split is cut into shards.
Each shard is cached once it is complete, so an interrupted extraction resumes
after the last complete one. Before that, its features must be finite, and a
sample of them is computed again: with memory nearly exhausted, XLA has returned
wrong numbers without an error.

As in section 4 of the paper, the features are those that feed the logits layer,
with batch norm in inference mode, without augmentation and without
normalization. Beyond the paper, they can be the output of any layer, pooled
over the cells of a spatial pyramid.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
import tqdm

from tf_transfer import contract as contract_lib
from tf_transfer import datasets, errors, networks
from tf_transfer.datasets import pipeline
from tf_transfer.datasets.images import corruption
from tf_transfer.runtime import devices, progress
from tf_transfer.runtime.units import counted
from tf_transfer.transfer.fixed_features import (
  feature_cache,
  pooling,
  verification,
)
from tf_transfer.transfer.training import device_memory

# Part of every cache key: raise it when what is computed changes.
_VERSION = 1
SHARD_SIZE = 2048  # images


def _advise() -> str:
  """Says what to do where the devices' memory does not suffice."""
  return 'decrease --config.features.batch_size, or end other programs'


@dataclasses.dataclass(frozen=True)
class Features:
  """The feature matrix of a split.

  Attributes:
    values: [N, D] float32, in the order of the split.
    labels: [N] int32; or [N, C] if an example can have several labels.
    indices: [N] int, the examples' positions in the split.
    skipped: names of the corrupt images that are left out.
    num_computed: how many images went through the network in this call; the
      others came from the cache.
  """

  values: np.ndarray
  labels: np.ndarray
  indices: np.ndarray
  skipped: tuple[str, ...]
  num_computed: int

  def __len__(self) -> int:
    return len(self.values)


@dataclasses.dataclass(frozen=True)
class Options:
  """Which features are extracted: `config.features` of a job.

  Attributes:
    resize: how images are resized to the network's input size; one of
      `pipeline.RESIZES`.
    layer: a name in `Network.layers`; '' for the features that feed the logits
      layer.
    pyramid: the numbers of cells per side, n, of each level. The output of
      `layer` is averaged over each of the n × n cells. Without a layer it is
      (1,), the average over the whole image.

  Raises:
    InputError: the pyramid is not as above.
  """

  resize: str = 'whole_image'
  layer: str = ''
  pyramid: tuple[int, ...] = (1,)

  def __post_init__(self) -> None:
    if not self.pyramid or min(self.pyramid) < 1:
      raise errors.InputError(
        'config.features.pyramid: expected the cells per side of each level, '
        f'such as (1, 2, 4), not {self.pyramid}'
      )
    if self.pyramid != (1,) and not self.layer:
      raise errors.InputError(
        'config.features.pyramid: the features that feed the logits are pooled '
        'already; name a layer with --config.features.layer'
      )

  @classmethod
  def from_config(cls, config: ml_collections.ConfigDict) -> 'Options':
    """Returns the options in `features` of a job's config.

    Raises:
      InputError: the pyramid is not as the attribute says.
    """
    return cls(config.resize, config.layer, tuple(config.pyramid))


def feature_dim(net: networks.Network, options: Options) -> int:
  """Returns the width D of a network's features.

  Raises:
    InputError: the network has no such layer.
  """
  if not options.layer:
    return net.feature_dim
  layers = net.layers(net.contract.image_size)
  if options.layer not in layers:
    raise errors.unknown_name(
      f'layer of {net.name}',
      options.layer,
      # The layers inside of these, hundreds, are not listed.
      [name for name in layers if '/' not in name],
    )
  return layers[options.layer][-1] * sum(n**2 for n in options.pyramid)


def pixel_contract(
  contract: contract_lib.Contract, options: Options
) -> contract_lib.Contract:
  """Returns the part of a contract that determines a network's pixels.

  Networks for which it is equal can share decoded and resized images: they
  differ in how pixels are scaled, at most. The other fields have fixed values.
  """
  whole_image = options.resize == 'whole_image'
  return dataclasses.replace(
    contract,
    mean=(0.0,) * 3,
    std=(1.0,) * 3,
    channels='rgb',
    crop_fraction=1.0 if whole_image else contract.crop_fraction,
  )


class Extractor:
  """Extracts features with one network, compiled once for all splits.

  Attributes:
    feature_dim: D, the width of the features.
    batch_size: images per batch on all devices together.
    sees_images: whether features are computed, of images.
  """

  sees_images = True

  def __init__(
    self,
    net: networks.Network,
    cache: feature_cache.FeatureCache,
    options: Options = Options(),
    *,
    batch_size: int = 64,
    corrupt: str = 'error',
    mesh: jax.sharding.Mesh | None = None,
  ) -> None:
    """Puts the network on the devices.

    Args:
      net: the network.
      cache: where feature matrices are cached.
      options: which features are extracted.
      batch_size: images per batch on all devices together, rounded up to a
        multiple of the number of devices. The features do not depend on it.
      corrupt: what to do with an image that cannot be decoded: 'error' raises,
        'skip' leaves it out.
      mesh: the devices; None for all.

    Raises:
      InputError: the network has no such layer.
    """
    self._net = net
    self._cache = cache
    self._options = options
    self._corrupt = corrupt
    # The last split that had others as its parts, and its features.
    self._base: tuple[datasets.Split, Features] | None = None
    self.feature_dim = feature_dim(net, options)
    mesh = devices.data_mesh() if mesh is None else mesh
    self.batch_size = -(-batch_size // mesh.size) * mesh.size
    self._data_sharding = devices.sharding(mesh, devices.BATCH)
    self._variables = jax.device_put(
      net.variables, devices.sharding(mesh, devices.REPLICATED)
    )
    # Each device works on its own images alone.
    self._apply = jax.jit(
      jax.shard_map(
        self._features,
        mesh=mesh,
        in_specs=(devices.REPLICATED, devices.BATCH),
        out_specs=devices.BATCH,
      ),
      compiler_options=devices.compiler_options(),
    )

  def _features(
    self, variables: Mapping[str, Any], images: jax.Array
  ) -> jax.Array:
    """Computes features [B, D] of images uint8 [B, S, S, 3]."""
    x = self._net.contract.scale(images)
    if not self._options.layer:
      return self._net.apply_features(variables, x)
    pool = functools.partial(
      pooling.pyramid_pool, pyramid=self._options.pyramid
    )
    return self._net.apply_layer(variables, x, self._options.layer, pool)

  @property
  def network(self) -> networks.Network:
    """The network."""
    return self._net

  def key(self, split: datasets.Split) -> dict[str, object]:
    """Returns everything that determines the features of a split."""
    return {
      'version': _VERSION,
      'weights': self._net.features_sha256,
      'contract': self._net.contract.to_json(),
      'resize': self._options.resize,
      'layer': self._options.layer,
      'pyramid': list(self._options.pyramid),
      'dtype': 'float32',
      'split': split.hash,
    }

  def cache_entry(
    self, split: datasets.Split
  ) -> contextlib.AbstractContextManager[feature_cache.Entry]:
    """Opens the cache's entry for the features of a split."""
    return self._cache.entry(self.key(split))

  def load_batches(
    self, split: datasets.Split, start: int, stop: int
  ) -> Iterator[pipeline.Batch]:
    """Loads the examples from start to stop, as the network takes them."""
    return pipeline.batches(
      split,
      self._net.contract,
      self.batch_size,
      resize=self._options.resize,
      start=start,
      stop=stop,
      corrupt=self._corrupt,
    )

  def to_devices(self, images: np.ndarray) -> jax.Array:
    """Transfers images [B, S, S, 3] to the devices, B / devices to each."""
    return jax.device_put(images, self._data_sharding)

  def apply(self, images: jax.Array) -> jax.Array:
    """Computes features [B, D] of images [B, S, S, 3] on the devices.

    Returns at once, as JAX does; the array is ready later.
    """
    return self._apply(self._variables, images)

  def __call__(
    self, split: datasets.Split, name: str, out: np.ndarray | None = None
  ) -> Features:
    """Extracts the features of a split; cached shards are not computed again.

    Of a split with a base, the features of the base are extracted.

    Args:
      split: the examples.
      name: of the dataset and split, for the progress bar.
      out: float32 [len(split), feature_dim], contiguous. The features become
        its first rows. None allocates new memory.

    Raises:
      InputError: an image is corrupt and `corrupt` is 'error', no image can be
        decoded, a feature is not finite or is another when it is computed
        again, the devices' memory is exhausted, or the cache cannot be
        written.
    """
    if out is None:
      out = np.empty((len(split), self.feature_dim), np.float32)
    if split.base is not None:
      return self._select_from_base(split, name, out)
    valid = np.zeros(len(split), bool)
    num_computed = 0
    with (
      device_memory.report_exhaustion(f'{self._net.name}: {name}', _advise),
      self.cache_entry(split) as entry,
      progress.bar(
        total=len(split), desc=f'{self._net.name}: {name}', unit=' images'
      ) as bar,
      verification.Unverified(split, self.batch_size) as unverified,
    ):
      for start in range(0, len(split), SHARD_SIZE):
        values = out[start : start + SHARD_SIZE]
        shard_valid = entry.read(start, values)
        if shard_valid is None:
          shard_valid, sample = _compute_shard(
            [self], split, start, [values], bar
          )
          shard = verification.Shard(self, entry, start, values, shard_valid)
          unverified.add([shard], sample)
          num_computed += len(values)
        else:
          bar.update(len(values))
        valid[start : start + len(values)] = shard_valid
    return self._select_valid(split, out, valid, num_computed)

  def _select_from_base(
    self, split: datasets.Split, name: str, out: np.ndarray
  ) -> Features:
    """Takes the features of a split from those of the split it is part of.

    Args:
      split: the examples; it has a base.
      name: as for `__call__`.
      out: as for `__call__`.

    Raises:
      InputError: as in `__call__`.
    """
    base, positions = split.base
    # A study asks for one part of a base after the other.
    if self._base is None or self._base[0] is not base:
      self._base = None  # Free the memory before more is taken.
      self._base = base, self(base, name)
      num_computed = self._base[1].num_computed
    else:
      num_computed = 0
    features = self._base[1]
    rows = np.full(len(base), -1)
    rows[features.indices] = np.arange(len(features))
    rows = rows[positions]
    valid = rows >= 0
    out[valid] = features.values[rows[valid]]
    return self._select_valid(split, out, valid, num_computed)

  def _select_valid(
    self,
    split: datasets.Split,
    values: np.ndarray,
    valid: np.ndarray,
    num_computed: int,
  ) -> Features:
    """Drops the rows of corrupt images.

    Args:
      split: the examples.
      values: [len(split), D], overwritten: valid rows move up.
      valid: bool [len(split)], False for corrupt images.
      num_computed: for `Features`.

    Raises:
      InputError: as in `__call__`.
    """
    skipped = tuple(split.describe(int(i)) for i in np.flatnonzero(~valid))
    if skipped and self._corrupt == 'error':
      # A run with corrupt='skip' has cached the shard.
      corrupt = [(split, int(i)) for i in np.flatnonzero(~valid)]
      raise corruption.report(corrupt, len(split))
    if not valid.any():
      raise errors.InputError('no image of the split can be decoded')
    indices = np.flatnonzero(valid)
    # In place and in blocks: rows only move up, and no second matrix is made.
    if skipped:
      for start in range(0, len(indices), SHARD_SIZE):
        rows = indices[start : start + SHARD_SIZE]
        values[start : start + len(rows)] = values[rows]
    return Features(
      values[: len(indices)],
      split.labels[indices],
      indices,
      skipped,
      num_computed,
    )


def prefetch(
  extractors: Sequence[Extractor], split: datasets.Split, name: str
) -> None:
  """Computes the features of a split for several networks, into their caches.

  Each image is decoded once for all networks. Of a split with a base, the
  features of the base are computed. Shards in the cache are not computed again.
  Shards that do not fit the cache are left to `Extractor.__call__`.

  Args:
    extractors: of networks with equal `pixel_contract`, with equal options.
    split: the examples.
    name: of the dataset and split, for the progress bar.

  Raises:
    InputError: an image is corrupt and `corrupt` is 'error', a feature is not
      finite or is another when it is computed again, or the cache cannot be
      written.
  """
  if split.base is not None:
    split = split.base[0]
  with contextlib.ExitStack() as stack:
    stack.enter_context(
      device_memory.report_exhaustion(f'features of {name}', _advise)
    )
    entries = [
      stack.enter_context(extractor.cache_entry(split))
      for extractor in extractors
    ]
    bar = stack.enter_context(
      progress.bar(
        total=len(split),
        desc=f'{counted(len(extractors), "network")}: {name}',
        unit=' images',
      )
    )
    unverified = stack.enter_context(
      verification.Unverified(split, extractors[0].batch_size)
    )
    for start in range(0, len(split), SHARD_SIZE):
      count = min(SHARD_SIZE, len(split) - start)
      missing = []
      for extractor, entry in zip(extractors, entries, strict=True):
        values = np.empty((count, extractor.feature_dim), np.float32)
        if not entry.full and entry.read(start, values) is None:
          missing.append((extractor, entry, values))
      if not missing:
        bar.update(count)
        continue
      missing_extractors, _, matrices = zip(*missing, strict=True)
      valid, sample = _compute_shard(
        missing_extractors, split, start, matrices, bar
      )
      shards = [
        verification.Shard(extractor, entry, start, values, valid)
        for extractor, entry, values in missing
      ]
      unverified.add(shards, sample)


def _compute_shard(
  extractors: Sequence[Extractor],
  split: datasets.Split,
  start: int,
  matrices: Sequence[np.ndarray],
  bar: tqdm.tqdm,
) -> tuple[np.ndarray, verification.Sample]:
  """Computes a shard's features with each network.

  Args:
    extractors: of networks with equal `pixel_contract`, with equal options.
    split: the examples.
    start: the shard's first example.
    matrices: for each network float32 [n, D], filled with the features of the
      n examples from start; the rows of corrupt images with 0.
    bar: advanced by the number of examples.

  Returns:
    bool [n], False for corrupt images; and a sample of the images.
  """
  for values in matrices:
    values[...] = 0
  valid = np.zeros(len(matrices[0]), bool)
  stop = start + len(valid)
  sample = verification.Sample(len(valid), extractors[0].batch_size)
  for batch, outputs in _compute_batches(extractors, split, start, stop):
    mask = batch['mask']
    rows = batch['index'][mask] - start
    for values, output in zip(matrices, outputs, strict=True):
      values[rows] = np.asarray(output)[mask]
    valid[rows] = True
    sample.add(batch['image'][mask], rows)
    bar.update(int(np.sum(batch['index'] >= 0)))
  return valid, sample


def _compute_batches(
  extractors: Sequence[Extractor], split: datasets.Split, start: int, stop: int
) -> Iterator[tuple[pipeline.Batch, list[jax.Array]]]:
  """Yields batches with each network's features, computed one batch ahead."""
  pending = None
  for batch in extractors[0].load_batches(split, start, stop):
    images = extractors[0].to_devices(batch['image'])
    outputs = [extractor.apply(images) for extractor in extractors]
    if pending is not None:
      yield pending
    pending = batch, outputs
  if pending is not None:
    yield pending
