"""Checks the schedule, the factors and the config of pretraining."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.transfer.training import small
from tf_transfer import errors, networks
from tf_transfer.configs import pretrain as config_file
from tf_transfer.networks import recipe as recipe_lib
from tf_transfer.transfer.training import pretrain_config

IMAGENET_TRAIN = 1_231_167


def test_schedule_of_the_paper():
  """Of 300 epochs of 300.58 steps: warm-up to 1.6, then × 0.975 an epoch."""
  config = config_file.fields('inception_v4', 'C5')
  train_config = pretrain_config.build_train_config(config, IMAGENET_TRAIN)
  assert train_config.steps == math.ceil(300 * IMAGENET_TRAIN / 4096) == 90_174
  peak = pretrain_config.build_trial(config).learning_rate
  assert peak == 1.6
  for step, expected in (
    (0, 1.6 / 3005.7788),
    (1502, 1.6 * 1503 / 3005.7788),
    (3004, 1.6 * 3005 / 3005.7788),
    (3006, 1.6),
    (3306, 1.6),  # Epoch 10.999
    (3307, 1.6 * 0.975),  # Epoch 11.002
    (6012, 1.6 * 0.975**10),
    (90_173, 1.6 * 0.975**289),
  ):
    assert float(train_config.learning_rate(peak, step)) == pytest.approx(
      expected, rel=1e-5
    )


def test_schedule_without_warm_up_and_within_jit():
  train_config = pretrain_config.PretrainConfig(
    steps=9, batch_size=4, steps_per_epoch=2.0, decay_per_epoch=0.5
  )
  rates = jax.jit(jax.vmap(lambda step: train_config.learning_rate(8.0, step)))(
    jnp.arange(6)
  )
  np.testing.assert_allclose(rates, [8, 8, 4, 4, 2, 2])


def test_batch_size_scales_the_rate_and_not_the_decay():
  config = config_file.fields('resnet50', 'C5')
  config.batch_size = 256
  trial = pretrain_config.build_trial(config)
  assert trial.learning_rate == pytest.approx(0.1)
  assert trial.weight_decay / trial.learning_rate == pytest.approx(8e-5)


def test_moving_average_with_warm_up():
  """Keeps 2/11, 3/12, 4/13, 5/14 and, bounded by the decay, 0.375."""
  train_config = pretrain_config.PretrainConfig(
    steps=5, batch_size=16, ema_decay=0.375, ema_warmup=True
  )
  variables, history = small.train(small.tiny(), train_config, small.batches(5))
  average = np.float64(variables['params']['head']['kernel'])
  for keep, (state, _) in zip(
    (2 / 11, 3 / 12, 4 / 13, 5 / 14, 0.375), history, strict=True
  ):
    new = state.params['head']['kernel']
    average = keep * average + (1 - keep) * np.float64(new)
    np.testing.assert_allclose(
      state.variables['params']['head']['kernel'], average, atol=1e-6
    )


@pytest.mark.parametrize('configuration', recipe_lib.CONFIGURATIONS)
def test_every_network_has_every_configuration(configuration):
  for name in networks.TABLE:
    config = config_file.fields(name, configuration)
    pretrain_config.check(name, config)
    expected = dict(recipe_lib.CONFIGURATIONS[configuration])
    if not networks.has_auxiliary(name):
      expected['auxiliary_head'] = False
    same = {} if networks.has_auxiliary(name) else {'C4': 'C5'}
    if not networks.has_batch_norm(name):
      expected['bn_scale'] = None
      same['C1'] = 'C2'
    assert pretrain_config.factors(name, config) == expected
    actual = pretrain_config.configuration(name, config)
    assert actual == same.get(configuration, configuration)


@pytest.mark.parametrize(
  ('name', 'configuration', 'words'),
  [
    ('bn_inception', 'C1', 'auxiliary head: C1 is trained without one'),
    ('bn_inception', 'C3', 'auxiliary head: C3 is trained without one'),
    ('bn_inception', 'C4', 'auxiliary head: C4 and C5 are the same'),
    ('convnext_tiny', 'C1', 'no batch norm: C1 and C2 are the same'),
    ('convnext_tiny', 'C3', 'no batch norm: C3 is trained without either'),
    ('inception_v3', 'C1', ''),
    ('inception_v3', 'C5', ''),
  ],
)
def test_network_that_lacks_a_part(name, configuration, words):
  config = config_file.fields(name, configuration)
  text = pretrain_config.describe_missing_parts(name, config)
  assert text.endswith(words)
  place = f'{name} has no place for an auxiliary head'
  assert text.startswith(place if words else '')
  # Nothing is said of a config that is none of the five.
  config.update({'bn_scale': False, 'label_smoothing': 0.1, 'dropout': 0.0})
  assert pretrain_config.describe_missing_parts(name, config) == ''


def test_networks_with_an_auxiliary_head():
  assert {n for n in networks.TABLE if networks.has_auxiliary(n)} == {
    *('inception_v3', 'inception_v4', 'inception_resnet_v2'),
    *('nasnet_mobile', 'nasnet_large', 'inception_small'),
  }


@pytest.mark.parametrize(
  ('name', 'change', 'message'),
  [
    ('resnet50', {'auxiliary_head': True}, 'resnet50 has no place for an aux'),
    ('inception_v1', {'auxiliary_head': True}, 'build it without'),
    ('convnext_tiny', {'bn_scale': False}, 'convnext_tiny has no batch norm'),
  ],
)
def test_network_that_has_no_place(name, change, message):
  config = config_file.fields(name, 'C5')
  config.update(change)
  with pytest.raises(errors.InputError, match=message):
    pretrain_config.check(name, config)


def test_unknown_configuration_or_network():
  with pytest.raises(errors.InputError, match="configuration 'C6'"):
    config_file.get_config('resnet50,C6')
  with pytest.raises(errors.InputError, match="network 'resnet5'"):
    config_file.get_config('resnet5,C1')


def test_untrained_network():
  config = config_file.fields('inception_small', 'C1')
  assert config.bn_scale is False
  net = pretrain_config.untrained_network('inception_small', 48, config)
  assert net.header.options == {'use_scale': False}
  assert net.contract.image_size == 48
  config.bn_scale = True
  net = pretrain_config.untrained_network('inception_small', 0, config)
  assert net.header.options == {}
  assert net.contract.image_size == networks.row('inception_small').image_size
  # Without batch norm C1's scale is not left out: there is none.
  config = config_file.fields('convnext_tiny', 'C1')
  net = pretrain_config.untrained_network('convnext_tiny', 64, config)
  assert net.header.options == {}
