"""Tests of Keras's files, written by Keras itself and as older versions did.

keras.applications is the oracle: whatever a file calls its layers, our
network has to compute what the Keras model that wrote it computes.
"""

import dataclasses
import re
import zipfile

import h5py
import numpy as np
import pytest

from tests.golden import rule
from tests.networks import keras_scaling
from tests.tools import checkpoint_files
from tf_transfer import convert_weights, errors, networks
from tf_transfer.convert_weights import (
  keras_files,
  readers,
  sources,
  table,
)
from tf_transfer.networks import weights

LIMIT = 1e-5
KERAS = [
  network for network in table.SOURCES if sources.keras_application(network)
]
# Small enough to run each time; the others are marked slow.
FAST = ('mobilenet_v1',)
FORMATS = ('.h5', '.weights.h5', '.keras')
SIZE = 96


def cases(networks_to_run, fast):
  return [
    pytest.param(n, marks=() if n in fast else (pytest.mark.slow,))
    for n in networks_to_run
  ]


def randomized(network):
  """A Keras model whose statistics, scales and biases all matter."""
  application = sources.keras_application(network)
  options = dict(application.options)
  model = dataclasses.replace(
    application,
    options=tuple(
      {
        **options,
        'input_shape': (SIZE, SIZE, 3),
        'classifier_activation': None,
      }.items()
    ),
  ).build()
  # The gain of the golden outputs: under a larger one, the residual sums of
  # the deep networks amplify float32's rounding beyond any limit.
  gain = min(rule.gains('keras', network).values())
  layers = keras_files.weighted_layers(model)
  for ours, layer in zip(keras_files.layers_of(model), layers, strict=True):
    for kind, variable in zip(ours.weights, layer.weights, strict=True):
      variable.assign(
        rule.array(f'{layer.path}/{kind}', variable.shape, kind, 'tf', gain)
      )
  keras_scaling.settle(model)
  return model


def outputs(model, x):
  """Pooled features and logits of a Keras model."""
  import keras

  head = [layer for layer in model.layers if layer.weights][-1]
  both = keras.Model(model.input, [head.input, model.output])
  x = keras_scaling.to_pixels(model, x)
  features, logits = both.predict(x, verbose=0)
  return features.reshape(len(x), -1), logits


def close(ours, theirs):
  difference = np.abs(np.asarray(ours) - theirs).max()
  return difference < LIMIT * np.abs(theirs).max()


@pytest.mark.parametrize('network', cases(KERAS, FAST))
def test_files_that_keras_writes(tmp_path, network):
  model = randomized(network)
  x = np.random.default_rng(1).uniform(-1, 1, (2, SIZE, SIZE, 3))
  x = x.astype(np.float32)
  features, logits = outputs(model, x)
  variables = []
  output = tmp_path / 'a.safetensors'
  for suffix in FORMATS:
    path = tmp_path / f'a{suffix}'
    save = model.save_weights if suffix == '.weights.h5' else model.save
    save(path)
    header = convert_weights.convert(network, path, output)
    assert header.options == sources.get_source(network, 'keras').options
    variables.append(weights.read(output)[1])
  same(variables[0], variables[1])
  same(variables[0], variables[2])
  net = networks.load(output)
  assert close(net.features(x), features)
  assert close(net.logits(x), logits)


@pytest.mark.slow
def test_efficientnet_scales_as_the_contract_says(tmp_path, monkeypatch):
  """Pixels of 0 to 255 in, through all that Keras puts around the weights.

  Built for the published weights, it has a layer more than otherwise. Here it
  gets, in their place, a file with the same values in the layer that scales.
  """
  import keras
  from keras.src.utils import file_utils

  path, output = tmp_path / 'a.h5', tmp_path / 'a.safetensors'
  checkpoint_files.write_keras(
    path, checkpoint_files.layers_of(golden('efficientnet_b0'))
  )
  monkeypatch.setattr(file_utils, 'get_file', lambda *_, **__: str(path))
  model = keras.applications.EfficientNetB0(classifier_activation=None)
  scaled = [a for a in model.layers if isinstance(a, keras.layers.Rescaling)]
  assert len(scaled) == 2
  convert_weights.convert('efficientnet_b0', path, output)
  net = networks.load(output)
  pixels = np.random.default_rng(1).integers(0, 256, (2, 224, 224, 3))
  x = net.contract.scale(pixels.astype(np.uint8))
  logits = model.predict(pixels.astype(np.float32), verbose=0)
  assert close(net.logits(x), logits)


