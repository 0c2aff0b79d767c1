"""Checks estimates of memory, and the advice where it is not enough."""

import jax
import jax.numpy as jnp
import pytest

from tf_transfer import errors
from tf_transfer.transfer.training import device_memory

GIBIBYTE = 2**30


def test_estimate_from_two_batches():
  estimate = device_memory.MemoryEstimate.from_measurements(
    lambda images: 1000 + 30 * images, images=4
  )
  assert (estimate.fixed_bytes, estimate.per_image_bytes) == (1000, 30)
  assert estimate.max_images(2000) == 26  # (0.9 × 2000 − 1000) / 30
  assert estimate.max_images(1100) == 0


@pytest.mark.parametrize(
  ('limit', 'num_trials', 'expected'),
  [
    (None, 1, 'a smaller batch_size, or a larger gradient_accumulation_steps'),
    (10, 1, 'a batch of 80 would fit'),  # 2 × (9 − 1) / 0.2
    (
      10,
      1,
      r'gradient_accumulation_steps=4 to process the 256 images in parts of 64',
    ),
    (40, 8, 'set concurrent_trials to less than 8'),
    (1, 1, 'not even one image fits'),
  ],
)
def test_advise(limit, num_trials, expected):
  estimate = device_memory.MemoryEstimate(GIBIBYTE, 0.2 * GIBIBYTE)
  text = device_memory.advise(
    estimate, limit and limit * GIBIBYTE, 256, 2, num_trials
  )
  assert '26.60 GiB on each of 2 devices' in text
  assert expected in text


@pytest.mark.parametrize(
  ('step_bytes', 'limit', 'expected'),
  [(500, 1000, 5), (2000, 1000, 1), (500, None, 8)],
)
def test_num_concurrent_trials(step_bytes, limit, expected):
  """Of 100 bytes each, in nine tenths of the limit."""
  actual = device_memory.num_concurrent_trials(step_bytes, 100, limit)
  assert actual == expected


def test_program_bytes():
  """An input of 4 MB, an output of as much, and its sum."""
  x = jnp.zeros((1024, 1024))
  compiled = jax.jit(lambda x: x + x.sum()).lower(x).compile()
  assert 8 * 2**20 <= device_memory.program_bytes(compiled) < 9 * 2**20


def test_report_exhaustion():
  with (
    pytest.raises(errors.InputError, match='a cell: out of device memory: '),
    device_memory.report_exhaustion('a cell', lambda: 'buy more'),
  ):
    raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory')
  with (
    pytest.raises(jax.errors.JaxRuntimeError, match='INTERNAL'),
    device_memory.report_exhaustion('a cell', lambda: 'buy more'),
  ):
    raise jax.errors.JaxRuntimeError('INTERNAL: a bug')
