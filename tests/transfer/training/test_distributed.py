"""Checks two processes of two devices each against one process."""

import os
import pathlib
import signal
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from tests.transfer.training import distributed
from tf_transfer.runtime import devices

ROOT = pathlib.Path(__file__).parents[3]


def start(directory, *ending, **environment):
  """Starts a process of two devices."""
  directory.mkdir(exist_ok=True)
  module = 'tests.transfer.training.distributed'
  return subprocess.Popen(
    [sys.executable, '-m', module, str(directory), *map(str, ending)],
    cwd=ROOT,
    env={
      **os.environ,
      'XLA_FLAGS': '--xla_force_host_platform_device_count=2',
      **environment,
    },
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def start_two(directory, *ending):
  """Starts two processes, which find each other by JAX's variables."""
  with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    address = f'127.0.0.1:{probe.getsockname()[1]}'
  return [
    start(
      directory,
      *ending,
      JAX_COORDINATOR_ADDRESS=address,
      JAX_NUM_PROCESSES='2',
      JAX_PROCESS_ID=str(number),
    )
    for number in range(2)
  ]


def start_two_by_slurm(directory):
  """Starts two tasks of a step, by the variables that srun sets."""
  # The port that JAX takes is 61440 and the job's number modulo 4096.
  for number in range(4096):
    with socket.socket() as probe:
      if probe.connect_ex(('127.0.0.1', 61440 + number)):
        break
  return [
    start(
      directory,
      SLURM_JOB_ID=str(4096 * 7 + number),
      SLURM_STEP_NODELIST='127.0.0.1',
      SLURM_NTASKS='2',
      SLURM_STEP_NUM_TASKS='2',
      SLURM_STEP_NUM_NODES='1',
      SLURM_PROCID=str(task),
      SLURM_LOCALID=str(task),
    )
    for task in range(2)
  ]


def finish(processes, code=0):
  """Waits for processes; returns what each printed."""
  outputs = [process.communicate(timeout=300)[0] for process in processes]
  for process, output in zip(processes, outputs, strict=True):
    assert process.returncode == code, output
  return outputs


@pytest.fixture(scope='module')
def results(tmp_path_factory):
  """Results of two processes, and of one on four devices and on one."""
  root = tmp_path_factory.mktemp('distributed')
  processes = start_two(root / 'two')
  one, four = (
    distributed.train_and_predict(
      root / str(num_devices), devices.data_mesh(jax.devices()[:num_devices])
    )
    for num_devices in (1, 4)
  )
  finish(processes)
  return {'one': one, 'four': four, 'two': np.load(root / 'two' / 'result.npz')}


def test_parameters_and_predictions_are_the_same(results):
  two, four, one = (results[name] for name in ('two', 'four', 'one'))
  assert [
    (int(x['processes']), int(x['devices'])) for x in (two, four, one)
  ] == [(2, 4), (1, 4), (1, 1)]
  assert 'leaf_0' in one
  for name in one:
    if name in ('processes', 'devices', 'positions', 'skipped'):
      continue
    for other in (two, four):
      np.testing.assert_allclose(
        other[name], one[name], rtol=1e-4, atol=1e-5, err_msg=name
      )


def test_what_any_process_skipped_is_known(results):
  """Of the first 640 of an epoch's 1,046 images, in whatever process."""
  assert len(results['one']['skipped']) > 1
  for values in results.values():
    np.testing.assert_array_equal(values['skipped'], results['one']['skipped'])


def test_every_example_counts_once(results):
  for values in results.values():
    np.testing.assert_array_equal(values['positions'], np.arange(367))


@pytest.mark.slow
def test_two_processes_are_killed_and_resume_under_slurm(tmp_path, results):
  """They resume from the last checkpoint, to the bit as if undisturbed.

  They are recognized as tasks of a Slurm allocation, on loopback.
  """
  directory = tmp_path / 'killed'
  killed = start_two(directory, 20, int(signal.SIGKILL), 14)
  finish(killed, code=-signal.SIGKILL)
  for output in finish(start_two_by_slurm(directory)):
    assert 'from step 14\n' in output
  resumed, undisturbed = np.load(directory / 'result.npz'), results['two']
  assert (int(resumed['processes']), int(resumed['devices'])) == (2, 4)
  assert resumed.files == undisturbed.files
  for name in undisturbed.files:
    np.testing.assert_array_equal(resumed[name], undisturbed[name], name)