def test_efficientnet_with_other_scaling_is_refused(tmp_path):
  """As one that was trained by itself: it divides by 255, and no more."""
  tensors = golden('efficientnet_b0')
  tensors['normalization_1/mean'] = np.zeros(3, np.float32)
  path = tmp_path / 'a.h5'
  checkpoint_files.write_keras(path, checkpoint_files.layers_of(tensors))
  with pytest.raises(errors.InputError, match='it scales images otherwise th'):
    convert_weights.convert('efficientnet_b0', path, tmp_path / 'a.safetensors')


@pytest.mark.parametrize(
  'network',
  cases(KERAS, ('mobilenet_v1', 'inception_v3', 'resnet50', 'densenet121')),
)
def test_layers_of_keras_are_those_of_the_golden_checkpoints(network):
  model = sources.keras_application(network).build()
  found = {
    f'{layer.name}/{weight}': tuple(variable.shape)
    for layer, variables in zip(
      keras_files.layers_of(model),
      [layer.weights for layer in keras_files.weighted_layers(model)],
      strict=True,
    )
    for weight, variable in zip(layer.weights, variables, strict=True)
  }
  wanted = rule.shapes('keras', network)
  assert found == wanted
  assert list(found) == list(wanted)


def golden(network):
  return rule.checkpoint('keras', network, 2.0)


def read(path, network):
  return readers.read(path, sources.keras_application(network)).tensors


def same(found, wanted):
  assert found.keys() == wanted.keys()
  for name in wanted:
    np.testing.assert_array_equal(found[name], wanted[name])


def other_session(name):
  """conv2d_1 -> conv2d_95: as if other models had been built before."""
  return re.sub(
    r'^(conv2d|batch_normalization)_(\d+)$',
    lambda match: f'{match[1]}_{int(match[2]) + 94}',
    name,
  )


RENAMINGS = {
  'as they are': lambda index, name: name,
  'another session': lambda index, name: other_session(name),
  'Keras 2': lambda index, name: name.replace('conv1_', 'conv1/'),
  'nothing in common': lambda index, name: f'layer_{index * 7 % 1000}',
}


@pytest.mark.parametrize('network', ['inception_v3', 'densenet121'])
@pytest.mark.parametrize('renaming', RENAMINGS)
def test_legacy_file_is_read_by_position(tmp_path, network, renaming):
  layers = checkpoint_files.layers_of(golden(network))
  rename = RENAMINGS[renaming]
  renamed = {rename(i, n): a for i, (n, a) in enumerate(layers.items())}
  assert len(renamed) == len(layers)
  path = tmp_path / 'a.h5'
  # Keras splits the list of names where it would be too long.
  checkpoint_files.write_keras(path, renamed, split=renaming != 'as they are')
  same(read(path, network), golden(network))


def test_legacy_file_of_a_whole_model(tmp_path):
  path = tmp_path / 'a.h5'
  checkpoint_files.write_keras(
    path, checkpoint_files.layers_of(golden('mobilenet_v1'))
  )
  with h5py.File(path, 'a') as file:
    keys = list(file)
    group = file.create_group('model_weights')
    group.attrs['layer_names'] = file.attrs['layer_names']
    del file.attrs['layer_names']
    for key in keys:
      file.move(key, f'model_weights/{key}')
  same(read(path, 'mobilenet_v1'), golden('mobilenet_v1'))


