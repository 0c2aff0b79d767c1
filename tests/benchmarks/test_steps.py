"""Checks which options of training are timed, and ours on a small network."""

import numpy as np

from benchmarks import steps, turns
from tests.transfer.training import small
from tf_transfer import networks
from tf_transfer.transfer.training import train_step


def test_candidates_are_configs_of_training():
  """Networks without a place for an auxiliary head are timed without."""
  for changes in (*steps.OPTIONS.values(), *steps.PRETRAINING.values()):
    train_step.TrainConfig(steps=1, batch_size=2, **changes)
  without = steps.candidates('resnet50', pretraining=True)
  assert without.keys() == {'none', 'two parts', 'average'}
  assert steps.candidates('inception_v3', pretraining=True) == (
    steps.PRETRAINING
  )


def test_ready_batch():
  batch = steps.ready_batch(4, 8)
  assert batch['image'].shape == (4, 8, 8, 3)
  assert batch['image'].dtype == np.uint8
  assert batch['label'].max() < steps.CLASSES
  assert batch['mask'].all()


def test_our_step_returns_before_it_is_done(monkeypatch):
  row = networks.Row(small.TinyBackbone, small.SIZE, 6, 174)
  monkeypatch.setitem(networks.TABLE, 'tiny', row)
  call = steps.ours('tiny', 8, small.SIZE, {})
  pending = call()
  assert isinstance(pending, turns.PendingCall)
  metrics = pending.wait()
  assert np.isfinite(float(metrics['loss']))
