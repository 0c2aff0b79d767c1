"""Checks that pretraining over several devices is that on one."""

import dataclasses
import json
import math

import jax
import numpy as np
import pytest

from tests.networks import drawn
from tests.transfer.training import small
from tf_transfer import networks
from tf_transfer.configs import pretrain as config_file
from tf_transfer.runtime import devices
from tf_transfer.transfer.training import (
  pretrain_config,
  pretraining,
  train_step,
)

# The smallest at which the auxiliary head's window of 5 × 5 fits.
SMALLEST_V4 = 107


def losses_over(num_devices, model, variables, train_config, trial, batches):
  """Returns the loss of a step for each batch, in double precision."""
  mesh = devices.data_mesh(jax.devices()[:num_devices])
  step = train_step.compile_step(
    model,
    lambda image: image.astype(np.float64) / 127.5 - 1,
    train_config,
    mesh,
  )
  state = train_step.new_state(
    jax.tree.map(np.float64, variables), train_config, mesh
  )
  losses = []
  for batch in devices.prefetch_to_devices(
    batches, devices.sharding(mesh, devices.BATCH)
  ):
    state, metrics = step(state, dataclasses.asdict(trial), batch)
    losses.append(float(metrics['loss']))
  return losses


@pytest.mark.parametrize(
  ('name', 'size', 'configuration'),
  [
    ('tiny', small.SIZE, 'C1'),
    *(
      pytest.param(*case, marks=pytest.mark.slow)
      for case in (
        ('inception_small', 32, 'C1'),
        ('inception_small', 32, 'C5'),
        ('inception_v4', SMALLEST_V4, 'C1'),
        ('inception_v4', SMALLEST_V4, 'C5'),
      )
    ),
  ],
)
def test_sharded_over_eight_devices(configuration, name, size, monkeypatch):
  """Three steps: the same losses as on one device.

  In double precision: in single, batch norm in training amplifies what is
  left of a sum's order, layer by layer, to the size of the loss.
  """
  row = networks.Row(small.AuxiliaryBackbone, small.SIZE, 6, 174)
  monkeypatch.setitem(networks.TABLE, 'tiny', row)
  config = config_file.fields(name, configuration)
  assert config.auxiliary_head is (configuration == 'C1')
  config.update({'batch_size': 16, 'epochs': 1.0, 'ema_decay': 0.9})
  train_config = pretrain_config.build_train_config(config, num_examples=48)
  assert train_config.steps == 3
  net = pretrain_config.untrained_network(name, size, config)
  model = train_step.build_model(net, 10, 48, train_config)
  variables = drawn.variables(model, size)
  trial = pretrain_config.build_trial(config)
  rng = np.random.default_rng(1)
  batches = [
    {
      'image': rng.integers(0, 256, (16, *[size] * 2, 3), np.uint8),
      'label': rng.integers(0, 10, 16).astype(np.int32),
      'mask': np.ones(16, bool),
    }
    for _ in range(3)
  ]
  losses = []
  with jax.enable_x64(True):
    for num_devices in (1, 8):
      losses.append(
        losses_over(num_devices, model, variables, train_config, trial, batches)
      )
      if name != 'tiny':  # Inception v4's programs are large.
        jax.clear_caches()
  assert all(math.isfinite(loss) for loss in losses[0])
  assert len(set(losses[0])) == 3
  np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)


def test_damaged_choice_is_made_again(tmp_path, caplog):
  path = tmp_path / 'choice.json'
  assert pretraining._read_choice(path, 'a') is None
  content = {'identity': 'a', 'steps': 4, 'value': 0.5, 'curve': [[4, 0.5]]}
  path.write_text(json.dumps(content))
  choice = pretraining._read_choice(path, 'a')
  assert choice == pretraining.StepChoice(4, 0.5, ((4, 0.5),))
  assert pretraining._read_choice(path, 'b') is None
  assert not caplog.text
  for damage in ({'steps': 0}, {'curve': []}, {'value': 'x'}):
    caplog.clear()
    path.write_text(json.dumps({**content, **damage}))
    assert pretraining._read_choice(path, 'a') is None
    assert f'{path}: {next(iter(damage))}' in caplog.text
    assert 'chosen again' in caplog.text
  for text in ('{"identity"', '[]', '{}', '7', '\x00'):
    path.write_text(text)
    assert pretraining._read_choice(path, 'a') is None
