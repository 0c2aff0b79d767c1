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

import ml_collections

from tf_transfer import config_files, errors, networks
from tf_transfer.configs import base
from tf_transfer.networks import recipe


def _set_factors(
  config: ml_collections.ConfigDict, network: str, configuration: str
) -> None:
  """Sets the four factors that a configuration combines."""
  factors = recipe.CONFIGURATIONS[configuration]
  # Whether batch norm has a scale (gamma).
  config.bn_scale = factors['bn_scale']
  # The fraction of the target that is spread over all classes: 0.1 where on.
  config.label_smoothing = 0.1 if factors['label_smoothing'] else 0.0
  # The fraction of the features that is dropped before the head: 0.2 where on.
  config.dropout = 0.2 if factors['dropout'] else 0.0
  # A second head in the middle of the network, whose loss has the weight 0.4.
  # A network that has no place for one is trained without it in all
  # configurations, as Inception v1 and BN-Inception are in the paper; this is
  # printed before the first step. True for such a network is an error.
  config.auxiliary_head = factors['auxiliary_head'] and networks.has_auxiliary(
    network
  )


def fields(network: str, configuration: str) -> ml_collections.ConfigDict:
  """Returns the fields of pretraining, with the paper's values.

  Args:
    network: a name of the table.
    configuration: 'C1' to 'C5'.

  Raises:
    InputError: there is no such network or configuration.
  """
  if configuration not in recipe.CONFIGURATIONS:
    raise errors.unknown_name(
      'configuration', configuration, recipe.CONFIGURATIONS
    )
  config = ml_collections.ConfigDict()
  _set_factors(config, network, configuration)

  # The largest number of passes over train; the best on val is chosen.
  config.epochs = 300.0
  # Whether the number of steps is chosen on val, and the network then trained
  # on train + val for as many. If not, it is trained on those for `epochs`.
  config.choose_steps_on_val = True
  # Epochs between evaluations on val.
  config.evaluate_every_epochs = 1.0

  # Images of an update, over all devices.
  config.batch_size = 4096
  # The learning rate for a batch of 4,096; it is proportional to the batch
  # size. It grows linearly in the first epochs and is multiplied by
  # decay_per_epoch after each later one.
  config.learning_rate = 1.6
  config.warmup_epochs = 10.0
  config.decay_per_epoch = 0.975
  # Weight decay of kernels: times the parameter, added to the gradient.
  config.weight_decay = 8e-5
  # Decay of an exponential moving average of the parameters and batch norm's
  # statistics, which is evaluated and written; 0: none.
  config.ema_decay = 0.9999
  # Whether the average forgets faster at first, as TF-Slim's does. Without
  # this, the average of a short training is still near the initial values.
  config.ema_warmup = True
  # Whether colors are distorted, beside random crops and flips.
  config.color_distortion = True
  # Seed of initial values, dropout, and the order, crops and colors of images.
  config.seed = 0

  # 'float32', or 'bfloat16' for matrix products and convolutions; parameters
  # and statistics are float32 in both.
  config.precision = 'float32'
  # Into how many parts a batch is cut that does not fit on a device. Batch
  # norm then sees one part at a time.
  config.gradient_accumulation_steps = 1

  # What follows changes no result.
  # Steps between checkpoints.
  config.checkpoint_every = 1000
  # Memory for decoded images of the split that is trained on, in GiB.
  config.image_cache_gib = 4.0
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
  config = ml_collections.ConfigDict()
  # The job that main runs.
  config.job = 'pretrain'

  # A name of the table.
  config.network = network
  # imagenet, as a directory or from TFDS, or another dataset of
  # configs/base.py: a name of the table or folder:PATH.
  config.dataset = dataset or 'imagenet'
  # Height and width in pixels in place of the network's own; 0: its own.
  config.image_size = 0
  # The weights file to write; '' is WORKDIR/pretrained/NETWORK_DATASET_C5.
  config.output = ''
  config.data = base.data_fields()
  config.pretrain = fields(network, configuration)

  # Whether to write event files for TensorBoard.
  config.tensorboard = True
  return config.lock()
