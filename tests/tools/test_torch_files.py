"""Tests of reading PyTorch's files, byte by byte, and hostile ones."""

import argparse
import collections
import contextlib
import datetime
import os
import pathlib
import struct
import tracemalloc
import uuid
import zipfile
from unittest import mock

import numpy as np
import pytest

from tests.tools.checkpoint_files import (
  STORAGES,
  Storage,
  Tensor,
  dumps,
  tensor,
  write_legacy,
  write_zip,
)
from tf_transfer import errors
from tf_transfer.convert_weights import torch_files

WRITERS = pytest.mark.parametrize('write', [write_legacy, write_zip])


@WRITERS
@pytest.mark.parametrize('dtype', STORAGES)
def test_values_of_every_dtype(tmp_path, fake_torch, write, dtype):
  values = np.arange(24).reshape(2, 3, 4).astype(dtype)
  path = tmp_path / 'a.pth'
  write(path, collections.OrderedDict(a=tensor('0', values), n=3))
  read = torch_files.read(path).tensors
  assert list(read) == ['a']
  assert read['a'].dtype == dtype
  np.testing.assert_array_equal(read['a'], values)


@WRITERS
def test_views_strides_and_scalars(tmp_path, fake_torch, write):
  shared = Storage('7', np.arange(12, dtype=np.float32))
  path = tmp_path / 'a.pth'
  write(
    path,
    {
      'transposed': Tensor(shared, 0, (4, 3), (1, 4)),
      'tail': Tensor(shared, 10, (2,), (1,)),
      'scalar': Tensor(shared, 5, (), ()),
      'empty': Tensor(shared, 0, (0, 3), (3, 1)),
    },
  )
  read = torch_files.read(path).tensors
  matrix = np.arange(12).reshape(3, 4)
  np.testing.assert_array_equal(read['transposed'], matrix.T)
  np.testing.assert_array_equal(read['tail'], [10, 11])
  assert read['scalar'] == 5
  assert read['empty'].shape == (0, 3)


@WRITERS
def test_arrays_of_any_order_in_memory(tmp_path, fake_torch, write):
  values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
  arrays = {
    'a': values.transpose(2, 0, 1),
    'b': np.asfortranarray(values),
    'c': values[:, 1:],
    'd': values.transpose(2, 0, 1)[:-1],
  }
  path = tmp_path / 'a.pth'
  write(path, {name: tensor(name, array) for name, array in arrays.items()})
  read = torch_files.read(path).tensors
  for name, array in arrays.items():
    np.testing.assert_array_equal(read[name], array)


@WRITERS
def test_wrapped_by_a_training_script(tmp_path, fake_torch, write):
  inner = {'a': tensor('0', np.ones(3, np.float32))}
  path = tmp_path / 'a.pth'
  write(path, {'epoch': 3, 'state_dict': inner})
  np.testing.assert_array_equal(torch_files.read(path).tensors['a'], np.ones(3))


@WRITERS
@pytest.mark.parametrize(
  'parts',
  [
    (0, (10**12,), (0,)),  # grows without bound when copied
    (0, (5,), (1,)),
    (3, (2,), (1,)),
    (0, (2,), (4,)),
    (-1, (2,), (1,)),
    (0, (-2,), (1,)),
    (0, (2,), (-1,)),
    (0, (2,), (1, 1)),
  ],
)
def test_tensor_that_its_storage_does_not_hold(
  tmp_path, fake_torch, write, parts
):
  storage = Storage('0', np.zeros(4, np.float32))
  path = tmp_path / 'a.pth'
  write(path, {'a': Tensor(storage, *parts)})
  with pytest.raises(errors.InputError, match=r'no complete \.pth file'):
    torch_files.read(path)


class Bomb:
  def __reduce__(self):
    return os.system, (f'touch {self.marker}',)


