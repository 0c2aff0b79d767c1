"""Reads PyTorch's .pth files without PyTorch, and without running code.

A .pth file is a pickle, and a pickle is a program. This reader admits tensor
storages and plain containers; other classes become stand-ins that do nothing,
and functions are refused before any of them runs. Two layouts exist: a zip
archive (PyTorch 1.6 and newer), and the legacy one, five pickles in a row
followed by the storages.
"""

import collections
import dataclasses
import math
import os
import pathlib
import struct
import zipfile
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any

import ml_dtypes
import numpy as np

from tf_transfer import errors
from tf_transfer.convert_weights import state_dicts
from tf_transfer.runtime import pickles

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
# Shared storages are copied: the tensors may take this many times their file,
# and a little more.
_MAX_GROWTH = 4
_MAX_SMALL = 2**20  # bytes

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
  # No network here has these; they may be there beside one.
  'ComplexFloatStorage': np.complex64,
  'ComplexDoubleStorage': np.complex128,
  'QInt8Storage': 'V1',
  'QUInt8Storage': 'V1',
  'QInt32Storage': 'V4',
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


def _rebuild_subclass(function: Any, _: Any, arguments: Any, *__: Any) -> Any:
  """Describes a tensor of a subclass, or one with attributes."""
  if function not in (_rebuild_tensor, _rebuild_parameter):
    raise ValueError('a tensor of an unknown subclass')
  return function(*arguments)


# What PyTorch names beside classes: types of elements and layouts.
_NAMES = (
  *(f'float{bits}' for bits in (16, 32, 64)),
  *(f'int{bits}' for bits in (8, 16, 32, 64)),
  *('bfloat16', 'uint8', 'bool', 'complex64', 'complex128'),
  *('device', 'strided', 'contiguous_format', 'preserve_format'),
)
_ADMITTED = {
  ('collections', 'OrderedDict'): collections.OrderedDict,
  ('torch._utils', '_rebuild_tensor'): _rebuild_tensor,
  ('torch._utils', '_rebuild_tensor_v2'): _rebuild_tensor,
  ('torch._utils', '_rebuild_parameter'): _rebuild_parameter,
  ('torch._utils', '_rebuild_parameter_with_state'): _rebuild_parameter,
  ('torch._tensor', '_rebuild_from_type_v2'): _rebuild_subclass,
  ('torch.serialization', '_get_layout'): pickles.StandIn,
  **{('torch', name): pickles.StandIn for name in _NAMES},
  **{('torch', name): np.dtype(dtype) for name, dtype in _STORAGES.items()},
}


class _Unpickler(pickles.Unpickler):
  """Admits the names above, and describes storages in place of reading them.

  Attributes:
    dtypes: of the storages that were described, by their keys.
  """

  def __init__(self, file: IO[bytes]) -> None:
    super().__init__(file, _ADMITTED, stand_ins=True)
    self.dtypes: dict[str, np.dtype] = {}

  def persistent_load(self, pid: Any) -> _Storage:
    """Describes the storage that a persistent id names."""
    kind, dtype, key, _, length, *view = pid
    if kind != 'storage':
      raise ValueError('a persistent id that is no storage')
    if not isinstance(dtype, np.dtype):
      raise ValueError(f'a storage of the type {dtype!r}')
    self.dtypes[str(key)] = dtype
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


def _check_size(tensors: Iterable[_Tensor], file_size: int) -> None:
  """Refuses tensors that take much more memory than their file.

  Tensors may share a storage; each is copied.
  """
  size = sum(math.prod(t.shape) * t.storage.dtype.itemsize for t in tensors)
  if size > _MAX_GROWTH * file_size + _MAX_SMALL:
    raise ValueError(f'tensors of {size:,} bytes in {file_size:,} of the file')


def _materialize_all(
  tensors: Mapping[str, _Tensor],
  read_storage: Callable[[str], bytes],
  file_size: int,
) -> dict[str, np.ndarray]:
  """Copies the values of all tensors out of their storages."""
  _check_size(tensors.values(), file_size)
  return {
    name: _materialize(tensor, read_storage(tensor.storage.key))
    for name, tensor in tensors.items()
  }


def _check_entries(entries: Iterable[zipfile.ZipInfo], file_size: int) -> None:
  """Refuses an archive whose entries would take more than its own size."""
  # PyTorch stores without compression; anything else may be a zip bomb.
  if any(i.compress_type != zipfile.ZIP_STORED for i in entries):
    raise ValueError('compressed entries, which PyTorch does not write')
  if sum(info.file_size for info in entries) > file_size:
    raise ValueError('entries that are larger than the archive')


