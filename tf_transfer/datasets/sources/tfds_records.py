"""Reads datasets from the record files that TensorFlow Datasets prepares.

Each record file is scanned once for the position, label and name of each
encoded image. Images are then read from these positions. Neither TFDS nor
TensorFlow decodes them, so that pixels are, to the bit, those of the official
files; and TensorFlow need not be imported.
"""

import dataclasses
import hashlib
import itertools
import os
import re
import struct
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import Progress
from tf_transfer.datasets.sources import digest_cache, tfds_info
from tf_transfer.datasets.sources.image_files import (
  Contents,
  Examples,
  ImageFiles,
  Pixels,
  printable,
  read_error,
  read_text,
)
from tf_transfer.datasets.table import Row, Tfds
from tf_transfer.errors import InputError
from tf_transfer.runtime import files, tensorflow
from tf_transfer.runtime.units import counted

# The least that an index of records may take, in bytes.
_MIN_INDEX_BYTES = 1 << 20

# A TFRecord consists of the length, its checksum, the data, and its checksum.
_LENGTH = struct.Struct('<Q')
_CHECKSUM_BYTES = 4

# Datasets whose pixels TFDS encodes as PNG. The official files hold pixels.
_STORED_AS_PIXELS = ('cifar10', 'cifar100')


def directory(data_dir: str | None) -> str:
  """Returns the directory of TFDS: `data_dir`, or its own default."""
  default = os.environ.get('TFDS_DATA_DIR', '~/tensorflow_datasets')
  return os.path.expanduser(data_dir or default)


def prepared_versions(source: Tfds, data_dir: str) -> list[str]:
  """Lists the prepared versions of the right major number, the newest last.

  Args:
    source: the dataset in TFDS.
    data_dir: the directory of TFDS.

  Returns:
    The directories of the versions.

  Raises:
    InputError: the dataset's directory cannot be read.
  """
  return [
    path
    for numbers, path in _all_versions(source, data_dir)
    if numbers[0] == source.major
  ]


def other_versions(source: Tfds, data_dir: str) -> list[str]:
  """Lists the directories of prepared versions of other major numbers."""
  return [
    path
    for numbers, path in _all_versions(source, data_dir)
    if numbers[0] != source.major
  ]


def _all_versions(
  source: Tfds, data_dir: str
) -> list[tuple[tuple[int, ...], str]]:
  """Lists all prepared versions, with their numbers, the newest last.

  Raises:
    InputError: the dataset's directory cannot be read.
  """
  folder = os.path.join(data_dir, *source.name.split('/'))
  if not os.path.isdir(folder):
    return []
  try:
    names = os.listdir(folder)
  except OSError as error:
    raise read_error(folder, error) from error
  versions = []
  for name in names:
    numbers = re.fullmatch(r'(\d{1,9})\.(\d{1,9})\.(\d{1,9})', name)
    info = os.path.join(folder, name, tfds_info.FILE)
    if numbers and os.path.isfile(info):
      versions.append((tuple(int(n) for n in numbers.groups()), name))
  return [(numbers, os.path.join(folder, n)) for numbers, n in sorted(versions)]


def find(source: Tfds, data_dir: str | None) -> str | None:
  """Returns the directory of the newest prepared version, or None."""
  versions = prepared_versions(source, directory(data_dir))
  return versions[-1] if versions else None


def prepare(source: Tfds, data_dir: str | None) -> None:
  """Downloads and prepares a dataset with TFDS, in one process at a time.

  Args:
    source: the dataset in TFDS.
    data_dir: the directory of TFDS; None: its default.

  Raises:
    InputError: it cannot be downloaded, or the disk is full. Nothing of it is
      kept then.
  """
  path = files.make_directory(directory(data_dir))
  tf = tensorflow.import_without_gpu()
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core.download import download_manager, extractor
  from tensorflow_datasets.core.download.util import DownloadError

  # Importing this module registers its builders with TFDS.
  from tf_transfer.datasets.sources import tfds_builders  # noqa: F401

  name = f'{source.name}:{source.major}.*.*'
  try:
    with files.locked(path / f'.{source.name.replace("/", "_")}.lock'):
      if find(source, data_dir) is None:
        tfds.builder(name, data_dir=path).download_and_prepare()
  except (
    *(OSError, AssertionError, ImportError, DownloadError),
    *(download_manager.NonMatchingChecksumError, extractor.ExtractError),
    # TFDS turns exceptions of its writers into RuntimeErrors.
    *(RuntimeError, tf.errors.OpError),
  ) as error:
    reason = ' '.join(str(error).split())
    raise InputError(
      f'{source.name} cannot be prepared in {path}: {reason[:500]}. Nothing '
      'of it is kept; solve this and start again, or use the official layout'
    ) from error


