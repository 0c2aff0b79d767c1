"""Checks the training step against NumPy, Keras and numbers by hand."""

import dataclasses
import hashlib
import json
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.golden import rule
from tests.transfer.training import small
from tf_transfer import errors, networks
from tf_transfer.convert_weights import convnext as convnext_rules
from tf_transfer.convert_weights import keras_files, rules
from tf_transfer.convert_weights import vit as vit_rules
from tf_transfer.datasets.images import augmentation
from tf_transfer.networks import classifier, convnext, layers, vit, weights
from tf_transfer.runtime import devices, tensorflow
from tf_transfer.transfer.training import color, train_step

# The digests of all variable paths and shapes, by network.
SNAPSHOT = pathlib.Path(__file__).parents[2] / 'networks/parameter_paths.json'


def assert_close(actual, expected, tolerance):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(
      a, b, rtol=tolerance, atol=tolerance
    ),
    actual,
    expected,
  )


def test_cosine_learning_rate():
  rates = [float(train_step.cosine_learning_rate(0.4, k, 6)) for k in range(7)]
  third = 0.4 * (1 + math.cos(math.pi / 3)) / 2
  assert third == pytest.approx(0.3)
  np.testing.assert_allclose(
    [rates[0], rates[2], rates[3], rates[4], rates[6]],
    [0.4, 0.3, 0.2, 0.1, 0],
    atol=1e-7,
  )


@pytest.mark.parametrize(
  ('steps', 'expected'), [(5, 0.9), (100, 0.9), (200, 0.95), (1000, 0.99)]
)
def test_batch_norm_momentum(steps, expected):
  assert train_step.batch_norm_momentum(steps) == pytest.approx(expected)


@pytest.mark.parametrize(
  'name',
  [
    *('inception_v1', 'bn_inception', 'inception_v3', 'inception_v4'),
    *('inception_resnet_v2', 'inception_small', 'resnet50', 'densenet121'),
    *('mobilenet_v1', 'mobilenet_v2', 'nasnet_mobile', 'efficientnet_lite0'),
    *('efficientnet_v2_b0', 'resnet18', 'efficientnet_b0'),
    'mobilenet_v3_large',
  ],
)
def test_every_batch_norm_has_the_momentum_and_no_scale(name):
  """Traces a network of each kind without scales, at 200 steps an epoch.

  With a scale for each batch norm its variables are those of the table's
  network, so scales are all that is gone.
  """
  config = train_step.TrainConfig(steps=10, batch_size=16)
  net = networks.untrained(name)
  header = dataclasses.replace(net.header, options={'use_scale': False})
  net = dataclasses.replace(net, header=header)
  model = train_step.build_model(net, 1000, 200 * 16, config)
  momenta = []

  def record(call, args, kwargs, context):
    if isinstance(context.module, layers.BatchNorm):
      momenta.append(context.module.momentum)
    return call(*args, **kwargs)

  with nn.intercept_methods(record):
    variables = networks.expected_variables(model, net.contract.image_size)
  assert len(momenta) > 5
  assert set(momenta) == {0.95}
  assert not any(path.endswith('/scale') for path in variables)
  means = {
    path: value for path, value in variables.items() if path.endswith('/mean')
  }
  scales = {
    path.replace('batch_stats/', 'params/', 1)[: -len('mean')] + 'scale': value
    for path, value in means.items()
  }
  assert scales
  assert not scales.keys() & variables.keys()
  lines = [
    f'{path} {tuple(value.shape)}'
    for path, value in {**variables, **scales}.items()
  ]
  digest = hashlib.sha256('\n'.join(sorted(lines)).encode()).hexdigest()
  assert digest == json.loads(SNAPSHOT.read_text())[name]


