"""Tests of a training step, beside keras.applications in double precision.

Their outputs are compared in tests/tools/test_keras_files.py.
"""

import jax
import numpy as np
import pytest

from tests.golden import rule
from tests.networks import keras_scaling
from tf_transfer import convert_weights, networks
from tf_transfer.convert_weights import keras_files, rules, sources
from tf_transfer.networks import weights


def keras_model(network, size):
  """Keras's network, with weights by our rule and no dropout.

  Returns:
    The model, which gives logits, and its variables by our readers' names.
  """
  import keras

  keras.utils.clear_session()
  application = sources.keras_application(network)
  model = getattr(keras.applications, application.name)(
    weights=None,
    classifier_activation=None,
    input_shape=(size, size, 3),
    **dict(application.options),
  )
  variables = {
    f'{layer.name}/{name}': variable
    for layer, theirs in zip(
      keras_files.layers_of(model),
      keras_files.weighted_layers(model),
      strict=True,
    )
    for name, variable in zip(layer.weights, theirs.weights, strict=True)
  }
  gain = min(rule.gains('keras', network).values())
  for name, variable in variables.items():
    kind = name.split('/')[-1]
    variable.assign(rule.array(name, variable.shape, kind, 'tf', gain))
  for layer in model.layers:
    if isinstance(layer, keras.layers.Dropout):
      layer.rate = 0.0
  keras_scaling.settle(model)
  return model, variables


def converted(network, tensors):
  """The arrays of a Keras model at our paths."""
  source = convert_weights.get_source(network, 'keras')
  arrays, problems = rules.apply_rules(tensors, source.rules)
  assert not problems
  return arrays


def our_model(network):
  source = convert_weights.get_source(network, 'keras')
  return networks.build(network, **source.options)


def images(count, size):
  return np.random.default_rng(0).uniform(-1, 1, (count, size, size, 3))


@pytest.fixture
def float64():
  """Both compute in double precision."""
  import keras

  before = keras.config.floatx(), keras.config.dtype_policy()
  keras.config.set_floatx('float64')
  keras.config.set_dtype_policy('float64')
  with jax.enable_x64(True):
    yield
  keras.config.set_floatx(before[0])
  keras.config.set_dtype_policy(before[1])


def keras_step(theirs, variables, x, target):
  """Gradients and, after the step, values of Keras's variables by name."""
  import tensorflow as tf

  with tf.GradientTape() as tape:
    logits = theirs(keras_scaling.to_pixels(theirs, x), training=True)
    loss = tf.reduce_mean((logits - target) ** 2)
  trained = theirs.trainable_variables
  found = dict(
    zip([v.path for v in trained], tape.gradient(loss, trained), strict=True)
  )
  after = {name: np.asarray(v) for name, v in variables.items()}
  gradients = {
    name: np.asarray(found.get(v.path, after[name]))
    for name, v in variables.items()
  }
  return gradients, after


def our_step(model, variables, x, target):
  """The same of ours, by path."""

  def loss(params):
    logits, updates = model.apply(
      {**variables, 'params': params}, x, train=True, mutable=['batch_stats']
    )
    return ((logits - target) ** 2).mean(), updates

  step = jax.jit(
    jax.grad(loss, has_aux=True),
    # Compiling takes all the time: twice as long with optimization.
    compiler_options={'xla_backend_optimization_level': 0},
  )
  gradients, updates = step(variables['params'])
  return weights.flatten({'params': gradients, **updates})


@pytest.mark.parametrize(
  ('network', 'size'),
  [
    ('mobilenet_v1', 64),
    *[
      pytest.param(*case, marks=pytest.mark.slow)
      for case in (
        ('resnet50', 64),
        ('densenet121', 64),
        ('inception_v3', 80),
        ('nasnet_mobile', 64),
        ('efficientnet_v2_b0', 64),
        ('efficientnet_b0', 64),
        ('mobilenet_v3_large', 64),
        ('convnext_tiny', 64),
      )
    ],
  ],
)
def test_a_step_of_training(network, size, float64):
  """Gradients and moving statistics after a step are those of Keras.

  Both normalize by the batch's biased variance, both move the statistics by
  it, and both call the share that the old ones keep momentum. (TensorFlow 1
  and PyTorch move them by the unbiased variance; PyTorch's momentum is the
  share of the new.) Keras's biases ahead of batch norm have no gradient.
  """
  momentum = 0.9
  theirs, variables = keras_model(network, size)
  for layer in theirs.layers:
    if hasattr(layer, 'momentum'):
      layer.momentum = momentum
  model = our_model(network)
  if networks.has_batch_norm(network):
    model = model.clone(backbone=model.backbone.clone(momentum=momentum))
  before = converted(network, {n: np.asarray(v) for n, v in variables.items()})
  assert {array.dtype.name for array in before.values()} == {'float64'}
  x = images(4, size)
  target = np.random.default_rng(1).normal(size=(4, 1000))
  gradients, after = keras_step(theirs, variables, x, target)
  wanted = {
    **converted(network, after),
    **{
      path: gradient
      for path, gradient in converted(network, gradients).items()
      if path.startswith('params/')
    },
  }
  ours = our_step(model, weights.unflatten(before), x, target)
  largest = max(np.abs(gradient).max() for gradient in wanted.values())
  assert ours.keys() == wanted.keys()
  for path, theirs in wanted.items():
    # Some gradients are but rounding: a shift ahead of batch norm is lost.
    limit = 1e-6 * np.abs(theirs).max() + 1e-14 * largest
    assert np.abs(ours[path] - theirs).max() <= limit, path
    assert ours[path].dtype == np.float64, path
    if path.startswith('batch_stats/'):
      assert np.any(before[path] != theirs), path
