"""Fashion-MNIST: 70,000 pictures of clothes, 28 pixels wide.

Read from its four original IDX files, or through TFDS.
"""

import gzip
import os
import urllib.request
import zlib
from typing import Any

import numpy as np

from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import (
  Dataset,
  Progress,
  complete,
  gray_split,
)
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

# part -> (images, labels).
FILES = {
  'train': ('train-images-idx3-ubyte', 'train-labels-idx1-ubyte'),
  'test': ('t10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte'),
}

_HOW_TO_GET = (
  'three ways to get it: put the four files train-images-idx3-ubyte.gz, '
  'train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and '
  't10k-labels-idx1-ubyte.gz in a directory and name it as data_dir; or '
  'install the Debian package dataset-fashion-mnist; or prepare '
  'fashion_mnist with TensorFlow Datasets where there is a network, and '
  'name its directory as data_dir'
)
_SECONDS_TO_ANSWER = 20

# part -> (images uint8 [N, 28, 28], labels int [N])
_Parts = dict[str, tuple[np.ndarray, np.ndarray]]


def open_fashion_mnist(
  name: str,
  *,
  metric: str,
  data_dir: str | None,
  draw: splits.Draw,
  progress: Progress,
) -> Dataset:
  """Opens Fashion-MNIST with its official test.

  Args:
    name: of the dataset.
    metric: of the dataset.
    data_dir: a directory with the four IDX files, gzipped or not, or one of
      TFDS; None: Debian's directory if it is there, else TFDS's own default.
    draw: its seed says which sixth of the official train is validation; the
      fractions do not apply.
    progress: of no use here.

  Raises:
    InputError: a file is missing or broken, or nothing can be downloaded.
  """
  del progress
  directory = find_directory(data_dir)
  if directory is not None:
    parts = {part: read_part(directory, part) for part in FILES}
  else:
    parts = _from_tfds(data_dir)
  return _divide(name, metric, parts, draw)


def find_directory(data_dir: str | None) -> str | None:
  """The directory of the IDX files; None if TFDS has to provide the data.

  Raises:
    InputError: `data_dir` is no directory or has some of the files only.
  """
  if data_dir is not None:
    data_dir = os.path.expanduser(data_dir)
    if not os.path.isdir(data_dir):
      raise InputError(
        f'data_dir {data_dir}: no such directory: fashion_mnist has '
        f'{_HOW_TO_GET}'
      )
    missing = [
      f'{name}[.gz]' for name in _names() if _find_file(data_dir, name) is None
    ]
    if 0 < len(missing) < len(_names()):
      raise InputError(
        f'{data_dir}: {", ".join(missing)} missing beside the other files of '
        'Fashion-MNIST: copy them there too'
      )
    if not missing:
      return data_dir
    if os.path.isdir(os.path.join(data_dir, 'fashion_mnist')):
      return None  # TFDS has prepared it there.
  if all(_find_file(DEBIAN_DIR, name) for name in _names()):
    return DEBIAN_DIR
  return None


def read_part(directory: str, part: str) -> tuple[np.ndarray, np.ndarray]:
  """Reads images [N, 28, 28] and labels [N] of train or test, as uint8."""
  images_file, labels_file = (
    _find_file(directory, name) for name in FILES[part]
  )
  count = COUNTS[part]
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
  """Reads an IDX file of bytes, gzipped or not, that must have this shape.

  The header is two zero bytes, the type (8 for uint8), the number of
  dimensions, and each dimension in four bytes, most significant first.

  Raises:
    InputError: it cannot be read, is no such file, or is too short or long.
  """
  data = _read_maybe_gzipped(path)
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
  found = tuple(np.frombuffer(data[4:start], '>u4').tolist())
  if found != shape:
    raise InputError(
      f'{path}: its header says {found}, expected {shape}: this is another '
      'dataset or the file is broken'
    )
  if len(data) - start != np.prod(shape):
    raise InputError(
      f'{path}: {len(data) - start} bytes after the header, expected '
      f'{np.prod(shape)}: the file is cut short or broken; copy it again'
    )
  return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _names() -> list[str]:
  return [name for names in FILES.values() for name in names]


def _find_file(directory: str, name: str) -> str | None:
  for candidate in (name, f'{name}.gz'):
    path = os.path.join(directory, candidate)
    if os.path.isfile(path):
      return path
  return None


def _read_maybe_gzipped(path: str) -> bytes:
  """The content of a file, unpacked if it is gzipped, whatever its name."""
  try:
    with open(path, 'rb') as file:
      data = file.read()
    # IDX files start with two zero bytes: no confusion is possible.
    return gzip.decompress(data) if data[:2] == b'\x1f\x8b' else data
  except (OSError, EOFError, zlib.error) as error:
    raise InputError(
      f'{path}: cannot be read ({error}): the file is cut short, broken or '
      'not readable; copy it again'
    ) from error


def _divide(
  name: str, metric: str, parts: _Parts, draw: splits.Draw
) -> Dataset:
  """Holds validation out of train, without the images that test has too."""
  digests = {
    part: splits.content_digests([image.tobytes() for image in images])
    for part, (images, _) in parts.items()
  }
  copied = splits.also_in(digests['train'], digests['test'])
  notes = []
  if copied.any():
    notes.append(
      f'{copied.sum()} of {len(copied)} images of train are left out: '
      'identical to images of test'
    )
  kept = np.flatnonzero(~copied)
  held_out = splits.train_val(digests['train'][kept], draw.seed, VAL_FRACTION)
  chosen = {part: kept[positions] for part, positions in held_out.items()}
  chosen['test'] = np.arange(len(digests['test']))
  made = []
  for part, positions in chosen.items():
    official = 'test' if part == 'test' else 'train'
    images, labels = parts[official]
    what = f'fashion_mnist {official} image'
    made.append(gray_split(part, images, labels, what, positions))
  return complete(name, CLASSES, metric, made, notes)


def _from_tfds(data_dir: str | None) -> _Parts:
  """Reads the same arrays through TFDS, which downloads them if need be."""
  try:
    tensorflow.import_without_gpu()
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
    return {part: _arrays(tfds, builder, part) for part in COUNTS}
  except ImportError as error:
    raise InputError(
      f'fashion_mnist: TensorFlow Datasets cannot be used here ({error}): '
      f'install what it says is missing; or {_HOW_TO_GET}'
    ) from error


def _require_answer(url: str) -> None:
  """Fails in seconds where TFDS would try for minutes.

  Raises:
    OSError: nobody answers there.
  """
  request = urllib.request.Request(f'{url}{FILES["test"][1]}.gz', method='HEAD')
  urllib.request.urlopen(request, timeout=_SECONDS_TO_ANSWER).close()


def _arrays(
  tfds: Any, builder: Any, part: str
) -> tuple[np.ndarray, np.ndarray]:
  """One split of a prepared builder: images [N, 28, 28] and labels [N]."""
  batch = tfds.as_numpy(builder.as_dataset(split=part, batch_size=-1))
  return batch['image'][..., 0], batch['label']