def read(
  row: Row,
  path: str,
  cache_dir: str | os.PathLike | None,
  progress: Progress,
  split_names: Collection[str] | None = None,
) -> Contents:
  """Reads a dataset that TFDS has prepared.

  Args:
    row: of the dataset.
    path: the directory of the prepared version.
    cache_dir: where to keep the positions of images; None: nowhere.
    progress: a wrapper of iterables like tqdm.
    split_names: the official splits to read; None: all.

  Raises:
    InputError: a file is missing, cut short, or of another format.
  """
  reader = _Reader(row, path, cache_dir, progress)
  official_splits = {
    name: _concatenate(list(map(reader.read_split, tfds_names)))
    for name, tfds_names in row.tfds.splits.items()
    if split_names is None or name in split_names
  }
  classes = reader.classes
  # Food-101's classes are in another order than in the official lists.
  if row.name == 'food101':
    order = sorted(range(len(classes)), key=classes.__getitem__)
    rank = np.argsort(order)
    classes = [classes[i] for i in order]
    official_splits = {
      name: Examples(
        examples.names,
        rank[examples.labels].astype(np.int32),
        examples.images,
      )
      for name, examples in official_splits.items()
    }
  notes = (row.tfds.note,) if row.tfds.note else ()
  return Contents(tuple(classes), official_splits, notes)


class _Reader:
  """Reads the splits of one prepared version of a dataset."""

  def __init__(
    self,
    row: Row,
    path: str,
    cache_dir: str | os.PathLike | None,
    progress: Progress,
  ):
    """Reads the metadata; arguments and errors are those of `read`."""
    self._row = row
    self._path = path
    self._cache_dir = cache_dir
    self._progress = progress
    self._info = tfds_info.read_info(path)
    label = 'labels' if row.metric == 'map11' else 'label'
    self.classes = read_text(
      os.path.join(path, f'{label}.labels.txt')
    ).splitlines()

  def read_split(self, name: str) -> Examples:
    """Reads a split of TFDS, in the order of its records."""
    row = self._row
    lengths = tfds_info.record_files(self._path, self._info, name)
    paths = list(lengths)
    key = {'records of': digest_cache.state(paths), 'dataset': row.name}
    index = digest_cache.arrays(
      self._cache_dir,
      key,
      lambda: _index(row, paths, name, self._progress),
      # An image takes more than what is kept of it.
      max_bytes=_MIN_INDEX_BYTES + 4 * sum(map(os.path.getsize, paths)),
    )
    self._check_lengths(lengths, index['shards'])
    labels = index['labels']
    self._check_labels(name, labels)
    names = [
      bytes(n).decode('utf-8', 'surrogateescape')
      for n in index['names'].tolist()
    ]
    if row.name == 'caltech101':
      names = [
        f'{self.classes[i]}/{n}' for i, n in zip(labels, names, strict=True)
      ]
    names = [n.removeprefix('/') for n in names]
    images = ImageFiles(
      tuple(paths[i] for i in index['shards']),
      tuple(
        f'{row.tfds.name} {name} {printable(n) or i}'
        for i, n in enumerate(names)
      ),
      index['offsets'],
      index['sizes'],
      index['digests'],
    )
    if self._cache_dir is not None:
      entry = digest_cache.entry_path(self._cache_dir, key)
      images = dataclasses.replace(images, cache_entries=(str(entry),))
    if row.name in _STORED_AS_PIXELS:
      images = _decode(images)
    return Examples(tuple(names), labels, images)

  def _check_lengths(
    self, lengths: Mapping[str, int], shards: np.ndarray
  ) -> None:
    """Raises an InputError if a file has more or fewer records than it should.

    Args:
      lengths: each file -> the number of records that it should have.
      shards: int64 [N], the position of each record's file.
    """
    counts = np.bincount(shards, minlength=len(lengths)).tolist()
    for (path, length), count in zip(lengths.items(), counts, strict=True):
      if count != length:
        raise InputError(
          f'{printable(path)}: {counted(count, "record")}, but '
          f'{tfds_info.FILE} says {length:,}: it is of another version; copy '
          'all files again, or prepare the dataset again'
        )

  def _check_labels(self, name: str, labels: np.ndarray) -> None:
    """Raises an InputError if a label of a split is no class."""
    if labels.ndim == 1 and len(labels):
      wrong = labels[(labels < 0) | (labels >= len(self.classes))]
      if len(wrong):
        raise InputError(
          f'{printable(self._path)}: label {wrong[0]} in {name}, expected 0 to '
          f'{len(self.classes) - 1}: prepare the dataset again'
        )


def _decode(images: ImageFiles) -> Pixels:
  """Decodes all images, so that their digests are those of their pixels."""
  values = [images.read(i, images.known_digests[i]) for i in range(len(images))]
  return Pixels(np.stack(values), images.descriptions)


