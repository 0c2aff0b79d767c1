"""A frozen network × a split -> feature matrix, cached on disk.

Images of a split -> batches of uint8 pixels, whole image at the network's
input size -> scaled on the device -> features [N, D] float32. The split is
cut into shards; a shard is kept once it is complete, so an interrupted
extraction goes on from the last one. (Section 4 of the protocol: the features
that feed the logits layer, batch norm in inference mode, no augmentation, no
normalization.) Options beyond the paper's: any layer in their place, pooled
over the cells of a spatial pyramid.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from tf_transfer import contract as contract_lib
from tf_transfer import datasets, errors, networks
from tf_transfer.datasets import pipeline
from tf_transfer.runtime import devices, progress
from tf_transfer.transfer.fixed_features import feature_cache

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


def together(
  extract: 'Extractor',
  first: tuple[datasets.Split, str],
  second: tuple[datasets.Split, str],
) -> tuple[Features, Features, Features]:
  """Features of two splits, and of the one followed by the other.

  They share one matrix: at Food-101's size it takes 620 MB.

  Args:
    extract: what is called with each.
    first: a split and its name, as for `Extractor.__call__`.
    second: another.
  """
  size = len(first[0]) + len(second[0])
  values = devices.empty((size, extract.feature_dim), np.float32)
  one = extract(*first, out=values[: len(first[0])])
  two = extract(*second, out=values[len(one) :][: len(second[0])])
  both = Features(
    values[: len(one) + len(two)],
    np.concatenate([one.labels, two.labels]),
    np.concatenate([one.kept, two.kept]),
    one.skipped + two.skipped,
    one.computed + two.computed,
  )
  return one, two, both


@dataclasses.dataclass(frozen=True)
class Options:
  """Which features, `config.features` of a job.

  Attributes:
    resize: how images become the network's input, as for `batches`.
    layer: a name in `Network.layers`; '' is what feeds the logits layer.
    pyramid: for each level the number of cells n; a layer's output is averaged
      over the n × n cells of each. Only (1,), the average over all, goes
      without a layer.
  """

  resize: str = 'whole_image'
  layer: str = ''
  pyramid: tuple[int, ...] = (1,)

  def __post_init__(self):
    if not self.pyramid or min(self.pyramid) < 1:
      raise errors.InputError(
        'config.features.pyramid: expected cells per side of each level, as '
        f'(1, 2, 4), not {self.pyramid}'
      )
    if self.pyramid != (1,) and not self.layer:
      raise errors.InputError(
        'config.features.pyramid: the features ahead of the logits are pooled '
        'already; name a layer with --config.features.layer'
      )

  @classmethod
  def of_config(cls, config: ml_collections.ConfigDict) -> 'Options':
    """Those of `features` of a job's config; may raise InputError."""
    return cls(config.resize, config.layer, tuple(config.pyramid))


