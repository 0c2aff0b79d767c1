"""Holds the data of one logistic regression on the devices of a mesh.

Arrays are class-major ([C, N] logits, [C, R] weights): skinny matrix products
run several times faster that way on CPUs. Features keep their float type and
are converted to float64 block by block; see `blocks`. Besides the features, a
few arrays [C, N] are held. Examples are spread over the devices of a mesh.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from tf_transfer.runtime import devices

# How arrays [C, N] are laid out.
CLASSES_BY_EXAMPLES = PartitionSpec(None, devices.DATA_AXIS)

# Values of the features that make one more device worth its messages.
VALUES_PER_DEVICE = 2**24

# Rows that are compared at a time on the host.
_HOST_BLOCK_ROWS = 4096


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=[
    'rows',
    'product_rows',
    'shift',
    'mean',
    'targets',
    'label_mask',
    'row_mask',
    'varies',
  ],
  meta_fields=['mesh', 'streamed', 'product_type'],
)
@dataclasses.dataclass(frozen=True)
class Problem:
  """Examples and labels to which weights are fitted.

  Attributes:
    rows: [N, R], of a float type, the first axis over the devices.
    product_rows: [N, R], the rows that products are made of: the same in
      float32, or the same array where no other type is needed.
    shift: [R] float64, what is subtracted from the rows ahead of all else
      where `product_type` is float64; else zero, and not subtracted.
    mean: [R] float64, of the rows, the shift subtracted.
    targets: [C, N] bool, one-hot classes or independent labels.
    label_mask: [C, N] bool, False where a label is ignored; None for one-hot
      classes, whose loss is the softmax cross-entropy.
    row_mask: [N] bool, False for rows of padding, which make the number of
      rows a multiple of that of the devices.
    varies: [R] bool, False for features that are the same in all rows. The
      bias does what they could do, so their weights are zero.
    mesh: one axis, `data`.
    streamed: whether `rows` and `product_rows` stay in the host's memory, from
      which each block is copied when it is used.
    product_type: of products with the Hessian and of the preconditioner:
      float32, or float64 where float32 has not been exact enough.
  """

  rows: jax.Array
  product_rows: jax.Array
  shift: jax.Array
  mean: jax.Array
  targets: jax.Array
  label_mask: jax.Array | None
  row_mask: jax.Array
  varies: jax.Array
  mesh: Mesh
  streamed: bool
  product_type: np.dtype

  @property
  def is_softmax(self) -> bool:
    """Whether the classes exclude each other."""
    return self.label_mask is None

  @property
  def example_specs(self) -> tuple[PartitionSpec | None, ...]:
    """How rows, targets, label_mask and row_mask are laid out on the mesh."""
    label_mask = None if self.is_softmax else CLASSES_BY_EXAMPLES
    return devices.BATCH, CLASSES_BY_EXAMPLES, label_mask, devices.BATCH


def build_problem(
  features: np.ndarray,
  targets: np.ndarray,
  label_mask: np.ndarray | None,
  mesh: Mesh,
  streamed: bool,
) -> Problem:
  """Puts features [N, D] and labels on the devices of a mesh.

  Args:
    features: [N, D], of a float type.
    targets: [C, N] bool.
    label_mask: [C, N] bool; None for one-hot targets.
    mesh: one axis, `data`.
    streamed: whether the features stay in the host's memory.

  Returns:
    The problem, its `mean` still zero.
  """
  memory_kind = 'pinned_host' if streamed else None
  rows = spread(features, mesh, devices.BATCH, 0, memory_kind)
  product_rows = rows
  if rows.dtype != jnp.float32:
    product_rows = spread(
      features.astype(np.float32), mesh, devices.BATCH, 0, memory_kind
    )
  if label_mask is not None:
    label_mask = spread(label_mask, mesh, CLASSES_BY_EXAMPLES, 1)
  return Problem(
    rows=rows,
    product_rows=product_rows,
    shift=jnp.zeros(features.shape[1]),
    mean=jnp.zeros(features.shape[1]),
    varies=jnp.asarray(_varies(features)),
    targets=spread(targets, mesh, CLASSES_BY_EXAMPLES, 1),
    label_mask=label_mask,
    row_mask=spread(np.ones(len(features), bool), mesh, devices.BATCH, 0),
    mesh=mesh,
    streamed=streamed,
    product_type=np.dtype('float32'),
  )


def in_float64(problem: Problem) -> Problem:
  """Returns the problem with centered rows, whose products are in float64.

  A block of rows is centered when it is converted to float64: that takes no
  memory, and features that hardly vary beside their size lose no digits. In
  centered rows the bias is bias + weights @ shift.

  Args:
    problem: its `mean` known.
  """
  return dataclasses.replace(
    problem,
    product_rows=problem.rows,
    shift=problem.shift + problem.mean,
    mean=jnp.zeros_like(problem.mean),
    product_type=np.dtype('float64'),
  )


def spread(
  array: np.ndarray | jax.Array,
  mesh: Mesh,
  spec: PartitionSpec,
  axis: int,
  memory_kind: str | None = None,
) -> jax.Array:
  """Spreads an array over a mesh, padded with zeros to a multiple of it.

  Args:
    array: of any shape.
    mesh: of devices.
    spec: how the array is laid out on them.
    axis: the one that is spread over the devices and padded.
    memory_kind: as JAX names them; None for the devices' own memory.
  """
  missing = -array.shape[axis] % mesh.size
  if missing:
    pads = [(0, missing if i == axis else 0) for i in range(array.ndim)]
    array = np.pad(array, pads)
  sharding = NamedSharding(mesh, spec, memory_kind=memory_kind)
  return jax.device_put(array, sharding, may_alias=True)


def choose_mesh(num_values: int) -> Mesh:
  """Returns this process's devices, as many as have enough to do.

  Args:
    num_values: of the features, N D.
  """
  local = jax.local_devices()
  num_devices = max(1, num_values // VALUES_PER_DEVICE)
  return devices.data_mesh(local[: min(num_devices, len(local))])


def exceeds_device_memory(
  num_bytes: float, limit: float | None, mesh: Mesh
) -> bool:
  """Returns whether features must stay in the host's memory.

  Args:
    num_bytes: of the features on each device.
    limit: the most bytes that they may take there; by default half of the
      device's memory. CPUs report none and would gain nothing: no limit.
    mesh: of devices that are alike.
  """
  if limit is None:
    memory = mesh.devices.flat[0].memory_stats() or {}
    limit = memory.get('bytes_limit', np.inf) / 2
  return num_bytes > limit


def _varies(features: np.ndarray) -> np.ndarray:
  """Returns [D] bool, False for features that are the same in all rows."""
  varies = np.zeros(features.shape[1], bool)
  for i in range(0, len(features), _HOST_BLOCK_ROWS):
    block = features[i : i + _HOST_BLOCK_ROWS]
    varies |= (block != features[0]).any(axis=0)
    if varies.all():
      break
  return varies
