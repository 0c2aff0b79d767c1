"""Tests that features depend neither on how they are computed nor the cache."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping

import jax
import numpy as np
import pytest
from PIL import Image

from tests.transfer.fixed_features import image_files
from tf_transfer import datasets, errors, networks
from tf_transfer.images import resizing
from tf_transfer.networks import custom_function
from tf_transfer.runtime import devices
from tf_transfer.transfer.fixed_features import (
  extractors,
  feature_cache,
  features,
)


@pytest.fixture(scope='module')
def split(photos):
  return datasets.open(f'folder:{photos}').splits['train']


def compute_singly(net: networks.Network, split: datasets.Split) -> np.ndarray:
  """Computes features [N, D] with `Network.features`, image by image."""
  scaled = [
    net.contract.scale(resizing.whole_image(split.read(i), net.contract))
    for i in range(len(split))
  ]
  return np.concatenate([net.features(x[None]) for x in scaled])


@pytest.fixture(scope='module')
def lite0_features(small_lite0, split):
  return compute_singly(small_lite0, split)


@pytest.fixture(scope='module')
def tiny_features(tiny_net, split):
  return compute_singly(tiny_net, split)


def make_extractor(
  net: networks.Network,
  root: pathlib.Path | None,
  *,
  num_devices: int = 1,
  batch_size: int = 16,
  corrupt: str = 'error',
  cache_bytes: float = 1e9,
  **options,
) -> features.Extractor:
  return features.Extractor(
    net,
    feature_cache.FeatureCache(root, cache_bytes),
    features.Options(**options),
    mesh=devices.data_mesh(jax.devices()[:num_devices]),
    batch_size=batch_size,
    corrupt=corrupt,
  )


def relative_difference(a: np.ndarray, b: np.ndarray) -> float:
  return np.abs(a - b).max() / np.abs(b).max()


@pytest.mark.parametrize(
  ('name', 'num_devices', 'batch_size'),
  [
    *(('tiny', 1, 1), ('tiny', 1, 7), ('tiny', 1, 64)),
    *(('tiny', 2, 16), ('tiny', 8, 24), ('tiny', 8, 1)),
    # With real weights, an odd batch on one device and several on all.
    *(('lite0', 1, 7), ('lite0', 8, 24)),
  ],
)
def test_features_do_not_depend_on_batch_size_and_devices(
  tmp_path,
  tiny_net,
  small_lite0,
  split,
  tiny_features,
  lite0_features,
  name,
  num_devices,
  batch_size,
):
  net, expected = {
    'tiny': (tiny_net, tiny_features),
    'lite0': (small_lite0, lite0_features),
  }[name]
  extract = make_extractor(
    net, tmp_path, num_devices=num_devices, batch_size=batch_size
  )
  first = extract(split, 'photos train')
  assert relative_difference(first.values, expected) < 1e-5
  np.testing.assert_array_equal(first.labels, split.labels)
  np.testing.assert_array_equal(first.indices, np.arange(len(split)))
  assert first.num_computed == len(split)
  second = extract(split, 'photos train')
  np.testing.assert_array_equal(second.values, first.values)
  assert second.num_computed == 0


@pytest.mark.parametrize('corrupt', [(), (1, 4)])
def test_parts_of_a_split_share_its_features(
  tmp_path, tiny_net, split, tiny_features, corrupt
):
  whole = dataclasses.replace(
    split, read=broken_at(split, corrupt), encoded=lambda i: None
  )
  positions = np.arange(len(split))[::-3]
  part = datasets.select(whole, positions, shares_features=True)
  extract = make_extractor(tiny_net, tmp_path, corrupt='skip')
  valid = ~np.isin(positions, corrupt)
  for num_computed in (len(split), 0):
    first = extract(part, 'part')
    assert first.num_computed == num_computed
    assert (
      relative_difference(first.values, tiny_features[positions[valid]]) < 1e-5
    )
    np.testing.assert_array_equal(first.indices, np.flatnonzero(valid))
    np.testing.assert_array_equal(first.labels, part.labels[valid])
    assert len(first.skipped) == (~valid).sum()
  assert extract(whole, 'whole').num_computed == 0


def broken_at(split, positions):
  def read(i):
    if i in positions:
      raise datasets.CorruptImage(f'image {i}: broken')
    return split.read(i)

  return read


def test_interrupted_extraction_resumes_after_the_last_shard(
  tmp_path, tiny_net, split, tiny_features, monkeypatch
):
  monkeypatch.setattr(features, 'SHARD_SIZE', 10)
  extract = make_extractor(tiny_net, tmp_path)
  compute_shard, starts = features._compute_shard, []

  def interrupt_the_third(*arguments):
    starts.append(arguments[2])
    if len(starts) == 3:
      raise KeyboardInterrupt
    return compute_shard(*arguments)

  monkeypatch.setattr(features, '_compute_shard', interrupt_the_third)
  with pytest.raises(KeyboardInterrupt):
    extract(split, 'train')
  resumed = extract(split, 'train')
  assert starts == [*range(0, 30, 10), *range(20, len(split), 10)]
  assert resumed.num_computed == len(split) - 20
  assert relative_difference(resumed.values, tiny_features) < 1e-5


def test_damaged_shard_is_computed_again(
  tmp_path, tiny_net, split, tiny_features, monkeypatch
):
  monkeypatch.setattr(features, 'SHARD_SIZE', 10)
  extract = make_extractor(tiny_net, tmp_path)
  extract(split, 'train')
  shard, *_ = sorted(tmp_path.glob('*/*.shard'))
  shard.write_bytes(shard.read_bytes()[:-1])
  repaired = extract(split, 'train')
  assert repaired.num_computed == 10
  assert relative_difference(repaired.values, tiny_features) < 1e-5
  assert extract(split, 'train').num_computed == 0


def test_key_holds_everything_that_determines_the_features(tiny_net, split):
  net = tiny_net
  key = make_extractor(net, None).key(split)
  assert key['weights'] == net.sha256
  assert key['contract'] == net.contract.to_json()
  assert key['split'] == split.hash
  assert key['resize'] == 'whole_image'
  assert key['dtype'] == 'float32'
  others = [
    make_extractor(net, None, **options).key(split)
    for options in (
      {'resize': 'crop_then_resize'},
      {'layer': 'top'},
      {'layer': 'stem'},
      {'layer': 'top', 'pyramid': (1, 2)},
    )
  ]
  assert all(a != b for i, a in enumerate([key, *others]) for b in others[i:])


def test_key_has_not_changed(tiny_net, split):
  """Else caches that exist would be computed again."""
  assert make_extractor(tiny_net, None).key(split) == {
    'version': 1,
    'weights': '0' * 64,
    'contract': {
      'image_size': 8,
      'mean': (128.0, 128.0, 128.0),
      'std': (64.0, 64.0, 64.0),
      'channels': 'rgb',
      'interpolation': 'bicubic',
      'antialias': True,
      'pixel_centres': True,
      'crop_fraction': 0.875,
    },
    'resize': 'whole_image',
    'layer': '',
    'pyramid': [1],
    'dtype': 'float32',
    'split': split.hash,
  }


def test_error_names_the_corrupt_image(tmp_path, tiny_net, corrupt_split):
  split, corrupt = corrupt_split
  with pytest.raises(errors.InputError, match=os.path.basename(corrupt)):
    make_extractor(tiny_net, tmp_path / 'cache')(split, 'train')
  assert not list((tmp_path / 'cache').glob('*/*.shard'))


def test_corrupt_image_is_skipped_on_request(tmp_path, tiny_net, corrupt_split):
  split, corrupt = corrupt_split
  cache = tmp_path / 'cache'
  extracted = make_extractor(tiny_net, cache, corrupt='skip')(split, 'train')
  assert len(extracted.skipped) == 1
  assert corrupt in extracted.skipped[0]
  assert len(extracted) == len(split) - 1 == len(extracted.labels)
  np.testing.assert_array_equal(
    extracted.labels, split.labels[extracted.indices]
  )
  # The shard is cached now, and a run with corrupt='error' still raises.
  with pytest.raises(errors.InputError, match=os.path.basename(corrupt)):
    make_extractor(tiny_net, cache, corrupt='error')(split, 'train')


def test_no_image_can_be_decoded(tmp_path, tiny_net):
  for name in ('a', 'b'):
    (tmp_path / 'data' / name).mkdir(parents=True)
    for number in range(60):
      path = tmp_path / 'data' / name / f'{number}.png'
      pixels = np.full((4, 4, 3), number, np.uint8)
      pixels[0, 0, 0] = ord(name)
      Image.fromarray(pixels).save(path)
      # Cut short, but each file has a content of its own.
      path.write_bytes(path.read_bytes()[:40] + bytes([ord(name), number]))
  split = image_files.open_files(tmp_path / 'data').splits['val']
  extract = make_extractor(tiny_net, tmp_path / 'cache', corrupt='skip')
  with pytest.raises(errors.InputError, match='no image of the split'):
    extract(split, 'val')


def test_features_that_are_not_finite_are_an_error(tmp_path, tiny_net, split):
  variables = jax.tree.map(lambda x: x * np.nan, tiny_net.variables)
  net = dataclasses.replace(tiny_net, variables=variables)
  with pytest.raises(errors.InputError, match='tiny: features with NaN'):
    make_extractor(net, tmp_path)(split, 'train')


def test_what_is_not_finite_is_not_cached(tmp_path, tiny_net, split):
  """The same command computes it again, here with good weights."""
  variables = jax.tree.map(lambda x: x * np.nan, tiny_net.variables)
  net = dataclasses.replace(tiny_net, variables=variables)
  with pytest.raises(errors.InputError, match='Nothing of them is in'):
    make_extractor(net, tmp_path)(split, 'train')
  assert not list(tmp_path.glob('*/*.shard'))
  extracted = make_extractor(tiny_net, tmp_path)(split, 'train')
  assert extracted.num_computed == len(split)


def test_nan_in_the_cache_is_computed_again(
  tmp_path, tiny_net, split, tiny_features, caplog
):
  """A cache of before may hold them, with a valid checksum."""
  extract = make_extractor(tiny_net, tmp_path)
  values = np.array(tiny_features)
  values[3, 2] = np.nan
  with extract.cache_entry(split) as entry:
    entry.write(0, values, np.ones(len(split), bool))
  extracted = extract(split, 'train')
  assert 'NaN or infinity' in caplog.text
  assert extracted.num_computed == len(split)
  assert relative_difference(extracted.values, tiny_features) < 1e-5
  assert extract(split, 'train').num_computed == 0


class RubbishExtractor(features.Extractor):
  """Returns finite rubbish for some batches, as memory that ran out did."""

  def __init__(self, *arguments, rubbish=(), **options) -> None:
    super().__init__(*arguments, **options)
    self.rubbish = set(rubbish)
    self.num_batches = 0

  def apply(self, images):
    result = np.array(super().apply(images))
    if self.num_batches in self.rubbish:
      result[:] = np.random.default_rng(self.num_batches).random(result.shape)
    self.num_batches += 1
    return result


@pytest.mark.parametrize('prefetched', [False, True])
@pytest.mark.parametrize('batch', range(6))
def test_rubbish_is_neither_used_nor_cached(
  tmp_path, tiny_net, split, tiny_features, monkeypatch, batch, prefetched
):
  """Wherever it is: in any batch of any shard, or in the comparison."""
  monkeypatch.setattr(features, 'SHARD_SIZE', 16)
  extract = RubbishExtractor(
    tiny_net,
    feature_cache.FeatureCache(tmp_path, 1e9),
    mesh=devices.data_mesh(jax.devices()[:1]),
    batch_size=8,
    rubbish=[batch],
  )
  assert 32 < len(split) <= 48
  with pytest.raises(errors.InputError, match='others when they are computed'):
    if prefetched:
      features.prefetch([extract], split, 'train')
    else:
      extract(split, 'train')
  # Four batches of two shards, then the comparison, then the third shard.
  shards = sorted(tmp_path.glob('*/*.shard'))
  assert len(shards) == (0 if batch < 5 else 2)
  extracted = extract(split, 'train')
  assert relative_difference(extracted.values, tiny_features) < 1e-5
  assert extracted.num_computed == len(split) - 16 * len(shards)


@pytest.mark.parametrize(
  ('value', 'message'),
  [(np.nan, 'NaN or infinity, of'), (7.0, 'others when they are computed')],
)
def test_function_of_the_user_is_advised_of_functions(
  tmp_path, tiny_net, split, value, message
):
  """Memory that is exhausted is no cause of what such a function returns."""
  calls = []

  def compute(x):
    calls.append(len(x))
    means = x.mean(axis=(1, 2))
    # The first is of the two fixed images, the second of the first batch.
    return np.where(len(calls) == 2, np.float32(value), means)

  own = networks.CustomNetwork(contract=tiny_net.contract, features=compute)
  net = custom_function.build(own, 'mine', 'a:mine')
  with pytest.raises(errors.InputError, match=message) as caught:
    extractors.build(
      net, feature_cache.FeatureCache(tmp_path, 1e9), batch_size=8
    )(split, 'photos train')
  assert 'whatever else is in the batch' in str(caught.value)
  assert 'Memory' not in str(caught.value)


def test_exhausted_memory_says_what_to_do(tmp_path, tiny_net, split):
  extract = make_extractor(tiny_net, tmp_path)

  def apply(images):
    raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory')

  extract.apply = apply
  for call in (
    lambda: extract(split, 'photos train'),
    lambda: features.prefetch([extract], split, 'photos train'),
  ):
    with pytest.raises(errors.InputError, match=r'photos.*batch_size, or end'):
      call()


def test_one_batch_in_two_shards_is_computed_again(
  tmp_path, tiny_net, split, monkeypatch
):
  monkeypatch.setattr(features, 'SHARD_SIZE', 16)
  extract = RubbishExtractor(
    tiny_net,
    feature_cache.FeatureCache(tmp_path, 1e9),
    mesh=devices.data_mesh(jax.devices()[:1]),
    batch_size=4,
  )
  extract(split, 'train')
  num_shards = -(-len(split) // 16)
  assert extract.num_batches == -(-len(split) // 4) + -(-num_shards // 2)


def test_pyramid_of_the_last_layer(
  tmp_path, small_lite0, split, lite0_features
):
  """Its average feeds the logits layer; the cells of 2 × 2 average to that.

  At 64 px the layer has 2 × 2 positions: the cells are the positions.
  """
  extract = make_extractor(
    small_lite0, tmp_path, layer='top', pyramid=(1, 2), num_devices=2
  )
  values = extract(split, 'train').values
  assert extract.feature_dim == 5 * 1280
  assert values.shape == (len(split), 5 * 1280)
  cells = values.reshape(len(split), 5, 1280)
  assert relative_difference(cells[:, 0], lite0_features) < 1e-5
  assert relative_difference(cells[:, 1:].mean(axis=1), lite0_features) < 1e-5
  # The upper half of a photo is not its lower half.
  assert relative_difference(cells[:, 1], cells[:, 4]) > 0.1


def test_layer_without_a_pyramid_is_averaged(
  tmp_path, tiny_net, split, tiny_features
):
  extract = make_extractor(tiny_net, tmp_path, layer='top')
  values = extract(split, 'train').values
  assert relative_difference(values, tiny_features) < 1e-5


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'layer': 'tops'}, "unknown layer of efficientnet_lite0 'tops'.* top"),
    ({'layer': 'head'}, 'known are .*stage7_block1'),
    ({'pyramid': (1, 2)}, 'name a layer'),
    ({'pyramid': ()}, 'expected the cells'),
    ({'pyramid': (0,), 'layer': 'top'}, 'expected the cells'),
  ],
)
def test_bad_options(small_lite0, options, message):
  with pytest.raises(errors.InputError, match=message):
    make_extractor(small_lite0, None, **options)


def test_options_from_config(config):
  config = config.features
  assert features.Options.from_config(config) == features.Options()
  config.update(
    {'resize': 'crop_then_resize', 'layer': 'top', 'pyramid': (1, 4)}
  )
  assert features.Options.from_config(config) == features.Options(
    'crop_then_resize', 'top', (1, 4)
  )


def record_reads(split: datasets.Split) -> tuple[datasets.Split, list[int]]:
  """Returns the split, and a list that grows by each position decoded."""
  positions = []

  def read(i):
    positions.append(i)
    return split.read(i)

  return dataclasses.replace(split, read=read), positions


def with_contract(net: networks.Network, **changes) -> networks.Network:
  """Returns the network with changes to its contract."""
  contract = dataclasses.replace(net.contract, **changes)
  header = dataclasses.replace(net.header, contract=contract)
  return dataclasses.replace(net, header=header)


def test_prefetch_decodes_each_image_once_for_all_networks(
  tmp_path, tiny_net, split, monkeypatch
):
  monkeypatch.setattr(features, 'SHARD_SIZE', 10)
  nets = [
    tiny_net,
    with_contract(tiny_net, mean=(100.0,) * 3),
    with_contract(tiny_net, channels='bgr', crop_fraction=0.5),
  ]
  extractors = [make_extractor(net, tmp_path / 'shared') for net in nets]
  contracts = {
    features.pixel_contract(net.contract, features.Options()) for net in nets
  }
  assert len(contracts) == 1
  recorded, positions = record_reads(split)
  features.prefetch(extractors, recorded, 'photos train')
  assert sorted(positions) == list(range(len(split)))
  for net, extract in zip(nets, extractors, strict=True):
    prefetched = extract(recorded, 'photos train')
    assert prefetched.num_computed == 0
    alone = make_extractor(net, tmp_path / 'alone')(split, 'photos train')
    np.testing.assert_array_equal(prefetched.values, alone.values)
  assert len(positions) == len(split)


def test_prefetch_decodes_missing_shards_only(
  tmp_path, tiny_net, split, monkeypatch
):
  monkeypatch.setattr(features, 'SHARD_SIZE', 10)
  nets = [tiny_net, with_contract(tiny_net, mean=(100.0,) * 3)]
  extractors = [make_extractor(net, tmp_path) for net in nets]
  recorded, positions = record_reads(split)
  extractors[0](recorded, 'train')
  features.prefetch(extractors, recorded, 'train')
  features.prefetch(extractors, recorded, 'train')
  assert sorted(positions) == sorted(2 * list(range(len(split))))
  shard, *_ = sorted(tmp_path.glob('*/*.shard'))
  shard.unlink()
  features.prefetch(extractors, recorded, 'train')
  assert len(positions) == 2 * len(split) + 10


def test_prefetch_stops_when_the_cache_is_full(
  tmp_path, tiny_net, split, monkeypatch
):
  monkeypatch.setattr(features, 'SHARD_SIZE', 10)
  nets = [tiny_net, with_contract(tiny_net, mean=(100.0,) * 3)]
  extractors = [make_extractor(net, tmp_path, cache_bytes=0) for net in nets]
  recorded, positions = record_reads(split)
  features.prefetch(extractors, recorded, 'train')
  # Two shards are verified and cached together.
  assert len(positions) == 20
  assert extractors[0](recorded, 'train').num_computed == len(split)


@pytest.mark.parametrize(
  ('resize', 'changes', 'equal'),
  [
    ('whole_image', {'crop_fraction': 0.5}, True),
    ('resize_then_crop', {'crop_fraction': 0.5}, False),
    ('whole_image', {'interpolation': 'bilinear'}, False),
    ('whole_image', {'image_size': 48}, False),
    ('resize_then_crop', {'std': (3.0,) * 3}, True),
  ],
)
def test_pixel_contract_is_equal_where_pixels_are(
  tiny_net, resize: str, changes: Mapping[str, object], equal: bool
):
  one, other = (
    features.pixel_contract(net.contract, features.Options(resize=resize))
    for net in (tiny_net, with_contract(tiny_net, **changes))
  )
  assert (one == other) == equal
