"""Reads a search's config: its trials, hyperparameters and halving rungs."""

import dataclasses
import math

import ml_collections
import numpy as np

from tf_transfer.transfer.training import halving, train_step

# Fields of the config that change where and when, but no result.
OPERATIONAL = (
  'concurrent_trials',
  'checkpoint_every',
  'image_cache_gib',
  'log_every',
  'profile_steps',
)


def build_trials(config: ml_collections.ConfigDict) -> list[train_step.Trial]:
  """Returns the trials of a search, by learning rate, then by weight decay."""
  rates = _log_spaced(
    config.learning_rate_min,
    config.learning_rate_max,
    config.num_learning_rates,
  )
  decays = _log_spaced(
    config.weight_decay_min,
    config.weight_decay_max,
    config.num_weight_decays,
  )
  if config.include_zero_weight_decay:
    decays = np.concatenate([[0.0], decays])
  return [
    train_step.Trial(float(rate), float(decay))
    for rate in rates
    for decay in decays
  ]


def _log_spaced(low: float, high: float, num_values: int) -> np.ndarray:
  """Returns values that are evenly spaced in the logarithm, ends included."""
  return np.logspace(np.log10(low), np.log10(high), num_values)


def build_train_config(
  config: ml_collections.ConfigDict, num_examples: int
) -> train_step.TrainConfig:
  """Returns the hyperparameters that all trials share.

  Args:
    config: of the setting.
    num_examples: of the split that is trained on; `min_epochs` of them may
      take more than `steps` steps.
  """
  min_steps = math.ceil(config.min_epochs * num_examples / config.batch_size)
  fields = {
    field.name: config[field.name]
    for field in dataclasses.fields(train_step.TrainConfig)
    # Transfer distorts no colors, and a setting has no field for it.
    if field.name != 'color_distortion'
  }
  fields['steps'] = max(config.steps, min_steps)
  return train_step.TrainConfig(**fields)


def rungs(config: ml_collections.ConfigDict, steps: int) -> tuple[int, ...]:
  """Returns the steps at which halving ranks trials; the last is `steps`."""
  if config.search == 'exhaustive':
    return (steps,)
  return halving.rungs(steps, config.halving_first, config.halving_keep)


def stops(config: ml_collections.ConfigDict, steps: int) -> tuple[int, ...]:
  """Returns the steps at which trials stop, some of them for good.

  Only `search='halving'` stops any before `steps`.
  """
  return rungs(config, steps) if config.search == 'halving' else (steps,)
