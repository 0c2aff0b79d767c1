"""Tests of building networks, and of networks without weights."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.networks import drawn
from tf_transfer import contract, errors, networks
from tf_transfer.networks import weights


def test_training_updates_statistics_and_drops_features():
  model = networks.build('inception_small', num_classes=7, dropout=0.5)
  x = jnp.asarray(
    np.random.default_rng(0).normal(size=(2, 32, 32, 3)), jnp.float32
  )
  variables = drawn.variables(model, 32)

  @jax.jit
  def train(seed):
    return model.apply(
      variables,
      x,
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.key(seed)},
    )

  logits, updates = train(1)
  assert logits.shape == (2, 7)
  before = variables['batch_stats']['backbone']['conv_1a']['bn']['mean']
  after = updates['batch_stats']['backbone']['conv_1a']['bn']['mean']
  assert np.abs(after - before).max() > 0
  again = train(2)[0]
  assert np.abs(again - logits).max() > 1e-3


@pytest.mark.parametrize('name', ['resnet50', 'inception_small'])
def test_untrained_network_has_the_defaults_of_its_architecture(name):
  net = networks.untrained(name)
  row = networks.row(name)
  assert net.model == networks.build(name)
  assert net.header == weights.Header(
    network=name,
    options={},
    contract=contract.Contract(row.image_size, (127.5,) * 3, (127.5,) * 3),
    imagenet_top1=row.imagenet_top1,
    imagenet_top1_source=row.imagenet_top1_source,
    source='random values',
  )
  assert not net.variables
  assert net.sha256 == ''


def test_network_of_another_image_size():
  usual = networks.untrained('resnet50')
  net = usual.with_image_size(64)
  assert net.contract == dataclasses.replace(usual.contract, image_size=64)
  assert dataclasses.replace(net.header, contract=usual.contract) == (
    usual.header
  )
  with pytest.raises(errors.InputError, match='unknown network'):
    networks.untrained('resnet5')
  inception = networks.untrained('inception_v3')
  assert inception.with_image_size(75).contract.image_size == 75
  with pytest.raises(errors.InputError, match='at least 75 px, not 74'):
    inception.with_image_size(74)


def test_unknown_network_and_option():
  with pytest.raises(errors.InputError, match='did you mean efficientnet_lite'):
    networks.build('efficientnet-lite0')
  with pytest.raises(errors.InputError, match='heads'):
    networks.build('efficientnet_lite0', heads=8)


@pytest.mark.parametrize(
  ('name', 'options'),
  [
    ('resnet50', {'stride_in': 'second'}),
    ('resnet50', {'stem_pool': 'valid'}),
    ('mobilenet_v2', {'padding': 'valid'}),
    ('inception_v1', {'padding': 'valid'}),
    ('bn_inception', {'stem': 'deep'}),
    ('nasnet_mobile', {'reduction_pools': 'none'}),
  ],
)
def test_unknown_value_of_an_option(name, options):
  ((option, value),) = options.items()
  with pytest.raises(errors.InputError, match=f"{option}: .*got '{value}'"):
    networks.build(name, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
  'name',
  [
    'resnet18',
    'resnet50',
    'efficientnet_b0',
    'mobilenet_v3_large',
    'densenet121',
    'mobilenet_v1',
    'inception_v1',
    'bn_inception',
    'inception_v3',
    'inception_v4',
    'inception_resnet_v2',
    'nasnet_mobile',
    'convnext_tiny',
  ],
)
def test_every_kind_trains(name):
  """Gradients are finite and reach every parameter."""
  model = networks.build(name, num_classes=3)
  x = jnp.asarray(
    np.random.default_rng(0).normal(size=(2, 96, 96, 3)), jnp.float32
  )
  variables = drawn.variables(model, 96)

  @jax.jit
  def gradients(params):
    def loss(params):
      logits, updates = model.apply(
        {**variables, 'params': params}, x, train=True, mutable=['batch_stats']
      )
      return jnp.sum(jax.nn.log_softmax(logits)[:, 0]), updates

    return jax.grad(loss, has_aux=True)(params)

  found, updates = gradients(variables['params'])
  for path, gradient in weights.flatten(found).items():
    assert np.all(np.isfinite(gradient)), path
    assert np.any(gradient), path
  assert ('batch_stats' in variables) == networks.has_batch_norm(name)
  after = weights.flatten(updates.get('batch_stats', {}))
  for path, before in weights.flatten(variables.get('batch_stats', {})).items():
    assert np.any(after[path] != before), path


@pytest.mark.parametrize('field', ['dropout', 'drop_path'])
@pytest.mark.parametrize('share', [-0.1, 1.1, float('nan')])
def test_a_share_that_is_none(field, share):
  with pytest.raises(errors.InputError, match=f'{field}: expected a share'):
    networks.build('vit_tiny', **{field: share})
