"""Tests of networks of anybody's own Flax module."""

import jax
import numpy as np
import pytest
from flax import linen as nn

from tf_transfer import errors, networks
from tf_transfer.contract import Contract
from tf_transfer.networks import custom_flax

CONTRACT = Contract(8, mean=(127.5,) * 3, std=(127.5,) * 3)
IMAGE = np.linspace(-1, 1, 2 * 8 * 8 * 3, dtype=np.float32).reshape(2, 8, 8, 3)


class Module(nn.Module):
  """With batch norm and dropout."""

  width: int = 5
  activation: object = nn.relu

  @nn.compact
  def __call__(self, x, train=False):
    x = nn.Conv(self.width, (3, 3))(x)
    x = nn.BatchNorm(use_running_average=not train)(x)
    x = self.activation(x).mean(axis=(1, 2))
    return nn.Dropout(0.5, deterministic=not train)(x)


class Deterministic(nn.Module):
  """Told of training by the opposite argument."""

  @nn.compact
  def __call__(self, x, deterministic):
    self.param('unused', nn.initializers.ones, (1,))
    return nn.Dropout(0.5, deterministic=deterministic)(x[:, 0, 0])


class Plain(nn.Module):
  """Without any argument but the images."""

  scale: float = 2.0

  @nn.compact
  def __call__(self, x):
    bias = self.param('bias', nn.initializers.ones, (3,))
    return self.scale * x.sum(axis=(1, 2)) + bias


class Renamed(Plain):
  """Of the same fields and variables, and another function."""

  @nn.compact
  def __call__(self, x):
    bias = self.param('bias', nn.initializers.ones, (3,))
    return self.scale * x.sum(axis=(1, 2)) - bias


def init(module, *arguments):
  return jax.jit(module.init, static_argnums=2)(
    jax.random.key(0), IMAGE, *arguments
  )


def build(module, variables, **fields):
  own = networks.CustomNetwork(
    contract=CONTRACT, module=module, variables=variables, **fields
  )
  return custom_flax.build(own, 'mine', 'a:mine')


@pytest.fixture(scope='module')
def variables():
  return init(Module())


def test_features_are_those_of_the_module(variables):
  module = Module()
  net = build(module, variables, family='Own')
  assert (net.name, net.feature_dim, net.family) == ('mine', 5, 'Own')
  assert (net.parameters, net.fixed_reason) == (3 * 3 * 3 * 5 + 5 + 5 + 5, '')
  wanted = module.apply(variables, IMAGE)
  np.testing.assert_allclose(net.features(IMAGE), wanted, rtol=1e-6, atol=1e-6)
  with pytest.raises(errors.InputError, match='no head'):
    net.logits(IMAGE)
  resized = net.with_image_size(12)
  assert resized.features(np.zeros((1, 12, 12, 3))).shape == (1, 5)
  assert 'module/Conv_0' in net.layers(8)


def test_module_is_told_of_training(variables):
  model = networks.rebuild(build(Module(), variables), num_classes=4)
  nested = jax.device_get(model.init(jax.random.key(1), IMAGE))
  assert nested['params']['head']['kernel'].shape == (5, 4)
  keys = {'dropout': jax.random.key(0)}
  trained, new = model.apply(
    nested, IMAGE, train=True, rngs=keys, mutable=['batch_stats']
  )
  means = new['batch_stats']['backbone']['module']['BatchNorm_0']['mean']
  assert np.abs(means).max() > 0
  assert not np.allclose(trained, model.apply(nested, IMAGE))
  net = build(Deterministic(), {'params': {'unused': np.ones(1)}})
  assert (net.features(IMAGE) == IMAGE[:, 0, 0]).all()


def test_identity_is_that_of_the_content(variables):
  first = build(Module(), variables).sha256
  assert len(first) == 64
  assert build(Module(), jax.device_get(variables)).sha256 == first
  assert build(Module(name='other'), variables).sha256 == first

  def gelu(x):
    return nn.gelu(x)

  def relu(x):
    return nn.relu(x)

  changed = jax.tree.map(np.array, jax.device_get(variables))
  changed['params']['Conv_0']['bias'][0] = 1e-7
  others = [
    build(Module(), changed),
    build(Module(activation=gelu), variables),
    build(Plain(), init(Plain())),
    build(Plain(scale=3.0), init(Plain())),
    build(Renamed(), init(Plain())),
  ]
  assert len({first, *(one.sha256 for one in others)}) == 6
  # The address of a function in memory is no part of it.
  hashes = {
    build(Module(activation=lambda x: nn.relu(x)), variables).sha256
    for _ in range(2)
  }
  assert len(hashes) == 1
  other_contract = Contract(8, mean=(0,) * 3, std=(1,) * 3)
  own = networks.CustomNetwork(
    contract=other_contract, module=Module(), variables=variables
  )
  assert custom_flax.build(own, 'mine', 'a:b').sha256 != first


class Wrong(nn.Module):
  """Does not pool."""

  def __call__(self, x):
    return x


@pytest.mark.parametrize(
  ('module', 'change', 'message'),
  [
    (
      Module(),
      lambda v: {'params': v['params']},
      'cannot be applied to images',
    ),
    (Module(6), lambda v: v, r'cannot be applied to images \[2, 8, 8, 3\]'),
    (Module(), lambda v: {'batch_stats': {}}, 'expected params among'),
    (
      Module(),
      lambda v: {**v, 'params': {**v['params'], 'Dense_0': np.ones(3)}},
      'left over params/module/Dense_0',
    ),
    (
      Module(),
      lambda v: jax.tree.map(lambda x: x * np.nan, v),
      'NaN or infinity',
    ),
    (Wrong(), lambda v: v, r'shape \[2, 8, 8, 3\], expected \[2, D\]'),
  ],
)
def test_what_is_wrong_is_said(variables, module, change, message):
  with pytest.raises(errors.InputError, match=message):
    build(module, change(variables))


def test_other_collections_are_fixed(variables):
  class Counting(nn.Module):
    @nn.compact
    def __call__(self, x):
      self.variable('state', 'steps', lambda: np.zeros(()))
      bias = self.param('bias', nn.initializers.ones, (3,))
      return x.sum(axis=(1, 2)) + bias

  net = build(Counting(), init(Counting()))
  assert 'has variables state' in net.fixed_reason
  with pytest.raises(errors.InputError, match='has fixed features'):
    networks.rebuild(net, num_classes=3)


def test_advice_where_features_are_not_repeatable(variables):
  net = build(Module(), variables)
  advice = net.wrong_features_advice
  assert 'whatever else is in the batch' in advice
  assert 'Memory may be nearly exhausted' in advice
