"""Reads CIFAR-10 and CIFAR-100 from their official pickles."""

import io
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_transfer.datasets.sources.image_files import (
  Contents,
  Examples,
  Pixels,
  printable,
  read_bytes,
)
from tf_transfer.errors import InputError
from tf_transfer.runtime import pickles
from tf_transfer.runtime.units import counted

SIDE = 32  # Pixels.


class _Array:
  """Replaces NumPy's array when unpickling; only arrays of bytes are read."""

  values = np.zeros(0, np.uint8)

  def __setstate__(self, state: Any) -> None:
    """Sets the values from a pickled state of NumPy's array."""
    _, shape, dtype, fortran, data = state
    if dtype is not _UINT8:
      raise ValueError('an array of another type than uint8')
    data = np.frombuffer(data, np.uint8)
    self.values = data.reshape(shape, order='F' if fortran else 'C')


class _Uint8:
  """Replaces NumPy's dtype uint8 when unpickling."""

  def __setstate__(self, state: Any) -> None:
    """Ignores the pickled state, which has nothing but the byte order."""
    del state


_UINT8 = _Uint8()


def _dtype(name: Any, *_: Any) -> _Uint8:
  """Replaces NumPy's dtype when unpickling.

  Raises:
    ValueError: the dtype is not uint8.
  """
  if name not in ('u1', b'u1'):
    raise ValueError(f'an array of type {name!r}, not uint8')
  return _UINT8


# Names in the pickles -> what replaces them.
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
  files: Mapping[str, Sequence[str]],
  label_key: bytes,
) -> Contents:
  """Reads a dataset.

  Args:
    root: the directory.
    meta: the file with the names of the classes, and their key in it.
    files: split -> its files.
    label_key: key of the labels in these files.

  Raises:
    InputError: a file cannot be read, or is not the original.
  """
  names = _entry(root, meta[0], _load(root, meta[0]), meta[1])
  if not isinstance(names, list):
    names = []  # An array; the number of classes is checked later.
  classes = tuple(
    name.decode('utf-8', 'backslashreplace')
    if isinstance(name, bytes)
    else str(name)
    for name in names
  )
  splits = {}
  for split_name, file_names in files.items():
    batches = [
      _read_file(root, name, label_key, len(classes)) for name in file_names
    ]
    values, labels = (
      np.concatenate(arrays) for arrays in zip(*batches, strict=True)
    )
    descriptions = tuple(
      f'{printable(os.path.join(root, name))}, image {i}'
      for name, (images, _) in zip(file_names, batches, strict=True)
      for i in range(len(images))
    )
    splits[split_name] = Examples(
      ('',) * len(descriptions), labels, Pixels(values, descriptions)
    )
  return Contents(classes, splits)


def _read_file(
  root: str, name: str, label_key: bytes, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
  """Reads the images, uint8 [N, 32, 32, 3], and labels, int32 [N], of a file.

  Raises:
    InputError: the file cannot be read, or is not the original.
  """
  path = printable(os.path.join(root, name))
  content = _load(root, name)
  data = _entry(root, name, content, b'data')
  values = data.values if isinstance(data, _Array) else np.zeros(0)
  if values.ndim != 2 or values.shape[1] != 3 * SIDE * SIDE:
    raise InputError(
      f'{path}: images of shape {list(values.shape)}, expected '
      f'[N, {3 * SIDE * SIDE}]: not the original file'
    )
  labels = _entry(root, name, content, label_key)
  labels = labels if isinstance(labels, list) else []
  if len(labels) != len(values):
    raise InputError(
      f'{path}: {counted(len(labels), "label")} for '
      f'{counted(len(values), "image")}: not the original file'
    )
  wrong = [
    label
    for label in labels
    if not (isinstance(label, int) and 0 <= label < num_classes)
  ]
  if wrong:
    raise InputError(
      f'{path}: label {repr(wrong[0])[:100]}, expected 0 to {num_classes - 1}: '
      'this is another dataset or the file is broken'
    )
  images = values.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
  return np.ascontiguousarray(images), np.array(labels, np.int32)


def _entry(root: str, name: str, content: Any, key: bytes) -> Any:
  """Returns the entry of a file's dict: a list, or the array of images.

  Args:
    root: the directory.
    name: of the file.
    content: that was loaded from the file.
    key: of the entry.

  Raises:
    InputError: there is no such entry.
  """
  entry = content.get(key) if isinstance(content, dict) else None
  if not isinstance(entry, list | _Array):
    raise InputError(
      f'{printable(os.path.join(root, name))}: no {key.decode()} in it: this '
      "is another dataset's file"
    )
  return entry


def _load(root: str, name: str) -> Any:
  """Unpickles a file.

  Raises:
    InputError: it cannot be read, or names something that is not admitted.
  """
  path = os.path.join(root, name)
  data = read_bytes(path)
  try:
    return pickles.Unpickler(io.BytesIO(data), _ADMITTED, 'bytes').load()
  except pickles.Refused as error:
    raise InputError(
      f'{printable(path)} is refused: its pickle names {error}, and only '
      'arrays and plain containers are admitted, since loading anything else '
      'could run code: get the file from its official page'
    ) from error
  except pickles.ERRORS as error:
    raise InputError(
      f'{printable(path)}: not a valid pickle ({error}): the file is cut short '
      'or of another format; unpack the archive again'
    ) from error
