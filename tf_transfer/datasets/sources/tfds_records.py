"""Datasets as TensorFlow Datasets prepares them.

A prepared directory -> its record files -> where in them each encoded image
is, with its label and name -> examples whose images are read from there. The
images are not decoded by TensorFlow, so that they are, bit for bit, what the
official files give; nor is TensorFlow imported to read them.
"""

import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import re
import struct
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import Progress
from tf_transfer.datasets.images import decoding
from tf_transfer.datasets.sources import digest_cache
from tf_transfer.datasets.sources.image_files import (
  Contents,
  Examples,
  ImageFiles,
  Pixels,
  read_text,
  shown,
  unreadable,
)
from tf_transfer.datasets.table import Row, Tfds
from tf_transfer.errors import InputError
from tf_transfer.runtime import files, tensorflow

# A TFRecord: the length, a checksum of it, the data, a checksum of that.
_LENGTH = struct.Struct('<Q')
_CHECKSUM = 4  # Bytes.

# Datasets of which TFDS keeps pixels, encoded anew as PNG.
_SMALL = ('cifar10', 'cifar100')


def directory(data_dir: str | None) -> str:
  """Where TFDS looks: `data_dir`, or its own default."""
  default = os.environ.get('TFDS_DATA_DIR', '~/tensorflow_datasets')
  return os.path.expanduser(data_dir or default)


def prepared_in(source: Tfds, where: str) -> list[str]:
  """Prepared versions of the right major number, the newest last."""
  folder = os.path.join(where, *source.name.split('/'))
  if not os.path.isdir(folder):
    return []
  try:
    names = os.listdir(folder)
  except OSError as error:
    raise unreadable(folder, error) from error
  versions = []
  for name in names:
    numbers = re.fullmatch(r'(\d+)\.(\d+)\.(\d+)', name)
    info = os.path.join(folder, name, 'dataset_info.json')
    if numbers and int(numbers[1]) == source.major and os.path.isfile(info):
      versions.append(([int(n) for n in numbers.groups()], name))
  return [os.path.join(folder, name) for _, name in sorted(versions)]


def find(source: Tfds, data_dir: str | None) -> str | None:
  """The newest prepared version, or None."""
  return next(reversed(prepared_in(source, directory(data_dir))), None)


def prepare(source: Tfds, data_dir: str | None) -> None:
  """Downloads and prepares a dataset with TFDS; two at once wait in line.

  Raises:
    InputError: it cannot be downloaded, or the disk is full; nothing of it is
      kept.
  """
  where = files.make_directory(directory(data_dir))
  tf = tensorflow.import_without_gpu()
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core.download import download_manager, extractor
  from tensorflow_datasets.core.download.util import DownloadError

  # Importing this defines them, which is all that TFDS needs.
  from tf_transfer.datasets.sources import tfds_builders  # noqa: F401

  name = f'{source.name}:{source.major}.*.*'
  try:
    with _locked(where / f'.{source.name.replace("/", "_")}.lock'):
      if find(source, data_dir) is None:
        tfds.builder(name, data_dir=where).download_and_prepare()
  except (
    *(OSError, AssertionError, ImportError, DownloadError),
    *(download_manager.NonMatchingChecksumError, extractor.ExtractError),
    # What its writers raise TFDS raises again as a RuntimeError.
    *(RuntimeError, tf.errors.OpError),
  ) as error:
    reason = ' '.join(str(error).split())
    raise InputError(
      f'{source.name} cannot be prepared in {where}: {reason[:500]}. Nothing '
      'of it is kept; mend that and start again, or use the official layout'
    ) from error


@contextlib.contextmanager
def _locked(path: os.PathLike) -> Iterator[None]:
  with open(path, 'w') as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    yield


