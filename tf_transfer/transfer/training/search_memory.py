"""Fits a search into the devices' memory, and advises where it does not fit."""

import dataclasses

import jax
import numpy as np
from jax.experimental import multihost_utils

from tf_transfer.transfer.training import device_memory, timing, train_step
from tf_transfer.transfer.training.search_spec import Search


def num_concurrent_trials(search: Search) -> int:
  """Returns how many trials train at once: as configured, or as fit."""
  if search.config.concurrent_trials:
    return search.config.concurrent_trials
  limit = device_memory.device_limit()
  if limit is None:
    return device_memory.num_concurrent_trials(0, 1, None)
  job = search.build_job(search.dataset.splits['train'])
  state = train_step.host_state(job.variables, job.train_config)
  num_trials = device_memory.num_concurrent_trials(
    device_memory.program_bytes(timing.compile_program(job)),
    sum(x.nbytes for x in jax.tree.leaves(state)),
    limit,
  )
  # All processes train the same trials, and their free memory may differ.
  return int(np.min(multihost_utils.process_allgather(np.array(num_trials))))


def advise(search: Search) -> str:
  """Says what to change where a step exceeds the devices' memory.

  Compiles the step of small batches to estimate that of larger ones.
  """
  job = search.build_job(search.dataset.splits['train'])
  batch_size = job.train_config.batch_size
  num_microbatches = job.train_config.gradient_accumulation_steps
  num_devices = search.mesh.size

  def measure(images_per_device: int) -> int:
    train_config = dataclasses.replace(
      job.train_config,
      batch_size=images_per_device * num_devices * num_microbatches,
    )
    smaller_job = dataclasses.replace(job, train_config=train_config)
    return device_memory.program_bytes(timing.compile_program(smaller_job))

  # A quarter: much smaller batches would compile to another kind of program.
  images = max(1, batch_size // (4 * num_devices * num_microbatches))
  estimate = device_memory.MemoryEstimate.from_measurements(measure, images)
  # A device holds an image of every microbatch at once.
  estimate = dataclasses.replace(
    estimate, per_image_bytes=estimate.per_image_bytes / num_microbatches
  )
  return device_memory.advise(
    estimate,
    device_memory.device_limit(),
    batch_size,
    num_devices,
    num_concurrent_trials(search),
  )
