"""Tests of the inverted residual block."""

import jax
import numpy as np
import pytest
from flax import linen as nn

from tests.networks import arrays
from tf_transfer import networks
from tf_transfer.networks import inverted_residual, layers, weights


def block(**fields):
  return inverted_residual.InvertedResidual(
    **{'features': 8, 'width': 24, 'kernel_size': 3, 'strides': 1, **fields}
  )


def parts(model):
  """Submodules with variables, for an input of 8 channels."""
  x = jax.ShapeDtypeStruct((1, 6, 6, 8), np.float32)
  variables = jax.eval_shape(model.init, jax.random.key(0), x)
  return set(variables['params'])


def test_parts():
  convs = {'expand', 'depthwise', 'project'}
  assert parts(block()) == convs
  assert parts(block(width=8)) == convs - {'expand'}
  assert parts(block(squeezed=2)) == {*convs, 'squeeze', 'excite'}


def test_channels_are_scaled_by_the_gate_of_what_is_excited():
  x = arrays.random((2, 6, 6, 8))
  model = block(squeezed=2, gate=lambda x: x, squeeze_activation=nn.relu)
  variables = model.init(jax.random.key(0), x)
  params = weights.flatten(variables['params'])
  shapes = {path: value.shape for path, value in params.items()}
  assert shapes['squeeze/kernel'] == (1, 1, 24, 2)
  params['excite/kernel'] = np.zeros((1, 1, 2, 24), np.float32)

  def branch(factor):
    params['excite/bias'] = np.full(24, factor, np.float32)
    return (
      model.apply({**variables, 'params': weights.unflatten(params)}, x) - x
    )

  # Its batch norm does not shift before training.
  np.testing.assert_allclose(branch(3.0), 3 * branch(1.0), atol=1e-5)


@pytest.mark.parametrize('fields', [{'strides': 2}, {'features': 16}])
def test_input_is_added_where_the_shapes_agree(fields):
  x = arrays.random((2, 6, 6, 8))

  def dropped(**fields):
    """With drop path of all examples."""
    model = block(drop_rate=1.0, **fields)
    variables = model.init(jax.random.key(0), x)
    y, _ = model.apply(
      variables,
      x,
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.key(1)},
    )
    return y

  np.testing.assert_array_equal(dropped(), x)
  assert np.abs(dropped(**fields)).max() > 0.1


def drop_rates(name, size, rate):
  """Of the blocks of a network that add their input, in order."""
  backbone = networks.row(name).backbone(drop_path=rate)
  rates = []

  def record(call, args, kwargs, context):
    if isinstance(context.module, layers.DropPath):
      rates.append(context.module.rate)
    return call(*args, **kwargs)

  x = jax.ShapeDtypeStruct((1, size, size, 3), np.float32)
  with nn.intercept_methods(record):
    jax.eval_shape(backbone.init, jax.random.key(0), x)
  return rates


def test_drop_rates_grow_with_depth():
  # The last of a ResNet's eight has the rate itself.
  wanted = np.arange(8) / 10
  assert drop_rates('resnet18', 32, 0.7) == pytest.approx(wanted)
  # Of EfficientNet's sixteen blocks nine add their input.
  added = np.array([2, 4, 6, 7, 9, 10, 12, 13, 14])
  assert drop_rates('efficientnet_b0', 32, 0.16) == pytest.approx(added / 100)
  added = np.array([0, 2, 4, 5, 7, 8, 9, 11, 13, 14])
  rates = drop_rates('mobilenet_v3_large', 32, 0.15)
  assert rates == pytest.approx(added / 100)
