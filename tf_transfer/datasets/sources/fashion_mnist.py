"""Opens Fashion-MNIST: 70,000 images of clothes of 28 x 28 gray pixels.

It is read from its four original IDX files, or through TFDS.
"""

import gzip
import math
import os
import urllib.request
import zlib
from typing import Any

import numpy as np

from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import (
  Dataset,
  Progress,
  build_dataset,
  gray_split,
)
from tf_transfer.datasets.sources import locations
from tf_transfer.errors import InputError
from tf_transfer.runtime import tensorflow

CLASSES = (
  'T-shirt/top',
  'Trouser',
  'Pullover',
  'Dress',
  'Coat',
  'Sandal',
  'Shirt',
  'Sneaker',
  'Bag',
  'Ankle boot',
)
SIDE = 28  # Pixels.
COUNTS = {'train': 60_000, 'test': 10_000}
# Validation is then about as large as test.
VAL_FRACTION = 1 / 6

# Where Debian's package dataset-fashion-mnist puts the files.
DEBIAN_DIR = '/usr/share/datasets/fashion-mnist'
TFDS_NAME = 'fashion_mnist:3.*.*'

# Official split -> files of images and labels.
FILES = {
  'train': ('train-images-idx3-ubyte', 'train-labels-idx1-ubyte'),
  'test': ('t10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte'),
}
# Where the files may be below the directory that users name; the last is
# torchvision's.
_FOLDERS = ('', 'fashion_mnist', 'fashion-mnist', 'FashionMNIST/raw')
_IDX_NAMES = [name for names in FILES.values() for name in names]

_HOW_TO_GET = (
  'three ways to get it: put the four files train-images-idx3-ubyte.gz, '
  'train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and '
  't10k-labels-idx1-ubyte.gz in a directory and name it as data_dir; or '
  'install the Debian package dataset-fashion-mnist; or prepare '
  'fashion_mnist with TensorFlow Datasets where there is a network, and '
  'name its directory as data_dir'
)
_SECONDS_TO_ANSWER = 20
_HEADER_BYTES = 16  # Of the longest header.

# Official split -> images, uint8 [N, 28, 28], and labels, int [N].
_Arrays = dict[str, tuple[np.ndarray, np.ndarray]]


def open_fashion_mnist(
  name: str,
  *,
  metric: str,
  data_dir: str | None,
  random_split: splits.RandomSplit,
  progress: Progress,
) -> Dataset:
  """Opens Fashion-MNIST with its official test split.

  Args:
    name: of the dataset.
    metric: of the dataset.
    data_dir: a directory with the four IDX files, gzipped or not, or one of
      TFDS; None: that of Debian's package if it exists, else TFDS's default.
    random_split: its seed draws the sixth of the official train that becomes
      validation. The fractions are not used.
    progress: not used.

  Raises:
    InputError: a file is missing or damaged, or cannot be downloaded.
  """
  del progress
  directory = find_directory(data_dir)
  if directory is not None:
    arrays = {split: read_official_split(directory, split) for split in FILES}
  else:
    arrays = _read_with_tfds(data_dir)
  return _divide(name, metric, arrays, random_split)


def find_directory(data_dir: str | None) -> str | None:
  """Finds the directory of the IDX files.

  Args:
    data_dir: that may have them, or be the directory of TFDS.

  Returns:
    The directory; None if the data come from TFDS.

  Raises:
    InputError: `data_dir` is no directory, or has only some of the files.
  """
  if data_dir is not None:
    data_dir = os.path.expanduser(data_dir)
    if not os.path.isdir(data_dir):
      raise InputError(
        f'data_dir {data_dir}: no such directory: fashion_mnist has '
        f'{_HOW_TO_GET}'
      )
    for folder in _FOLDERS:
      path = os.path.join(data_dir, folder) if folder else data_dir
      missing = [
        f'{name}[.gz]' for name in _IDX_NAMES if _find_file(path, name) is None
      ]
      if 0 < len(missing) < len(_IDX_NAMES):
        raise InputError(
          f'{path}: {", ".join(missing)} missing beside the other files of '
          'Fashion-MNIST: copy them there too'
        )
      if not missing:
        return path
    if is_prepared_folder(data_dir):
      return None  # TFDS has prepared it there.
  if all(_find_file(DEBIAN_DIR, name) for name in _IDX_NAMES):
    return DEBIAN_DIR
  return None


