"""The mesh, what is sharded over it, and keeping TensorFlow off it."""

from collections.abc import Sequence

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

DATA_AXIS = 'data'


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
  """A mesh of one axis, `data`, over the given devices (default: all)."""
  devices = jax.devices() if devices is None else list(devices)
  return jax.make_mesh(
    (len(devices),),
    (DATA_AXIS,),
    axis_types=(AxisType.Auto,),
    devices=devices,
  )


def replicated(mesh: Mesh) -> NamedSharding:
  """The same on every device, as for the weights of a network."""
  return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """The first axis split over the devices, as for images and features."""
  return NamedSharding(mesh, PartitionSpec(DATA_AXIS))


def describe() -> str:
  """The devices in words, for records: '1 x cpu', '8 x NVIDIA H100'."""
  devices = jax.devices()
  return f'{len(devices)} x {devices[0].device_kind}'
