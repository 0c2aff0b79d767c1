"""Prepares training that the pipeline feeds from JPEGs, for `turns`.

The JPEGs are crops of two photos, encoded on the spot. They are decoded,
cropped, flipped and resized, and put on the devices, during the step before.
"""

import dataclasses
import functools
import itertools
import os
import pathlib
import tempfile
import time
from typing import TYPE_CHECKING

from benchmarks import steps, turns

if TYPE_CHECKING:
  from tf_transfer import datasets
  from tf_transfer.transfer.training import trials as trials_lib

# Trials of a search.
NUM_TRIALS = 8


def _split(photo_width: int) -> 'datasets.Split':
  """Returns a split of JPEGs of this width."""
  import numpy as np

  from benchmarks import pipeline  # It has flags of its own.
  from tf_transfer.datasets import splits
  from tf_transfer.datasets.dataset import Split
  from tf_transfer.images import decoding

  data = pipeline.photos(64, (photo_width, photo_width * 3 // 4))
  return Split(
    name='train',
    labels=np.arange(len(data)) % steps.CLASSES,
    digests=splits.content_digests(data),
    read=lambda i: decoding.decode(data[i], f'photo {i}'),
    describe=lambda i: f'photo {i}',
    encoded=data.__getitem__,
  )


def _job(
  name: str,
  batch_size: int,
  image_size: int,
  precision: str,
  photo_width: int,
  num_steps: int,
) -> 'trials_lib.Job':
  """Returns the training of a network on JPEGs."""
  from tf_transfer import networks
  from tf_transfer.runtime import devices
  from tf_transfer.transfer.training import train_step, trials

  net = networks.untrained(name)
  config = train_step.TrainConfig(
    steps=num_steps, batch_size=batch_size, precision=precision
  )
  split = _split(photo_width)
  model = train_step.build_model(net, steps.CLASSES, 100 * batch_size, config)
  return trials.Job(
    model=model,
    contract=dataclasses.replace(net.contract, image_size=image_size),
    train_config=config,
    split=split,
    variables=train_step.initial_variables(model, image_size, seed=0),
    mesh=devices.data_mesh(),
    corrupt='error',
    checkpoint_every=num_steps + 1,
  )


def fed_step(
  name: str, batch_size: int, image_size: int, precision: str, photo_width: int
) -> steps.Call:
  """Prepares a step with its batch; measures the waiting for the batch."""
  import jax

  from tf_transfer.datasets import pipeline as pipeline_lib
  from tf_transfer.runtime import devices
  from tf_transfer.transfer.training import train_step

  job = _job(name, batch_size, image_size, precision, photo_width, 100_000)
  step = job.compile()
  host_batches = pipeline_lib.training_batches(
    job.split, job.contract, batch_size, seed=0, stop=job.train_config.steps
  )
  batches = devices.prefetch_to_devices(
    host_batches, devices.sharding(job.mesh, devices.BATCH)
  )
  states = [train_step.new_state(job.variables, job.train_config, job.mesh)]
  trial = dataclasses.asdict(train_step.Trial(1e-3, 1e-7))

  def call() -> turns.PendingCall:
    started = time.perf_counter()
    batch = next(batches)
    waited = time.perf_counter() - started
    state, metrics = step(states.pop(), trial, batch)
    states.append(state)
    return turns.PendingCall(lambda: jax.block_until_ready(metrics), waited)

  return call


def search(
  name: str,
  batch_size: int,
  image_size: int,
  precision: str,
  photo_width: int,
  num_steps: int,
  num_concurrent: int,
) -> steps.Call:
  """Prepares all trials of a search.

  Args:
    num_concurrent: trials that train at once, on the same batches.
  """
  # Every call would show bars; tqdm reads this when it is imported.
  os.environ['TQDM_DISABLE'] = '1'
  from tf_transfer.runtime import checkpoints
  from tf_transfer.transfer.training import train_step, trials

  job = _job(name, batch_size, image_size, precision, photo_width, num_steps)
  step = job.compile()
  search_trials = [
    train_step.Trial(1e-3 / 2**n, 1e-7) for n in range(NUM_TRIALS)
  ]
  run = functools.partial(trials.train, job, step)
  numbers = itertools.count()
  directory = pathlib.Path(tempfile.mkdtemp())

  def call() -> None:
    for start in range(0, NUM_TRIALS, num_concurrent):
      path = directory / str(next(numbers))
      with checkpoints.Checkpoints(path, 'benchmark') as kept:
        run(
          search_trials[start : start + num_concurrent],
          kept,
          f'{num_concurrent} at once',
        )

  return call
