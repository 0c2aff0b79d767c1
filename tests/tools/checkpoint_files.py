"""Writes checkpoints as their sources write them.

A stand-in for PyTorch's classes lets Python's own pickler write what PyTorch's
would.
"""

import collections
import contextlib
import io
import pickle
import re
import struct
import sys
import types
import zipfile
from unittest import mock

import h5py
import ml_dtypes
import numpy as np
import safetensors.numpy

STORAGES = {
  np.dtype(np.float32): 'FloatStorage',
  np.dtype(np.float64): 'DoubleStorage',
  np.dtype(np.float16): 'HalfStorage',
  np.dtype(np.int64): 'LongStorage',
  np.dtype(np.uint8): 'ByteStorage',
  np.dtype(np.bool_): 'BoolStorage',
  np.dtype(ml_dtypes.bfloat16): 'BFloat16Storage',
}


@contextlib.contextmanager
def fake_torch():
  """Modules `torch` and `torch._utils` with just what pickles name."""
  torch = types.ModuleType('torch')
  utils = types.ModuleType('torch._utils')
  for name in STORAGES.values():
    setattr(torch, name, type(name, (), {'__module__': 'torch'}))

  def rebuild(*_):
    raise AssertionError('the reader must not call it')

  rebuild.__module__ = 'torch._utils'
  rebuild.__qualname__ = '_rebuild_tensor_v2'
  utils._rebuild_tensor_v2 = rebuild
  torch._utils = utils
  modules = {'torch': torch, 'torch._utils': utils}
  with mock.patch.dict(sys.modules, modules):
    yield torch


class Storage:
  def __init__(self, key, values):
    self.key, self.values = key, values


class Tensor:
  """Pickles as a tensor: a storage, an offset, a shape and strides."""

  def __init__(self, storage, offset, shape, strides):
    self.parts = storage, offset, shape, strides

  def __reduce__(self):
    rebuild = sys.modules['torch._utils']._rebuild_tensor_v2
    return rebuild, (*self.parts, False, collections.OrderedDict())


