"""Defines the smallest networks, and trains them, for tests of training."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from tf_transfer.networks import classifier, layers
from tf_transfer.runtime import devices
from tf_transfer.transfer.training import train_step

SIZE = 8
CLASSES = 5
TRIAL = train_step.Trial(learning_rate=0.2, weight_decay=0.01)


class TinyBackbone(layers.Normalized):
  """One convolution, with batch norm or without: [B, H, W, 3] -> [B, 6]."""

  normalized: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    if self.normalized:
      x = self.conv_bn(6, (3, 3), name='stem')(x, train)
    else:
      x = nn.relu(layers.Conv(6, (3, 3), use_bias=True, name='stem')(x))
    return x.mean(axis=(1, 2))


class AuxiliaryBackbone(TinyBackbone):
  """The same with a place for an auxiliary head."""

  auxiliary_after = 'image'

  def with_auxiliary(
    self, x: jax.Array, train: bool = False
  ) -> tuple[jax.Array, jax.Array]:
    return self(x, train), x


def tiny(
  normalized: bool = True, dropout: float = 0.0
) -> classifier.Classifier:
  """Builds the tiny network."""
  backbone = TinyBackbone(normalized=normalized, momentum=0.8)
  return classifier.Classifier(backbone, CLASSES, dropout)


def with_auxiliary() -> classifier.Classifier:
  """Builds the tiny network with an auxiliary head."""
  return classifier.Classifier(
    AuxiliaryBackbone(), CLASSES, auxiliary_head=True
  )


def scale(image: jax.Array) -> jax.Array:
  """Scales pixels to −1 to 1."""
  return image.astype(jnp.float32) / 128 - 1


def batches(
  num_batches: int, size: int = 16, seed: int = 0, multi_label: bool = False
) -> Iterator[dict[str, np.ndarray]]:
  """Draws batches of noise, a fifth of their examples masked."""
  rng = np.random.default_rng(seed)
  for _ in range(num_batches):
    label = rng.integers(0, CLASSES, size)
    if multi_label:
      label = rng.integers(-1, 2, (size, CLASSES))
    yield {
      'image': rng.integers(0, 256, (size, SIZE, SIZE, 3)).astype(np.uint8),
      'label': label.astype(np.int32),
      'mask': rng.random(size) > 0.2,
    }


@functools.cache
def _initial_variables(model: classifier.Classifier) -> dict[str, Any]:
  return train_step.initial_variables(model, SIZE, seed=0)


def train(
  model: classifier.Classifier,
  config: train_step.TrainConfig,
  batches: Iterable[dict[str, np.ndarray]],
  *,
  num_devices: int = 1,
  variables: Any = None,
  trial: train_step.Trial = TRIAL,
) -> tuple[Any, list[tuple[train_step.State, dict[str, Any]]]]:
  """Trains on some devices.

  Returns:
    The initial variables; and the state and metrics after each step, on the
    host.
  """
  mesh = devices.data_mesh(jax.devices()[:num_devices])
  if variables is None:
    variables = _initial_variables(model)
  state = train_step.new_state(variables, config, mesh)
  step = train_step.compile_step(model, scale, config, mesh)
  sharding = devices.sharding(mesh, devices.BATCH)
  history = []
  for batch in devices.prefetch_to_devices(batches, sharding):
    state, metrics = step(state, dataclasses.asdict(trial), batch)
    history.append(jax.device_get((state, metrics)))
  return variables, history
