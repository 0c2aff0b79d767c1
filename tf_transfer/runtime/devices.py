"""The mesh, what is sharded over it, and keeping TensorFlow off it."""

from collections.abc import Sequence

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

DATA_AXIS = 'data'

# The same on every device, as the weights of a network.
REPLICATED = PartitionSpec()
# The first axis split over the devices, as images and features.
BATCH = PartitionSpec(DATA_AXIS)


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


def describe() -> str:
  """The devices in words, for records: '1 x cpu', '8 x NVIDIA H100'."""
  devices = jax.devices()
  return f'{len(devices)} x {devices[0].device_kind}'