def test_scale_converts_both_ways(tmp_path):
  """A scale of 1 gives the features of none; loading tells them apart."""
  untrained = networks.untrained('inception_small')
  size = untrained.contract.image_size
  x = np.random.default_rng(0).normal(size=(3, size, size, 3))
  x = x.astype(np.float32)
  flat = {
    scale: networks.expected_variables(
      networks.build('inception_small', use_scale=scale), size
    )
    for scale in (False, True)
  }
  ones = {
    path: np.ones(v.shape, np.float32)
    for path, v in flat[True].items()
    if path not in flat[False]
  }
  rng = np.random.default_rng(1)
  drawn = {
    path: rng.uniform(0.1, 0.9, v.shape).astype(np.float32)
    for path, v in flat[False].items()
  }
  paths = {scale: tmp_path / f'{scale}.safetensors' for scale in (True, False)}
  for scale, tensors in ((False, drawn), (True, {**drawn, **ones})):
    options = {} if scale else {'use_scale': False}
    header = dataclasses.replace(untrained.header, options=options)
    weights.save(paths[scale], header, weights.unflatten(tensors))
  without, with_ones = (networks.load(paths[s]) for s in (False, True))
  np.testing.assert_array_equal(without.features(x), with_ones.features(x))
  # A file of the other kind is refused, either way.
  for scale, word in ((False, 'left over'), (True, 'missing')):
    header = weights.read_header(paths[scale])
    _, tensors = weights.read(paths[not scale])
    wrong = tmp_path / 'wrong.safetensors'
    weights.save(wrong, header, weights.unflatten(tensors))
    with pytest.raises(errors.InputError, match=f'{word} .*/bn/scale'):
      networks.load(wrong)


def numpy_step(params, velocity, batch, number, steps, trial):
  """Makes one step of a linear classifier on mean pixels, all by hand."""
  kernel, bias = params
  x = (batch['image'].astype(np.float64) / 128 - 1).mean(axis=(1, 2))
  logits = x @ kernel + bias
  exp = np.exp(logits - logits.max(axis=1, keepdims=True))
  probabilities = exp / exp.sum(axis=1, keepdims=True)
  rows, mask = np.arange(len(x)), batch['mask']
  loss = -np.log(probabilities[rows, batch['label']])[mask].mean()
  error = probabilities.copy()
  error[rows, batch['label']] -= 1
  error *= mask[:, None] / mask.sum()
  grads = [x.T @ error, error.sum(axis=0)]
  norm = math.sqrt(sum((g**2).sum() for g in grads))
  right = (logits.argmax(axis=1) == batch['label'])[mask].mean()
  grads[0] += trial.weight_decay / trial.learning_rate * kernel
  rate = trial.learning_rate * (1 + math.cos(math.pi * number / steps)) / 2
  velocity = [0.9 * v + g for v, g in zip(velocity, grads, strict=True)]
  params = [
    p - rate * (g + 0.9 * v)
    for p, g, v in zip(params, grads, velocity, strict=True)
  ]
  return params, velocity, (loss, right, norm, rate)


class Means(nn.Module):
  """A backbone without parameters: mean pixels."""

  @nn.compact
  def __call__(self, x, train=False):
    return x.mean(axis=(1, 2))


def test_steps_against_numpy():
  """Momentum, schedule, decay of the kernel alone, masked examples."""
  model = small.classifier.Classifier(Means(), small.CLASSES)
  batches = list(small.batches(7))
  config = train_step.TrainConfig(steps=7, batch_size=16)
  variables, history = small.train(model, config, batches)
  head = variables['params']['head']
  params = [np.float64(head['kernel']), np.float64(head['bias'])]
  velocity = [np.zeros_like(p) for p in params]
  for number, (batch, (state, metrics)) in enumerate(
    zip(batches, history, strict=True)
  ):
    params, velocity, expected = numpy_step(
      params, velocity, batch, number, 7, small.TRIAL
    )
    assert state.step == number + 1
    assert_close(
      [state.params['head']['kernel'], state.params['head']['bias']],
      params,
      1e-6,
    )
    assert_close(
      [
        metrics[name]
        for name in ('loss', 'accuracy', 'gradient_norm', 'learning_rate')
      ],
      list(expected),
      1e-6,
    )


@pytest.fixture
def net(monkeypatch):
  """The tiny network as one of the table."""
  row = networks.Row(small.TinyBackbone, small.SIZE, 6, 174)
  monkeypatch.setitem(networks.TABLE, 'tiny', row)
  return networks.untrained('tiny')


