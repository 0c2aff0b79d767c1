"""Predicts the logits of every example of a split with several trials."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from tf_transfer import contract as contract_lib
from tf_transfer import datasets, networks
from tf_transfer.datasets import pipeline
from tf_transfer.runtime import devices, progress

# Views of an image that a network is tested on: the one that is better on val
# (section 5 of the paper's protocol).
VIEWS = ('whole_image', 'central')
_CENTRAL_FRACTION = 0.875  # of each side

# (variables, batch) -> logits [B, C], index [B], mask [B].
Predict = Callable[[Any, Any], tuple[jax.Array, jax.Array, jax.Array]]


def resize_and_contract(
  view: str, contract: contract_lib.Contract
) -> tuple[str, contract_lib.Contract]:
  """Returns the resize and the contract with which the pipeline makes a view.

  Args:
    view: one of VIEWS.
    contract: of the network.
  """
  if view == 'whole_image':
    return 'whole_image', contract
  return 'crop_then_resize', dataclasses.replace(
    contract, crop_fraction=_CENTRAL_FRACTION
  )


def compile_predict(net: networks.Network, mesh: jax.sharding.Mesh) -> Predict:
  """Compiles the function from variables and a batch to the batch's logits.

  Returns:
    (variables, batch) -> logits [B, C], index [B] and mask [B], all rows of
    all processes on every device.
  """

  def logits(variables: Any, image: jax.Array) -> jax.Array:
    return net.apply_logits(variables, net.contract.scale(image))

  # Each device works on its shard of the images alone.
  sharded = jax.shard_map(
    logits,
    mesh=mesh,
    in_specs=(devices.REPLICATED, devices.BATCH),
    out_specs=devices.BATCH,
  )

  def predict(
    variables: Any, batch: Any
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    return sharded(variables, batch['image']), batch['index'], batch['mask']

  return jax.jit(
    predict,
    out_shardings=devices.sharding(mesh, devices.REPLICATED),
    compiler_options=devices.compiler_options(),
  )


def predict_logits(
  predict: Predict,
  contract: contract_lib.Contract,
  variables: Sequence[Any],
  split: datasets.Split,
  view: str,
  mesh: jax.sharding.Mesh,
  *,
  batch_size: int,
  corrupt: str,
  description: str,
) -> tuple[list[np.ndarray], np.ndarray]:
  """Predicts the logits of several trials for every example of a split.

  Args:
    predict: from `compile_predict`.
    contract: of the network.
    variables: of each trial.
    split: the examples.
    view: one of VIEWS.
    mesh: the devices.
    batch_size: examples at once on all devices, rounded up to a multiple of
      the number of devices.
    corrupt: 'error', or 'skip' to leave out images that cannot be decoded.
    description: for the progress bar.

  Returns:
    Logits [N, C] of each trial, and [N] the examples' positions in the split.
  """
  resize, contract = resize_and_contract(view, contract)
  batches = pipeline.batches(
    split,
    contract,
    -(-batch_size // mesh.size) * mesh.size,
    resize=resize,
    process=(jax.process_index(), jax.process_count()),
    corrupt=corrupt,
  )
  logits_by_trial, positions = [[] for _ in variables], []
  sharding = devices.sharding(mesh, devices.BATCH)
  with progress.bar(total=len(split), desc=description, unit=' images') as bar:
    for batch in devices.prefetch_to_devices(batches, sharding):
      for rows, values in zip(logits_by_trial, variables, strict=True):
        logits, index, mask = map(np.asarray, predict(values, batch))
        rows.append(logits[mask])
      positions.append(index[mask])
      bar.update(int(np.sum(index >= 0)))
  return (
    [np.concatenate(rows) for rows in logits_by_trial],
    np.concatenate(positions),
  )
