"""Pretrains one network from random values, by the paper's recipe.

  python -m tf_transfer.main --workdir=runs/pretrain \\
      --config=pretrain:NETWORK,CONFIGURATION --config.data.dir=DIR

NETWORK is a name of the table. CONFIGURATION is one of the paper's C1 to C5,
which combine four factors (section 3 of the protocol): C1 is usual for
Inceptions, C5 for ResNets and in the paper's main results. A third part,
--config=pretrain:inception_small,C1,fashion_mnist, names another dataset than
ImageNet; then choose the number of epochs and the batch size too.

The job writes a weights file and prints its path, which can stand in place of a
network's name in every other config.

Expect: on ImageNet 300 epochs of 4,096 images, twice; hundreds of GPU-days for
a large network. The time is measured and printed before the first step. SIGTERM
writes a checkpoint and ends the job with exit code 75; the same command resumes
it.
"""

from typing import Literal

import ml_collections

from tf_transfer import config_fields, config_files, errors, networks
from tf_transfer.config_fields import (
  Group,
  Kind,
  boolean,
  choice,
  integer,
  name,
  number,
  path,
  pixels,
)
from tf_transfer.configs import base
from tf_transfer.networks import recipe


def color_mode() -> Kind:
  """Returns the modes of color distortion."""
  modes = choice('none', 'fast', 'slow')

  def check(value: str, place: str) -> None:
    if value in ('True', 'False'):
      mode = 'slow' if value == 'True' else 'none'
      raise errors.InputError(f'{place}: {value} is now named {mode!r}')

  # The command line makes texts of True and False.
  former = Literal['none', 'fast', 'slow', 'True', 'False']
  return Kind(former, modes.expected, check)


class Pretraining(Group):
  """The schedule, factors and seed of a pretraining, with the paper's values.

  The first four fields are the factors that a configuration combines; here they
  are as in C5.
  """

  # Whether batch norm has a scale (gamma).
  bn_scale: boolean = True
  # The fraction of the target that is spread over all classes: 0.1 where on.
  label_smoothing: number(least=0, below=1) = 0.0
  # The fraction of the features that is dropped before the head: 0.2 where on.
  dropout: number(least=0, below=1) = 0.0
  # A second head in the middle of the network, whose loss has the weight 0.4.
  # A network that has no place for one is trained without it in all
  # configurations, as Inception v1 and BN-Inception are in the paper; this is
  # printed before the first step. True for such a network is an error.
  auxiliary_head: boolean = False

  # The largest number of passes over train; the best on val is chosen.
  epochs: number(above=0, most=1e6) = 300.0
  # Whether the number of steps is chosen on val, and the network then trained
  # on train + val for as many. If not, it is trained on those for `epochs`.
  choose_steps_on_val: boolean = True
  # Epochs between evaluations on val.
  evaluate_every_epochs: number(above=0, most=1e6) = 1.0

  # Images of an update, over all devices.
  batch_size: integer(1, 262_144) = 4096
  # The learning rate for a batch of 4,096; it is proportional to the batch
  # size.
  learning_rate: number(above=0, most=1000) = 1.6
  # The first epochs, in which the learning rate grows linearly.
  warmup_epochs: number(least=0, most=1e6) = 10.0
  # What the learning rate is multiplied by after each later epoch.
  decay_per_epoch: number(above=0, most=1) = 0.975
  # Weight decay of kernels: times the parameter, added to the gradient.
  weight_decay: number(least=0, below=1) = 8e-5
  # Decay of an exponential moving average of the parameters and batch norm's
  # statistics, which is evaluated and written; 0: none.
  ema_decay: number(least=0, below=1) = 0.9999
  # Whether the average forgets faster at first, as TF-Slim's does. Without
  # this, the average of a short training is still near the initial values.
  ema_warmup: boolean = True
  # How colors are distorted, beside random crops and flips; the paper does not
  # say. 'fast' and 'slow' are TF-Slim's modes for Inception, of which 'fast' is
  # its default: brightness and saturation. 'slow' changes hue and contrast too.
  color_distortion: color_mode() = 'slow'
  # Seed of initial values, dropout, and the order, crops and colors of images.
  seed: integer(0, 2**32 - 1) = 0

  # The type of numbers: 'float32', or 'bfloat16' for matrix products and
  # convolutions; parameters and statistics are float32 in both.
  precision: choice('float32', 'bfloat16') = 'float32'
  # Into how many parts a batch is cut that does not fit on a device. Batch
  # norm then sees one part at a time.
  gradient_accumulation_steps: integer(1, 262_144) = 1

  # What follows changes no result.

  # Steps between checkpoints.
  checkpoint_every: integer(1, 100_000_000) = 1000
  # Memory for decoded images of the split that is trained on, in GiB.
  image_cache_gib: number(least=0, most=1e6) = 4.0

  @staticmethod
  def contradiction(config: ml_collections.ConfigDict) -> str:
    """Says which fields do not go together; '' if all do."""
    for field in ('warmup_epochs', 'evaluate_every_epochs'):
      counts = field == 'warmup_epochs' or config.choose_steps_on_val
      if counts and config[field] > config.epochs:
        return (
          f'{field}: expected at most the number of epochs, '
          f'{config.epochs:g}, found {config[field]:g}'
        )
    rate = config.learning_rate * config.batch_size / 4096
    if config.weight_decay * rate >= 1:
      return (
        'weight_decay: expected a product with the learning rate of this '
        f'batch size, {rate:g}, below 1, found {config.weight_decay:g}'
      )
    return base.wrong_accumulation(config)