def keras_peer(keras, decay):
  """Builds the tiny network by Keras, with weight decay as a regularizer."""
  return keras.Sequential(
    [
      keras.Input((small.SIZE, small.SIZE, 3)),
      keras.layers.Conv2D(
        6,
        3,
        padding='same',
        use_bias=False,
        kernel_regularizer=keras.regularizers.L2(decay / 2),
      ),
      keras.layers.BatchNormalization(momentum=0.95, epsilon=1e-3),
      keras.layers.ReLU(),
      keras.layers.GlobalAveragePooling2D(),
      keras.layers.Dense(
        small.CLASSES, kernel_regularizer=keras.regularizers.L2(decay / 2)
      ),
    ]
  )


def keras_order(variables):
  """Lists the tiny network's variables as Keras does."""
  params, stem = variables['params'], variables['params']['backbone']['stem']
  moments = variables['batch_stats']['backbone']['stem']['bn']
  return [
    stem['conv']['kernel'],
    stem['bn']['scale'],
    stem['bn']['bias'],
    moments['mean'],
    moments['var'],
    params['head']['kernel'],
    params['head']['bias'],
  ]


def test_ten_steps_against_keras_and_tensorflow(net):
  """The same network by Keras, TensorFlow's SGD: parameters and moments."""
  import keras

  tf = tensorflow.import_without_gpu()
  trial = small.TRIAL

  batches = [{**b, 'mask': np.ones(16, bool)} for b in small.batches(10)]
  config = train_step.TrainConfig(steps=10, batch_size=16)
  # 200 steps an epoch: 1 − 10/200 = 0.95 of the old statistics stay.
  model = train_step.build_model(net, small.CLASSES, 200 * 16, config)
  variables, history = small.train(model, config, batches)
  peer = keras_peer(keras, trial.weight_decay / trial.learning_rate)
  peer.set_weights(keras_order(variables))
  loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
  schedule = keras.optimizers.schedules.CosineDecay(trial.learning_rate, 10)
  # TensorFlow 1's, which the paper used. Keras's own differs from it and from
  # PyTorch's where the rate changes: the rate is within its velocity.
  rate = tf.Variable(0.0)
  optimizer = tf.compat.v1.train.MomentumOptimizer(rate, 0.9, use_nesterov=True)
  for number, batch in enumerate(batches):
    with tf.GradientTape() as tape:
      logits = peer(np.array(small.scale(batch['image'])), training=True)
      loss = loss_of(batch['label'], logits) + sum(peer.losses)
    values = [v.value for v in peer.trainable_variables]
    rate.assign(schedule(number))
    optimizer.apply_gradients(
      zip(tape.gradient(loss, values), values, strict=True)
    )
  state = history[-1][0]
  actual = keras_order(
    {'params': state.params, 'batch_stats': state.batch_stats}
  )
  assert_close(actual, peer.get_weights(), 1e-5)


def test_no_network_without_batch_norm_is_given_its_momentum():
  for name in networks.TABLE:
    net = networks.untrained(name)
    config = train_step.TrainConfig(steps=10, batch_size=16)
    model = train_step.build_model(net, 7, 200 * 16, config)
    momentum = getattr(model.backbone, 'momentum', None)
    assert momentum == (0.95 if networks.has_batch_norm(name) else None)
  assert not networks.has_batch_norm('convnext_tiny')
  assert networks.has_batch_norm('resnet50')


_DEPTHS, _WIDTHS = (1, 1, 2, 1), (4, 8, 12, 16)


def keras_convnext():
  """A small ConvNeXt by Keras, of which no variable is next to nothing."""
  from keras.src.applications import convnext as peers

  peer = peers.ConvNeXt(
    list(_DEPTHS),
    list(_WIDTHS),
    include_preprocessing=False,
    input_shape=(32, 32, 3),
    classes=small.CLASSES,
    classifier_activation=None,
  )
  rng = np.random.default_rng(0)
  for variable in peer.weights:
    scales = variable.name in ('gamma', 'variable')
    deviation = 0.1 if scales else 0.3
    variable.assign(scales + deviation * rng.normal(size=variable.shape))
  return peer


