"""Reads the config of a pretraining: its schedule, factors and network."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from tf_transfer import errors, networks
from tf_transfer.networks import recipe as recipe_lib
from tf_transfer.networks import weights
from tf_transfer.transfer.training import train_step

# The batch size for which a config gives the learning rate.
REFERENCE_BATCH_SIZE = 4096
# Fields of the config that change where and when, but no result.
OPERATIONAL = ('checkpoint_every', 'image_cache_gib')


@dataclasses.dataclass(frozen=True)
class PretrainConfig(train_step.TrainConfig):
  """Adds pretraining's schedule and warm-up of the moving average.

  Attributes:
    steps_per_epoch: of the schedule.
    warmup_epochs: in which the rate grows linearly to that of the trial.
    decay_per_epoch: what the rate is multiplied by after each later epoch.
    ema_warmup: whether the average forgets faster at first, as TF-Slim's does:
      after n steps its decay is at most (1 + n) / (10 + n).
  """

  steps_per_epoch: float = 1.0
  warmup_epochs: float = 0.0
  decay_per_epoch: float = 1.0
  ema_warmup: bool = False

  def __post_init__(self) -> None:
    super().__post_init__()
    if not (self.warmup_epochs >= 0 and 0 < self.decay_per_epoch <= 1):
      raise errors.InputError(
        'expected warmup_epochs of 0 or more and decay_per_epoch above 0 and '
        f'up to 1, found {self.warmup_epochs} and {self.decay_per_epoch}'
      )

  def learning_rate(self, initial: Any, step: Any) -> jax.Array:
    """Returns the learning rate of a step; that of the first is above 0."""
    warmup_steps = self.warmup_epochs * self.steps_per_epoch
    warmup = (step + 1) / max(warmup_steps, 1)
    epochs = jnp.floor(
      jnp.maximum(step - warmup_steps, 0) / self.steps_per_epoch
    )
    return initial * jnp.minimum(warmup, self.decay_per_epoch**epochs)

  def ema_decay_at(self, step: Any) -> Any:
    """Returns the share of the old moving average that a step keeps."""
    if not self.ema_warmup:
      return self.ema_decay
    num_steps = step + 1
    return jnp.minimum(self.ema_decay, (1 + num_steps) / (10 + num_steps))


def build_train_config(
  config: ml_collections.ConfigDict, num_examples: int
) -> PretrainConfig:
  """Returns the hyperparameters of a pretraining.

  Args:
    config: `pretrain` of a job's config.
    num_examples: of the split that is trained on.

  Raises:
    InputError: a field is out of range.
  """
  steps_per_epoch = num_examples / config.batch_size
  fields = {
    field.name: config[field.name]
    for field in dataclasses.fields(PretrainConfig)
    if field.name in config
  }
  return PretrainConfig(
    **fields,
    steps=math.ceil(config.epochs * steps_per_epoch),
    steps_per_epoch=steps_per_epoch,
  )


def determinants(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """Returns the fields that determine a result, as an identity hashes them.

  Whether colors are distorted was True or False before there were modes; True
  was the slow one, and is still hashed for it.

  Args:
    config: `pretrain` of a job's config.
  """
  former = {'none': False, 'slow': True}
  mode = config.color_distortion
  fields = {**config.to_dict(), 'color_distortion': former.get(mode, mode)}
  return {n: value for n, value in fields.items() if n not in OPERATIONAL}


def build_trial(config: ml_collections.ConfigDict) -> train_step.Trial:
  """Returns the learning rate, scaled with the batch size, and weight decay."""
  rate = config.learning_rate * config.batch_size / REFERENCE_BATCH_SIZE
  # A trial's weight decay is multiplied by the learning rate already.
  return train_step.Trial(rate, config.weight_decay * rate)


def check(name: str, config: ml_collections.ConfigDict) -> None:
  """Checks that a network can have the factors of a config.

  Args:
    name: of the network.
    config: `pretrain` of a job's config.

  Raises:
    InputError: there is no such network, or it has no place for an auxiliary
      head, or no batch norm whose scale could be left out.
  """
  networks.build(name, auxiliary_head=config.auxiliary_head)
  if not config.bn_scale and not networks.has_batch_norm(name):
    raise errors.InputError(
      f'bn_scale: {name} has no batch norm, so no scale to leave out: set it '
      'to True'
    )


def factors(
  name: str, config: ml_collections.ConfigDict
) -> dict[str, bool | None]:
  """Returns which of the paper's four factors are on (section 3).

  Args:
    name: of the network. One without batch norm neither has its scale nor
      leaves it out: None.
    config: `pretrain` of a job's config.
  """
  return {
    'bn_scale': config.bn_scale if networks.has_batch_norm(name) else None,
    'label_smoothing': config.label_smoothing > 0,
    'dropout': config.dropout > 0,
    'auxiliary_head': config.auxiliary_head,
  }


def configuration(name: str, config: ml_collections.ConfigDict) -> str | None:
  """Names the paper's configuration, 'C1' to 'C5', that a config has.

  Args:
    name: of the network. For one without a place for an auxiliary head, C4 is
      C5; for one without batch norm, C1 is C2.
    config: `pretrain` of a job's config.

  Returns:
    None if it is none of the five.
  """
  return next(reversed(_configurations(name, config)), None)


def describe_missing_parts(name: str, config: ml_collections.ConfigDict) -> str:
  """Says which part that tells the configurations apart a network lacks.

  Args:
    name: of the network.
    config: `pretrain` of a job's config.

  Returns:
    A line; '' if it has a place for an auxiliary head and batch norm, or no
    configuration is meant.
  """
  has = {
    'place for an auxiliary head': networks.has_auxiliary(name),
    'batch norm': networks.has_batch_norm(name),
  }
  missing = [f'no {part}' for part, is_there in has.items() if not is_there]
  configurations = _configurations(name, config)
  if not missing or not configurations:
    return ''
  consequence = 'is trained without one'
  if len(missing) > 1:
    consequence = 'is trained without either'
  if len(configurations) > 1:
    consequence = 'are the same'
  return (
    f'{name} has {" and ".join(missing)}: '
    f'{" and ".join(configurations)} {consequence}'
  )


def _configurations(
  name: str, config: ml_collections.ConfigDict
) -> tuple[str, ...]:
  """Names all configurations that a config has.

  The auxiliary head does not distinguish them where the network has no place
  for one, nor does batch norm's scale where there is no batch norm.
  """
  distinguishing = set(recipe_lib.FACTORS)
  if not networks.has_auxiliary(name):
    distinguishing.remove('auxiliary_head')
  if not networks.has_batch_norm(name):
    distinguishing.remove('bn_scale')
  is_on = factors(name, config)
  return tuple(
    configuration
    for configuration, expected in recipe_lib.CONFIGURATIONS.items()
    if all(is_on[factor] == expected[factor] for factor in distinguishing)
  )


def untrained_network(
  name: str, image_size: int, config: ml_collections.ConfigDict
) -> networks.Network:
  """Returns the network that is trained, without variables.

  Args:
    name: in the table of networks.
    image_size: pixels; 0 is the network's default.
    config: `pretrain` of a job's config.
  """
  options = {} if config.bn_scale else {'use_scale': False}
  net = networks.untrained(name)
  size = image_size or net.contract.image_size
  # No more than this: a pretraining's identity hashes the header.
  header = weights.Header(
    network=name,
    options=options,
    contract=dataclasses.replace(net.contract, image_size=size),
  )
  return dataclasses.replace(net, header=header)
