"""Checkpoints written here as Keras and TensorFlow lay them out."""

import h5py
import numpy as np
import pytest
import safetensors.numpy

from tests.golden import rule
from tf_transfer import errors, networks
from tools import convert_weights
from tools.convert_weights import keras_files, readers


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


@pytest.mark.parametrize('split', [False, True])
def test_keras_file(tmp_path, split):
  path = tmp_path / 'a.h5'
  layers = {
    'input': {},
    'conv1/conv': {'kernel': np.ones((1, 1, 2, 3))},
    'conv2d_97': {'kernel': np.full((1, 1, 2, 3), 2.0)},
    'conv2d_106': {'kernel': np.full((1, 1, 2, 3), 4.0)},
    'conv2d_99': {'kernel': np.full((1, 1, 2, 3), 3.0)},
    'bn': {'gamma': np.ones(3), 'beta': np.zeros(3)},
  }
  write_keras(path, layers, split)
  read = keras_files.read(path)
  assert list(read) == [
    'conv1/conv/kernel',
    'conv2d_1/kernel',
    'conv2d_3/kernel',
    'conv2d_2/kernel',
    'bn/gamma',
    'bn/beta',
  ]
  assert read['conv2d_2/kernel'][0, 0, 0, 0] == 3


def test_keras_model_file_and_first_session(tmp_path):
  path = tmp_path / 'a.h5'
  write_keras(path, {'conv2d': {'kernel': np.ones(2)}})
  with h5py.File(path, 'a') as file:
    group = file.create_group('model_weights')
    group.attrs['layer_names'] = file.attrs['layer_names']
    file.move('conv2d', 'model_weights/conv2d')
  assert list(keras_files.read(path)) == ['conv2d_1/kernel']


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
    read = readers.read(name)
    assert list(read) == ['a/weights']
    np.testing.assert_array_equal(read['a/weights'], right)


def write_resnet50(source, directory):
  tensors = rule.checkpoint(source, 'resnet50', 2.0)
  if source == 'slim':
    write_slim(directory / 'a.ckpt', tensors, v1=True)
    return directory / 'a.ckpt'
  if source == 'keras':
    write_keras(directory / 'a.h5', layers_of(tensors))
    return directory / 'a.h5'
  path = directory / 'a.safetensors'
  path.write_bytes(safetensors.numpy.save(tensors))
  return path


@pytest.mark.parametrize('source', ['slim', 'keras', 'timm'])
def test_whole_file_is_recognised_and_converted(tmp_path, source):
  path = write_resnet50(source, tmp_path)
  output = tmp_path / 'out' / 'resnet50.safetensors'
  header = convert_weights.convert('resnet50', path, output)
  wanted = convert_weights.source_of('resnet50', source)
  assert header.contract == wanted.contract
  assert header.options == wanted.options
  assert header.source == path.name
  assert networks.load(output).header == header


def test_checkpoint_of_another_source_than_named(tmp_path):
  path = write_resnet50('keras', tmp_path)
  with pytest.raises(errors.InputError, match='as torchvision names them'):
    convert_weights.convert(
      'resnet50', path, tmp_path / 'a.safetensors', 'torchvision'
    )
  with pytest.raises(errors.InputError, match="source of resnet50 'kers'"):
    convert_weights.convert(
      'resnet50', path, tmp_path / 'a.safetensors', 'kers'
    )
  assert not list(tmp_path.glob('*.safetensors'))


@pytest.mark.parametrize('suffix', ['.h5', '.ckpt', '.safetensors'])
@pytest.mark.parametrize('content', [b'', b'hello', bytes(range(256)) * 9])
def test_damaged_file(tmp_path, suffix, content):
  path = tmp_path / f'a{suffix}'
  path.write_bytes(content)
  with pytest.raises(errors.InputError, match='no whole'):
    readers.read(path)


@pytest.mark.parametrize('source', ['slim', 'keras', 'timm'])
def test_file_cut_short(tmp_path, source):
  path = write_resnet50(source, tmp_path)
  data = path.read_bytes()
  path.write_bytes(data[: len(data) // 2])
  with pytest.raises(errors.InputError, match='no whole'):
    readers.read(path)


def test_tensorflow_checkpoint_without_its_data(tmp_path):
  path = tmp_path / 'a.ckpt'
  write_slim(path, {'a': np.float32([1])})
  (tmp_path / 'a.ckpt.data-00000-of-00001').unlink()
  with pytest.raises(errors.InputError, match='no such file'):
    readers.file_of(path)


@pytest.mark.parametrize('name', ['a.pth', 'a.h5', 'a.ckpt', 'a.safetensors'])
def test_no_such_file(tmp_path, name):
  with pytest.raises(errors.InputError, match='no such file'):
    readers.file_of(tmp_path / name)