@pytest.mark.parametrize('network', ['inception_v3', 'mobilenet_v2'])
@pytest.mark.parametrize('names', [True, False])
@pytest.mark.parametrize(
  ('suffix', 'root'),
  [
    ('.weights.h5', 'layers'),
    ('.weights.h5', '_layer_checkpoint_dependencies'),
    ('.keras', 'layers'),
  ],
)
def test_keras_3_with_and_without_names(tmp_path, network, names, suffix, root):
  path = tmp_path / f'a{suffix}'
  layers = checkpoint_files.layers_of(golden(network))
  checkpoint_files.write_keras3(path, layers, names, root)
  same(read(path, network), golden(network))


@pytest.mark.parametrize('suffix', ['.h5', '.weights.h5'])
def test_named_layer_in_the_place_of_another(tmp_path, suffix):
  layers = list(checkpoint_files.layers_of(golden('mobilenet_v1')).items())
  first, second = (
    next(i for i, (name, _) in enumerate(layers) if name == wanted)
    for wanted in ('conv_pw_7', 'conv_pw_8')  # of one shape
  )
  layers[first], layers[second] = layers[second], layers[first]
  path = tmp_path / f'a{suffix}'
  write = (
    checkpoint_files.write_keras
    if suffix == '.h5'
    else checkpoint_files.write_keras3
  )
  write(path, dict(layers))
  with pytest.raises(errors.InputError) as caught:
    read(path, 'mobilenet_v1')
  assert 'not those of MobileNet in their order' in str(caught.value)
  assert 'conv_pw_8 stands in the place of conv_pw_7' in str(caught.value)


def test_network_that_keras_does_not_have(tmp_path):
  path = tmp_path / 'a.h5'
  checkpoint_files.write(path, golden('mobilenet_v1'))
  with pytest.raises(errors.InputError, match='looks like mobilenet_v1'):
    convert_weights.convert('inception_v4', path, tmp_path / 'a.safetensors')


@pytest.mark.parametrize('entry', ['model.weights.h5', 'weights.h5'])
def test_archive_of_something_else(tmp_path, entry):
  path = tmp_path / 'a.keras'
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr(entry, b'hello')
  with pytest.raises(errors.InputError, match='no complete Keras file'):
    readers.read(path)


def test_archive_that_may_be_a_bomb(tmp_path):
  path = tmp_path / 'a.keras'
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
    archive.writestr('model.weights.h5', bytes(1_000_000))
  with pytest.raises(errors.InputError, match='compressed weights'):
    readers.read(path)


def test_array_larger_than_the_file(tmp_path):
  path = tmp_path / 'a.weights.h5'
  with h5py.File(path, 'w') as file:
    file.create_dataset('layers/conv2d/vars/0', (10**6, 10**6), chunks=True)
  with pytest.raises(errors.InputError, match='not all in the file'):
    readers.read(path)


@pytest.mark.parametrize('key', ['layers', 'layers/dense/vars'])
def test_array_where_a_group_should_be(tmp_path, key):
  path = tmp_path / 'a.weights.h5'
  with h5py.File(path, 'w') as file:
    file[key] = np.ones(3)
  with pytest.raises(errors.InputError, match='no complete Keras file'):
    readers.read(path)


@pytest.mark.parametrize('link', ['external', 'soft'])
@pytest.mark.parametrize('at', ['layers', 'layers/conv2d', 'model_weights'])
def test_links_to_other_files_are_refused(tmp_path, link, at):
  other = tmp_path / 'other.h5'
  checkpoint_files.write_keras3(
    other, checkpoint_files.layers_of(golden('mobilenet_v1'))
  )
  path = tmp_path / 'a.h5'
  with h5py.File(path, 'w') as file:
    target = f'/{at}' if at != 'model_weights' else '/'
    file[at] = h5py.ExternalLink(str(other), target)
    if link == 'soft':
      file.move(at, 'elsewhere')
      file[at] = h5py.SoftLink('/elsewhere')
  with pytest.raises(errors.InputError, match='is a link, which Keras does no'):
    readers.read(path)


