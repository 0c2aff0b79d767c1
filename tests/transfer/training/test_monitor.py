"""Checks what is measured of trials, and when a profile is taken."""

import jax.numpy as jnp
import pytest

from tf_transfer.transfer.training import monitor


@pytest.fixture
def profiles(monkeypatch):
  """Records the steps at which profiles start and stop."""
  from clu import profiler

  calls = []
  monkeypatch.setattr(profiler, 'start', lambda logdir: calls.append('start'))
  monkeypatch.setattr(profiler, 'stop', lambda: calls.append('stop'))
  return calls


def train(job_monitor, num_steps, calls):
  """Trains a group of one trial; notes the steps between the calls."""
  with job_monitor.trials((), (), 16) as trial_monitor:
    for step in range(1, num_steps + 1):
      before = len(calls)
      trial_monitor.step(step, {0: {'loss': jnp.array(1.0)}})
      calls[before:] = [(call, step) for call in calls[before:]]


def test_a_job_is_profiled_once_after_its_first_steps(tmp_path, profiles):
  config = monitor.MonitorConfig(tmp_path, log_every=100, profile_steps=3)
  job_monitor = monitor.JobMonitor(config)
  train(job_monitor, 9, profiles)
  assert profiles == []
  train(job_monitor, 20, profiles)
  assert profiles == [('start', 10), ('stop', 13)]
  train(job_monitor, 20, profiles)
  assert len(profiles) == 2


def test_a_profile_ends_with_its_trials(tmp_path, profiles):
  config = monitor.MonitorConfig(tmp_path, log_every=100, profile_steps=5)
  job_monitor = monitor.JobMonitor(config)
  train(job_monitor, 12, profiles)
  assert profiles == [('start', 10), 'stop']
  train(job_monitor, 20, profiles)
  assert len(profiles) == 2


@pytest.mark.parametrize(
  'change', [{'profile_steps': 0}, {'directory': None, 'profile_steps': 3}]
)
def test_no_profile(tmp_path, profiles, change):
  config = monitor.MonitorConfig(**{'directory': tmp_path, **change})
  train(monitor.JobMonitor(config), 20, profiles)
  assert profiles == []


def test_speed_counts_every_trial_and_waiting(monkeypatch):
  """Ten steps of two trials of 16 images in 4 s, 1 s of which it waits."""
  now = [0.0]
  monkeypatch.setattr(monitor.time, 'monotonic', lambda: now[0])
  job_monitor = monitor.JobMonitor(monitor.MonitorConfig(log_every=10))
  job_monitor.progress = lambda num_steps: f'{num_steps} at once'

  def batches():
    for number in range(10):
      now[0] += 0.1
      yield number

  with job_monitor.trials((), (), 16) as trial_monitor:
    for number in trial_monitor.time_waiting(batches()):
      assert trial_monitor.summary() == ('2 at once' if number else '')
      now[0] += 0.3
      metrics = {'loss': jnp.array(1.0)}
      trial_monitor.step(number + 1, {0: metrics, 1: metrics})
    assert trial_monitor.summary() == '80 images/s, 25% waiting, 2 at once'
