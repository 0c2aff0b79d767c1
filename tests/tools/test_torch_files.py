"""Tests of reading PyTorch's files, byte by byte, and hostile ones."""

import collections
import os
import struct
import zipfile

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