def is_prepared_folder(data_dir: str) -> bool:
  """Returns whether DIR/fashion_mnist may be of TFDS, not of other images."""
  path = os.path.join(data_dir, 'fashion_mnist')
  return os.path.isdir(path) and locations.own_images(path) is None


def read_official_split(
  directory: str, name: str
) -> tuple[np.ndarray, np.ndarray]:
  """Reads images [N, 28, 28] and labels [N] of train or test, as uint8.

  Args:
    directory: of the IDX files.
    name: 'train' or 'test'.

  Raises:
    InputError: a file cannot be read, or is not the original.
  """
  images_file, labels_file = (
    _find_file(directory, file) for file in FILES[name]
  )
  count = COUNTS[name]
  images = read_idx(images_file, (count, SIDE, SIDE))
  labels = read_idx(labels_file, (count,))
  if labels.max() >= len(CLASSES):
    raise InputError(
      f'{labels_file}: label {labels.max()} at position {labels.argmax()}, '
      f'expected 0 to {len(CLASSES) - 1}: this is another dataset or the file '
      'is broken'
    )
  return images, labels


def read_idx(path: str, shape: tuple[int, ...]) -> np.ndarray:
  """Reads an IDX file of bytes, gzipped or not, of a given shape.

  The header is two zero bytes, the type (8 for uint8), the number of
  dimensions, and each dimension in four bytes, the most significant first.

  Raises:
    InputError: the file cannot be read, is no IDX file, or has another shape.
  """
  data = _read_maybe_gzipped(path, _HEADER_BYTES + math.prod(shape))
  magic = bytes([0, 0, 8, len(shape)])
  if data[:4] != magic:
    raise InputError(
      f'{path}: starts with bytes {data[:4].hex()}, expected {magic.hex()} '
      f'(IDX, uint8, {len(shape)} dimensions): not the original file'
    )
  start = 4 + 4 * len(shape)
  if len(data) < start:
    raise InputError(
      f'{path}: {len(data)} bytes, shorter than its header: the file is cut '
      'short; copy it again'
    )
  header_shape = tuple(np.frombuffer(data[4:start], '>u4').tolist())
  if header_shape != shape:
    raise InputError(
      f'{path}: its header says {header_shape}, expected {shape}: this is '
      'another dataset or the file is broken'
    )
  if len(data) - start != np.prod(shape):
    raise InputError(
      f'{path}: {len(data) - start} bytes or more after the header, expected '
      f'{np.prod(shape)}: the file is cut short or broken; copy it again'
    )
  return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _find_file(directory: str, name: str) -> str | None:
  """Returns the path of a file, gzipped or not; None if it does not exist."""
  for candidate in (name, f'{name}.gz'):
    path = os.path.join(directory, candidate)
    if os.path.isfile(path):
      return path
  return None


def _read_maybe_gzipped(path: str, max_bytes: int) -> bytes:
  """Reads a file, and decompresses it if its content is gzipped.

  Args:
    path: of the file.
    max_bytes: that it can have, unpacked; a byte more is read of a longer one.

  Raises:
    InputError: it cannot be read.
  """
  try:
    with open(path, 'rb') as file:
      # IDX files start with two zero bytes: they never look gzipped.
      is_gzipped = file.read(2) == b'\x1f\x8b'
      file.seek(0)
      if is_gzipped:
        with gzip.open(file) as unpacked:
          return unpacked.read(max_bytes + 1)
      return file.read(max_bytes + 1)
  except (OSError, EOFError, zlib.error) as error:
    raise InputError(
      f'{path}: cannot be read ({error}): the file is cut short, broken or '
      'not readable; copy it again'
    ) from error