def read(
  row: Row,
  path: str,
  cache_dir: str | os.PathLike | None,
  progress: Progress,
  wanted: Collection[str] | None = None,
) -> Contents:
  """Reads what TFDS has prepared.

  Args:
    row: of the dataset.
    path: the directory of the prepared version.
    cache_dir: where it is remembered which image is where; None: nowhere.
    progress: shows how far the reading is.
    wanted: the parts that are read; None for all.

  Raises:
    InputError: a file is missing, cut short, or of another format.
  """
  info = _json(path, 'dataset_info.json')
  label = 'labels' if row.metric == 'map11' else 'label'
  classes = _class_names(path, label)
  parts = {}
  for part, names in row.tfds.parts.items():
    if wanted is not None and part not in wanted:
      continue
    joined = [
      _part(row, path, info, name, classes, cache_dir, progress)
      for name in names
    ]
    parts[part] = _join(joined)
  # Food-101's classes are in another order than in the official lists.
  if row.name == 'food101':
    order = sorted(range(len(classes)), key=classes.__getitem__)
    rank = np.argsort(order)
    classes = tuple(classes[i] for i in order)
    parts = {
      name: Examples(
        part.names, rank[part.labels].astype(np.int32), part.images
      )
      for name, part in parts.items()
    }
  notes = (row.tfds.note,) if row.tfds.note else ()
  return Contents(tuple(classes), parts, notes)


def shards(path: str, info: dict[str, Any], name: str) -> list[str]:
  """The record files of one split of TFDS.

  Raises:
    InputError: the split or a file of it is not there.
  """
  split = next((s for s in info['splits'] if s['name'] == name), None)
  if split is None:
    raise InputError(
      f'{shown(path)}: no split {name}: prepare the dataset again'
    )
  kind = info.get('fileFormat', 'tfrecord')
  if kind != 'tfrecord':
    raise InputError(
      f'{shown(path)}: prepared as {kind}, of which only tfrecord can be '
      'read here: prepare the dataset again with --file_format=tfrecord'
    )
  count = len(split['shardLengths'])
  template = split.get(
    'filepathTemplate', '{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}'
  )
  names = [
    template.format(
      DATASET=info['name'],
      SPLIT=name,
      FILEFORMAT='tfrecord',
      SHARD_X_OF_Y=f'{i:05d}-of-{count:05d}',
    )
    for i in range(count)
  ]
  paths = [os.path.join(path, file) for file in names]
  missing = [file for file in paths if not os.path.isfile(file)]
  if missing:
    raise InputError(
      f'{shown(missing[0])}: not there, nor {len(missing) - 1} other of the '
      f'{count} files of {name}: copy them, or prepare the dataset again'
    )
  return paths


def _json(path: str, name: str) -> dict[str, Any]:
  file = os.path.join(path, name)
  try:
    return json.loads(read_text(file))
  except ValueError as error:
    raise InputError(
      f'{shown(file)}: {error}: prepare the dataset again'
    ) from error


def _class_names(path: str, label: str) -> list[str]:
  """The names of the classes, which TFDS keeps in a text file."""
  return read_text(os.path.join(path, f'{label}.labels.txt')).splitlines()


def _part(
  row: Row,
  path: str,
  info: dict[str, Any],
  name: str,
  classes: list[str],
  cache_dir: str | os.PathLike | None,
  progress: Progress,
) -> Examples:
  """One split of TFDS, in the order of its records."""
  paths = shards(path, info, name)
  key = {'records of': digest_cache.state(paths), 'dataset': row.name}
  index = digest_cache.arrays(
    cache_dir, key, lambda: _index(row, paths, name, progress)
  )
  labels = index['labels']
  if labels.ndim == 1 and len(labels):
    odd = labels[(labels < 0) | (labels >= len(classes))]
    if len(odd):
      raise InputError(
        f'{shown(path)}: label {odd[0]} in {name}, expected 0 to '
        f'{len(classes) - 1}: prepare the dataset again'
      )
  names = [bytes(n).decode() for n in index['names'].tolist()]
  if row.name == 'caltech101':
    names = [f'{classes[i]}/{n}' for i, n in zip(labels, names, strict=True)]
  names = [n.removeprefix('/') for n in names]
  whats = tuple(
    f'{row.tfds.name} {name} {n or number}' for number, n in enumerate(names)
  )
  found = ImageFiles(
    tuple(paths[i] for i in index['shards']),
    whats,
    index['offsets'],
    index['sizes'],
    index['digests'],
  )
  if row.name in _SMALL:
    found = _decoded(found)
  return Examples(tuple(names), labels, found)


