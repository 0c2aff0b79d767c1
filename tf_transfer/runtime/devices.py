"""The mesh, what is sharded over it, and how to compile for it."""

import collections
import functools
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from tf_transfer import errors

DATA_AXIS = 'data'

# The same on every device, as the weights of a network.
REPLICATED = PartitionSpec()
# The first axis split over the devices, as images and features.
BATCH = PartitionSpec(DATA_AXIS)
# The second one, as where the first counts the parts of a batch.
PART_OF_BATCH = PartitionSpec(None, DATA_AXIS)


def connect() -> None:
  """Makes this one process of several, where the environment says so.

  It does by JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, or
  by being one of several tasks of Slurm, or on a TPU pod of several hosts.
  To be called before anything else of JAX.

  Raises:
    InputError: one of the three is set and another is no number.
  """
  environment = os.environ
  if 'JAX_COORDINATOR_ADDRESS' in environment:
    names = ('JAX_NUM_PROCESSES', 'JAX_PROCESS_ID')
    given = [environment.get(name, '') for name in names]
    if not all(value.isdecimal() for value in given):
      raise errors.InputError(
        'JAX_COORDINATOR_ADDRESS is set: expected numbers in '
        f'{" and ".join(names)} too, found {given}'
      )
    count, number = map(int, given)
    jax.distributed.initialize(num_processes=count, process_id=number)
  elif int(environment.get('SLURM_STEP_NUM_TASKS', 1)) > 1 or (
    ',' in environment.get('TPU_WORKER_HOSTNAMES', '')
  ):
    jax.distributed.initialize()


def leading() -> bool:
  """Whether this process is the one that writes files."""
  return jax.process_index() == 0


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
  """A mesh of one axis, `data`, over the given devices (default: all)."""
  devices = jax.devices() if devices is None else list(devices)
  return jax.make_mesh(
    (len(devices),),
    (DATA_AXIS,),
    axis_types=(AxisType.Auto,),
    devices=devices,
  )


def sharding(mesh: Mesh, spec: PartitionSpec) -> NamedSharding:
  """Where an array goes: `REPLICATED` or `BATCH` over a mesh."""
  return NamedSharding(mesh, spec)


def empty(shape: Sequence[int], dtype) -> np.ndarray:
  """As `np.empty`, and where CPUs are the devices no copy has to be made.

  XLA takes memory as it is if it begins at a multiple of 64 bytes.
  """
  size = math.prod(shape) * np.dtype(dtype).itemsize
  memory = np.empty(size + 64, np.uint8)
  start = -memory.ctypes.data % 64
  return memory[start : start + size].view(dtype).reshape(shape)


@functools.cache
def compiler_options() -> dict[str, str]:
  """The `compiler_options` with which `jax.jit` compiles what convolves.

  On CPU, convolutions are YNNPACK's where XLA chooses, which in jaxlib 0.10
  are slower than Eigen's: on two cores 1.2 to 8 times, ours of ImageNet's
  networks as a whole up to 1.6 times. What they give as the gradient of a
  kernel also is a thousand times less exact. Sums are left to YNNPACK: those
  over images, of which training is full, are 30 times slower elsewhere.
  """
  options = {
    'xla_cpu_experimental_ynn_fusion_type': 'LIBRARY_FUSION_TYPE_REDUCE'
  }
  if jax.default_backend() != 'cpu' or not _accepted(options):
    return {}
  return options


def _accepted(options: dict[str, str]) -> bool:
  """Whether this jaxlib knows an option; they come and go with versions."""
  try:
    jax.jit(lambda: 0, compiler_options=options).lower().compile()
  except jax.errors.JaxRuntimeError:
    return False
  return True


def keep_compiled(directory: os.PathLike | str) -> None:
  """Has compiled programs kept in a directory, if they are nowhere else yet.

  Those of the next job are then there when it starts.
  """
  if not jax.config.jax_compilation_cache_dir:
    jax.config.update('jax_compilation_cache_dir', str(directory))


def on_devices(
  made: Iterable[Mapping[str, np.ndarray]],
  sharding: NamedSharding,
  ahead: int = 2,
) -> Iterator[dict[str, jax.Array]]:
  """Batches whose transfer to the devices runs ahead of their use.

  Args:
    made: batches, of this process where there are several.
    sharding: of each array's first axis.
    ahead: how many batches are on their way beyond the one in use.
  """
  waiting = collections.deque()
  for batch in made:
    waiting.append(
      {
        name: jax.make_array_from_process_local_data(sharding, part)
        for name, part in batch.items()
      }
    )
    if len(waiting) > ahead:
      yield waiting.popleft()
  yield from waiting


def describe() -> str:
  """The devices in words, for records: '1 x cpu', '8 x NVIDIA H100'."""
  devices = jax.devices()
  return f'{len(devices)} x {devices[0].device_kind}'
