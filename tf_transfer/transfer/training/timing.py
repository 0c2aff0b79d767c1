"""Measures how long a step takes, and estimates how long a search takes."""

import dataclasses
import time
from typing import Any

import jax
import numpy as np

from tf_transfer.runtime import devices, units
from tf_transfer.transfer.training import train_step, trials

_NUM_TIMED_STEPS = 3


class SearchProgress:
  """Estimates how long the rest of a search takes, from the steps done."""

  def __init__(self, total_steps: int):
    """Starts the clock.

    Args:
      total_steps: of all trials together.
    """
    self._total_steps = total_steps
    self._steps_done = 0
    self._started = time.monotonic()

  def advance(self, num_steps: int) -> str:
    """Counts steps that were done; says how long the rest will take."""
    self._steps_done += num_steps
    return f'{self.time_left()} left in all'

  def time_left(self) -> str:
    """Says how long the rest will take."""
    # Measured from the start, so that decoding, evaluation and checkpoints
    # count too.
    seconds = time.monotonic() - self._started
    seconds_per_step = seconds / max(self._steps_done, 1)
    steps_left = max(self._total_steps - self._steps_done, 0)
    return units.duration(seconds_per_step * steps_left)

  def print_time_left(self, num_trials_left: int) -> None:
    """Prints how long the rest will take, if trials are left."""
    if num_trials_left and self._steps_done:
      print(
        f'  {units.counted(num_trials_left, "trial")} left: about '
        f'{self.time_left()}',
        flush=True,
      )


def seconds_per_step(
  job: trials.Job, step: train_step.Step, trial: train_step.Trial
) -> tuple[float, float]:
  """Measures how long a step takes to compile and to run.

  Its state is thrown away. Its batch is ready: where decoding is slower than
  the step, training takes longer.

  Returns:
    Seconds of compiling, and of a step.
  """
  (batch,) = devices.prefetch_to_devices(
    [_black_batch(job)], devices.sharding(job.mesh, devices.BATCH)
  )
  state = train_step.new_state(job.variables, job.train_config, job.mesh)
  times = [time.monotonic()]
  for _ in range(1 + _NUM_TIMED_STEPS):
    state, metrics = step(state, dataclasses.asdict(trial), batch)
    jax.block_until_ready(metrics)
    times.append(time.monotonic())
  seconds = (times[-1] - times[1]) / _NUM_TIMED_STEPS
  return times[1] - times[0] - seconds, seconds


def _black_batch(job: trials.Job) -> dict[str, np.ndarray]:
  """Returns a batch of this process, of black images."""
  size, num_processes = job.contract.image_size, jax.process_count()
  num_rows = job.train_config.batch_size // num_processes
  batch = {
    'image': np.zeros((num_rows, size, size, 3), np.uint8),
    'label': np.zeros((num_rows, *job.split.labels.shape[1:]), np.int32),
    'mask': np.ones(num_rows, bool),
    'index': np.zeros(num_rows, np.int32),
  }
  if job.color:
    batch['color'] = np.zeros((num_rows, 5), np.float32)
  return batch


def compile_program(job: trials.Job) -> jax.stages.Compiled:
  """Compiles the program of a job's step; puts nothing on the devices."""

  def describe(values: Any, spec: jax.sharding.PartitionSpec) -> Any:
    sharding = devices.sharding(job.mesh, spec)
    return jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(
        np.shape(x), np.asarray(x).dtype, sharding=sharding
      ),
      values,
    )

  global_batch = {
    name: jax.ShapeDtypeStruct(
      (job.train_config.batch_size, *x.shape[1:]),
      x.dtype,
      sharding=devices.sharding(job.mesh, devices.BATCH),
    )
    for name, x in _black_batch(job).items()
  }
  state = describe(
    train_step.host_state(job.variables, job.train_config), devices.REPLICATED
  )
  trial = dataclasses.asdict(train_step.Trial(1e-3, 0.0))
  return job.compile().lower(state, trial, global_batch).compile()
