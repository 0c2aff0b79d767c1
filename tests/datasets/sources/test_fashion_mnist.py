"""Fashion-MNIST from IDX files and through TFDS."""

import gzip
import os
import struct
import sys
import tracemalloc
import urllib.error

import numpy as np
import pytest

from tf_transfer import datasets
from tf_transfer.datasets.sources import fashion_mnist
from tf_transfer.errors import InputError
from tf_transfer.runtime import tensorflow

COUNTS = {'train': 600, 'test': 30}


@pytest.fixture
def arrays(monkeypatch):
  """A miniature of the dataset, and no Debian directory."""
  monkeypatch.setattr(fashion_mnist, 'COUNTS', COUNTS)
  monkeypatch.setattr(fashion_mnist, 'DEBIAN_DIR', '/nonexistent')
  rng = np.random.default_rng(0)
  return {
    part: (
      rng.integers(0, 256, (count, 28, 28), dtype=np.uint8),
      np.arange(count, dtype=np.uint8) % 10,
    )
    for part, count in COUNTS.items()
  }


def idx(array):
  header = bytes([0, 0, 8, array.ndim])
  return header + struct.pack(f'>{array.ndim}I', *array.shape) + array.tobytes()


def write(directory, arrays, compress=True):
  directory.mkdir(exist_ok=True)
  for part, pair in arrays.items():
    for name, array in zip(fashion_mnist.FILES[part], pair, strict=True):
      data = idx(array)
      if compress:
        (directory / f'{name}.gz').write_bytes(gzip.compress(data))
      else:
        (directory / name).write_bytes(data)
  return str(directory)


def open_in(directory):
  return datasets.open('fashion_mnist', data_dir=str(directory))


def test_reads_idx_files_gzipped_or_not(tmp_path, arrays):
  packed = open_in(write(tmp_path / 'packed', arrays))
  plain = open_in(write(tmp_path / 'plain', arrays, compress=False))
  for name in ('train', 'val', 'test'):
    assert packed.splits[name].hash == plain.splits[name].hash
  assert len(packed.splits['test']) == 30
  assert len(packed.splits['train']) + len(packed.splits['val']) == 600
  assert packed.classes[9] == 'Ankle boot'
  assert packed.notes == ()
  part = packed.splits['val']
  noun, original = part.describe(3).rsplit(' ', 1)
  assert noun == 'fashion_mnist train image'
  image, label = (array[int(original)] for array in arrays['train'])
  assert label == part.labels[3]
  np.testing.assert_array_equal(part.read(3), np.stack([image] * 3, axis=-1))


def test_order_of_the_files_does_not_matter(tmp_path, arrays):
  one = open_in(write(tmp_path / 'one', arrays))
  turned = {
    part: tuple(array[::-1] for array in pair) for part, pair in arrays.items()
  }
  other = open_in(write(tmp_path / 'other', turned))
  for name, part in one.splits.items():
    assert part.hash == other.splits[name].hash


def test_images_of_test_are_left_out_of_train(tmp_path, arrays):
  arrays['train'][0][[5, 17]] = arrays['test'][0][3]
  dataset = open_in(write(tmp_path / 'd', arrays))
  assert len(dataset.splits['train']) + len(dataset.splits['val']) == 598
  assert len(dataset.splits['test']) == 30
  assert dataset.notes == (
    '2 of 600 images of train are left out: identical to images of test',
  )


def test_default_directory(tmp_path, arrays, monkeypatch):
  monkeypatch.setattr(
    fashion_mnist, 'DEBIAN_DIR', write(tmp_path / 'd', arrays)
  )
  empty = tmp_path / 'empty'
  empty.mkdir()
  for data_dir in (None, str(empty)):
    dataset = datasets.open('fashion_mnist', data_dir=data_dir)
    assert len(dataset.splits['test']) == 30


