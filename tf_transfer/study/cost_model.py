"""How long cells will take: a rule of thumb, to be corrected on the way.

A network's forward pass is held to take as many operations as its parameters
times its input's pixels times a constant: within a factor of two that is so
for all of the table but the DenseNets, which take three times as many.
"""

import datetime
import math
import time

import jax
import jax.numpy as jnp
import ml_collections

from tf_transfer import datasets, networks
from tf_transfer.transfer.fixed_features import classifiers
from tf_transfer.transfer.training import grid as grid_lib
from tf_transfer.transfer.training import halving, search

# Operations for each parameter and pixel: ResNet-50 takes 8.2e9 for 23.5e6
# parameters and 224² pixels.
_REUSE = 0.006
# Of the speed of a matrix product, what networks and classifiers reach.
_EFFICIENCY = 0.5
# Gradients take twice as many operations as the outputs.
_TRAINING = 3
# Passes over the features for each penalty.
_PASSES = 20
# Until a network can be used on its first image: for features, for training.
_COMPILING = {False: 8.0, True: 60.0}  # seconds
_PROBE = 1024  # rows and columns of the product that is timed


def forward(net: networks.Network) -> float:
  """Operations that an image takes."""
  pixels = net.contract.image_size**2
  return _REUSE * networks.row(net.name).parameters * pixels


def images(dataset: datasets.Dataset) -> int:
  return sum(len(split) for split in dataset.splits.values())


def extraction(net: networks.Network, dataset: datasets.Dataset) -> float:
  """Operations of computing the features of all splits."""
  return forward(net) * images(dataset)


def cell(
  net: networks.Network,
  dataset: datasets.Dataset,
  setting: str,
  config: ml_collections.ConfigDict,
) -> float:
  """Operations of a cell, without those of fixed features.

  Args:
    net: the network.
    dataset: the dataset.
    setting: a name of `classifiers.CLASSIFIERS` or `search.SETTINGS`.
    config: of the study.
  """
  learnt = len(dataset.splits['train']) + len(dataset.splits['val'])
  config = config[setting]
  if setting in search.SETTINGS:
    trials = len(grid_lib.build_trials(config))
    steps = grid_lib.build_train_config(
      config, len(dataset.splits['train'])
    ).steps
    taken = config.refit_on_trainval * steps + halving.steps_taken(
      trials, grid_lib.stops(config, steps), config.halving_keep
    )
    trained = _TRAINING * taken * config.batch_size
    evaluated = (trials + config.refit_on_trainval) * images(dataset)
    return forward(net) * (trained + evaluated)
  grid = classifiers.CLASSIFIERS[setting].grid(config)
  width = net.feature_dim * len(dataset.classes)
  return 4.0 * learnt * width * len(grid) * _PASSES


def speed() -> float:
  """Operations a second of the devices, by a product that takes an instant."""
  x = jnp.ones((_PROBE, _PROBE))
  multiply = jax.jit(jnp.matmul)
  jax.block_until_ready(multiply(x, x))
  started = time.monotonic()
  jax.block_until_ready([multiply(x, x) for _ in range(3)])
  seconds = (time.monotonic() - started) / 3
  return _EFFICIENCY * 2 * _PROBE**3 / seconds * len(jax.devices())


def compiling(trains: bool) -> float:
  """Seconds until a network's first step, or first features."""
  return _COMPILING[trains]


def in_words(seconds: float) -> str:
  """A duration to the precision of an estimate: '3 h 20 min'."""
  minutes = math.ceil(seconds / 60)
  if minutes < 60:
    return f'{minutes} min'
  hours, minutes = divmod(minutes, 60)
  if hours < 24:
    return f'{hours} h {minutes:02d} min'
  return str(datetime.timedelta(hours=hours)).removesuffix(', 0:00:00')
