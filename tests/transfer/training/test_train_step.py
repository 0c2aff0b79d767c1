"""The training step against numbers worked out by hand, NumPy and Keras."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.transfer.training import small
from tf_transfer import errors, networks
from tf_transfer.networks import layers
from tf_transfer.runtime import devices, tensorflow
from tf_transfer.transfer.training import train_step

TRIAL = train_step.Trial(learning_rate=0.2, weight_decay=0.01)


def train(model, recipe, batches, count=1, trial=TRIAL):
  """States and metrics after each step, on the host."""
  mesh = devices.data_mesh(jax.devices()[:count])
  variables = train_step.initial_variables(model, small.SIZE, seed=0)
  state = train_step.new_state(variables, recipe, mesh)
  step = train_step.compile_step(model, small.scale, recipe, mesh)
  found = []
  sharding = devices.sharding(mesh, devices.BATCH)
  for batch in devices.on_devices(batches, sharding):
    state, metrics = step(state, dataclasses.asdict(trial), batch)
    found.append(jax.device_get((state, metrics)))
  return variables, found


def assert_close(found, expected, tolerance):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(
      a, b, rtol=tolerance, atol=tolerance
    ),
    found,
    expected,
  )


def test_schedule_by_hand():
  rates = [float(train_step.learning_rate(0.4, k, 6)) for k in range(7)]
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
    *('inception_v1', 'bn_inception', 'inception_v4', 'inception_small'),
    *('resnet50', 'densenet121', 'mobilenet_v1', 'nasnet_mobile'),
    *('efficientnet_lite0', 'efficientnet_v2_b0'),
  ],
)
def test_momentum_of_every_batch_norm(name):
  """Of one network of each kind; 200 steps an epoch."""
  recipe = train_step.Recipe(steps=10, batch_size=16)
  net = networks.untrained(name)
  model = train_step.build_model(net, 10, 200 * 16, recipe)
  seen = []

  def noting(call, args, kwargs, context):
    if isinstance(context.module, layers.BatchNorm):
      seen.append(context.module.momentum)
    return call(*args, **kwargs)

  size = net.contract.image_size
  with nn.intercept_methods(noting):
    jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, size, size, 3)))
  assert len(seen) > 5
  assert set(seen) == {0.95}


def test_softmax_losses_by_hand():
  logits = jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
  labels = jnp.array([0, 2])
  plain = train_step.softmax_losses(logits, labels, 0)
  np.testing.assert_allclose(plain, [math.log(2), -math.log(0.8)], rtol=1e-6)
  # 0.7 + 0.3 / 3 on the label, 0.1 on each of the others.
  smooth = train_step.softmax_losses(logits, labels, 0.3)
  np.testing.assert_allclose(
    smooth,
    [
      -0.8 * math.log(0.5) - 0.2 * math.log(0.25),
      -0.8 * math.log(0.8) - 0.2 * math.log(0.1),
    ],
    rtol=1e-6,
  )


def test_sigmoid_losses_by_hand():
  odds = jnp.log(jnp.array([[3.0, 1.0, 9.0]]))  # probabilities 3/4, 1/2, 9/10
  labels = jnp.array([[1, -1, 0]])
  (plain,) = train_step.sigmoid_losses(odds, labels, 0)
  assert plain == pytest.approx(-math.log(0.75) - math.log(0.1), rel=1e-6)
  (smooth,) = train_step.sigmoid_losses(odds, labels, 0.2)
  assert smooth == pytest.approx(
    -0.9 * math.log(0.75)
    - 0.1 * math.log(0.25)
    - 0.9 * math.log(0.1)
    - 0.1 * math.log(0.9),
    rel=1e-6,
  )


def test_correct_by_hand():
  logits = jnp.array([[1.0, 2.0, 0.0], [3.0, -1.0, -2.0]])
  np.testing.assert_array_equal(
    train_step.correct(logits, jnp.array([1, 2])), [1, 0]
  )
  # Present, absent; the third of the first counts neither way.
  labels = jnp.array([[1, 0, -1], [1, 1, 0]])
  np.testing.assert_allclose(
    train_step.correct(logits, labels), [1 / 2, 2 / 3], rtol=1e-6
  )
  assert train_step.correct(logits[:1], -jnp.ones((1, 3), int)) == 0


def numpy_step(params, velocity, batch, number, steps, trial):
  """One step of a linear classifier on mean pixels, all by hand."""
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


class Means(small.nn.Module):
  """The backbone without parameters: mean pixels."""

  @small.nn.compact
  def __call__(self, x, train=False):
    return x.mean(axis=(1, 2))


def test_steps_against_numpy():
  """Momentum, schedule, decay of the kernel alone, masked examples."""
  model = small.classifier.Classifier(Means(), small.CLASSES)
  made = list(small.batches(7))
  recipe = train_step.Recipe(steps=7, batch_size=16)
  variables, found = train(model, recipe, made)
  head = variables['params']['head']
  params = [np.float64(head['kernel']), np.float64(head['bias'])]
  velocity = [np.zeros_like(p) for p in params]
  for number, (batch, (state, metrics)) in enumerate(
    zip(made, found, strict=True)
  ):
    params, velocity, expected = numpy_step(
      params, velocity, batch, number, 7, TRIAL
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


def test_ten_steps_against_keras_and_tensorflow(net):
  """The same network by Keras, TensorFlow's SGD: parameters and moments."""
  import keras

  tf = tensorflow.import_without_gpu()

  made = [{**b, 'mask': np.ones(16, bool)} for b in small.batches(10)]
  recipe = train_step.Recipe(steps=10, batch_size=16)
  # 200 steps an epoch: 1 − 10/200 = 0.95 of the old statistics stay.
  model = train_step.build_model(net, small.CLASSES, 200 * 16, recipe)
  variables, found = train(model, recipe, made)
  decay = TRIAL.weight_decay / TRIAL.learning_rate
  peer = keras.Sequential(
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

  def ordered(state):
    params, stem = state['params'], state['params']['backbone']['stem']
    moments = state['batch_stats']['backbone']['stem']['bn']
    return [
      stem['conv']['kernel'],
      stem['bn']['scale'],
      stem['bn']['bias'],
      moments['mean'],
      moments['var'],
      params['head']['kernel'],
      params['head']['bias'],
    ]

  peer.set_weights(ordered(variables))
  loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
  schedule = keras.optimizers.schedules.CosineDecay(TRIAL.learning_rate, 10)
  # TensorFlow 1's, which the paper used. Keras's own differs from it and from
  # PyTorch's where the rate changes: the rate is within its velocity.
  rate = tf.Variable(0.0)
  optimizer = tf.compat.v1.train.MomentumOptimizer(rate, 0.9, use_nesterov=True)
  for number, batch in enumerate(made):
    with tf.GradientTape() as tape:
      logits = peer(np.array(small.scale(batch['image'])), training=True)
      loss = loss_of(batch['label'], logits) + sum(peer.losses)
    values = [v.value for v in peer.trainable_variables]
    rate.assign(schedule(number))
    optimizer.apply_gradients(
      zip(tape.gradient(loss, values), values, strict=True)
    )
  state = found[-1][0]
  expected = peer.get_weights()
  found = ordered({'params': state.params, 'batch_stats': state.batch_stats})
  assert_close(found, expected, 1e-5)


@pytest.mark.parametrize('count', [2, 4, 8])
@pytest.mark.parametrize('multi_label', [False, True])
def test_several_devices_are_as_one(multi_label, count):
  recipe = train_step.Recipe(
    steps=4, batch_size=16, dropout=0.3, label_smoothing=0.1, ema_decay=0.5
  )
  made = list(small.batches(4, multi_label=multi_label))
  one, several = (
    train(small.tiny(dropout=0.3), recipe, made, n)[1] for n in (1, count)
  )
  assert_close(several, one, 1e-5)


def test_moving_average():
  recipe = train_step.Recipe(steps=3, batch_size=16, ema_decay=0.75)
  variables, found = train(small.tiny(), recipe, small.batches(3))
  average = variables
  for state, _ in found:
    now = {'params': state.params, 'batch_stats': state.batch_stats}
    average = jax.tree.map(lambda a, v: 0.75 * a + 0.25 * v, average, now)
    assert_close(state.variables, average, 1e-6)


@pytest.mark.parametrize('count', [1, 4])
def test_parts_of_a_batch_are_as_the_whole_without_batch_norm(count):
  recipe = train_step.Recipe(steps=3, batch_size=16)
  parts = dataclasses.replace(recipe, gradient_accumulation_steps=4)
  model = small.tiny(normalized=False)
  made = list(small.batches(3))
  _, whole = train(model, recipe, made)
  _, parted = train(model, parts, made, count)
  assert_close(parted, whole, 1e-5)


def test_parts_of_a_batch_move_the_statistics_once():
  """The mean as the whole batch does; the variance of every fourth image."""
  recipe = train_step.Recipe(
    steps=1, batch_size=16, gradient_accumulation_steps=4
  )
  variables, ((state, _),) = train(small.tiny(), recipe, small.batches(1))
  (batch,) = small.batches(1)
  kernel = variables['params']['backbone']['stem']['conv']['kernel']
  x = small.layers.convolution(small.scale(batch['image']), kernel)
  x = np.float64(x)
  moments = state.batch_stats['backbone']['stem']['bn']
  within = np.mean([x[i::4].var(axis=(0, 1, 2)) for i in range(4)], axis=0)
  assert_close(moments['mean'], 0.2 * x.mean(axis=(0, 1, 2)), 1e-6)
  assert_close(moments['var'], 0.8 + 0.2 * within, 1e-6)


def test_bfloat16_keeps_float32_parameters_and_comes_near():
  recipe = train_step.Recipe(steps=4, batch_size=16)
  half = dataclasses.replace(recipe, precision='bfloat16')
  made = list(small.batches(4))
  (_, exact), (_, rounded) = (
    train(small.tiny(), r, made) for r in (recipe, half)
  )
  for leaf in jax.tree.leaves(rounded[-1][0])[1:]:
    assert leaf.dtype in (np.float32, np.int32)
  difference = abs(rounded[-1][1]['loss'] - exact[-1][1]['loss'])
  assert 0 < difference < 0.02


def test_auxiliary_head_adds_its_loss():
  """With zeros for kernels both heads say log C."""
  model = small.with_auxiliary()
  recipe = train_step.Recipe(steps=1, batch_size=16, auxiliary_head=True)
  mesh = devices.data_mesh(jax.devices()[:1])
  variables = train_step.initial_variables(model, small.SIZE, seed=0)
  for head in (
    variables['params']['head'],
    variables['params']['auxiliary']['head'],
  ):
    head['kernel'] = np.zeros_like(head['kernel'])
  step = train_step.compile_step(model, small.scale, recipe, mesh)
  _, metrics = step(
    train_step.new_state(variables, recipe, mesh),
    dataclasses.asdict(TRIAL),
    next(small.batches(1)),
  )
  assert metrics['loss'] == pytest.approx(1.4 * math.log(small.CLASSES))


def test_pretrained_backbone_and_fresh_head():
  model = small.tiny()
  given = train_step.initial_variables(model, small.SIZE, seed=1)
  found = train_step.initial_variables(model, small.SIZE, 2, given)
  assert_close(found['params']['backbone'], given['params']['backbone'], 0)
  assert_close(found['batch_stats'], given['batch_stats'], 0)
  difference = (
    found['params']['head']['kernel'] - (given['params']['head']['kernel'])
  )
  assert np.abs(difference).min() > 0
  fresh = train_step.initial_variables(model, small.SIZE, seed=2)
  assert_close(found['params']['head'], fresh['params']['head'], 0)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'steps': 0}, 'steps: expected 1 or more'),
    ({'gradient_accumulation_steps': 3}, 'cannot be cut into 3'),
    ({'dropout': 1.0}, 'dropout: expected 0 to below 1'),
    ({'precision': 'bfloat61'}, 'did you mean bfloat16'),
  ],
)
def test_recipe_out_of_range(change, message):
  with pytest.raises(errors.InputError, match=message):
    train_step.Recipe(**{'steps': 2, 'batch_size': 16, **change})


def test_batch_that_the_devices_cannot_share():
  recipe = train_step.Recipe(steps=1, batch_size=12)
  with pytest.raises(errors.InputError, match='multiple of 8 devices'):
    train_step.compile_step(
      small.tiny(), small.scale, recipe, devices.data_mesh()
    )


@pytest.mark.parametrize('given', [(0.0, 0.1), (math.nan, 0.1), (0.1, -1.0)])
def test_trial_out_of_range(given):
  with pytest.raises(errors.InputError, match='learning rate above 0'):
    train_step.Trial(*given)
