"""Estimates how many operations a transfer takes.

The forward pass of a network is taken to need as many operations as its
parameters times the pixels of its input times a constant. This is right within
a factor of two for all networks of the table but the DenseNets, which need
three times as many.
"""

import ml_collections
import numpy as np

from tf_transfer import datasets, networks
from tf_transfer.transfer.training import grid, halving, pretrain_config

# Operations for each parameter and pixel: ResNet-50 needs 8.2e9 for 23.5e6
# parameters and 224 x 224 pixels.
_OPERATIONS_PER_PARAMETER_PIXEL = 0.006
# A gradient needs twice as many operations as the output.
_FORWARD_AND_BACKWARD = 3
# Passes over the features for each value of a classifier's hyperparameter.
_PASSES = 20


def forward(net: networks.Network) -> float:
  """Returns the operations of a forward pass of one image."""
  return forward_at(net.parameters, net.contract.image_size)


def forward_at(parameters: int, image_size: int) -> float:
  """Returns the operations of an image of some size.

  Args:
    parameters: of the network, without those of its head.
    image_size: height and width in pixels.
  """
  return _OPERATIONS_PER_PARAMETER_PIXEL * parameters * image_size**2


def num_images(dataset: datasets.Dataset) -> int:
  """Returns the number of images in all splits; each once if it has folds."""
  if dataset.folds:
    return len(dataset.splits['test'])
  return sum(len(split) for split in dataset.splits.values())


def extraction(net: networks.Network, dataset: datasets.Dataset) -> float:
  """Returns the operations of extracting the features of all splits."""
  return forward(net) * num_images(dataset)


def classifier(
  net: networks.Network, dataset: datasets.Dataset, hyperparameters: np.ndarray
) -> float:
  """Returns the operations of fitting a classifier for each hyperparameter."""
  examples = len(dataset.splits['train']) + len(dataset.splits['val'])
  weights = net.feature_dim * len(dataset.classes)
  return 4.0 * examples * weights * len(hyperparameters) * _PASSES


def training(
  net: networks.Network,
  dataset: datasets.Dataset,
  config: ml_collections.ConfigDict,
) -> float:
  """Returns the operations of a search over trials, with the refits.

  Args:
    net: the network.
    dataset: the dataset.
    config: fields of a setting that trains.
  """
  num_trials = len(grid.build_trials(config))
  num_final = grid.num_final_trainings(config)
  steps = training_steps(dataset, config)
  trained = _FORWARD_AND_BACKWARD * steps * config.batch_size
  evaluated = (num_trials + num_final) * num_images(dataset)
  return forward(net) * (trained + evaluated)


def training_steps(
  dataset: datasets.Dataset, config: ml_collections.ConfigDict
) -> int:
  """Returns the steps of all trials of a search together, with the refits.

  Args:
    dataset: the dataset.
    config: fields of a setting that trains.
  """
  num_trials = len(grid.build_trials(config))
  steps = grid.build_train_config(config, len(dataset.splits['train'])).steps
  return grid.num_final_trainings(config) * steps + halving.steps_taken(
    num_trials, grid.stops(config, steps), config.halving_keep
  )


def pretraining(
  net: networks.Network,
  dataset: datasets.Dataset,
  config: ml_collections.ConfigDict,
) -> float:
  """Returns the operations of a pretraining.

  Args:
    net: the network.
    dataset: that it is trained on.
    config: `pretrain` of a job's config.
  """
  steps = pretraining_steps(dataset, config)
  trained = _FORWARD_AND_BACKWARD * steps * config.batch_size
  num_evaluations = (
    config.epochs / config.evaluate_every_epochs
    if config.choose_steps_on_val
    else 0
  )
  evaluated = num_evaluations * len(dataset.splits['val'])
  return forward(net) * (trained + evaluated + len(dataset.splits['test']))


def pretraining_steps(
  dataset: datasets.Dataset, config: ml_collections.ConfigDict
) -> int:
  """Returns the steps of a pretraining, on train and on train + val.

  Args:
    dataset: that it is trained on.
    config: `pretrain` of a job's config.
  """
  train, val = (len(dataset.splits[name]) for name in ('train', 'val'))
  sizes = [train + val] + [train] * config.choose_steps_on_val
  return sum(
    pretrain_config.build_train_config(config, size).steps for size in sizes
  )