def test_virtual_array(tmp_path):
  other = tmp_path / 'other.h5'
  with h5py.File(other, 'w') as file:
    file['a'] = np.ones(3)
  layout = h5py.VirtualLayout((3,), 'f8')
  layout[:] = h5py.VirtualSource(other, 'a', (3,))
  path = tmp_path / 'a.weights.h5'
  with h5py.File(path, 'w') as file:
    file.create_virtual_dataset('layers/conv2d/vars/0', layout)
  with pytest.raises(errors.InputError, match='not all in the file'):
    readers.read(path)


@pytest.mark.parametrize('suffix', ['.h5', '.weights.h5', '.keras'])
@pytest.mark.parametrize('num_classes', [0, 10])
def test_mobilenet_with_another_head(tmp_path, suffix, num_classes):
  tensors = {
    name: array[..., :num_classes] if 'conv_preds' in name else array
    for name, array in golden('mobilenet_v1').items()
    if num_classes or 'conv_preds' not in name
  }
  path = tmp_path / f'a{suffix}'
  checkpoint_files.write(path, tensors)
  said = []
  output = tmp_path / 'a.safetensors'
  header = convert_weights.convert(
    'mobilenet_v1', path, output, say=said.append
  )
  assert header.num_classes == num_classes
  assert header.imagenet_top1 is None
  wanted = 'no head fits' if not num_classes else 'the head has 10 classes'
  assert wanted in said[0]


@pytest.mark.parametrize('suffix', FORMATS)
def test_random_weights_claim_nothing(tmp_path, suffix):
  import keras

  path = tmp_path / f'mobilenet_1_0_224_tf{suffix}'
  model = keras.applications.MobileNet(weights=None)
  save = model.save_weights if suffix == '.weights.h5' else model.save
  save(path)
  said = []
  header = convert_weights.convert(
    'mobilenet_v1', path, tmp_path / 'a.safetensors', say=said.append
  )
  assert header.imagenet_top1 is None
  assert header.recipe.label_smoothing is None
  assert 'Its ImageNet top-1, recipe and license are recorded as' in said[0]


@pytest.mark.parametrize('suffix', FORMATS)
@pytest.mark.parametrize('trainable', [True, False])
def test_network_within_a_retrained_model(tmp_path, suffix, trainable):
  """As tutorials write it: the application, and a new head on top."""
  import keras

  inner = keras.applications.MobileNet(
    weights=None, include_top=False, pooling='avg', input_shape=(SIZE, SIZE, 3)
  )
  inner.trainable = trainable
  image = keras.Input((SIZE, SIZE, 3))
  model = keras.Model(image, keras.layers.Dense(7)(inner(image)))
  for variable in model.weights:
    variable.assign(
      rule.array(variable.path, variable.shape, variable.name, 'tf', 2.0)
    )
  path, said = tmp_path / f'a{suffix}', []
  save = model.save_weights if suffix == '.weights.h5' else model.save
  save(path)
  output = tmp_path / 'a.safetensors'
  header = convert_weights.convert(
    'mobilenet_v1', path, output, say=said.append
  )
  # In the legacy layout the dense layer has the place of the network's head.
  num_classes, note = 0, '2 variables of other heads left out, as dense'
  if suffix == '.h5':
    num_classes, note = 7, 'the head has 7 classes'
  assert header.num_classes == num_classes
  assert note in said[0]
  variables = weights.read(output)[1]
  num_head = sum(name.startswith('params/head/') for name in variables)
  assert len(variables) - num_head == len(inner.weights)
  wanted = {weight.path: np.asarray(weight) for weight in inner.weights}
  for name, path_in_network in (
    ('conv1/kernel', 'params/backbone/stem/conv/kernel'),
    ('conv1_bn/gamma', 'params/backbone/stem/bn/scale'),
    ('conv1_bn/moving_variance', 'batch_stats/backbone/stem/bn/var'),
  ):
    np.testing.assert_array_equal(variables[path_in_network], wanted[name])
