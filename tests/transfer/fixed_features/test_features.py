"""Features do not depend on how they are computed, nor on the cache."""

import dataclasses
import os

import jax
import numpy as np
import pytest
from PIL import Image

from tf_transfer import datasets, errors
from tf_transfer.datasets.images import decoding
from tf_transfer.runtime import devices
from tf_transfer.transfer.fixed_features import (
  feature_cache,
  features,
  pooling,
)


@pytest.fixture(scope='module')
def net(small_lite0):
  return small_lite0


@pytest.fixture(scope='module')
def split(photos):
  return datasets.open(f'folder:{photos}').splits['train']


@pytest.fixture(scope='module')
def reference(net, split):
  """One image at a time through the library's own face."""
  scaled = [
    net.contract.scale(decoding.whole_image(split.read(i), net.contract))
    for i in range(len(split))
  ]
  return np.concatenate([net.features(x[None]) for x in scaled])


def extractor(net, root, *, count=1, batch_size=16, corrupt='error', **options):
  return features.Extractor(
    net,
    feature_cache.FeatureCache(root, 1e9),
    features.Options(**options),
    mesh=devices.data_mesh(jax.devices()[:count]),
    batch_size=batch_size,
    corrupt=corrupt,
  )


def relative_difference(a, b):
  return np.abs(a - b).max() / np.abs(b).max()


@pytest.mark.parametrize(
  ('count', 'batch_size'), [(1, 1), (1, 7), (1, 64), (2, 16), (8, 24), (8, 1)]
)
def test_same_whatever_the_batch_and_the_devices(
  tmp_path, net, split, reference, count, batch_size
):
  extract = extractor(net, tmp_path, count=count, batch_size=batch_size)
  found = extract(split, 'photos train')
  assert relative_difference(found.values, reference) < 1e-5
  np.testing.assert_array_equal(found.labels, split.labels)
  np.testing.assert_array_equal(found.indices, np.arange(len(split)))
  assert found.num_computed == len(split)
  again = extract(split, 'photos train')
  np.testing.assert_array_equal(again.values, found.values)
  assert again.num_computed == 0


def test_interrupted_extraction_goes_on_from_the_last_shard(
  tmp_path, net, split, reference, monkeypatch
):
  monkeypatch.setattr(features, '_SHARD_SIZE', 10)
  extract = extractor(net, tmp_path)
  compute_shard, starts = features._compute_shard, []

  def killed_at_the_third(*arguments):
    starts.append(arguments[2])
    if len(starts) == 3:
      raise KeyboardInterrupt
    return compute_shard(*arguments)

  monkeypatch.setattr(features, '_compute_shard', killed_at_the_third)
  with pytest.raises(KeyboardInterrupt):
    extract(split, 'train')
  found = extract(split, 'train')
  assert starts == [*range(0, 30, 10), *range(20, len(split), 10)]
  assert found.num_computed == len(split) - 20
  assert relative_difference(found.values, reference) < 1e-5


def test_damaged_shard_is_computed_again(
  tmp_path, net, split, reference, monkeypatch
):
  monkeypatch.setattr(features, '_SHARD_SIZE', 10)
  extract = extractor(net, tmp_path)
  extract(split, 'train')
  first, *_ = sorted(tmp_path.glob('*/*.shard'))
  first.write_bytes(first.read_bytes()[:-1])
  found = extract(split, 'train')
  assert found.num_computed == 10
  assert relative_difference(found.values, reference) < 1e-5
  assert extract(split, 'train').num_computed == 0


def test_key_holds_all_that_determines_the_features(net, split):
  key = extractor(net, None).key(split)
  assert key['weights'] == net.sha256
  assert key['contract'] == net.contract.to_json()
  assert key['split'] == split.hash
  assert key['resize'] == 'whole_image'
  assert key['dtype'] == 'float32'
  others = [
    extractor(net, None, **options).key(split)
    for options in (
      {'resize': 'crop_then_resize'},
      {'layer': 'top'},
      {'layer': 'stem'},
      {'layer': 'top', 'pyramid': (1, 2)},
    )
  ]
  assert all(a != b for i, a in enumerate([key, *others]) for b in others[i:])