def converted_convnext(peer):
  """Its variables at our paths."""
  tensors = {
    f'{ours.name}/{name}': np.array(variable.numpy())
    for layer, ours in zip(
      keras_files.weighted_layers(peer),
      keras_files.layers_of(peer),
      strict=True,
    )
    for name, variable in zip(ours.weights, layer.weights, strict=True)
  }
  renaming = convnext_rules.keras('convnext', _DEPTHS)
  arrays, problems = rules.apply_rules(tensors, renaming)
  assert not problems
  return arrays


def train_with_keras(peer, batches, trial):
  """Trains with TensorFlow's SGD; kernels decay."""
  tf = tensorflow.import_without_gpu()
  rate = tf.Variable(0.0)
  optimizer = tf.compat.v1.train.MomentumOptimizer(rate, 0.9, use_nesterov=True)
  decay = trial.weight_decay / trial.learning_rate
  kernels = [v for v in peer.trainable_variables if v.name == 'kernel']
  values = [v.value for v in peer.trainable_variables]
  for number, batch in enumerate(batches):
    with tf.GradientTape() as tape:
      logits = peer(np.array(small.scale(batch['image'])), training=True)
      loss = tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(batch['label'], logits)
      ) + decay / 2 * sum(tf.reduce_sum(v.value**2) for v in kernels)
    cosine = (1 + math.cos(math.pi * number / len(batches))) / 2
    rate.assign(trial.learning_rate * cosine)
    gradients = tape.gradient(loss, values)
    optimizer.apply_gradients(zip(gradients, values, strict=True))


def test_steps_of_convnext_against_keras():
  """Three steps of a network without batch norm, by Keras and TensorFlow."""
  rng, trial = np.random.default_rng(1), train_step.Trial(0.02, 0.001)
  batches = [
    {
      'image': rng.integers(0, 256, (16, 32, 32, 3)).astype(np.float32),
      'label': rng.integers(0, small.CLASSES, 16),
      'mask': np.ones(16, bool),
    }
    for _ in range(3)
  ]
  backbone = convnext.ConvNeXt(_DEPTHS, _WIDTHS)
  model = classifier.Classifier(backbone, small.CLASSES)
  peer = keras_convnext()
  before = converted_convnext(peer)
  _, history = small.train(
    model,
    train_step.TrainConfig(steps=3, batch_size=16),
    batches,
    variables=weights.unflatten(before),
    trial=trial,
  )
  train_with_keras(peer, batches, trial)
  state = history[-1][0]
  assert not state.batch_stats
  ours = weights.flatten({'params': state.params})
  wanted = converted_convnext(peer)
  assert ours.keys() == wanted.keys()
  for path, theirs in wanted.items():
    largest = np.abs(theirs).max()
    assert np.abs(ours[path] - theirs).max() < 1e-5 * largest, path
    # So that it could be seen if a variable did not move, or not decay.
    assert np.abs(theirs - before[path]).max() > 1e-3 * largest, path


def test_steps_of_a_vision_transformer_against_timm():
  """Three steps with label smoothing; the golden values are PyTorch's.

  They are those of timm's VisionTransformer(img_size=32, patch_size=16,
  embed_dim=16, depth=2, num_heads=2, num_classes=5, init_values=0.1) in
  float64, from weights made by the rule, with torch.optim.SGD (Nesterov, 0.9)
  and weight decay of the kernels alone.
  """
  architecture = dataclasses.replace(
    vit.TINY, width=16, heads=2, depth=2, layer_scale=0.1
  )
  with np.load(rule.FOLDER / 'steps' / 'vit.npz') as golden:
    after = dict(golden)
  losses, before = after.pop('losses'), {}
  for name, array in after.items():
    kind = 'kernel' if name.endswith('weight') else 'bias'
    if ('norm' in name and name.endswith('weight')) or 'gamma' in name:
      kind = 'gamma'
    before[name] = rule.array(name, list(array.shape), kind, 'torch', 1.0)
  before, wanted = (
    rules.apply_rules(tensors, vit_rules.timm(architecture))[0]
    for tensors in (before, after)
  )
  rng = np.random.default_rng(1)
  batches = [
    {
      'image': rng.integers(0, 256, (16, 32, 32, 3)).astype(np.float32),
      'label': rng.integers(0, 5, 16),
      'mask': np.ones(16, bool),
    }
    for _ in losses
  ]
  _, history = small.train(
    classifier.Classifier(vit.VisionTransformer(architecture, 32), 5),
    train_step.TrainConfig(steps=3, batch_size=16, label_smoothing=0.1),
    batches,
    variables=weights.unflatten(before),
    trial=train_step.Trial(0.05, 0.001),
  )
  found = [metrics['loss'] for _, metrics in history]
  np.testing.assert_allclose(found, losses, rtol=1e-5)
  ours = weights.flatten({'params': history[-1][0].params})
  assert ours.keys() == wanted.keys()
  for path, theirs in wanted.items():
    largest = np.abs(theirs).max()
    assert np.abs(ours[path] - theirs).max() < 1e-5 * largest, path
    assert np.abs(theirs - before[path]).max() > 1e-4 * largest, path


