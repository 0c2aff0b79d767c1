"""keras.applications beside us, alive: outputs, and a step of training.

The golden outputs were recorded once, at full size. Here Keras itself runs,
in the version that is installed, on smaller images.
"""

import re

import jax
import numpy as np
import pytest

from tests.golden import rule
from tf_transfer import networks
from tf_transfer.networks import weights
from tools import convert_weights
from tools.convert_weights import rules

SIZE = 96

# What builds each network; the large ones are marked slow.
FUNCTIONS = {
  'inception_v3': ('InceptionV3', {}),
  'inception_resnet_v2': ('InceptionResNetV2', {}),
  'resnet50': ('ResNet50', {}),
  'resnet101': ('ResNet101', {}),
  'resnet152': ('ResNet152', {}),
  'densenet121': ('DenseNet121', {}),
  'densenet169': ('DenseNet169', {}),
  'densenet201': ('DenseNet201', {}),
  'mobilenet_v1': ('MobileNet', {}),
  'mobilenet_v2': ('MobileNetV2', {}),
  'mobilenet_v2_140': ('MobileNetV2', {'alpha': 1.4}),
  'nasnet_mobile': ('NASNetMobile', {}),
  'nasnet_large': ('NASNetLarge', {}),
  **{
    f'efficientnet_v2_{size}': (
      f'EfficientNetV2{size.upper()}',
      {'include_preprocessing': False},
    )
    for size in ('b0', 'b1', 'b2', 'b3', 's', 'm', 'l')
  },
}
SLOW = {
  'inception_resnet_v2',
  'resnet101',
  'resnet152',
  'densenet169',
  'densenet201',
  'nasnet_mobile',
  'nasnet_large',
  'efficientnet_v2_b1',
  'efficientnet_v2_b2',
  'efficientnet_v2_b3',
  'efficientnet_v2_s',
  'efficientnet_v2_m',
  'efficientnet_v2_l',
}


def relative_difference(ours, theirs):
  theirs = np.asarray(theirs)
  return np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max()


def name_of(layer, variable):
  """What the reader of a file calls a variable."""
  import keras

  # The numbers of the layers that nobody named begin at 1.
  match = re.fullmatch(r'(conv2d|batch_normalization)(?:_(\d+))?', layer.name)
  name = f'{match[1]}_{int(match[2] or 0) + 1}' if match else layer.name
  depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
  return f'{name}/{"depthwise_" * depthwise}{variable.name}'


def keras_model(network, size):
  """Keras's network, with weights by our rule and no dropout.

  Returns:
    A model of two outputs, features and logits, and its variables by name.
  """
  import keras

  keras.utils.clear_session()
  function, options = FUNCTIONS[network]
  model = getattr(keras.applications, function)(
    weights=None,
    classifier_activation=None,
    input_shape=(size, size, 3),
    **options,
  )
  variables = {
    name_of(layer, variable): variable
    for layer in model.layers
    for variable in layer.weights
  }
  gain = min(rule.gains('keras', network).values())
  for name, variable in variables.items():
    kind = name.split('/')[-1]
    variable.assign(rule.array(name, variable.shape, kind, 'tf', gain))
  for layer in model.layers:
    if isinstance(layer, keras.layers.Dropout):
      layer.rate = 0.0
  head = [layer for layer in model.layers if layer.weights][-1]
  flat = keras.layers.Flatten()
  outputs = [flat(head.input), flat(model.output)]
  return keras.Model(model.inputs, outputs), variables


def converted(network, tensors):
  """The arrays of a Keras model at our paths."""
  source = convert_weights.source_of(network, 'keras')
  arrays, problems = rules.apply_rules(tensors, source.rules)
  assert not problems
  return arrays


def our_model(network):
  source = convert_weights.source_of(network, 'keras')
  return networks.build(network, **source.options)


def images(count, size):
  return np.random.default_rng(0).uniform(-1, 1, (count, size, size, 3))


@pytest.mark.parametrize(
  'network',
  [
    pytest.param(name, marks=(pytest.mark.slow,) if name in SLOW else ())
    for name in FUNCTIONS
  ],
)
def test_outputs(network):
  theirs, variables = keras_model(network, SIZE)
  model, x = our_model(network), np.float32(images(2, SIZE))
  arrays = converted(network, {n: np.asarray(v) for n, v in variables.items()})

  @jax.jit
  def ours(variables):
    features = model.apply(variables, x, method='features')
    return features, model.apply(variables, x)

  pairs = zip(ours(weights.unflatten(arrays)), theirs([x]), strict=True)
  for a, b in pairs:
    assert relative_difference(a, b) < 1e-5


def test_every_network_of_keras_is_here():
  assert set(FUNCTIONS) == {
    network for source, network in rule.pairs() if source == 'keras'
  }


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
    _, logits = theirs([x], training=True)
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
    ('resnet50', 64),
    ('mobilenet_v1', 64),
    *[
      pytest.param(*case, marks=pytest.mark.slow)
      for case in (
        ('densenet121', 64),
        ('inception_v3', 80),
        ('nasnet_mobile', 64),
        ('efficientnet_v2_b0', 64),
      )
    ],
  ],
)
def test_a_step_of_training(network, size, float64):
  """Gradients and moving statistics after a step are those of Keras.

  Both normalise by the batch's biased variance, both move the statistics by
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