@pytest.fixture
def with_corrupt(tmp_path, photos):
  """Copies of the photos, one of them cut short."""
  root = tmp_path / 'photos'
  for folder in photos.iterdir():
    (root / folder.name).mkdir(parents=True)
    for file in folder.iterdir():
      (root / folder.name / file.name).write_bytes(file.read_bytes())
  bad = root / 'china' / '01.jpg'
  bad.write_bytes(bad.read_bytes()[:-100])
  dataset = datasets.open(f'folder:{root}')
  for split in dataset.splits.values():
    names = [split.describe(i) for i in range(len(split))]
    if any(str(bad) in name for name in names):
      return split, str(bad)
  raise AssertionError('the corrupt image is in no split')


def test_corrupt_image_is_named(tmp_path, net, with_corrupt):
  split, bad = with_corrupt
  with pytest.raises(errors.InputError, match=os.path.basename(bad)):
    extractor(net, tmp_path / 'cache')(split, 'train')
  assert not list((tmp_path / 'cache').glob('*/*.shard'))


def test_corrupt_image_is_skipped_on_request(tmp_path, net, with_corrupt):
  split, bad = with_corrupt
  cache = tmp_path / 'cache'
  found = extractor(net, cache, corrupt='skip')(split, 'train')
  assert len(found.skipped) == 1
  assert bad in found.skipped[0]
  assert len(found) == len(split) - 1 == len(found.labels)
  np.testing.assert_array_equal(found.labels, split.labels[found.indices])
  # The cache that was filled so does not hide it from a run that must stop.
  with pytest.raises(errors.InputError, match=os.path.basename(bad)):
    extractor(net, cache, corrupt='error')(split, 'train')


def test_nothing_decodable(tmp_path, net):
  for name in ('a', 'b'):
    (tmp_path / 'data' / name).mkdir(parents=True)
    for number in range(60):
      path = tmp_path / 'data' / name / f'{number}.png'
      pixels = np.full((4, 4, 3), number, np.uint8)
      pixels[0, 0, 0] = ord(name)
      Image.fromarray(pixels).save(path)
      # Cut short, but each file with a content of its own.
      path.write_bytes(path.read_bytes()[:40] + bytes([ord(name), number]))
  split = datasets.open(f'folder:{tmp_path / "data"}').splits['val']
  extract = extractor(net, tmp_path / 'cache', corrupt='skip')
  with pytest.raises(errors.InputError, match='no image of the split'):
    extract(split, 'val')


@pytest.mark.parametrize('corrupt_first', [True, False])
def test_together_in_one_matrix(
  tmp_path, net, with_corrupt, photos, corrupt_first
):
  corrupt, _ = with_corrupt
  whole = datasets.open(f'folder:{photos}').splits['test']
  order = [(corrupt, 'one'), (whole, 'other')][:: 1 if corrupt_first else -1]
  extract = extractor(net, tmp_path / 'cache', corrupt='skip')
  one, other, both = features.extract_pair(extract, *order)
  assert len(both) == len(one) + len(other) == len(corrupt) + len(whole) - 1
  assert len(both.skipped) == 1
  for part, split in zip((one, other), order, strict=True):
    assert np.shares_memory(part.values, both.values)
    alone = extract(*split)
    assert alone.num_computed == 0
    np.testing.assert_array_equal(part.values, alone.values)
    np.testing.assert_array_equal(part.labels, alone.labels)
  np.testing.assert_array_equal(
    both.values, np.concatenate([one.values, other.values])
  )
  np.testing.assert_array_equal(both.labels[len(one) :], other.labels)


def test_last_layer_averaged_is_what_feeds_the_logits(
  tmp_path, net, split, reference
):
  found = extractor(net, tmp_path, layer='top')(split, 'train')
  assert relative_difference(found.values, reference) < 1e-5


def test_pyramid_of_a_layer(tmp_path, net, split, reference):
  """2 × 2 positions are left of 64 px: the cells are the positions."""
  extract = extractor(net, tmp_path, layer='top', pyramid=(1, 2), count=2)
  values = extract(split, 'train').values
  assert extract.feature_dim == 5 * 1280
  assert values.shape == (len(split), 5 * 1280)
  cells = values.reshape(len(split), 5, 1280)
  assert relative_difference(cells[:, 0], reference) < 1e-5
  assert relative_difference(cells[:, 1:].mean(axis=1), reference) < 1e-5
  # Cells differ: the upper half of a photo is not its lower half.
  assert relative_difference(cells[:, 1], cells[:, 4]) > 0.1