def pyramid_pool(x: jax.Array, pyramid: Sequence[int]) -> jax.Array:
  """Averages over the cells of a spatial pyramid (Lazebnik et al., 2006).

  Cell i of n covers the positions from floor(i H / n) to ceil((i + 1) H / n),
  as in SPP-net (He et al., 2014), so any size has any number of cells.

  Args:
    x: [B, H, W, C].
    pyramid: cells per side of each level.

  Returns:
    [B, sum of n² × C]: level by level, cell by cell, row by row.
  """

  def cell(i: int, n: int, size: int) -> slice:
    return slice(i * size // n, -(-(i + 1) * size // n))

  _, height, width, _ = x.shape
  return jnp.concatenate(
    [
      x[:, cell(i, n, height), cell(j, n, width)].mean(axis=(1, 2))
      for n in pyramid
      for i in range(n)
      for j in range(n)
    ],
    axis=-1,
  )


def feature_dim(net: networks.Network, options: Options) -> int:
  """The width of the features that these options ask of a network.

  Raises:
    InputError: it has no such layer.
  """
  if not options.layer:
    return net.feature_dim
  layers = net.layers(net.contract.image_size)
  if options.layer not in layers:
    raise errors.unknown_name(
      f'layer of {net.name}',
      options.layer,
      # Not the hundreds that these consist of.
      [name for name in layers if '/' not in name],
    )
  return layers[options.layer][-1] * sum(n**2 for n in options.pyramid)


def pixels(
  given: contract_lib.Contract, options: Options
) -> contract_lib.Contract:
  """What decides the pixels that a network is shown, ahead of scaling.

  Networks for which it is the same can share decoded, resized images.
  """
  whole = options.resize == 'whole_image'
  return dataclasses.replace(
    given,
    mean=(0.0,) * 3,
    std=(1.0,) * 3,
    channels='rgb',
    crop_fraction=1.0 if whole else given.crop_fraction,
  )


class Extractor:
  """Extracts features with one network, compiled once for all splits."""

  def __init__(
    self,
    net: networks.Network,
    cache: feature_cache.FeatureCache,
    options: Options = Options(),
    *,
    batch_size: int = 64,
    corrupt: str = 'error',
    mesh: jax.sharding.Mesh | None = None,
  ):
    """Prepares the extraction.

    Args:
      net: the network.
      cache: where feature matrices are kept.
      options: which features.
      batch_size: images at once on all devices together, rounded up to a
        multiple of their number. It does not change the features.
      corrupt: 'error', or 'skip' to leave out what cannot be decoded.
      mesh: the devices; default all.

    Raises:
      InputError: the network has no such layer.
    """
    self._net = net
    self._cache = cache
    self._options = options
    self._corrupt = corrupt
    self.feature_dim = feature_dim(net, options)
    mesh = devices.data_mesh() if mesh is None else mesh
    self._batch_size = -(-batch_size // mesh.size) * mesh.size
    self._data = devices.sharding(mesh, devices.BATCH)
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

  def _features(self, variables, image: jax.Array) -> jax.Array:
    x = self._net.contract.scale(image)
    if not self._options.layer:
      return self._net.apply_features(variables, x)
    pool = functools.partial(pyramid_pool, pyramid=self._options.pyramid)
    return self._net.apply_layer(variables, x, self._options.layer, pool)

  def key(self, split: datasets.Split) -> dict[str, object]:
    """Everything that determines the features of a split."""
    return {
      'version': _VERSION,
      'weights': self._net.sha256,
      'contract': self._net.contract.to_json(),
      'resize': self._options.resize,
      'layer': self._options.layer,
      'pyramid': list(self._options.pyramid),
      'dtype': 'float32',
      'split': split.hash,
    }

  def __call__(
    self, split: datasets.Split, name: str, out: np.ndarray | None = None
  ) -> Features:
    """Features of a split, from the cache where they are in it.

    Args:
      split: the examples.
      name: of dataset and split, for the progress bar.
      out: float32 [len(split), feature_dim] whose first rows the features
        become, contiguous; else new memory.

    Raises:
      InputError: an image is corrupt and `corrupt` is 'error', or the cache
        cannot be written.
    """
    if out is None:
      out = np.empty((len(split), self.feature_dim), np.float32)
    good = np.zeros(len(split), bool)
    computed = 0
    with (
      self._cache.entry(self.key(split)) as entry,
      progress.bar(
        total=len(split), desc=f'{self._net.name}: {name}', unit=' images'
      ) as bar,
    ):
      for start in range(0, len(split), _SHARD_SIZE):
        values = out[start : start + _SHARD_SIZE]
        found = entry.read(start, values)
        if found is None:
          found = self._compute(split, start, values, bar)
          entry.write(start, values, found)
          computed += len(values)
        else:
          bar.update(len(values))
        good[start : start + len(values)] = found
    return self._checked(split, out, good, computed)

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
    # In place and in blocks: rows only move up, and no second matrix is made.
    for start in range(0, len(kept), _SHARD_SIZE):
      rows = kept[start : start + _SHARD_SIZE]
      block = values[start : start + len(rows)]
      if skipped:
        block[...] = values[rows]
      finite = np.isfinite(block).all(axis=1)
      if not finite.all():
        raise errors.InputError(
          f'{self._net.name}: features with NaN or infinity; the first is of '
          f'{split.describe(int(rows[~finite][0]))}'
        )
    return Features(
      values[: len(kept)], split.labels[kept], kept, skipped, computed
    )

  def _compute(
    self, split: datasets.Split, start: int, values: np.ndarray, bar
  ) -> np.ndarray:
    """Fills a shard's rows, those of corrupt images with 0; which are good."""
    return _compute([self], split, start, [values], bar)


def fill(
  extractors: Sequence[Extractor], split: datasets.Split, name: str
) -> None:
  """Computes what the cache lacks of a split, for several networks together.

  Each image is decoded once for all of them. What the cache has no room for
  is left to `Extractor.__call__`.

  Args:
    extractors: of networks whose `pixels` are the same, with the same options.
    split: the examples.
    name: of dataset and split, for the progress bar.

  Raises:
    InputError: an image is corrupt and `corrupt` is 'error', or the cache
      cannot be written.
  """
  with contextlib.ExitStack() as stack:
    entries = [
      stack.enter_context(one._cache.entry(one.key(split)))
      for one in extractors
    ]
    bar = stack.enter_context(
      progress.bar(
        total=len(split),
        desc=f'{len(extractors)} networks: {name}',
        unit=' images',
      )
    )
    for start in range(0, len(split), _SHARD_SIZE):
      count = min(_SHARD_SIZE, len(split) - start)
      lacking = []
      for one, entry in zip(extractors, entries, strict=True):
        values = np.empty((count, one.feature_dim), np.float32)
        if not entry.full and entry.read(start, values) is None:
          lacking.append((one, entry, values))
      if not lacking:
        bar.update(count)
        continue
      computing, _, matrices = zip(*lacking, strict=True)
      good = _compute(computing, split, start, matrices, bar)
      for _, entry, values in lacking:
        entry.write(start, values, good)


def _compute(
  extractors: Sequence[Extractor],
  split: datasets.Split,
  start: int,
  matrices: Sequence[np.ndarray],
  bar,
) -> np.ndarray:
  """Fills the rows of a shard for each network; which of them are good."""
  for values in matrices:
    values[...] = 0
  good = np.zeros(len(matrices[0]), bool)
  for batch, results in _results(extractors, split, start, start + len(good)):
    valid = batch['mask']
    rows = batch['index'][valid] - start
    for values, result in zip(matrices, results, strict=True):
      values[rows] = np.asarray(result)[valid]
    good[rows] = True
    bar.update(int(np.sum(batch['index'] >= 0)))
  return good


def _results(
  extractors: Sequence[Extractor], split: datasets.Split, start: int, stop: int
) -> Iterator[tuple[dict[str, np.ndarray], list[jax.Array]]]:
  """Batches with each network's features, one batch ahead of the consumer."""
  first = extractors[0]
  pending = None
  for batch in pipeline.batches(
    split,
    first._net.contract,
    first._batch_size,
    resize=first._options.resize,
    start=start,
    stop=stop,
    corrupt=first._corrupt,
  ):
    image = jax.device_put(batch['image'], first._data)
    results = [one._apply(one._variables, image) for one in extractors]
    if pending is not None:
      yield pending
    pending = batch, results
  if pending is not None:
    yield pending
