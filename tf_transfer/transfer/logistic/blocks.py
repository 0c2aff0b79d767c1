"""Passes through the examples of a problem in blocks of rows.

Blocks bound the memory that float64 copies of the features take, and are what
is copied to a device whose memory does not hold all features. All blocks of a
pass have the same number of rows. The last one ends with the last row, so it
may overlap the one before; a mask says which rows no earlier block had.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from tf_transfer.runtime.devices import BATCH, DATA_AXIS, REPLICATED
from tf_transfer.transfer.logistic.problem import Problem

# Rows that are converted to float64 at a time.
BLOCK_ROWS = 2048

# Logits of a block, all classes together, that a CPU's caches hold: 1 MiB.
BLOCK_LOGITS = 2**18


def map_shards(
  problem: Problem, function: Callable, in_specs: Any, out_specs: Any
) -> Callable:
  """Makes a function of whole arrays from one of a device's shards of them.

  Args:
    problem: over whose mesh the arrays are spread.
    function: of each device's shards; it sums over the devices itself.
    in_specs: how its arguments are laid out.
    out_specs: how its results are laid out.
  """
  return jax.shard_map(
    function,
    mesh=problem.mesh,
    in_specs=in_specs,
    out_specs=out_specs,
    check_vma=False,
  )


def block_sizes(num_rows: int, max_rows: int | None = None) -> tuple[int, int]:
  """Divides rows into blocks of the same size.

  Args:
    num_rows: of all blocks together.
    max_rows: the most rows of a block; by default BLOCK_ROWS.

  Returns:
    The number of blocks, and of rows in each.
  """
  num_blocks = -(-num_rows // (max_rows or BLOCK_ROWS))
  return num_blocks, -(-num_rows // num_blocks)


def product_block_rows(problem: Problem, num_rows: int) -> int:
  """Returns the most rows of a block for products in float32.

  On CPUs the logits of a block are still in the caches when the curvature is
  applied to them. An accelerator, whose units a block would leave idle, takes
  all rows at once unless they stay with the host. Rows that are converted to
  float64 are as few as in any other pass.

  Args:
    problem: whose rows they are.
    num_rows: on a device.
  """
  if problem.product_type == jnp.float64:
    return BLOCK_ROWS
  on_cpu = problem.mesh.devices.flat[0].platform == 'cpu'
  if on_cpu or problem.streamed:
    return max(BLOCK_ROWS, BLOCK_LOGITS // len(problem.targets))
  return num_rows


def locate_block(
  index: ArrayLike, block_rows: int, num_rows: int, row_mask: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Finds where a block begins and which of its rows are new.

  Args:
    index: of the block, from 0.
    block_rows: rows of each block, E.
    num_rows: rows of all blocks together.
    row_mask: [num_rows] bool, False for padding.

  Returns:
    The block's first row, and [E] bool, False for rows that the block before
    had already and for padding.
  """
  start = jnp.minimum(index * block_rows, num_rows - block_rows)
  is_new = start + jnp.arange(block_rows) >= index * block_rows
  return start, is_new & lax.dynamic_slice_in_dim(row_mask, start, block_rows)


def load_block(
  problem: Problem, rows: jax.Array, start: ArrayLike, block_rows: int
) -> jax.Array:
  """Returns rows [E, R] from `start` on, in the device's memory.

  They are centered, in float64, where products are in that type.
  """
  block = lax.dynamic_slice_in_dim(rows, start, block_rows)
  if problem.streamed:
    block = jax.device_put(block, jax.memory.Space.Device)
  return _shift_rows(problem, block)


