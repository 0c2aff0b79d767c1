"""Measures how long the parts of a fine-tuning take on this device."""

import contextlib
import dataclasses
import pathlib
import tempfile
import time

import jax
import numpy as np

from tf_transfer import datasets
from tf_transfer.datasets import pipeline
from tf_transfer.images import decoding as decoding_lib
from tf_transfer.networks import table
from tf_transfer.study.quick_plan import Timings
from tf_transfer.transfer.training import (
  evaluation,
  predictions,
  search_spec,
  timing,
  train_step,
)

_NUM_BATCHES = 4  # that are decoded and cropped
_NUM_DECODED = 32  # images
# Bytes a second at which checkpoints are written, and those of a parameter
# with its momentum.
_WRITING, _BYTES_PER_PARAMETER = 1e8, 8
# Seconds from the test to the end, figures and page included.
_END = 12.0


def measure(search: search_spec.Search) -> Timings:
  """Measures a few steps and evaluations; their results are thrown away.

  Args:
    search: with the network at the image size that is measured, and the batch
      size.
  """
  with tempfile.TemporaryDirectory() as directory:
    search = dataclasses.replace(search, directory=pathlib.Path(directory))
    decoding = _time_decoding(search.dataset.splits['train'])
    job = search.build_job(search.dataset.splits['train'])
    # What the first one has compiled the later ones of the search need not.
    started = time.monotonic()
    job = search.build_job(search.dataset.splits['train'])
    setup = time.monotonic() - started
    compiling, step = timing.seconds_per_step(
      job, job.compile(), train_step.Trial(1e-3, 0.0)
    )
    batch = _time_batches(search)
    compiling_evaluation, evaluating = _time_evaluation(search, job.variables)
    # Once more, since other programs may share the device.
    _, again = timing.seconds_per_step(
      job, job.compile(), train_step.Trial(1e-3, 0.0)
    )
  parameters = table.row(search.net.name).parameters
  return Timings(
    image_size=search.net.contract.image_size,
    setup=setup,
    compile=compiling,
    # The threads that decode and those that train share a CPU's cores.
    step=max(step, again) + batch,
    compile_evaluation=compiling_evaluation,
    evaluation=evaluating,
    decoding=decoding,
    checkpoint=parameters * _BYTES_PER_PARAMETER / _WRITING,
    end=_END,
  )


def _time_decoding(split: datasets.Split) -> float:
  """Returns the seconds of decoding an image, by one thread."""
  positions = _some(split, _NUM_DECODED)
  started = time.monotonic()
  for i in positions:
    with contextlib.suppress(decoding_lib.CorruptImage):
      split.read(int(i))
  return (time.monotonic() - started) / len(positions)


def _time_batches(search: search_spec.Search) -> float:
  """Returns the seconds of making a batch to train on."""
  batches = pipeline.training_batches(
    search.dataset.splits['train'],
    search.net.contract,
    search.config.batch_size,
    seed=0,
    stop=_NUM_BATCHES,
    corrupt='skip',
  )
  started = time.monotonic()
  for _ in batches:
    pass
  return (time.monotonic() - started) / _NUM_BATCHES


def _time_evaluation(
  search: search_spec.Search, variables: object
) -> tuple[float, float]:
  """Returns the seconds of compiling an evaluation, and of an image."""
  val = search.dataset.splits['val']
  part = datasets.select(val, _some(val, 2 * search.config.batch_size))
  search = dataclasses.replace(search, corrupt='skip')
  evaluator = evaluation.Evaluator(search)
  on_devices = jax.device_put(variables)
  times = [time.monotonic()]
  for _ in range(2):
    evaluator.predict([on_devices], part, predictions.VIEWS[0])
    times.append(time.monotonic())
  seconds = times[2] - times[1]
  # The last batch is padded to the size of the others.
  num_batches = -(-len(part) // search.config.batch_size)
  per_image = seconds / min(len(part), num_batches * search.config.batch_size)
  return max(times[1] - times[0] - seconds, 0.0), per_image


def _some(split: datasets.Split, count: int) -> np.ndarray:
  """Returns positions spread over a split."""
  count = min(count, len(split))
  return np.unique(np.linspace(0, len(split) - 1, count).astype(int))
