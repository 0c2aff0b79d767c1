"""Compiler options, and batches on their way to the devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tf_transfer import errors
from tf_transfer.networks import ops
from tf_transfer.runtime import devices
from tf_transfer.runtime.devices import prefetch_to_devices


def test_options_that_this_jaxlib_lacks_are_left_out(monkeypatch):
  assert not devices._accepted({'xla_cpu_no_such_option': ''})
  monkeypatch.setattr(devices, '_accepted', lambda options: False)
  assert devices.compiler_options.__wrapped__() == {}


def test_empty_aligned_is_used_without_a_copy():
  for length in (1, 3, 1000):
    memory = devices.empty_aligned((length, 5), np.float32)
    assert memory.shape == (length, 5)
    assert memory.dtype == np.float32
    memory[...] = length
    array = jax.device_put(memory, jax.devices()[0], may_alias=True)
    assert array.unsafe_buffer_pointer() == memory.ctypes.data


def test_options_keep_convolutions_and_not_sums_from_ynnpack():
  """Convolutions' gradients too; YNNPACK's are a thousand times less exact."""
  x = jnp.ones((2, 32, 32, 32))
  kernel = jnp.ones((3, 3, 32, 32))

  def compiled(function):
    return (
      jax.jit(function, compiler_options=devices.compiler_options())
      .lower(x, kernel)
      .compile()
      .as_text()
    )

  assert 'ynn_fusion' not in compiled(ops.native_convolution)
  assert 'ynn_fusion' not in compiled(
    jax.grad(
      lambda *a: jnp.sum(ops.native_convolution(*a) ** 2), argnums=(0, 1)
    )
  )
  assert 'ynn_fusion' in compiled(lambda x, kernel: x.sum((0, 1, 2)))


@pytest.mark.parametrize('number', ['', 'two'])
def test_one_of_several_processes_must_say_which(monkeypatch, number):
  monkeypatch.setenv('JAX_COORDINATOR_ADDRESS', 'localhost:1')
  monkeypatch.setenv('JAX_NUM_PROCESSES', '2')
  monkeypatch.setenv('JAX_PROCESS_ID', number)
  with pytest.raises(errors.InputError, match='JAX_PROCESS_ID'):
    devices.connect()


@pytest.mark.parametrize(
  ('environment', 'calls'),
  [
    ({}, 0),
    ({'SLURM_STEP_NUM_TASKS': '1'}, 0),
    ({'SLURM_STEP_NUM_TASKS': '4'}, 1),
    ({'TPU_WORKER_HOSTNAMES': 'localhost'}, 0),
    ({'TPU_WORKER_HOSTNAMES': 'host-0,host-1'}, 1),
  ],
)
def test_when_there_are_several_processes(monkeypatch, environment, calls):
  """Slurm steps of several tasks, TPU pods of several hosts; JAX does it."""
  for name in (
    *('JAX_COORDINATOR_ADDRESS', 'SLURM_STEP_NUM_TASKS'),
    'TPU_WORKER_HOSTNAMES',
  ):
    monkeypatch.delenv(name, raising=False)
  for name, value in environment.items():
    monkeypatch.setenv(name, value)
  initializations = []
  monkeypatch.setattr(
    jax.distributed,
    'initialize',
    lambda **options: initializations.append(options),
  )
  devices.connect()
  assert initializations == [{}] * calls


def make_batches(count, made_steps):
  for step in range(count):
    made_steps.append(step)
    yield {
      'image': np.full((16, 2, 2, 3), step, np.uint8),
      'label': np.arange(16, dtype=np.int32) + step,
    }


def test_batches_arrive_in_order_and_sharded():
  sharding = devices.sharding(devices.data_mesh(), devices.BATCH)
  arrived = list(prefetch_to_devices(make_batches(5, []), sharding))
  assert len(arrived) == 5
  for step, batch in enumerate(arrived):
    np.testing.assert_array_equal(batch['label'], np.arange(16) + step)
    assert (np.asarray(batch['image']) == step).all()
    for array in batch.values():
      assert array.sharding == sharding
      assert len(array.addressable_shards) == jax.device_count()


def test_two_batches_ahead_and_no_more():
  sharding = devices.sharding(devices.data_mesh(), devices.BATCH)
  made_steps = []
  batches = prefetch_to_devices(make_batches(9, made_steps), sharding, ahead=2)
  assert made_steps == []
  next(batches)
  assert made_steps == [0, 1, 2]
  next(batches)
  assert made_steps == [0, 1, 2, 3]
  assert len(list(batches)) == 7


def test_fewer_batches_than_ahead():
  sharding = devices.sharding(devices.data_mesh(), devices.BATCH)
  assert len(list(prefetch_to_devices(make_batches(1, []), sharding))) == 1
  assert list(prefetch_to_devices(make_batches(0, []), sharding)) == []


@pytest.mark.parametrize(
  'error', [AssertionError(), RuntimeError("Unable to initialize 'cuda'")]
)
def test_a_platform_that_is_not_there(monkeypatch, error):
  """JAX asserts where it knows the platform, and raises where it does not."""
  cpus, before = jax.devices(), jax.config.jax_platforms

  def list_devices():
    if jax.config.jax_platforms == 'cuda':
      raise error
    return cpus

  monkeypatch.setattr(jax, 'devices', list_devices)
  jax.config.update('jax_platforms', 'cuda')
  try:
    with pytest.raises(errors.InputError) as caught:
      devices.check_platforms()
  finally:
    jax.config.update('jax_platforms', before)
  for words in ('JAX_PLATFORMS=cuda', 'runs on cpu', 'unset JAX_PLATFORMS'):
    assert words in str(caught.value)