class Pretrain(Group):
  """The fields of the job."""

  # The job that main runs.
  job: choice('pretrain') = 'pretrain'

  # A name of the table.
  network: name('a network') = 'inception_small'
  # imagenet, as a directory or from TFDS, or another dataset of
  # configs/base.py: a name of the table or folder:PATH.
  dataset: name('a dataset') = 'imagenet'
  # Height and width in pixels in place of the network's own; 0: its own.
  image_size: pixels() = 0
  # The weights file to write; '' is WORKDIR/pretrained/NETWORK_DATASET_C5.
  output: path('a file') = ''
  # How many networks are pretrained, with the seeds pretrain.seed,
  # pretrain.seed + 1 ..., each for itself. The weights file of a later seed is
  # named NAME_seed1.safetensors beside NAME.safetensors. A study of all of them
  # shows how much of a difference is due to the seed.
  num_seeds: integer(1, 1000) = 1
  # As in configs/base.py: whether the job may take more than a day.
  allow_long: boolean = False
  data: base.Data
  pretrain: Pretraining

  # Whether to write event files for TensorBoard.
  tensorboard: boolean = True

  @staticmethod
  def contradiction(config: ml_collections.ConfigDict) -> str:
    """Says which fields do not go together; '' if all do."""
    return base.wrong_seeds(config.pretrain.seed, config.num_seeds)


def fields(network: str, configuration: str) -> ml_collections.ConfigDict:
  """Returns the fields of pretraining, with the paper's values.

  Args:
    network: a name of the table.
    configuration: 'C1' to 'C5', which says which of the four factors are on.

  Raises:
    InputError: there is no such network or configuration.
  """
  if configuration not in recipe.CONFIGURATIONS:
    raise errors.unknown_name(
      'configuration', configuration, recipe.CONFIGURATIONS
    )
  factors = recipe.CONFIGURATIONS[configuration]
  config = config_fields.defaults(Pretraining)
  # Without batch norm there is no scale to leave out.
  config.bn_scale = factors['bn_scale'] or not networks.has_batch_norm(network)
  config.label_smoothing = 0.1 if factors['label_smoothing'] else 0.0
  config.dropout = 0.2 if factors['dropout'] else 0.0
  config.auxiliary_head = factors['auxiliary_head'] and networks.has_auxiliary(
    network
  )
  return config


def get_config(
  argument: str = 'inception_small,C5',
) -> ml_collections.ConfigDict:
  """Returns the config of one pretraining.

  Args:
    argument: 'NETWORK,CONFIGURATION' or 'NETWORK,CONFIGURATION,DATASET'.

  Raises:
    InputError: a part is missing, too much or unknown.
  """
  network, configuration, dataset = config_files.parse_argument(
    argument, 'NETWORK,CONFIGURATION[,DATASET]'
  )
  config = config_fields.defaults(Pretrain)
  config.network = network
  config.dataset = dataset or 'imagenet'
  config.pretrain = fields(network, configuration)
  return config
