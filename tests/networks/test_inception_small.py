"""Tests of the small Inception: its shapes, parameters and features."""

import functools

import jax
import numpy as np
import pytest

from tests.networks import drawn
from tf_transfer import networks
from tf_transfer.networks import inception_blocks, inception_small

# By hand: inputs of a kernel, rows × columns × channels, and its outputs.
CONVS = {
  'conv_1a': [(3 * 3 * 3, 24)],
  'mixed_2a': [(24, 16), (24, 16), (3 * 3 * 16, 24), (24, 8)],
  'mixed_3a': [(3 * 3 * 48, 32)],
  'mixed_3b': [(80, 32), (80, 24), (3 * 3 * 24, 48), (80, 16)],
  'mixed_4a': [(3 * 3 * 96, 48)],
  'mixed_4b': [(144, 48), (144, 32), (3 * 3 * 32, 64), (144, 16)],
}


def test_parameters_of_each_block():
  """Kernels without a bias, and a scale and a bias of each batch norm."""
  counts = dict.fromkeys(CONVS, 0)
  for path, value in drawn.shapes('inception_small').items():
    if path.startswith('params/backbone/'):
      counts[path.split('/')[2]] += int(np.prod(value.shape))
  assert counts == {
    name: sum(inputs * outputs + 2 * outputs for inputs, outputs in convs)
    for name, convs in CONVS.items()
  }
  row = networks.row('inception_small')
  assert sum(counts.values()) == row.parameters


@pytest.fixture(scope='module')
def activations():
  """The output of each module, and the features, of two random images."""
  model = networks.build('inception_small')
  x = np.float32(np.random.default_rng(0).normal(size=(2, 32, 32, 3)))

  @jax.jit
  def run(variables):
    _, captured = model.apply(
      variables,
      x,
      capture_intermediates=lambda module, method: (
        (isinstance(module, inception_blocks.Mixed) and method == '__call__')
        or method == 'features'
      ),
      mutable=['intermediates'],
    )
    return captured['intermediates']

  captured = run(drawn.variables(model, 32))
  modules = {n: m['__call__'][0] for n, m in captured['backbone'].items()}
  return modules, captured['features'][0]


def test_shapes(activations):
  """Of 32 px three strides leave 4; auxiliary heads need 5 and read 8."""
  modules, features = activations
  assert {name: x.shape for name, x in modules.items()} == {
    'mixed_2a': (2, 16, 16, 48),
    'mixed_3a': (2, 8, 8, 80),
    'mixed_3b': (2, 8, 8, 96),
    'mixed_4a': (2, 4, 4, 144),
    'mixed_4b': (2, 4, 4, 128),
  }
  assert features.shape == (2, networks.row('inception_small').feature_dim)


def test_features_are_the_mean_over_positions(activations):
  modules, features = activations
  last = np.asarray(modules['mixed_4b'])
  np.testing.assert_allclose(
    features, last.mean(axis=(1, 2)), rtol=1e-5, atol=1e-6
  )
  # ReLUs, whose values differ between positions.
  assert last.min() == 0
  assert np.ptp(last, axis=(1, 2)).max() > 0


def test_auxiliary_head_reads_the_last_module_of_8_positions():
  backbone = inception_small.InceptionSmall()
  x = jax.ShapeDtypeStruct((2, 32, 32, 3), np.float32)
  method = inception_small.InceptionSmall.with_auxiliary
  init = functools.partial(backbone.init_with_output, method=method)
  (features, middle), _ = jax.eval_shape(init, jax.random.key(0), x)
  assert (features.shape, middle.shape) == ((2, 128), (2, 8, 8, 96))
