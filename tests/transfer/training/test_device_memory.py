"""What is said where memory does not hold a step."""

import jax
import jax.numpy as jnp
import pytest

from tf_transfer import errors
from tf_transfer.transfer.training import device_memory

GIGABYTE = 2**30


def test_need_and_what_fits():
  need = device_memory.MemoryEstimate.from_measurements(
    lambda images: 1000 + 30 * images, images=4
  )
  assert (need.fixed_bytes, need.per_image_bytes) == (1000, 30)
  assert need.max_images(2000) == 26  # (0.9 × 2000 − 1000) / 30
  assert need.max_images(1100) == 0


@pytest.mark.parametrize(
  ('limit', 'concurrent_trials', 'expected'),
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
def test_advise(limit, concurrent_trials, expected):
  need = device_memory.MemoryEstimate(GIGABYTE, 0.2 * GIGABYTE)
  text = device_memory.advise(
    need, limit and limit * GIGABYTE, 256, 2, concurrent_trials
  )
  assert '26.60 GiB on each of 2 devices' in text
  assert expected in text


def test_trials_at_once():
  assert (
    device_memory.num_concurrent_trials(
      step_bytes=500, state_bytes=100, limit=1000
    )
    == 5
  )
  assert (
    device_memory.num_concurrent_trials(
      step_bytes=2000, state_bytes=100, limit=1000
    )
    == 1
  )
  assert (
    device_memory.num_concurrent_trials(
      step_bytes=500, state_bytes=100, limit=None
    )
    == 8
  )


def test_compiled_program():
  """An input of 4 MB, an output of as much, and its sum."""
  x = jnp.zeros((1024, 1024))
  compiled = jax.jit(lambda x: x + x.sum()).lower(x).compile()
  assert 8 * 2**20 <= device_memory.program_bytes(compiled) < 9 * 2**20


def test_explained():
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