def _divide(
  name: str,
  metric: str,
  arrays: _Arrays,
  random_split: splits.RandomSplit,
) -> Dataset:
  """Holds validation out of train, and removes copies of test images from both.

  Args:
    name: of the dataset.
    metric: of the dataset.
    arrays: of the official splits.
    random_split: with the seed.
  """
  digests = {
    official_name: splits.content_digests(image.tobytes() for image in images)
    for official_name, (images, _) in arrays.items()
  }
  is_copy = splits.occurs_in(digests['train'], digests['test'])
  notes = []
  if is_copy.any():
    notes.append(
      f'{is_copy.sum()} of {len(is_copy)} images of train are left out: '
      'identical to images of test'
    )
  kept = np.flatnonzero(~is_copy)
  positions = {
    split_name: kept[positions_in_kept]
    for split_name, positions_in_kept in splits.train_val(
      digests['train'][kept], random_split.seed, VAL_FRACTION
    ).items()
  }
  positions['test'] = np.arange(len(digests['test']))
  dataset_splits = []
  for split_name in positions:
    official_name = 'test' if split_name == 'test' else 'train'
    images, labels = arrays[official_name]
    noun = f'fashion_mnist {official_name} image'
    dataset_splits.append(
      gray_split(split_name, images, labels, noun, positions[split_name])
    )
  return build_dataset(name, CLASSES, metric, dataset_splits, notes)


def _read_with_tfds(data_dir: str | None) -> _Arrays:
  """Reads the official splits with TFDS, which downloads them if need be.

  Args:
    data_dir: the directory of TFDS; None: its default.

  Raises:
    InputError: the data cannot be downloaded, or TFDS is not installed.
  """
  try:
    tf = tensorflow.import_without_gpu()
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import download_manager
    from tensorflow_datasets.core.download.util import DownloadError

    data_dir = data_dir and os.path.expanduser(data_dir)
    builder = tfds.builder(TFDS_NAME, data_dir=data_dir)
    failures = (
      OSError,
      DownloadError,
      download_manager.NonMatchingChecksumError,
    )
    try:
      if not builder.is_prepared():
        _require_answer(builder.URL)
        builder.download_and_prepare()
    except failures as error:
      raise InputError(
        f'fashion_mnist cannot be downloaded ({error}); {_HOW_TO_GET}'
      ) from error
    return {name: _read_arrays(tf, tfds, builder, name) for name in COUNTS}
  except ImportError as error:
    raise InputError(
      f'fashion_mnist: TensorFlow Datasets cannot be used here ({error}): '
      f'install what it says is missing; or {_HOW_TO_GET}'
    ) from error


def _require_answer(url: str) -> None:
  """Checks that a server answers: TFDS would try for minutes.

  Args:
    url: of the directory with the files.

  Raises:
    OSError: the server does not answer in time.
  """
  request = urllib.request.Request(f'{url}{FILES["test"][1]}.gz', method='HEAD')
  urllib.request.urlopen(request, timeout=_SECONDS_TO_ANSWER).close()


def _read_arrays(
  tf: Any, tfds: Any, builder: Any, name: str
) -> tuple[np.ndarray, np.ndarray]:
  """Reads images [N, 28, 28] and labels [N] of a split.

  Args:
    tf: the module `tensorflow`.
    tfds: the module `tensorflow_datasets`.
    builder: of the prepared dataset.
    name: of the split.

  Raises:
    InputError: the files are damaged, or of another dataset.
  """
  try:
    batch = tfds.as_numpy(builder.as_dataset(split=name, batch_size=-1))
    images, labels = batch['image'][..., 0], batch['label']
  except (tf.errors.OpError, OSError, KeyError, ValueError) as error:
    reason = ' '.join(str(error).split())[:300]
    raise InputError(
      f'fashion_mnist: what TFDS has prepared cannot be read ({reason}): '
      'remove it, to have it prepared again'
    ) from error
  expected = (COUNTS[name], SIDE, SIDE)
  if images.shape != expected or not np.isin(labels, range(10)).all():
    raise InputError(
      f'fashion_mnist: TFDS has prepared {name} with images of shape '
      f'{images.shape} and labels up to {labels.max(initial=0)}, expected '
      f'{expected} and 9: remove it, to have it prepared again'
    )
  return images, labels