@WRITERS
def test_a_pickle_that_names_code_is_refused_and_not_run(
  tmp_path, fake_torch, write
):
  marker = tmp_path / 'ran'
  bomb = Bomb()
  bomb.marker = marker
  path = tmp_path / 'a.pth'
  write(path, {'a': tensor('0', np.ones(3, np.float32)), 'b': bomb})
  with pytest.raises(errors.InputError, match=r'names (posix|nt)\.system'):
    torch_files.read(path)
  assert not marker.exists()


@pytest.mark.parametrize(
  'name', ['builtins.eval', 'torch.load', 'torch.hub.load', 'os.path.join']
)
def test_other_names_are_refused_by_name(tmp_path, name):
  module, _, function = name.rpartition('.')
  path = tmp_path / 'a.pth'
  path.write_bytes(f'c{module}\n{function}\n.'.encode())
  with pytest.raises(errors.InputError, match=f'names {name}'):
    torch_files.read(path)


def test_allocation_bomb(tmp_path):
  # BYTEARRAY8 of 2^62 bytes: asks for the memory before it reads.
  path = tmp_path / 'a.pth'
  path.write_bytes(b'\x80\x05\x96' + struct.pack('<Q', 2**62) + b'.')
  with pytest.raises(errors.InputError, match=r'no complete \.pth file'):
    torch_files.read(path)


def test_zip_bomb(tmp_path, fake_torch):
  path = tmp_path / 'a.pth'
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
    archive.writestr('net/data.pkl', dumps({}, legacy=False))
    archive.writestr('net/data/0', bytes(10_000_000))
  with pytest.raises(errors.InputError, match='compressed'):
    torch_files.read(path)


@WRITERS
def test_cut_short_anywhere(tmp_path, fake_torch, write):
  path = tmp_path / 'a.pth'
  write(path, {'a': tensor('0', np.arange(50, dtype=np.float32))})
  data = path.read_bytes()
  for length in range(0, len(data), 7):
    path.write_bytes(data[:length])
    with pytest.raises(errors.InputError, match=r'no complete \.pth file'):
      torch_files.read(path)


@pytest.mark.parametrize(
  'content', [b'', b'hello', b'\x89PNG\r\n\x1a\n', b'PK\x03\x04', b'\x80\x02.']
)
def test_not_a_pth_file(tmp_path, content):
  path = tmp_path / 'a.pth'
  path.write_bytes(content)
  with pytest.raises(errors.InputError, match=r'no complete \.pth file'):
    torch_files.read(path)


def test_missing_file(tmp_path):
  with pytest.raises(errors.InputError, match='No such file'):
    torch_files.read(tmp_path / 'none.pth')


@WRITERS
def test_dict_without_tensors(tmp_path, fake_torch, write):
  path = tmp_path / 'a.pth'
  write(path, {'a': 3})
  with pytest.raises(errors.InputError, match='without tensors'):
    torch_files.read(path)


class Options(dict):
  """Of a script: an omegaconf-like dict with attributes."""

  def __init__(self, **options):
    super().__init__(options)
    self.flags = {'readonly': True}


def beside():
  """What scripts save beside the tensors, none of it a tensor."""
  return {
    'args': argparse.Namespace(lr=0.1, output=pathlib.PurePosixPath('/x')),
    'config': Options(depth=50),
    'accuracy': np.float64(0.7),
    'steps': np.int64(7),
    'losses': np.arange(3.0),
    'dtype': np.dtype(np.float32),
    'when': datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    'took': datetime.timedelta(seconds=3),
    'classes': {'a', 'b'},
    'span': range(3),
    'counts': collections.Counter('aab'),
    'lists': collections.defaultdict(list, a=[1]),
    'queue': collections.deque([1]),
    'id': uuid.UUID(int=3),
    'type': Options,
    'complex': 1j,
    'bytes': b'\xff',
  }