def _read_zip(
  file: IO[bytes], file_size: int, key: str | None
) -> state_dicts.StateDict:
  """Reads the layout of PyTorch 1.6 and newer."""
  with zipfile.ZipFile(file) as archive:
    entries = {info.filename: info for info in archive.infolist()}
    _check_entries(archive.infolist(), file_size)
    pickled = [n for n in entries if pathlib.PurePath(n).name == 'data.pkl']
    if len(pickled) != 1:
      raise ValueError('a zip archive without one data.pkl')
    prefix = pickled[0].removesuffix('data.pkl')
    if f'{prefix}constants.pkl' in entries:
      raise errors.InputError(
        'it is a TorchScript program: load it with PyTorch, and save its '
        'state_dict()'
      )
    order = f'{prefix}byteorder'
    if order in entries and archive.read(order).strip() != b'little':
      raise ValueError('big-endian storages')
    with archive.open(pickled[0]) as stream:
      root = _Unpickler(stream).load()
    state_dict = state_dicts.find(root, _Tensor, key)
    arrays = _materialize_all(
      state_dict.tensors, lambda k: archive.read(f'{prefix}data/{k}'), file_size
    )
    return dataclasses.replace(state_dict, tensors=arrays)


def _read_legacy(
  file: IO[bytes], file_size: int, key: str | None
) -> state_dicts.StateDict:
  """Reads the layout before PyTorch 1.6."""
  if _Unpickler(file).load() != _LEGACY_MAGIC:
    raise ValueError('a pickle without the magic number of a .pth file')
  if _Unpickler(file).load() != _LEGACY_PROTOCOL:
    raise ValueError('an unknown protocol')
  if not _Unpickler(file).load()['little_endian']:
    raise ValueError('big-endian storages')
  unpickler = _Unpickler(file)
  state_dict = state_dicts.find(unpickler.load(), _Tensor, key)
  needed = {tensor.storage.key for tensor in state_dict.tensors.values()}
  storages = {}
  for storage in _Unpickler(file).load():
    (length,) = struct.unpack('<q', file.read(8))
    if storage not in unpickler.dtypes:
      raise ValueError(f'storage {storage}, which no tensor refers to')
    num_bytes = length * unpickler.dtypes[storage].itemsize
    if not 0 <= num_bytes <= file_size - file.tell():
      raise EOFError('the file ends inside a storage')
    # The others are an optimizer's, or a second network's.
    if storage in needed:
      storages[storage] = file.read(num_bytes)
    else:
      file.seek(num_bytes, os.SEEK_CUR)
  arrays = _materialize_all(state_dict.tensors, storages.__getitem__, file_size)
  return dataclasses.replace(state_dict, tensors=arrays)


def read(
  path: os.PathLike | str, key: str | None = None
) -> state_dicts.StateDict:
  """Reads the tensors of a .pth file.

  Args:
    path: of the file.
    key: under which a script saved the state dict; None to tell.

  Returns:
    The arrays by name, in the dtypes and the order of the file, and where in
    the file they were.

  Raises:
    InputError: no such file, cut short, not a .pth file, one of several state
      dicts, or a pickle that names functions.
  """
  try:
    with open(path, 'rb') as file:
      file_size = os.fstat(file.fileno()).st_size
      is_zip = file.read(4) == b'PK\x03\x04'
      file.seek(0)
      read_layout = _read_zip if is_zip else _read_legacy
      return read_layout(file, file_size, key)
  except errors.InputError as error:
    raise errors.InputError(f'{path}: {error}') from error
  except pickles.Refused as error:
    raise errors.InputError(
      f'{path} is refused: its pickle names {error}, and only tensor storages, '
      'plain containers and classes that are left out are admitted. Loading it '
      'with PyTorch could run code; get the file from another source.'
    ) from error
  except OSError as error:
    raise errors.InputError(
      f'{path} cannot be read: {error.strerror or error}'
    ) from error
  # RuntimeError is for entries that need a password.
  except (*pickles.ERRORS, zipfile.BadZipFile, RuntimeError) as error:
    raise errors.InputError(
      f'{path} is no complete .pth file ({error}): it may be cut short or '
      'of another format. Get it again.'
    ) from error
