"""Reads PyTorch's .pth files without PyTorch, and without running code.

A .pth file is a pickle, and a pickle is a program. This reader admits tensor
storages and plain containers only; it refuses whatever else a pickle names
before any of it runs. Two layouts exist: a zip archive (PyTorch 1.6 and
newer), and the legacy one, five pickles in a row followed by the storages.
"""

import collections
import dataclasses
import os
import struct
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import ml_dtypes
import numpy as np

from tf_transfer import errors
from tf_transfer.runtime import pickles

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001

_STORAGES = {
  'FloatStorage': np.float32,
  'DoubleStorage': np.float64,
  'HalfStorage': np.float16,
  'BFloat16Storage': ml_dtypes.bfloat16,
  'LongStorage': np.int64,
  'IntStorage': np.int32,
  'ShortStorage': np.int16,
  'CharStorage': np.int8,
  'ByteStorage': np.uint8,
  'BoolStorage': np.bool_,
}


@dataclasses.dataclass(frozen=True)
class _Storage:
  """Describes a storage, or a view of one."""

  key: str
  dtype: np.dtype
  length: int  # in elements
  start: int = 0  # of a view, in elements of the root storage


@dataclasses.dataclass(frozen=True)
class _Tensor:
  """Describes a tensor: its part of a storage."""

  storage: _Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]  # in elements


def _rebuild_tensor(
  storage: Any, offset: Any, shape: Any, strides: Any, *_: Any
) -> _Tensor:
  """Describes a tensor; a pickle calls it in place of PyTorch's function."""
  if not isinstance(storage, _Storage):
    raise ValueError('a tensor without a storage')
  shape = tuple(int(n) for n in shape)
  strides = tuple(int(n) for n in strides)
  if len(shape) != len(strides) or min((0, *shape, *strides)) < 0:
    raise ValueError(f'a tensor of shape {shape} and strides {strides}')
  return _Tensor(storage, int(offset), shape, strides)


def _rebuild_parameter(tensor: Any, *_: Any) -> Any:
  """Returns the tensor of a parameter."""
  return tensor


_ADMITTED = {
  ('collections', 'OrderedDict'): collections.OrderedDict,
  ('torch._utils', '_rebuild_tensor_v2'): _rebuild_tensor,
  ('torch._utils', '_rebuild_parameter'): _rebuild_parameter,
  **{('torch', name): np.dtype(dtype) for name, dtype in _STORAGES.items()},
}


class _Unpickler(pickles.Unpickler):
  """Admits the names above, and describes storages in place of reading them."""

  def __init__(self, file: IO[bytes]) -> None:
    super().__init__(file, _ADMITTED)

  def persistent_load(self, pid: Any) -> _Storage:
    """Describes the storage that a persistent id names."""
    kind, dtype, key, _, length, *view = pid
    if kind != 'storage' or not isinstance(dtype, np.dtype):
      raise ValueError('a persistent id that is no storage')
    if view and view[0] is not None:
      _, start, length = view[0]
      return _Storage(str(key), dtype, int(length), int(start))
    return _Storage(str(key), dtype, int(length))


def _materialize(tensor: _Tensor, data: bytes) -> np.ndarray:
  """Copies a tensor's values out of the bytes of its root storage."""
  dtype = tensor.storage.dtype.newbyteorder('<')
  values = np.frombuffer(data, dtype)[tensor.storage.start :]
  values = values[: tensor.storage.length]
  last = tensor.offset + sum(
    (n - 1) * stride
    for n, stride in zip(tensor.shape, tensor.strides, strict=True)
  )
  size = int(np.prod(tensor.shape, dtype=object))
  # A shape larger than its storage would grow without bound when copied.
  if size and (size > len(values) or last >= len(values) or tensor.offset < 0):
    raise ValueError(f'a tensor {tensor.shape} that its storage does not hold')
  view = np.lib.stride_tricks.as_strided(
    values[tensor.offset :],
    tensor.shape,
    tuple(stride * dtype.itemsize for stride in tensor.strides),
  )
  return view.astype(dtype.newbyteorder('='))


