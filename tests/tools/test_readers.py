"""Tests of reading checkpoints and graphs, and of damaged files."""

import json
import struct

import ml_dtypes
import numpy as np
import pytest

from tests.tools.checkpoint_files import (
  tensor,
  write_graph,
  write_slim,
  write_zip,
)
from tf_transfer import errors
from tf_transfer.convert_weights import readers


@pytest.mark.parametrize('v1', [False, True])
@pytest.mark.parametrize('average', ['none', 'only', 'alongside'])
def test_tensorflow_checkpoint(tmp_path, v1, average):
  path = tmp_path / 'model.ckpt'
  right, wrong = np.float32([1, 2]), np.float32([3, 4])
  arrays = {
    'global_step': np.int64(7),
    'a/weights/RMSProp': wrong,
    'a/weights/RMSProp_1': wrong,
    'a/weights/Momentum': wrong,
  }
  if average != 'only':
    arrays['a/weights'] = wrong if average == 'alongside' else right
  if average != 'none':
    arrays['a/weights/ExponentialMovingAverage'] = right
  write_slim(path, arrays, v1)
  names = [path]
  if not v1:
    names += [f'{path}.index', f'{path}.data-00000-of-00001']
  for name in names:
    assert readers.file_of(name).is_file()
    read = readers.read(name).tensors
    assert list(read) == ['a/weights']
    np.testing.assert_array_equal(read['a/weights'], right)


def test_checkpoint_of_python_objects(tmp_path):
  import tensorflow as tf

  module = tf.Module()
  module.kernel = tf.Variable([1.0, 2.0])
  path = tf.train.Checkpoint(net=module).write(str(tmp_path / 'a'))
  with pytest.raises(errors.InputError, match='object checkpoint of Tensor'):
    readers.read(path)


@pytest.mark.parametrize('v1', [False, True])
def test_checkpoint_with_a_string(tmp_path, v1):
  path = tmp_path / 'a.ckpt'
  write_slim(path, {'a/weights': np.float32([1]), 'words': b'hello'}, v1)
  with pytest.raises(errors.InputError, match='no network does: words'):
    readers.read(path)


def write_safetensors(path, kind, data):
  """One tensor of a kind that the package's own writer may not know."""
  header = {'a': {'dtype': kind, 'shape': [2], 'data_offsets': [0, len(data)]}}
  text = json.dumps(header).encode()
  path.write_bytes(struct.pack('<Q', len(text)) + text + data)


@pytest.mark.parametrize('kind', ['F8_E4M3', 'F8_E5M2', 'I8'])
def test_quantized_safetensors(tmp_path, kind):
  path = tmp_path / 'a.safetensors'
  write_safetensors(path, kind, bytes(2))
  with pytest.raises(errors.InputError, match=f'quantized .*a of {kind}'):
    readers.read(path)


def test_bfloat16_of_safetensors(tmp_path):
  path = tmp_path / 'a.safetensors'
  values = np.array([1.5, -2], ml_dtypes.bfloat16)
  write_safetensors(path, 'BF16', values.tobytes())
  np.testing.assert_array_equal(readers.read(path).tensors['a'], [1.5, -2])


@pytest.mark.parametrize(
  'suffix', ['.h5', '.keras', '.ckpt', '.pb', '.safetensors']
)
@pytest.mark.parametrize('content', [b'', b'hello', bytes(range(256)) * 9])
def test_damaged_file(tmp_path, suffix, content):
  path = tmp_path / f'a{suffix}'
  path.write_bytes(content)
  with pytest.raises(errors.InputError, match='no complete'):
    readers.read(path)


def test_tensorflow_checkpoint_without_its_data(tmp_path):
  path = tmp_path / 'a.ckpt'
  write_slim(path, {'a': np.float32([1])})
  (tmp_path / 'a.ckpt.data-00000-of-00001').unlink()
  with pytest.raises(errors.InputError, match='no such file'):
    readers.file_of(path)


@pytest.mark.parametrize(
  'name', ['a.pth', 'a.h5', 'a.pb', 'a.ckpt', 'a.safetensors']
)
def test_no_such_file(tmp_path, name):
  with pytest.raises(errors.InputError, match='no such file'):
    readers.file_of(tmp_path / name)


@pytest.mark.parametrize('resource', [False, True])
def test_graph_that_tensorflow_froze(tmp_path, resource):
  import tensorflow as tf

  v1 = tf.compat.v1
  values = {
    'net/conv/weights': np.random.default_rng(0).normal(size=(1, 1, 3, 2)),
    'net/conv/BatchNorm/moving_mean': np.float64([1, 2]),
  }
  with tf.Graph().as_default(), v1.Session() as session:
    variables = [
      v1.get_variable(name, initializer=value, use_resource=resource)
      for name, value in values.items()
    ]
    x = v1.placeholder(tf.float64, [None, 4, 4, 3])
    y = tf.nn.conv2d(x, variables[0], 1, 'SAME') - variables[1]
    tf.reshape(y, [-1, 32], name='out')
    session.run(v1.global_variables_initializer())
    frozen = v1.graph_util.convert_variables_to_constants(
      session, session.graph_def, ['out']
    )
  path = tmp_path / 'a.pb'
  path.write_bytes(frozen.SerializeToString())
  read = readers.read(path).tensors
  assert read.keys() == values.keys()
  for name, value in values.items():
    np.testing.assert_array_equal(read[name], value)


@pytest.mark.parametrize(
  'arrays',
  [
    {'conv/weights_bn_folded': np.ones((1, 1, 2, 3), np.float32)},
    {
      'conv/weights_quantized': np.ones((1, 1, 2, 3), np.uint8),
      'conv/min': np.float32(0),
    },
  ],
)
def test_folded_or_quantized_graph(tmp_path, arrays):
  path = tmp_path / 'a.pb'
  write_graph(path, arrays)
  with pytest.raises(errors.InputError, match='folded into the kernels or'):
    readers.read(path)


def test_constant_that_would_fill_the_memory(tmp_path):
  """One value and a shape stand for 10^12 values."""
  import tensorflow as tf

  path = tmp_path / 'a.pb'
  write_graph(path, {'a/moving_mean': np.ones(3, np.float32)})
  graph = tf.compat.v1.GraphDef.FromString(path.read_bytes())
  tensor = graph.node[0].attr['value'].tensor
  del tensor.tensor_shape.dim[:]
  for size in (10**6, 10**6):
    tensor.tensor_shape.dim.add(size=size)
  tensor.tensor_content = b''
  tensor.float_val.append(1.0)
  path.write_bytes(graph.SerializeToString())
  with pytest.raises(errors.InputError, match='constants of 1,000,000,000,0'):
    readers.read(path)


def test_notes_say_which_variables_are_read(tmp_path, fake_torch):
  path = tmp_path / 'lightning.ckpt'
  array = tensor('0', np.float32([1]))
  write_zip(path, {'net': {'a': array}, 'bank': {'b': array}})
  found = readers.read(path)
  assert found.format == 'torch'
  assert found.notes == (
    'the variables under net are read; left out: 1 tensor under other keys',
  )