def test_weight_decay_acts_on_kernels_alone():
  """Not on scales, biases, tokens or embeddings, whatever their shapes."""
  key = jax.tree_util.DictKey
  for name in ('scale', 'bias', 'positions', 'class_token', 'registers'):
    assert not train_step.is_decayed((key('backbone'), key(name)))
  for name in ('inception_small', 'mobilenet_v2', 'convnext_tiny'):
    shapes = networks.expected_variables(networks.build(name), 64)
    for path, shape in shapes.items():
      keys = [key(part) for part in path.split('/')]
      assert train_step.is_decayed(keys) == (len(shape.shape) > 1), path


@pytest.mark.parametrize('multi_label', [False, True])
def test_several_devices_are_as_one(multi_label):
  config = train_step.TrainConfig(
    steps=4, batch_size=16, dropout=0.3, label_smoothing=0.1, ema_decay=0.5
  )
  batches = list(small.batches(4, multi_label=multi_label))
  model = small.tiny(dropout=0.3)
  one = small.train(model, config, batches)[1]
  for num_devices in (2, 4, 8):
    several = small.train(model, config, batches, num_devices=num_devices)[1]
    assert_close(several, one, 1e-5)


def test_moving_average_of_five_steps():
  """By its definition, and in closed form.

  Of n steps the k-th counts (1 − d) d^(n − k).
  """
  config = train_step.TrainConfig(steps=5, batch_size=16, ema_decay=0.9)
  variables, history = small.train(small.tiny(), config, small.batches(5))
  states = [
    {'params': s.params, 'batch_stats': s.batch_stats} for s, _ in history
  ]
  average = variables
  for (state, _), values in zip(history, states, strict=True):
    average = jax.tree.map(lambda a, v: 0.9 * a + 0.1 * v, average, values)
    assert_close(state.variables, average, 1e-6)
  shares = [0.59049, 0.06561, 0.0729, 0.081, 0.09, 0.1]
  assert sum(shares) == pytest.approx(1)
  expected = jax.tree.map(
    lambda *values: sum(
      s * np.float64(v) for s, v in zip(shares, values, strict=True)
    ),
    *(variables, *states),
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
    history[-1][0].variables,
    expected,
  )


def test_microbatches_are_as_the_batch_without_batch_norm():
  config = train_step.TrainConfig(steps=3, batch_size=16)
  accumulating = dataclasses.replace(config, gradient_accumulation_steps=4)
  model = small.tiny(normalized=False)
  batches = list(small.batches(3))
  _, expected = small.train(model, config, batches)
  for num_devices in (1, 4):
    _, actual = small.train(
      model, accumulating, batches, num_devices=num_devices
    )
    assert_close(actual, expected, 1e-5)