def _index(
  row: Row, paths: list[str], name: str, progress: Progress
) -> digest_cache.Arrays:
  """Scans the record files of a split for its images.

  Args:
    row: of the dataset.
    paths: the record files.
    name: of the split, for the progress bar.
    progress: a wrapper of iterables like tqdm.

  Returns:
    For each of N images: shards int64 [N], the position of its file in `paths`;
    offsets and sizes int64 [N] of the image in that file, in bytes; labels
    int32 [N] or [N, C]; names bytes [N]; digests uint8 [N, 32].
  """
  records = itertools.chain.from_iterable(
    ((i, *record) for record in _records(file)) for i, file in enumerate(paths)
  )
  rows = []
  for shard, offset, data in progress(
    records, desc=f'reading {row.name} {name}', unit='record'
  ):
    image, label, image_name = _parse(row, paths[shard], offset, data)
    digest = hashlib.sha256(image).digest()
    start = offset + data.index(image)
    rows.append((shard, start, len(image), label, image_name, digest))
  columns = list(zip(*rows, strict=True)) or [()] * 6
  shards, offsets, sizes = (np.array(c, np.int64) for c in columns[:3])
  digests = np.frombuffer(b''.join(columns[5]), np.uint8)
  return {
    'shards': shards,
    'offsets': offsets,
    'sizes': sizes,
    'labels': np.array(columns[3], np.int32),
    'names': np.array(columns[4], np.bytes_),
    'digests': digests.reshape(-1, splits.DIGEST_SIZE),
  }


def _parse(
  row: Row, path: str, offset: int, data: bytes
) -> tuple[bytes, int | list[int], bytes]:
  """Returns the encoded image, label or labels, and name of a record.

  Raises:
    InputError: the record is damaged.
  """
  from google.protobuf.message import DecodeError
  from tensorflow_datasets.proto import tf_example_generated_pb2

  try:
    example = tf_example_generated_pb2.Example.FromString(data)
    feature = example.features.feature
    image = feature['image'].bytes_list.value[0]
    names = feature[row.tfds.name_feature].bytes_list.value
    if not image:
      raise IndexError('an image of no bytes')
    return image, _label(row, feature), names[0] if names else b''
  except (DecodeError, IndexError) as error:
    raise InputError(
      f'{printable(path)}: the record at byte {offset} is broken: copy the '
      'file again, or prepare the dataset again'
    ) from error


def _label(row: Row, feature: Any) -> int | list[int]:
  """Returns an example's label; several labels as 1, 0 or -1 per class.

  Raises:
    IndexError: a label is missing, or is no class.
  """

  def read(name: str) -> list[int]:
    """Returns the values of a feature, each of which is a class."""
    values = list(feature[name].int64_list.value)
    if not all(0 <= value < row.classes for value in values):
      raise IndexError(f'{name} {values} of {row.classes} classes')
    return values

  if row.metric != 'map11':
    return read('label')[0]
  labels = [0] * row.classes
  for i in read('labels'):
    labels[i] = -1
  for i in read('labels_no_difficult'):
    labels[i] = 1
  return labels


def _records(path: str) -> Iterator[tuple[int, bytes]]:
  """Reads the records of a file.

  Yields:
    The offset of a record's data in the file, and the data.

  Raises:
    InputError: the file cannot be read or ends within a record.
  """
  offset = 0
  try:
    size = os.path.getsize(path)
    with open(path, 'rb') as file:
      while offset < size:
        header = file.read(_LENGTH.size + _CHECKSUM_BYTES)
        start = offset + _LENGTH.size + _CHECKSUM_BYTES
        end = start + _LENGTH.unpack_from(header.ljust(_LENGTH.size))[0]
        if end + _CHECKSUM_BYTES > size:
          raise InputError(
            f'{printable(path)}: ends inside a record: the file is cut short; '
            'copy it again, or prepare the dataset again'
          )
        yield start, file.read(end - start)
        file.seek(_CHECKSUM_BYTES, os.SEEK_CUR)
        offset = end + _CHECKSUM_BYTES
  except OSError as error:
    raise read_error(path, error) from error


def _concatenate(examples: list[Examples]) -> Examples:
  """Concatenates splits of TFDS whose images are in files."""
  if len(examples) == 1:
    return examples[0]
  images = [each.images for each in examples]
  return Examples(
    sum((each.names for each in examples), ()),
    np.concatenate([each.labels for each in examples]),
    ImageFiles(
      sum((each.paths for each in images), ()),
      sum((each.descriptions for each in images), ()),
      np.concatenate([each.offsets for each in images]),
      np.concatenate([each.sizes_bytes for each in images]),
      np.concatenate([each.known_digests for each in images]),
      sum((each.cache_entries for each in images), ()),
    ),
  )