def tensor(key, array):
  # Dense, in the order in memory that the strides are of; it may not be C's.
  array = array.copy(order='K')
  strides = tuple(s // array.itemsize for s in array.strides)
  values = array.ravel(order='K')
  return Tensor(Storage(key, values), 0, array.shape, strides)


class Pickler(pickle.Pickler):
  legacy = False

  def persistent_id(self, obj):
    if not isinstance(obj, Storage):
      return None
    torch = sys.modules['torch']
    kind = getattr(torch, STORAGES[obj.values.dtype])
    pid = ('storage', kind, obj.key, 'cpu', len(obj.values))
    return (*pid, None) if self.legacy else pid


def dumps(obj, legacy):
  buffer = io.BytesIO()
  pickler = Pickler(buffer, protocol=2)
  pickler.legacy = legacy
  pickler.dump(obj)
  return buffer.getvalue()


def storages(obj):
  found = {}
  for value in obj.values():
    if isinstance(value, Tensor):
      found[value.parts[0].key] = value.parts[0].values
    elif isinstance(value, dict):
      found.update(storages(value))
  return found


def write_legacy(path, obj):
  system = {'protocol_version': 1001, 'little_endian': True, 'type_sizes': {}}
  with open(path, 'wb') as file:
    for part in (0x1950A86A20F9469CFC6C, 1001, system):
      pickle.dump(part, file, protocol=2)
    file.write(dumps(obj, legacy=True))
    pickle.dump(sorted(storages(obj)), file, protocol=2)
    for _, values in sorted(storages(obj).items()):
      file.write(struct.pack('<q', len(values)) + values.tobytes())


def write_zip(path, obj):
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as archive:
    archive.writestr('net/data.pkl', dumps(obj, legacy=False))
    archive.writestr('net/byteorder', 'little')
    for key, values in storages(obj).items():
      archive.writestr(f'net/data/{key}', values.tobytes())
    archive.writestr('net/version', '3\n')


def write_keras(path, layers, split=False):
  """layers: {layer: {weight: array}}, as Keras writes them."""
  with h5py.File(path, 'w') as file:
    names = [name.encode() for name in layers]
    if split:
      half = len(names) // 2
      file.attrs['layer_names0'] = np.array(names[:half])
      file.attrs['layer_names1'] = np.array(names[half:])
    else:
      file.attrs['layer_names'] = np.array(names)
    for layer, arrays in layers.items():
      group = file.require_group(layer)
      weights = [f'{layer}/{weight}:0' for weight in arrays]
      group.attrs['weight_names'] = np.array(
        [w.encode() for w in weights], dtype='S99'
      )
      for weight, array in zip(weights, arrays.values(), strict=True):
        group[weight] = array


def layers_of(tensors):
  """{'layer/weight': array} -> {layer: {weight: array}}."""
  layers = {'input_1': {}}
  for name, array in tensors.items():
    layer, weight = name.rsplit('/', 1)
    layers.setdefault(layer, {})[weight] = array
  return layers


def write_slim(path, arrays, v1=False):
  import tensorflow as tf

  names, tensors = list(arrays), [tf.constant(a) for a in arrays.values()]
  if v1:
    tf.raw_ops.Save(filename=str(path), tensor_names=names, data=tensors)
  else:
    tf.raw_ops.SaveV2(
      prefix=str(path),
      tensor_names=names,
      shape_and_slices=[''] * len(names),
      tensors=tensors,
    )


KINDS = {
  'depthwise_kernel': 'depthwise_conv2d',
  'kernel': 'conv2d',
  'beta': 'batch_normalization',
}


def write_keras3(path, layers, names=True, root='layers'):
  """The same layers as Keras 3 writes them, by class and without a name."""
  buffer = io.BytesIO()
  counts = collections.Counter()
  with h5py.File(buffer, 'w') as file:
    for layer, arrays in layers.items():
      kind = next((KINDS[name] for name in KINDS if name in arrays), 'dropout')
      if kind == 'conv2d' and np.ndim(arrays['kernel']) == 2:
        kind = 'dense'
      if 'pointwise_kernel' in arrays:
        kind = 'separable_conv2d'
      number = f'_{counts[kind]}' if counts[kind] else ''
      counts[kind] += 1
      group = file.create_group(f'{root}/{kind}{number}/vars')
      if names:
        group.attrs['name'] = layer
      for index, array in enumerate(arrays.values()):
        group[str(index)] = array
  if path.suffix == '.keras':
    with zipfile.ZipFile(path, 'w') as archive:
      archive.writestr('metadata.json', '{}')
      archive.writestr('config.json', '{}')
      archive.writestr('model.weights.h5', buffer.getvalue())
  else:
    path.write_bytes(buffer.getvalue())


def write_graph(path, arrays):
  """A frozen graph: a variable is a Const and the Identity that reads it."""
  import tensorflow as tf

  graph = tf.compat.v1.GraphDef()

  def constant(name, array):
    node = graph.node.add(name=name, op='Const')
    node.attr['value'].tensor.CopyFrom(tf.make_tensor_proto(array))
    return node

  for name, array in arrays.items():
    constant(name, array)
    graph.node.add(name=f'{name}/read', op='Identity', input=[name])
  constant('Logits/Reshape/shape', np.int32([-1, 1001]))
  constant('BatchNorm/add/y', np.float32(0.001))
  path.write_bytes(graph.SerializeToString())


def write(path, tensors):
  """Writes arrays, by the names that our readers give, in a path's format."""
  if path.suffix == '.safetensors':
    path.write_bytes(safetensors.numpy.save(tensors))
  elif path.suffix in ('.pth', '.bin'):
    # Others take the stand-in for the real one: only while it is needed.
    with fake_torch():
      write_zip(path, {n: tensor(n, a) for n, a in tensors.items()})
  elif path.suffix == '.pb':
    write_graph(path, tensors)
  elif path.suffix == '.ckpt':
    write_slim(path, tensors, v1=re.search('v1', path.name))
  elif path.suffix == '.keras' or path.name.endswith('.weights.h5'):
    write_keras3(path, layers_of(tensors))
  else:
    write_keras(path, layers_of(tensors))