def test_pyramid_cells_by_hand():
  """3 × 5 positions in 2 × 2 cells, which share the middle row and column."""
  x = np.arange(15.0).reshape(1, 3, 5, 1)
  rows, columns = (slice(0, 2), slice(1, 3)), (slice(0, 3), slice(2, 5))
  expected = [7.0] + [x[0, r, c, 0].mean() for r in rows for c in columns]
  assert expected[1:] == [3.5, 5.5, 8.5, 10.5]
  found = pooling.pyramid_pool(x, (1, 2))
  np.testing.assert_allclose(found, [expected], rtol=1e-6)
  # More cells than positions, too.
  assert pooling.pyramid_pool(x, (1, 2, 4)).shape == (1, 21)


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
def test_bad_options(net, options, message):
  with pytest.raises(errors.InputError, match=message):
    extractor(net, None, **options)


def counted(split):
  """The split, and the positions that were decoded, as they come."""
  decoded = []

  def read(i):
    decoded.append(i)
    return split.read(i)

  return dataclasses.replace(split, read=read), decoded


def varied(net, **changes):
  """The same network with another contract, as another one's may be."""
  contract = dataclasses.replace(net.contract, **changes)
  header = dataclasses.replace(net.header, contract=contract)
  return dataclasses.replace(net, header=header)


def test_networks_of_one_input_size_share_each_decoded_image(
  tmp_path, net, split, monkeypatch
):
  monkeypatch.setattr(features, '_SHARD_SIZE', 10)
  nets = [
    net,
    varied(net, mean=(100.0,) * 3),
    varied(net, channels='bgr', crop_fraction=0.5),
  ]
  extractors = [extractor(one, tmp_path / 'shared') for one in nets]
  wanted = {
    features.pixel_contract(one.contract, features.Options()) for one in nets
  }
  assert len(wanted) == 1
  watched, decoded = counted(split)
  features.prefetch(extractors, watched, 'photos train')
  assert sorted(decoded) == list(range(len(split)))
  for one, extract in zip(nets, extractors, strict=True):
    found = extract(watched, 'photos train')
    assert found.num_computed == 0
    alone = extractor(one, tmp_path / 'alone')(split, 'photos train')
    np.testing.assert_array_equal(found.values, alone.values)
  assert len(decoded) == len(split)


def test_only_what_is_lacking_is_decoded(tmp_path, net, split, monkeypatch):
  monkeypatch.setattr(features, '_SHARD_SIZE', 10)
  extractors = [
    extractor(one, tmp_path) for one in (net, varied(net, mean=(100.0,) * 3))
  ]
  watched, decoded = counted(split)
  extractors[0](watched, 'train')
  features.prefetch(extractors, watched, 'train')
  features.prefetch(extractors, watched, 'train')
  assert sorted(decoded) == sorted(2 * list(range(len(split))))
  first, *_ = sorted(tmp_path.glob('*/*.shard'))
  first.unlink()
  features.prefetch(extractors, watched, 'train')
  assert len(decoded) == 2 * len(split) + 10


def test_what_has_no_room_is_left_for_later(tmp_path, net, split, monkeypatch):
  monkeypatch.setattr(features, '_SHARD_SIZE', 10)
  extractors = [
    features.Extractor(
      one,
      feature_cache.FeatureCache(tmp_path, 0),
      mesh=devices.data_mesh(jax.devices()[:1]),
    )
    for one in (net, varied(net, mean=(100.0,) * 3))
  ]
  watched, decoded = counted(split)
  features.prefetch(extractors, watched, 'train')
  assert len(decoded) == 10
  assert extractors[0](watched, 'train').num_computed == len(split)


@pytest.mark.parametrize(
  ('resize', 'changes', 'same'),
  [
    ('whole_image', {'crop_fraction': 0.5}, True),
    ('resize_then_crop', {'crop_fraction': 0.5}, False),
    ('whole_image', {'interpolation': 'bilinear'}, False),
    ('whole_image', {'image_size': 48}, False),
    ('resize_then_crop', {'std': (3.0,) * 3}, True),
  ],
)
def test_who_can_share_pixels(net, resize, changes, same):
  one, other = (
    features.pixel_contract(x.contract, features.Options(resize=resize))
    for x in (net, varied(net, **changes))
  )
  assert (one == other) == same
