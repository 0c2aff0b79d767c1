"""Features do not depend on how they are computed, nor on the cache."""

import os

import jax
import numpy as np
import pytest
from PIL import Image

from tf_transfer import datasets, errors
from tf_transfer.datasets import images
from tf_transfer.runtime import devices
from tf_transfer.transfer import features


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
    net.contract.scale(images.whole_image(split.read(i), net.contract))
    for i in range(len(split))
  ]
  return np.concatenate([net.features(x[None]) for x in scaled])


def extractor(net, cache, *, count=1, batch_size=16, **options):
  mesh = devices.data_mesh(jax.devices()[:count])
  return features.Extractor(
    net, cache, mesh=mesh, batch_size=batch_size, **options
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
  np.testing.assert_array_equal(found.kept, np.arange(len(split)))
  assert found.computed == len(split)
  again = extract(split, 'photos train')
  np.testing.assert_array_equal(again.values, found.values)
  assert again.computed == 0


def test_interrupted_extraction_goes_on_from_the_last_shard(
  tmp_path, net, split, reference, monkeypatch
):
  monkeypatch.setattr(features, '_SHARD_SIZE', 10)
  extract = extractor(net, tmp_path)
  compute, calls = extract._compute, []

  def killed_at_the_third(*arguments):
    calls.append(arguments[1])
    if len(calls) == 3:
      raise KeyboardInterrupt
    return compute(*arguments)

  monkeypatch.setattr(extract, '_compute', killed_at_the_third)
  with pytest.raises(KeyboardInterrupt):
    extract(split, 'train')
  found = extract(split, 'train')
  assert calls == [*range(0, 30, 10), *range(20, len(split), 10)]
  assert found.computed == len(split) - 20
  assert relative_difference(found.values, reference) < 1e-5


@pytest.mark.parametrize('damage', ['cut', 'flipped', 'swapped', 'empty'])
def test_damaged_shard_is_computed_again(
  tmp_path, net, split, reference, damage
):
  extract = extractor(net, tmp_path)
  extract(split, 'train')
  (path,) = tmp_path.glob('*/*.npz')
  data = bytearray(path.read_bytes())
  if damage == 'cut':
    data = data[: len(data) // 2]
  elif damage == 'flipped':
    data[len(data) // 2] ^= 1
  elif damage == 'swapped':
    data = bytearray(b'some other file')
  else:
    data = b''
  path.write_bytes(data)
  found = extract(split, 'train')
  assert found.computed == len(split)
  assert relative_difference(found.values, reference) < 1e-5


def test_key_holds_all_that_determines_the_features(net, split):
  key = extractor(net, None).key(split)
  assert key['weights'] == net.sha256
  assert key['contract'] == net.contract.to_json()
  assert key['split'] == split.hash
  assert key['resize'] == 'whole_image'
  assert key['dtype'] == 'float32'


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
  assert not list((tmp_path / 'cache').glob('*/*.npz'))


def test_corrupt_image_is_skipped_on_request(tmp_path, net, with_corrupt):
  split, bad = with_corrupt
  cache = tmp_path / 'cache'
  found = extractor(net, cache, corrupt='skip')(split, 'train')
  assert len(found.skipped) == 1
  assert bad in found.skipped[0]
  assert len(found) == len(split) - 1 == len(found.labels)
  np.testing.assert_array_equal(found.labels, split.labels[found.kept])
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


def test_concatenate(tmp_path, net, photos):
  dataset = datasets.open(f'folder:{photos}')
  extract = extractor(net, tmp_path)
  val, test = (extract(dataset.splits[n], n) for n in ('val', 'test'))
  both = features.concatenate(val, test)
  assert len(both) == len(val) + len(test)
  np.testing.assert_array_equal(both.values[len(val) :], test.values)
  np.testing.assert_array_equal(both.labels[: len(val)], val.labels)
