"""Two processes of two devices each, one of four, and one of one."""

import os
import pathlib
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[3]


def start(directory, count, *ending, **environment):
  directory.mkdir(exist_ok=True)
  flags = f'--xla_force_host_platform_device_count={count}'
  return subprocess.Popen(
    [
      *(
        sys.executable,
        '-m',
        'tests.transfer.training.distributed',
        str(directory),
      ),
      *map(str, ending),
    ],
    cwd=ROOT,
    env={**os.environ, 'XLA_FLAGS': flags, **environment},
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def start_two(directory, *ending):
  """Two processes of two devices each."""
  address = f'127.0.0.1:{free_port()}'
  return [
    start(
      directory,
      2,
      *ending,
      JAX_COORDINATOR_ADDRESS=address,
      JAX_NUM_PROCESSES='2',
      JAX_PROCESS_ID=str(number),
    )
    for number in range(2)
  ]


def finish(*processes, code=0):
  """Waits for processes; what each printed."""
  outputs = [process.communicate(timeout=300)[0] for process in processes]
  for process, output in zip(processes, outputs, strict=True):
    assert process.returncode == code, output
  return outputs


def free_port():
  with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    return probe.getsockname()[1]


@pytest.fixture(scope='module')
def found(tmp_path_factory):
  """What each arrangement gave, by processes and devices."""
  root = tmp_path_factory.mktemp('distributed')
  finish(*start_two(root / 'two'))
  finish(start(root / 'four', 4))
  finish(start(root / 'one', 1))
  return {p.name: np.load(p / 'found.npz') for p in root.iterdir()}


def test_same_parameters_and_predictions(found):
  two, four, one = (found[name] for name in ('two', 'four', 'one'))
  assert [
    (int(x['processes']), int(x['devices'])) for x in (two, four, one)
  ] == [(2, 4), (1, 4), (1, 1)]
  for name in one.files:
    if name in ('processes', 'devices', 'kept', 'skipped'):
      continue
    for other in (two, four):
      np.testing.assert_allclose(
        other[name], one[name], rtol=1e-4, atol=1e-5, err_msg=name
      )


def test_what_any_process_skipped_is_known(found):
  """Of the first 640 of an epoch's 1,046 images, in whatever process."""
  assert len(found['one']['skipped']) > 1
  for values in found.values():
    np.testing.assert_array_equal(values['skipped'], found['one']['skipped'])


def test_slurm_allocation_is_recognized(tmp_path, found):
  """Two tasks of a step, by the variables that srun sets, on loopback."""
  # The port that JAX takes is 61440 and the job's number modulo 4096.
  for number in range(4096):
    with socket.socket() as probe:
      if probe.connect_ex(('127.0.0.1', 61440 + number)):
        break
  finish(
    *(
      start(
        tmp_path / 'slurm',
        2,
        SLURM_JOB_ID=str(4096 * 7 + number),
        SLURM_STEP_NODELIST='127.0.0.1',
        SLURM_NTASKS='2',
        SLURM_STEP_NUM_TASKS='2',
        SLURM_STEP_NUM_NODES='1',
        SLURM_PROCID=str(task),
        SLURM_LOCALID=str(task),
      )
      for task in range(2)
    )
  )
  alone, together = found['two'], np.load(tmp_path / 'slurm' / 'found.npz')
  assert (int(together['processes']), int(together['devices'])) == (2, 4)
  for name in alone.files:
    np.testing.assert_array_equal(together[name], alone[name], err_msg=name)


def test_every_example_counts_once(found):
  for values in found.values():
    np.testing.assert_array_equal(values['kept'], np.arange(367))


def test_two_processes_killed_and_started_again(tmp_path, found):
  """They go on from the last checkpoint, to the bit as if undisturbed."""
  directory = tmp_path / 'killed'
  finish(
    *start_two(directory, 20, int(signal.SIGKILL), 14), code=-signal.SIGKILL
  )
  for output in finish(*start_two(directory)):
    assert 'from step 14\n' in output
  killed, undisturbed = np.load(directory / 'found.npz'), found['two']
  for name in undisturbed.files:
    np.testing.assert_array_equal(killed[name], undisturbed[name], name)
