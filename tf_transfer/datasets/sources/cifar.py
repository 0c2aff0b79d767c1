"""CIFAR-10 and -100 from their pickles for Python."""

import io
import os
from typing import Any

import numpy as np

from tf_transfer.datasets.sources.image_files import (
  Contents,
  Examples,
  Pixels,
  read_bytes,
  shown,
)
from tf_transfer.errors import InputError
from tf_transfer.runtime import pickles

SIDE = 32  # Pixels.


class _Array:
  """Stands for NumPy's array of bytes, which is all that these files hold."""

  values = np.zeros(0, np.uint8)

  def __setstate__(self, state: Any) -> None:
    _, shape, dtype, fortran, data = state
    if dtype is not _UINT8:
      raise ValueError('an array of another type than uint8')
    data = np.frombuffer(data, np.uint8)
    self.values = data.reshape(shape, order='F' if fortran else 'C')


class _Uint8:
  """Stands for NumPy's type of bytes; how it is stored does not matter."""

  def __setstate__(self, state: Any) -> None:
    del state


_UINT8 = _Uint8()


def _dtype(name: Any, *_: Any) -> _Uint8:
  if name not in ('u1', b'u1'):
    raise ValueError(f'an array of type {name!r}, not uint8')
  return _UINT8


_ADMITTED = {
  ('numpy', 'ndarray'): _Array,
  ('numpy', 'dtype'): _dtype,
  **{
    (f'numpy.{core}.multiarray', '_reconstruct'): lambda *_: _Array()
    for core in ('core', '_core')
  },
}


def read_cifar10(root: str) -> Contents:
  """Reads data_batch_1 to _5 and test_batch."""
  batches = [f'data_batch_{i}' for i in range(1, 6)]
  return _read(
    root,
    ('batches.meta', b'label_names'),
    {'train': batches, 'test': ['test_batch']},
    b'labels',
  )


def read_cifar100(root: str) -> Contents:
  """Reads train and test, with the 100 fine labels."""
  return _read(
    root,
    ('meta', b'fine_label_names'),
    {'train': ['train'], 'test': ['test']},
    b'fine_labels',
  )


def _read(
  root: str,
  meta: tuple[str, bytes],
  files: dict[str, list[str]],
  key: bytes,
) -> Contents:
  """Reads the parts that `files` names; labels are under `key`."""
  names = _entry(root, meta[0], _load(root, meta[0]), meta[1])
  classes = tuple(n.decode() if isinstance(n, bytes) else str(n) for n in names)
  parts = {}
  for part, batches in files.items():
    read = [_batch(root, name, key, len(classes)) for name in batches]
    values, labels = (
      np.concatenate(arrays) for arrays in zip(*read, strict=True)
    )
    whats = tuple(
      f'{shown(os.path.join(root, name))}, image {i}'
      for name, (array, _) in zip(batches, read, strict=True)
      for i in range(len(array))
    )
    parts[part] = Examples(('',) * len(whats), labels, Pixels(values, whats))
  return Contents(classes, parts)


def _batch(
  root: str, name: str, key: bytes, classes: int
) -> tuple[np.ndarray, np.ndarray]:
  """The images uint8 [N, 32, 32, 3] and labels int32 [N] of one file."""
  path = shown(os.path.join(root, name))
  content = _load(root, name)
  data = _entry(root, name, content, b'data')
  values = data.values if isinstance(data, _Array) else np.zeros(0)
  if values.ndim != 2 or values.shape[1] != 3 * SIDE * SIDE:
    raise InputError(
      f'{path}: images of shape {list(values.shape)}, expected '
      f'[N, {3 * SIDE * SIDE}]: not the original file'
    )
  labels = _entry(root, name, content, key)
  if len(labels) != len(values):
    raise InputError(
      f'{path}: {len(labels)} labels for {len(values)} images: not the '
      'original file'
    )
  wrong = [x for x in labels if not (isinstance(x, int) and 0 <= x < classes)]
  if wrong:
    raise InputError(
      f'{path}: label {wrong[0]!r}, expected 0 to {classes - 1}: this is '
      'another dataset or the file is broken'
    )
  images = values.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
  return np.ascontiguousarray(images), np.array(labels, np.int32)


def _entry(root: str, name: str, content: Any, key: bytes) -> Any:
  """What a file's dict has under `key`: a list, or the array of images."""
  found = content.get(key) if isinstance(content, dict) else None
  if not isinstance(found, list | _Array):
    raise InputError(
      f'{shown(os.path.join(root, name))}: no {key.decode()} in it: this is '
      "another dataset's file"
    )
  return found


def _load(root: str, name: str) -> Any:
  path = os.path.join(root, name)
  data = read_bytes(path)
  try:
    return pickles.Unpickler(io.BytesIO(data), _ADMITTED, 'bytes').load()
  except pickles.Refused as error:
    raise InputError(
      f'{shown(path)} is refused: its pickle names {error}, and only arrays '
      'and plain containers are admitted, since loading anything else could '
      'run code: get the file from its official page'
    ) from error
  except pickles.ERRORS as error:
    raise InputError(
      f'{shown(path)}: no whole pickle ({error}): the file is cut short or of '
      'another format; unpack the archive again'
    ) from error