@WRITERS
def test_what_is_beside_the_tensors_is_inert(tmp_path, fake_torch, write):
  values = np.arange(3, dtype=np.float32)
  for name, other in beside().items():
    path = tmp_path / f'{name}.pth'
    write(path, {'model': {'a': tensor('0', values)}, name: other})
    found = torch_files.read(path)
    np.testing.assert_array_equal(found.tensors['a'], values)
    assert found.key == 'model'


@WRITERS
def test_optimizers_state_is_skipped(tmp_path, fake_torch, write):
  """In the legacy layout its storages lie among those of the network."""
  path = tmp_path / 'a.pth'
  moments = np.full(1000, 7, np.float64)
  write(
    path,
    {
      'epoch': 3,
      'optimizer': {'state': {0: {'exp_avg': tensor('0', moments)}}},
      'state_dict': {'a': tensor('1', np.arange(4, dtype=np.float32))},
      'counter': {'x': tensor('2', np.arange(2))},
    },
  )
  found = torch_files.read(path)
  np.testing.assert_array_equal(found.tensors['a'], np.arange(4))
  assert found.num_others == 1
  assert torch_files.read(path, 'counter').tensors['x'].tolist() == [0, 1]


def test_legacy_storage_longer_than_the_file(tmp_path, fake_torch):
  path = tmp_path / 'a.pth'
  write_legacy(path, {'a': tensor('0', np.arange(4, dtype=np.float32))})
  data = path.read_bytes()
  for length in (5, 2**40, 2**62, -1):
    path.write_bytes(data[:-24] + struct.pack('<q', length) + data[-16:])
    with peak_below(10**6), pytest.raises(errors.InputError, match='ends insi'):
      torch_files.read(path)


@contextlib.contextmanager
def peak_below(num_bytes):
  tracemalloc.start()
  try:
    yield
    assert tracemalloc.get_traced_memory()[1] < num_bytes
  finally:
    tracemalloc.stop()


@WRITERS
def test_storage_that_thousands_of_tensors_share(tmp_path, fake_torch, write):
  path = tmp_path / 'a.pth'
  storage = Storage('0', np.zeros(10**6, np.float32))
  shared = Tensor(storage, 0, (10**6,), (1,))
  write(path, {f'{n}': shared for n in range(5000)})
  message = r'tensors of 20,000,000,000 bytes in'
  with peak_below(2 * 10**7), pytest.raises(errors.InputError, match=message):
    torch_files.read(path)
  # Tied variables are no bomb.
  write(path, {'a': shared, 'b': shared})
  assert torch_files.read(path).tensors['b'].shape == (10**6,)


def test_entries_that_overlap(tmp_path, fake_torch):
  path = tmp_path / 'a.pth'
  write_zip(path, {'a': tensor('0', np.zeros(10**5, np.float32))})
  data = path.read_bytes()
  # The central directory says twice as much.
  size = struct.pack('<II', 4 * 10**5, 4 * 10**5)
  assert data.count(size) == 2
  end = data.rindex(size)
  larger = struct.pack('<II', 8 * 10**5, 8 * 10**5)
  path.write_bytes(data[:end] + larger + data[end + 8 :])
  with pytest.raises(errors.InputError, match='larger than the archive'):
    torch_files.read(path)


def test_program_of_torchscript(tmp_path, fake_torch):
  path = tmp_path / 'a.pt'
  write_zip(path, {'a': tensor('0', np.zeros(3, np.float32))})
  with zipfile.ZipFile(path, 'a') as archive:
    archive.writestr('net/constants.pkl', b'')
  with pytest.raises(errors.InputError, match='a TorchScript program'):
    torch_files.read(path)


@WRITERS
def test_pickled_model(tmp_path, fake_torch, write):
  path = tmp_path / 'a.pth'
  module = type('ResNet', (), {'__module__': __name__})
  with mock.patch.dict(globals(), ResNet=module):
    write(path, {'model': module(), 'epoch': 3})
  with pytest.raises(errors.InputError, match=r'ResNet, not a dict of tensors'):
    torch_files.read(path)