@pytest.mark.parametrize(
  ('name', 'change', 'message'),
  [
    ('t10k-labels-idx1-ubyte.gz', None, r't10k-labels.*\[.gz\] missing'),
    ('train-images-idx3-ubyte.gz', lambda d: d[:2000], 'cannot be read'),
    ('train-images-idx3-ubyte.gz', lambda d: b'', 'starts with bytes'),
    (
      'train-images-idx3-ubyte.gz',
      lambda d: gzip.compress(gzip.decompress(d)[:5000]),
      'more after the header, expected 470400: the file is cut short',
    ),
    (
      'train-labels-idx1-ubyte.gz',
      lambda d: gzip.compress(b'\0\0\x0d\1' + gzip.decompress(d)[4:]),
      'starts with bytes 00000d01, expected 00000801',
    ),
    (
      'train-labels-idx1-ubyte.gz',
      lambda d: gzip.compress(idx(np.zeros(7, np.uint8))),
      r'header says \(7,\), expected \(600,\)',
    ),
    (
      't10k-labels-idx1-ubyte.gz',
      lambda d: gzip.compress(idx(np.full(30, 12, np.uint8))),
      'label 12 at position 0, expected 0 to 9',
    ),
    ('t10k-labels-idx1-ubyte.gz', lambda d: b'\x1f\x8bxx', 'cannot be read'),
    (
      't10k-labels-idx1-ubyte.gz',
      lambda d: b'\0\0\x08\1\0',
      '5 bytes, shorter than its header',
    ),
  ],
)
def test_broken_files(tmp_path, arrays, name, change, message):
  directory = write(tmp_path / 'd', arrays)
  path = tmp_path / 'd' / name
  data = path.read_bytes()
  path.unlink()
  if change is not None:
    path.write_bytes(change(data))
  with pytest.raises(InputError, match=message) as raised:
    open_in(directory)
  assert name.removesuffix('.gz') in str(raised.value)


def test_a_file_that_unpacks_to_gigabytes(tmp_path, arrays):
  directory = write(tmp_path / 'd', arrays)
  path = tmp_path / 'd/t10k-labels-idx1-ubyte.gz'
  header = gzip.decompress(path.read_bytes())[:8]
  path.write_bytes(gzip.compress(header + bytes(1 << 27), 1))
  tracemalloc.start()
  with pytest.raises(InputError, match='or more after the header, expected 30'):
    open_in(directory)
  assert tracemalloc.get_traced_memory()[1] < 30_000_000
  tracemalloc.stop()


@pytest.mark.parametrize(
  'folder', ['fashion_mnist', 'fashion-mnist', 'FashionMNIST/raw']
)
def test_files_in_a_folder_below(tmp_path, arrays, folder):
  expected = open_in(write(tmp_path / 'd', arrays)).splits['test'].hash
  (tmp_path / 'x' / folder).parent.mkdir(parents=True)
  (tmp_path / 'd').rename(tmp_path / 'x' / folder)
  assert open_in(tmp_path / 'x').splits['test'].hash == expected
  assert 'fashion_mnist' in datasets.available(str(tmp_path / 'x'))


def test_a_class_of_that_name_is_not_of_tfds(tmp_path, arrays):
  (tmp_path / 'fashion_mnist').mkdir()
  assert 'fashion_mnist' in datasets.available(str(tmp_path))
  (tmp_path / 'fashion_mnist/1.jpg').touch()
  assert 'fashion_mnist' not in datasets.available(str(tmp_path))


def test_missing_data_dir(tmp_path, arrays):
  with pytest.raises(InputError, match=r'no such directory.*three ways'):
    open_in(tmp_path / 'none')


@pytest.mark.skipif(
  not os.path.isdir(fashion_mnist.DEBIAN_DIR),
  reason='needs the Debian package dataset-fashion-mnist',
)
def test_the_real_thing():
  dataset = datasets.open('fashion_mnist')
  counts = {name: len(part) for name, part in dataset.splits.items()}
  assert counts == {'train': 49_843, 'val': 10_157, 'test': 10_000}
  # No image of train is in test: none is left out.
  assert dataset.notes == ()
  hashes = [part.hash[:8] for part in dataset.splits.values()]
  assert hashes == ['79f44f59', 'e970ff09', '9fc5f81a']