def test_microbatches_move_the_statistics_once():
  """The mean as the whole batch does; the variance of every fourth image."""
  config = train_step.TrainConfig(
    steps=1, batch_size=16, gradient_accumulation_steps=4
  )
  (batch,) = small.batches(1)
  variables, ((state, _),) = small.train(small.tiny(), config, [batch])
  kernel = variables['params']['backbone']['stem']['conv']['kernel']
  x = small.layers.convolution(small.scale(batch['image']), kernel)
  x = np.float64(x)
  moments = state.batch_stats['backbone']['stem']['bn']
  within = np.mean([x[i::4].var(axis=(0, 1, 2)) for i in range(4)], axis=0)
  assert_close(moments['mean'], 0.2 * x.mean(axis=(0, 1, 2)), 1e-6)
  assert_close(moments['var'], 0.8 + 0.2 * within, 1e-6)


def test_bfloat16_keeps_float32_parameters_and_comes_near():
  config = train_step.TrainConfig(steps=4, batch_size=16)
  half = dataclasses.replace(config, precision='bfloat16')
  batches = list(small.batches(4))
  (_, exact), (_, rounded) = (
    small.train(small.tiny(), c, batches) for c in (config, half)
  )
  for leaf in jax.tree.leaves(rounded[-1][0])[1:]:
    assert leaf.dtype in (np.float32, np.int32)
  difference = abs(rounded[-1][1]['loss'] - exact[-1][1]['loss'])
  assert 0 < difference < 0.02


@pytest.mark.parametrize(
  ('smoothing', 'expected'),
  # Probabilities 1/2, 1/4, 1/8, 1/16, 1/16 in every row, and label 0 or 3:
  # 1, 2, 3, 4 and 4 bits. Smoothed by 0.1 the target is 0.92 and four 0.02.
  [
    (0.0, (1 + 4) / 2),
    (0.1, (0.92 * 1 + 0.02 * 13 + 0.92 * 4 + 0.02 * 10) / 2),
  ],
)
def test_label_smoothing_in_a_step(smoothing, expected):
  config = train_step.TrainConfig(
    steps=1, batch_size=16, label_smoothing=smoothing
  )
  model = small.tiny()
  variables = train_step.initial_variables(model, small.SIZE, seed=0)
  head = variables['params']['head']
  head['kernel'] = np.zeros_like(head['kernel'])
  head['bias'] = np.log(np.float32([0.5, 0.25, 0.125, 0.0625, 0.0625]))
  (batch,) = small.batches(1)
  batch['label'] = np.int32([0, 3] * 8)
  batch['mask'] = np.ones(16, bool)
  _, ((_, metrics),) = small.train(model, config, [batch], variables=variables)
  assert metrics['loss'] == pytest.approx(expected * math.log(2), rel=1e-6)


class Ones(nn.Module):
  """A backbone whose features and middle are all 1."""

  auxiliary_after = 'middle'

  @nn.compact
  def __call__(self, x, train=False):
    return jnp.ones((len(x), 200))

  def with_auxiliary(self, x, train=False):
    return self(x, train), jnp.ones((len(x), 8, 8, 3))

  def shared(self, base):
    return {}


def test_dropout_is_between_the_pooled_features_and_the_logits():
  """A head that copies features shows what it was fed."""
  model = small.classifier.Classifier(Ones(), 200, dropout=0.2)
  x = jnp.zeros((500, 1, 1, 3))
  variables = {'params': {'head': {'kernel': jnp.eye(200), 'bias': 0.0}}}
  variables['params']['head']['bias'] = jnp.zeros(200)
  logits, auxiliary = model.apply(
    variables,
    x,
    method='training_logits',
    rngs={'dropout': jax.random.key(0)},
  )
  assert auxiliary is None
  np.testing.assert_allclose(np.unique(logits), [0, 1.25])
  # Of 100,000 a fifth, within four standard deviations.
  assert abs(np.mean(logits == 0) - 0.2) < 4 * math.sqrt(0.16 / 100_000)
  assert np.all(model.apply(variables, x) == 1)
  assert np.all(model.apply(variables, x, method='features') == 1)


@pytest.fixture(scope='module')
def auxiliary_variables():
  """Initial variables of the tiny network with an auxiliary head."""
  return train_step.initial_variables(
    small.with_auxiliary(), small.SIZE, seed=0
  )