def _decoded(stored: ImageFiles) -> Pixels:
  """Small images, decoded: their identity is that of their pixels."""
  values = [
    decoding.decode(stored.stored(i), stored.whats[i])
    for i in range(len(stored))
  ]
  return Pixels(np.stack(values), stored.whats)


def _index(
  row: Row, paths: list[str], name: str, progress: Progress
) -> digest_cache.Arrays:
  """Reads every record once: where its image is, its label, name, SHA-256."""
  records = itertools.chain.from_iterable(
    ((i, *record) for record in _records(file)) for i, file in enumerate(paths)
  )
  rows = []
  for shard, offset, data in progress(
    records, desc=f'reading {row.name} {name}', unit='record'
  ):
    image, label, written = _parse(row, paths[shard], offset, data)
    digest = hashlib.sha256(image).digest()
    start = offset + data.index(image)
    rows.append((shard, start, len(image), label, written, digest))
  columns = list(zip(*rows, strict=True)) or [()] * 6
  shards, offsets, sizes = (np.array(c, np.int64) for c in columns[:3])
  joined = np.frombuffer(b''.join(columns[5]), np.uint8)
  return {
    'shards': shards,
    'offsets': offsets,
    'sizes': sizes,
    'labels': np.array(columns[3], np.int32),
    'names': np.array(columns[4], np.bytes_),
    'digests': joined.reshape(-1, splits.DIGEST_SIZE),
  }


def _parse(
  row: Row, path: str, offset: int, data: bytes
) -> tuple[bytes, int | list[int], bytes]:
  """Encoded image, label or labels, and name of a record."""
  from google.protobuf.message import DecodeError
  from tensorflow_datasets.proto import tf_example_generated_pb2

  try:
    example = tf_example_generated_pb2.Example.FromString(data)
    feature = example.features.feature
    image = feature['image'].bytes_list.value[0]
    names = feature[row.tfds.name_feature].bytes_list.value
    return image, _label(row, feature), names[0] if names else b''
  except (DecodeError, IndexError) as error:
    raise InputError(
      f'{shown(path)}: the record at byte {offset} is broken: copy the file '
      'again, or prepare the dataset again'
    ) from error


def _label(row: Row, feature: Any) -> int | list[int]:
  """A class, or one of 1, 0 and -1 for each class."""
  if row.metric != 'map11':
    return feature['label'].int64_list.value[0]
  labels = [0] * row.classes
  for i in feature['labels'].int64_list.value:
    labels[i] = -1
  for i in feature['labels_no_difficult'].int64_list.value:
    labels[i] = 1
  return labels


def _records(path: str) -> Iterator[tuple[int, bytes]]:
  """The records of a file: where each begins, and its bytes."""
  offset = 0
  try:
    size = os.path.getsize(path)
    with open(path, 'rb') as file:
      while offset < size:
        header = file.read(_LENGTH.size + _CHECKSUM)
        start = offset + _LENGTH.size + _CHECKSUM
        end = start + _LENGTH.unpack_from(header.ljust(_LENGTH.size))[0]
        if end + _CHECKSUM > size:
          raise InputError(
            f'{shown(path)}: ends inside a record: the file is cut short; copy '
            'it again, or prepare the dataset again'
          )
        yield start, file.read(end - start)
        file.seek(_CHECKSUM, os.SEEK_CUR)
        offset = end + _CHECKSUM
  except OSError as error:
    raise unreadable(path, error) from error


def _join(parts: list[Examples]) -> Examples:
  """Several splits of TFDS in a row, of a dataset that is in files."""
  if len(parts) == 1:
    return parts[0]
  stored = [part.images for part in parts]
  return Examples(
    sum((part.names for part in parts), ()),
    np.concatenate([part.labels for part in parts]),
    ImageFiles(
      sum((s.paths for s in stored), ()),
      sum((s.whats for s in stored), ()),
      np.concatenate([s.offsets for s in stored]),
      np.concatenate([s.sizes for s in stored]),
      np.concatenate([s.known for s in stored]),
    ),
  )
