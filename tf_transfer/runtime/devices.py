"""Sets up processes and devices, and spreads arrays over the devices."""

import collections
import functools
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jax.typing import DTypeLike

from tf_transfer import errors
from tf_transfer.runtime import termination

DATA_AXIS = 'data'

# The same values on every device, as the weights of a network.
REPLICATED = PartitionSpec()
# The first axis split over the devices, as of images and features.
BATCH = PartitionSpec(DATA_AXIS)
# The second axis split over the devices, where the first one counts the parts
# of a batch.
PART_OF_BATCH = PartitionSpec(None, DATA_AXIS)


def connect() -> None:
  """Connects this process to others if the environment names them.

  There are several processes if JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and
  JAX_PROCESS_ID are set, in a step of several tasks of Slurm, and on a TPU pod
  of several hosts. Call this before anything else of JAX.

  Raises:
    InputError: the address is set, but the two numbers are not; or there is no
      device of the platforms that JAX_PLATFORMS names.
  """
  environment = os.environ
  if 'JAX_COORDINATOR_ADDRESS' in environment:
    names = ('JAX_NUM_PROCESSES', 'JAX_PROCESS_ID')
    values = [environment.get(name, '') for name in names]
    if not all(value.isdecimal() for value in values):
      raise errors.InputError(
        'JAX_COORDINATOR_ADDRESS is set: expected numbers in '
        f'{" and ".join(names)} too, found {values}'
      )
    num_processes, process_id = map(int, values)
    jax.distributed.initialize(
      num_processes=num_processes, process_id=process_id
    )
  elif int(environment.get('SLURM_STEP_NUM_TASKS', 1)) > 1 or (
    ',' in environment.get('TPU_WORKER_HOSTNAMES', '')
  ):
    jax.distributed.initialize()
  # The service that connects processes has handlers of its own.
  termination.take_signals()
  check_platforms()


def check_platforms() -> None:
  """Starts JAX on its devices.

  Raises:
    InputError: there is no device of the platforms that JAX_PLATFORMS names.
  """
  try:
    jax.devices()
  # JAX asserts where it knows a platform that this machine does not have.
  except (RuntimeError, AssertionError) as error:
    named = jax.config.jax_platforms
    if not named:
      raise
    jax.config.update('jax_platforms', 'cpu')
    try:
      others = {device.platform for device in jax.devices()}
    finally:
      jax.config.update('jax_platforms', named)
    raise errors.InputError(
      f'JAX_PLATFORMS={named}: JAX finds no such device here (no such '
      'accelerator, no driver, or a jaxlib without it); it runs on '
      f'{", ".join(sorted(others))}: unset JAX_PLATFORMS to let it choose'
    ) from error


def is_leader() -> bool:
  """Returns whether this is process 0, which writes the files of all."""
  return jax.process_index() == 0


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
  """Makes a mesh of one axis, `data`, over the given devices or all."""
  devices = jax.devices() if devices is None else list(devices)
  return jax.make_mesh(
    (len(devices),),
    (DATA_AXIS,),
    axis_types=(AxisType.Auto,),
    devices=devices,
  )


def sharding(mesh: Mesh, spec: PartitionSpec) -> NamedSharding:
  """Returns the sharding of `REPLICATED` or `BATCH` arrays over a mesh."""
  return NamedSharding(mesh, spec)


def empty_aligned(shape: Sequence[int], dtype: DTypeLike) -> np.ndarray:
  """Allocates an array as `np.empty` that a CPU device can use without a copy.

  XLA uses memory in place if it begins at a multiple of 64 bytes.
  """
  size_bytes = math.prod(shape) * np.dtype(dtype).itemsize
  memory = np.empty(size_bytes + 64, np.uint8)
  start = -memory.ctypes.data % 64
  return memory[start : start + size_bytes].view(dtype).reshape(shape)


@functools.cache
def compiler_options() -> dict[str, str]:
  """Returns the `compiler_options` of `jax.jit` for convolutional networks.

  On CPU, XLA chooses YNNPACK for convolutions. In jaxlib 0.10 it is slower
  than Eigen: on two cores 1.2 to 8 times for a convolution, up to 1.6 times
  for an ImageNet network. Its gradients of kernels are also a thousand times
  less exact. So these options keep convolutions from YNNPACK. Sums stay with
  it: those over images, which are frequent in training, take 30 times as long
  elsewhere.

  Returns:
    The options; empty on other devices, or if this jaxlib does not know them.
  """
  options = {
    'xla_cpu_experimental_ynn_fusion_type': 'LIBRARY_FUSION_TYPE_REDUCE'
  }
  if jax.default_backend() != 'cpu' or not _accepted(options):
    return {}
  return options


def _accepted(options: dict[str, str]) -> bool:
  """Returns whether this jaxlib knows the options; they vary by version."""
  try:
    jax.jit(lambda: 0, compiler_options=options).lower().compile()
  except jax.errors.JaxRuntimeError:
    return False
  return True


def enable_compilation_cache(directory: os.PathLike | str) -> None:
  """Caches compiled programs in a directory, unless a cache is set already.

  The next job that needs a program loads it from there.
  """
  if not jax.config.jax_compilation_cache_dir:
    jax.config.update('jax_compilation_cache_dir', str(directory))


def prefetch_to_devices(
  batches: Iterable[Mapping[str, np.ndarray]],
  sharding: NamedSharding,
  ahead: int = 2,
) -> Iterator[dict[str, jax.Array]]:
  """Transfers batches to the devices ahead of their use.

  Args:
    batches: of this process, if there are several.
    sharding: of the first axis of each array.
    ahead: how many batches are transferred beyond the one in use.
  """
  transferred = collections.deque()
  for batch in batches:
    transferred.append(
      {
        name: jax.make_array_from_process_local_data(sharding, array)
        for name, array in batch.items()
      }
    )
    if len(transferred) > ahead:
      yield transferred.popleft()
  yield from transferred


def describe() -> str:
  """Describes the devices for records: '1 x cpu', '8 x NVIDIA H100'."""
  devices = jax.devices()
  return f'{len(devices)} x {devices[0].device_kind}'