def _state_dict(root: Any) -> Mapping[str, _Tensor]:
  """Returns the tensors by name, out of what a training script wrapped."""
  for key in ('state_dict', 'model'):
    if isinstance(root, Mapping) and isinstance(root.get(key), Mapping):
      root = root[key]
  if not isinstance(root, Mapping):
    raise ValueError(f'a {type(root).__name__}, not a dict of tensors')
  tensors = {
    name: value for name, value in root.items() if isinstance(value, _Tensor)
  }
  if not tensors:
    raise ValueError('a dict without tensors')
  return tensors


def _read_zip(file: IO[bytes]) -> dict[str, np.ndarray]:
  """Reads the layout of PyTorch 1.6 and newer."""
  with zipfile.ZipFile(file) as archive:
    entries = {info.filename: info for info in archive.infolist()}
    # PyTorch stores without compression; anything else may be a zip bomb.
    if any(i.compress_type != zipfile.ZIP_STORED for i in entries.values()):
      raise ValueError('compressed entries, which PyTorch does not write')
    pickled = [name for name in entries if name.endswith('/data.pkl')]
    if len(pickled) != 1:
      raise ValueError('a zip archive without one data.pkl')
    prefix = pickled[0].removesuffix('data.pkl')
    order = f'{prefix}byteorder'
    if order in entries and archive.read(order).strip() != b'little':
      raise ValueError('big-endian storages')
    with archive.open(pickled[0]) as stream:
      tensors = _state_dict(_Unpickler(stream).load())
    return {
      name: _materialize(t, archive.read(f'{prefix}data/{t.storage.key}'))
      for name, t in tensors.items()
    }


def _read_legacy(file: IO[bytes]) -> dict[str, np.ndarray]:
  """Reads the layout before PyTorch 1.6."""
  if _Unpickler(file).load() != _LEGACY_MAGIC:
    raise ValueError('a pickle without the magic number of a .pth file')
  if _Unpickler(file).load() != _LEGACY_PROTOCOL:
    raise ValueError('an unknown protocol')
  if not _Unpickler(file).load()['little_endian']:
    raise ValueError('big-endian storages')
  tensors = _state_dict(_Unpickler(file).load())
  keys = _Unpickler(file).load()
  dtypes = {t.storage.key: t.storage.dtype for t in tensors.values()}
  storages = {}
  for key in keys:
    (length,) = struct.unpack('<q', file.read(8))
    if key not in dtypes:
      raise ValueError(f'storage {key}, which no tensor refers to')
    num_bytes = length * dtypes[key].itemsize
    storages[key] = file.read(num_bytes) if length >= 0 else b''
    if len(storages[key]) != num_bytes:
      raise EOFError('the file ends inside a storage')
  return {
    name: _materialize(t, storages[t.storage.key])
    for name, t in tensors.items()
  }


def read(path: os.PathLike | str) -> dict[str, np.ndarray]:
  """Reads the tensors of a .pth file.

  Returns:
    {name: array}, in the dtypes and the order of the file.

  Raises:
    InputError: no such file, cut short, not a .pth file, or a pickle that
      names anything but storages and plain containers.
  """
  try:
    with open(path, 'rb') as file:
      is_zip = file.read(4) == b'PK\x03\x04'
      file.seek(0)
      return _read_zip(file) if is_zip else _read_legacy(file)
  except pickles.Refused as error:
    raise errors.InputError(
      f'{path} is refused: its pickle names {error}, and only tensor storages '
      'and plain containers are admitted. Loading it with PyTorch could run '
      'code; get the file from another source.'
    ) from error
  except OSError as error:
    raise errors.InputError(
      f'{path} cannot be read: {error.strerror or error}'
    ) from error
  except (*pickles.ERRORS, zipfile.BadZipFile) as error:
    raise errors.InputError(
      f'{path} is no complete .pth file ({error}): it may be cut short or '
      'of another format. Get it again.'
    ) from error
