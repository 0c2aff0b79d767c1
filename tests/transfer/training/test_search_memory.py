"""Checks how many trials fit, and the advice where a step does not."""

import re

import jax
import pytest

from tests.transfer.training import killable, searches
from tf_transfer import errors
from tf_transfer.runtime import devices
from tf_transfer.transfer.training import (
  device_memory,
  search_memory,
  timing,
  train_step,
)


def needed_bytes(search, batch_size):
  """Returns the bytes of the search's step with another batch size."""
  job = killable.job(
    mesh=devices.data_mesh(),
    train_config=train_step.TrainConfig(steps=30, batch_size=batch_size),
  )
  return device_memory.program_bytes(timing.compile_program(job))


def test_out_of_memory(tmp_path, tiny_net, monkeypatch):
  """The error names the batch that fits, by what compiled programs take."""

  def exhaust(job, step, trial):
    raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: out of memory')

  monkeypatch.setattr(timing, 'seconds_per_step', exhaust)
  limit = 200_000
  monkeypatch.setattr(device_memory, 'device_limit', lambda: limit)
  search = searches.build_search(tiny_net, tmp_path, batch_size=1024)
  with pytest.raises(errors.InputError, match='out of device memory') as raised:
    searches.run_search(search)
  fits = int(re.search(r'a batch of (\d+) would fit', str(raised.value))[1])
  # The program of that batch does, that of one half as large again does not.
  assert 0 < fits < 1024
  larger = fits + fits // 16 * 8
  assert needed_bytes(search, fits) < limit < needed_bytes(search, larger)


def test_as_many_trials_as_memory_holds(tmp_path, tiny_net, monkeypatch):
  """With room for a step and 2.5 states more, three trials fit."""
  search = searches.build_search(tiny_net, tmp_path, concurrent_trials=0)
  job = search.build_job(search.dataset.splits['train'])
  state = train_step.host_state(job.variables, job.train_config)
  state_bytes = sum(x.nbytes for x in jax.tree.leaves(state))
  step_bytes = device_memory.program_bytes(timing.compile_program(job))
  limit = (step_bytes + 2.5 * state_bytes) / 0.9
  monkeypatch.setattr(device_memory, 'device_limit', lambda: limit)
  assert search_memory.num_concurrent_trials(search) == 3
  monkeypatch.setattr(device_memory, 'device_limit', lambda: None)
  assert search_memory.num_concurrent_trials(search) == 8
  search = searches.build_search(tiny_net, tmp_path, concurrent_trials=5)
  assert search_memory.num_concurrent_trials(search) == 5
