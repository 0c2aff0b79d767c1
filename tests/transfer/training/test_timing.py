"""Checks how long a search is said to take."""

import dataclasses

import pytest

from tests.transfer.training import killable
from tf_transfer.transfer.training import timing


def test_time_left(monkeypatch, capsys):
  """Of 100 steps 10 took 20 s, so that 90 take 180 s."""
  now = [100.0]
  monkeypatch.setattr(timing.time, 'monotonic', lambda: now[0])
  progress = timing.SearchProgress(100)
  progress.print_time_left(3)
  assert capsys.readouterr().out == ''
  now[0] = 120.0
  assert progress.advance(10) == '3 min left in all'
  progress.print_time_left(3)
  assert capsys.readouterr().out == '  3 trials left: about 3 min\n'
  progress.print_time_left(0)
  assert capsys.readouterr().out == ''
  assert progress.advance(200) == '0 s left in all'


def test_seconds_per_step(monkeypatch):
  """Compiling takes 5 s beyond a step of 2 s; the state is thrown away."""
  now, steps = [0.0], []
  monkeypatch.setattr(timing.time, 'monotonic', lambda: now[0])

  def step(state, trial, batch):
    steps.append((trial, batch))
    now[0] += 7.0 if len(steps) == 1 else 2.0
    return state, {'loss': 0.0}

  job = killable.job()
  times = timing.seconds_per_step(job, step, killable.TRIALS[0])
  assert times == pytest.approx((5.0, 2.0))
  assert len(steps) == 4
  trial, batch = steps[0]
  assert trial == {'learning_rate': 0.1, 'weight_decay': 1e-3}
  assert batch['image'].shape == (16, 8, 8, 3)
  assert batch['mask'].all()
  assert 'color' not in batch
  job = killable.job(
    train_config=dataclasses.replace(job.train_config, color_distortion='slow')
  )
  timing.seconds_per_step(job, step, killable.TRIALS[0])
  assert steps[-1][1]['color'].shape == (16, 5)