def test_auxiliary_loss_counts_four_tenths(auxiliary_variables):
  """Kernels of 0 leave the biases of both heads, whose losses are known."""
  config = train_step.TrainConfig(steps=1, batch_size=16, auxiliary_head=True)
  (batch,) = small.batches(1)
  batch['label'] = np.zeros(16, np.int32)
  uniform, skewed = [0.2] * 5, [0.5, 0.125, 0.125, 0.125, 0.125]
  for probabilities, expected in (
    (uniform, 1.4 * math.log(5)),
    (skewed, math.log(2) + 0.4 * math.log(5)),
  ):
    variables = jax.tree.map(np.array, auxiliary_variables)
    params = variables['params']
    for head, bias in (
      (params['head'], probabilities),
      (params['auxiliary']['head'], uniform),
    ):
      head['kernel'] = np.zeros_like(head['kernel'])
      head['bias'] = np.log(np.float32(bias))
    _, ((_, metrics),) = small.train(
      small.with_auxiliary(), config, [batch], variables=variables
    )
    assert metrics['loss'] == pytest.approx(expected, rel=1e-6)


def test_auxiliary_head_is_absent_at_evaluation(auxiliary_variables):
  with_head = small.with_auxiliary()
  without = dataclasses.replace(with_head, auxiliary_head=False)
  x = small.scale(next(small.batches(1))['image'])
  plain = {
    kind: {k: v for k, v in values.items() if k != 'auxiliary'}
    for kind, values in auxiliary_variables.items()
  }
  assert plain != auxiliary_variables
  np.testing.assert_array_equal(
    with_head.apply(auxiliary_variables, x), without.apply(plain, x)
  )


@pytest.mark.parametrize('mode', ['fast', 'slow'])
def test_colors_are_distorted_before_scaling(mode):
  """The loss is that of images that were distorted before."""
  config = train_step.TrainConfig(steps=1, batch_size=16, color_distortion=mode)
  (batch,) = small.batches(1)
  generator = np.random.default_rng(0)
  drawn = np.stack([augmentation.draw_color(generator) for _ in range(16)])
  distorted = np.asarray(color.distort(batch['image'], drawn, mode))
  plain, actual, expected = (
    small.train(small.tiny(), config, [b])[1][0][1]['loss']
    for b in (batch, {**batch, 'color': drawn}, {**batch, 'image': distorted})
  )
  assert actual == pytest.approx(expected, rel=1e-5)
  assert abs(actual - plain) > 1e-4


def test_pretrained_backbone_and_random_head():
  model = small.tiny()
  pretrained = train_step.initial_variables(model, small.SIZE, seed=1)
  actual = train_step.initial_variables(model, small.SIZE, 2, pretrained)
  assert_close(
    actual['params']['backbone'], pretrained['params']['backbone'], 0
  )
  assert_close(actual['batch_stats'], pretrained['batch_stats'], 0)
  difference = (
    actual['params']['head']['kernel'] - pretrained['params']['head']['kernel']
  )
  assert np.abs(difference).min() > 0
  fresh = train_step.initial_variables(model, small.SIZE, seed=2)
  assert_close(actual['params']['head'], fresh['params']['head'], 0)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'steps': 0}, 'steps: expected 1 or more'),
    ({'gradient_accumulation_steps': 3}, 'cannot be cut into 3'),
    ({'dropout': 1.0}, 'dropout: expected 0 to below 1'),
    ({'precision': 'bfloat61'}, 'did you mean bfloat16'),
  ],
)
def test_train_config_out_of_range(change, message):
  with pytest.raises(errors.InputError, match=message):
    train_step.TrainConfig(**{'steps': 2, 'batch_size': 16, **change})


def test_batch_that_the_devices_cannot_share():
  config = train_step.TrainConfig(steps=1, batch_size=12)
  with pytest.raises(errors.InputError, match='multiple of 8 devices'):
    train_step.compile_step(
      small.tiny(), small.scale, config, devices.data_mesh()
    )


@pytest.mark.parametrize('values', [(0.0, 0.1), (math.nan, 0.1), (0.1, -1.0)])
def test_trial_out_of_range(values):
  with pytest.raises(errors.InputError, match='learning rate above 0'):
    train_step.Trial(*values)
