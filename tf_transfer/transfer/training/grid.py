"""Reads a search's config: its trials, hyperparameters and halving rungs."""

import dataclasses
import math

import ml_collections
import numpy as np

from tf_transfer import errors
from tf_transfer.transfer.training import halving, train_step

# Fields of the config that change where and when, but no result.
OPERATIONAL = (
  'concurrent_trials',
  'checkpoint_every',
  'image_cache_gib',
  'log_every',
  'profile_steps',
)
# Which trials are trained for all steps: every one, or those that halving
# keeps. 'both' trains every one, and reports what halving would have kept.
SEARCHES = ('exhaustive', 'halving', 'both')

_MINIMA = {
  'num_learning_rates': 1,
  'num_weight_decays': 1,
  'concurrent_trials': 0,
  'checkpoint_every': 1,
  'log_every': 1,
  'evaluate_every': 0,
  'profile_steps': 0,
}


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


def check(name: str, config: ml_collections.ConfigDict) -> None:
  """Checks a setting's config before anything slow begins.

  Args:
    name: of the setting, for messages.
    config: of the setting.

  Raises:
    InputError: a field is out of range.
  """
  _check_ranges(name, config)
  if config.search not in SEARCHES:
    raise errors.unknown_name(f'config.{name}.search', config.search, SEARCHES)
  for field in ('halving_first', 'halving_keep'):
    if not 0 < config[field] < 1:
      raise errors.InputError(
        f'config.{name}.{field}: expected above 0 and below 1, found '
        f'{config[field]}'
      )
  if config.early_stopping and not config.evaluate_every:
    raise errors.InputError(
      f'config.{name}.early_stopping chooses among the steps after which '
      'trials are evaluated: set evaluate_every'
    )
  try:
    build_trials(config)
    build_train_config(config, num_examples=1)
  except errors.InputError as error:
    raise errors.InputError(f'config.{name}: {error}') from error


def _check_ranges(name: str, config: ml_collections.ConfigDict) -> None:
  """Checks the fields that are numbers."""
  for field in ('learning_rate', 'weight_decay'):
    low, high = config[f'{field}_min'], config[f'{field}_max']
    if not 0 < low <= high:
      raise errors.InputError(
        f'config.{name}: expected 0 < {field}_min <= {field}_max, found {low} '
        f'and {high}'
      )
  for field, minimum in _MINIMA.items():
    if config[field] < minimum:
      raise errors.InputError(
        f'config.{name}.{field}: expected {minimum} or more, found '
        f'{config[field]}'
      )
