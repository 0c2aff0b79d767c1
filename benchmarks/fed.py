"""Training that the pipeline feeds from JPEGs, as candidates that are timed.

The JPEGs are parts of two photos, made on the spot; they are decoded, cropped,
flipped and resized, and put on the devices while the step before is computed.
"""

import dataclasses
import functools
import itertools
import os
import pathlib
import tempfile
import time

from benchmarks import steps, turns

# Of a search.
TRIALS = 8


def _split(photo_width: int):
  import numpy as np

  from benchmarks import pipeline  # It has flags of its own.
  from tf_transfer.datasets import splits
  from tf_transfer.datasets.dataset import Split
  from tf_transfer.datasets.images import decoding

  data = pipeline.photos(64, (photo_width, photo_width * 3 // 4))
  return Split(
    name='train',
    labels=np.arange(len(data)) % steps.CLASSES,
    digests=splits.content_digests(data),
    read=lambda i: decoding.decode(data[i], f'photo {i}'),
    describe=lambda i: f'photo {i}',
    encoded=data.__getitem__,
  )


def _job(name, batch_size, size, precision, photo_width, step_count):
  from tf_transfer import networks
  from tf_transfer.runtime import devices
  from tf_transfer.transfer.training import train_step, trials

  net = networks.untrained(name)
  config = train_step.TrainConfig(
    steps=step_count, batch_size=batch_size, precision=precision
  )
  split = _split(photo_width)
  model = train_step.build_model(net, steps.CLASSES, 100 * batch_size, config)
  return trials.Job(
    model=model,
    contract=dataclasses.replace(net.contract, image_size=size),
    train_config=config,
    split=split,
    variables=train_step.initial_variables(model, size, seed=0),
    mesh=devices.data_mesh(),
    corrupt='error',
    checkpoint_every=step_count + 1,
  )


def fed(
  name: str, batch_size: int, size: int, precision: str, photo_width: int
) -> steps.Call:
  """A step and the making of its batch; says how long it waited for that."""
  import jax

  from tf_transfer.datasets import pipeline as batches
  from tf_transfer.runtime import devices
  from tf_transfer.transfer.training import train_step

  job = _job(name, batch_size, size, precision, photo_width, 100_000)
  step = job.compile()
  made = batches.training_batches(
    job.split, job.contract, batch_size, seed=0, stop=job.train_config.steps
  )
  made = devices.prefetch_to_devices(
    made, devices.sharding(job.mesh, devices.BATCH)
  )
  states = [train_step.new_state(job.variables, job.train_config, job.mesh)]
  trial = dataclasses.asdict(train_step.Trial(1e-3, 1e-7))

  def call():
    started = time.perf_counter()
    batch = next(made)
    waited = time.perf_counter() - started
    state, metrics = step(states.pop(), trial, batch)
    states.append(state)
    return turns.Begun(lambda: jax.block_until_ready(metrics), waited)

  return call


def search(
  name: str,
  batch_size: int,
  size: int,
  precision: str,
  photo_width: int,
  step_count: int,
  together: int,
) -> steps.Call:
  """All trials of a search, so many at a time on the same batches."""
  os.environ['TQDM_DISABLE'] = '1'  # Bars of every call; read at the import.
  from tf_transfer.runtime import checkpoints
  from tf_transfer.transfer.training import train_step, trials

  job = _job(name, batch_size, size, precision, photo_width, step_count)
  step = job.compile()
  chosen = [train_step.Trial(1e-3 / 2**n, 1e-7) for n in range(TRIALS)]
  run = functools.partial(trials.train, job, step)
  numbers = itertools.count()
  directory = pathlib.Path(tempfile.mkdtemp())

  def call():
    for start in range(0, TRIALS, together):
      path = directory / str(next(numbers))
      with checkpoints.Checkpoints(path, 'benchmark') as kept:
        run(chosen[start : start + together], kept, f'{together} together')

  return call