def scan_blocks(
  problem: Problem,
  step: Callable[[Any, jax.Array, jax.Array, jax.Array], Any],
  initial: Any,
  rows: jax.Array,
  row_mask: jax.Array,
  max_rows: int | None = None,
) -> Any:
  """Passes through the rows of a device, as `lax.scan` with a carry alone.

  Args:
    problem: whose rows they are.
    step: (carry, first row, [E] bool which rows are new, [E, R] rows) ->
      carry.
    initial: the carry ahead of the first block.
    rows: [N, R], those of this device.
    row_mask: [N] bool.
    max_rows: the most rows of a block; by default BLOCK_ROWS.

  Returns:
    The last carry.
  """
  num_blocks, block_rows = block_sizes(len(rows), max_rows)

  def body(index: jax.Array, carry: Any) -> Any:
    start, is_new = locate_block(index, block_rows, len(rows), row_mask)
    block = load_block(problem, rows, start, block_rows)
    return step(carry, start, is_new, block)

  return lax.fori_loop(0, num_blocks, body, initial)


def sum_blocks(
  problem: Problem,
  function: Callable[[jax.Array, jax.Array], Any],
  rows: jax.Array,
  row_mask: jax.Array,
) -> Any:
  """Sums a function of blocks over the rows of a device.

  Args:
    problem: whose rows they are.
    function: ([E, R] rows in float64, [E] bool which are new) -> what is
      summed.
    rows: [N, R], those of this device.
    row_mask: [N] bool.
  """
  num_blocks, block_rows = block_sizes(len(rows))

  def term(index: ArrayLike) -> Any:
    start, is_new = locate_block(index, block_rows, len(rows), row_mask)
    block = load_block(problem, rows, start, block_rows)
    return function(block.astype(jnp.float64), is_new)

  shapes = jax.eval_shape(term, 0)
  zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
  return lax.fori_loop(
    0,
    num_blocks,
    lambda index, total: jax.tree.map(jnp.add, total, term(index)),
    zeros,
  )


def slice_examples(arrays: Any, start: ArrayLike, num_examples: int) -> Any:
  """Returns a block of examples of arrays [..., N]; None stays None."""
  return jax.tree.map(
    lambda array: lax.dynamic_slice_in_dim(array, start, num_examples, axis=-1),
    arrays,
  )


@jax.jit
def mean_row(problem: Problem) -> jax.Array:
  """Returns the mean [R] float64 of the rows."""

  def shard_sum(rows: jax.Array, row_mask: jax.Array) -> jax.Array:
    def block_sum(block: jax.Array, is_new: jax.Array) -> jax.Array:
      return jnp.where(is_new[:, None], block, 0).sum(axis=0)

    return lax.psum(sum_blocks(problem, block_sum, rows, row_mask), DATA_AXIS)

  total = map_shards(problem, shard_sum, (BATCH, BATCH), REPLICATED)(
    problem.rows, problem.row_mask
  )
  return total / jnp.sum(problem.row_mask)


def gather_rows(problem: Problem, index: jax.Array) -> jax.Array:
  """Returns rows [M, R] by their index [M], on every device.

  They are collected from all devices, or from the host's memory where the
  features stay there.
  """

  def shard_gather(rows: jax.Array, row_mask: jax.Array) -> jax.Array:
    shard_start = lax.axis_index(DATA_AXIS) * len(rows)

    def take(
      block: jax.Array, start: ArrayLike, gathered: jax.Array
    ) -> jax.Array:
      position = index - shard_start - start
      in_block = (position >= 0) & (position < len(block))
      matches = block[jnp.clip(position, 0, len(block) - 1)]
      return jnp.where(in_block[:, None], matches, gathered)

    gathered = jnp.zeros((len(index), rows.shape[1]), problem.product_type)
    if not problem.streamed:
      return _shift_rows(problem, lax.psum(take(rows, 0, gathered), DATA_AXIS))

    def step(
      gathered: jax.Array, start: jax.Array, _: jax.Array, block: jax.Array
    ) -> jax.Array:
      return take(block, start, gathered)

    gathered = scan_blocks(problem, step, gathered, rows, row_mask)
    return lax.psum(gathered, DATA_AXIS)

  return map_shards(problem, shard_gather, (BATCH, BATCH), REPLICATED)(
    problem.product_rows, problem.row_mask
  )


def _shift_rows(problem: Problem, rows: jax.Array) -> jax.Array:
  """Subtracts the problem's shift from rows [E, R], if it has one."""
  if problem.product_type != jnp.float64:
    return rows
  return rows.astype(jnp.float64) - problem.shift