# TFDS: stands in for TensorFlow Datasets, which has to download the data.


class Builder:
  """What `_from_tfds` needs of a TFDS builder."""

  URL = 'http://nobody.invalid/'

  def __init__(self, arrays, prepared):
    self.arrays = arrays
    self.prepared = prepared

  def is_prepared(self):
    return self.prepared

  def download_and_prepare(self):
    self.prepared = True

  def as_dataset(self, split, batch_size):
    assert batch_size == -1
    images, labels = self.arrays[split]
    return {'image': images[..., None], 'label': labels.astype(np.int64)}


@pytest.fixture
def use_builder(monkeypatch):
  pytest.importorskip('tensorflow')
  tfds = pytest.importorskip('tensorflow_datasets')
  calls = []

  def use(builder):
    def make(name, *, data_dir):
      calls.append((name, data_dir))
      return builder

    monkeypatch.setattr(tfds, 'builder', make)
    monkeypatch.setattr(tfds, 'as_numpy', lambda tensors: tensors)
    return calls

  return use


def test_tfds_gives_the_same_splits(tmp_path, arrays, use_builder):
  calls = use_builder(Builder(arrays, prepared=True))
  (tmp_path / 'tfds' / 'fashion_mnist').mkdir(parents=True)
  through_tfds = open_in(tmp_path / 'tfds')
  assert calls == [('fashion_mnist:3.*.*', str(tmp_path / 'tfds'))]
  files = open_in(write(tmp_path / 'files', arrays))
  for name, part in files.splits.items():
    assert part.hash == through_tfds.splits[name].hash
    np.testing.assert_array_equal(
      part.read(0), through_tfds.splits[name].read(0)
    )


def test_tfds_downloads_where_it_can(arrays, use_builder, monkeypatch):
  builder = Builder(arrays, prepared=False)
  use_builder(builder)
  urls = []
  monkeypatch.setattr(fashion_mnist, '_require_answer', urls.append)
  assert len(datasets.open('fashion_mnist').splits['test']) == 30
  assert builder.prepared
  assert urls == [Builder.URL]


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (lambda images, labels: (images[1:], labels[1:]), r'shape \(599, 28, 28'),
    (lambda images, labels: (images, labels + 1), 'labels up to 10'),
    (lambda images, labels: (images[:, 1:], labels), r'shape \(600, 27, 28'),
    (None, 'cannot be read .*train'),
  ],
)
def test_what_tfds_has_prepared_wrong(arrays, use_builder, change, message):
  arrays['train'] = change(*arrays['train']) if change else arrays.pop('x', ())
  if not change:
    del arrays['train']
  use_builder(Builder(arrays, prepared=True))
  with pytest.raises(InputError, match=message):
    datasets.open('fashion_mnist')


def test_no_network_is_one_clear_error(arrays, use_builder, monkeypatch):
  builder = Builder(arrays, prepared=False)
  use_builder(builder)

  def fail(request, timeout):
    assert request.full_url == f'{Builder.URL}t10k-labels-idx1-ubyte.gz'
    assert timeout <= 30
    raise urllib.error.URLError('no network')

  monkeypatch.setattr('urllib.request.urlopen', fail)
  with pytest.raises(InputError, match='cannot be downloaded') as raised:
    datasets.open('fashion_mnist')
  for way in ('data_dir', 'dataset-fashion-mnist', 'TensorFlow Datasets'):
    assert way in str(raised.value)
  assert not builder.prepared


def test_a_missing_module_is_one_clear_error(arrays, monkeypatch):
  monkeypatch.setitem(sys.modules, 'tensorflow', None)
  tensorflow.import_without_gpu.cache_clear()
  with pytest.raises(InputError, match=r'cannot be used here.*three ways'):
    datasets.open('fashion_mnist')
