"""Estimates how long cells take, by a rule of thumb that the run corrects."""

import itertools
import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import ml_collections

from tf_transfer import datasets, networks
from tf_transfer.transfer import folds, operations
from tf_transfer.transfer.setting import Cell

# The share of the speed of a matrix product that networks and solvers reach.
_EFFICIENCY = 0.5
# Seconds of compilation until a network gives its first features, or takes its
# first training step.
_COMPILE_FEATURES, _COMPILE_TRAINING = 8.0, 60.0
# Seconds of a training step beyond its operations: its batch of small images,
# and its start on the devices. Of the smallest network on two cores.
_STEP = 3e-3
_PROBE_SIZE = 1024  # rows and columns of the product that is timed


def cell_operations(
  cells: Sequence[Cell], config: ml_collections.ConfigDict
) -> dict[str, float]:
  """Estimates the operations of each cell, by identity.

  Of the cells that share the features of a network on a dataset, the first
  bears the cost of extracting them.

  Args:
    cells: of the study.
    config: of the study.
  """
  costs, extracted = {}, set()
  for cell in cells:
    cost = folds.cost(cell.setting, cell.network, cell.dataset, config)
    shared = cell.label, cell.dataset.name
    if cell.setting.uses_features and shared not in extracted:
      extracted.add(shared)
      cost += operations.extraction(cell.network, cell.dataset)
    costs[cell.identity] = cost
  return costs


def cell_seconds(
  cells: Sequence[Cell],
  config: ml_collections.ConfigDict,
  speed: float | None = None,
) -> dict[str, float]:
  """Estimates the seconds of each cell, by identity, compilation included.

  Args:
    cells: of the study.
    config: of the study.
    speed: operations per second; None measures it.
  """
  if not cells:
    return {}
  speed, compiled, seconds = speed or operations_per_second(), set(), {}
  costs = cell_operations(cells, config)
  for cell in cells:
    steps = folds.steps(cell.setting, cell.dataset, config)
    seconds[cell.identity] = costs[cell.identity] / speed + _STEP * steps
    program = cell.label, cell.setting.trains and cell.identity
    if program not in compiled:
      compiled.add(program)
      trains = cell.setting.trains
      seconds[cell.identity] += (
        _COMPILE_TRAINING if trains else _COMPILE_FEATURES
      )
  return seconds


def pretraining_seconds(
  net: networks.Network,
  dataset: datasets.Dataset,
  config: ml_collections.ConfigDict,
  speed: float,
) -> float:
  """Estimates the seconds of one pretraining.

  Args:
    net: the network.
    dataset: that it is trained on.
    config: `pretrain` of the job's config.
    speed: operations per second.
  """
  steps = operations.pretraining_steps(dataset, config)
  seconds = operations.pretraining(net, dataset, config) / speed
  return _COMPILE_TRAINING + seconds + _STEP * steps


def extraction_seconds(
  sizes: Sequence[tuple[int, int]], num_images: int, speed: float
) -> float:
  """Estimates the seconds of computing features, compilation included.

  Args:
    sizes: the parameters of each network, and the size that it takes images
      at.
    num_images: that each network is shown.
    speed: operations per second.
  """
  return sum(
    _COMPILE_FEATURES + num_images * operations.forward_at(*size) / speed
    for size in sizes
  )


def operations_per_second() -> float:
  """Measures the speed of all devices, by a product that takes an instant."""
  x = jnp.ones((_PROBE_SIZE, _PROBE_SIZE))
  multiply = jax.jit(jnp.matmul)
  jax.block_until_ready(multiply(x, x))
  # The fastest: other programs may share the device for a moment, and for that
  # no job should be taken for a long one.
  times = [time.monotonic()]
  for _ in range(8):
    jax.block_until_ready(multiply(x, x))
    times.append(time.monotonic())
  seconds = min(b - a for a, b in itertools.pairwise(times))
  return _EFFICIENCY * 2 * _PROBE_SIZE**3 / seconds * len(jax.devices())
