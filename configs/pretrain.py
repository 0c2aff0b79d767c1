"""Pretraining one network from random values, by the paper's recipe.

  python -m tf_transfer.main --workdir=runs/pretrain \\
      --config=configs/pretrain.py:NETWORK,C5 --config.data.dir=DIR

NETWORK is a name of the table. C1 to C5 are the paper's configurations of the
four factors (section 3 of the protocol): C1 is what Inceptions usually use,
C5 what ResNets use and the paper's main results do. A third part names another
dataset than ImageNet: configs/pretrain.py:inception_small,C1,fashion_mnist.
Then the number of epochs and the batch size are for you to choose.

What comes of it is a weights file, whose path is printed and can stand in
place of a network's name in every other config.

Expect: on ImageNet 300 epochs of 4,096 images, twice; hundreds of GPU-days for
a large network. How long is measured and said before the first step. SIGTERM
ends it with exit code 75 once it has written where it stands; the same command
goes on.
"""

import ml_collections

from tf_transfer import errors, networks
from tf_transfer.configs import logistic_regression
from tf_transfer.networks import recipe


def fields(network: str, configuration: str) -> ml_collections.ConfigDict:
  """The fields of pretraining, with the paper's values.

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
  factors = recipe.CONFIGURATIONS[configuration]
  config = ml_collections.ConfigDict()

  # The four factors.
  # Whether batch norm has a scale (gamma).
  config.bn_scale = factors['bn_scale']
  # Share of the target that is spread over all classes: 0.1 where it is on.
  config.label_smoothing = 0.1 if factors['label_smoothing'] else 0.0
  # Share of the features that is dropped ahead of the head: 0.2 where on.
  config.dropout = 0.2 if factors['dropout'] else 0.0
  # A second head in the middle of the network, its loss with a weight of 0.4.
  # A network that has no place for one does without in all configurations, as
  # Inception v1 and BN-Inception do in the paper, which is said before the
  # first step; to ask for one is an error.
  config.auxiliary_head = factors['auxiliary_head'] and networks.has_auxiliary(
    network
  )

  # Passes over train, of which the best is chosen.
  config.epochs = 300.0
  # Whether the number of steps is chosen on val, and the network then trained
  # on train + val for as many; if not, it is trained on those for `epochs`.
  config.choose_steps_on_val = True
  # Epochs from one measurement on val to the next.
  config.evaluate_every_epochs = 1.0

  # Images of an update, on all devices together.
  config.batch_size = 4096
  # At a batch of 4,096, to which it is in proportion; it grows linearly to
  # this in the first epochs and is multiplied after each later one.
  config.learning_rate = 1.6
  config.warmup_epochs = 10.0
  config.decay_per_epoch = 0.975
  # Of kernels, times the parameter, added to the gradient.
  config.weight_decay = 8e-5
  # Of a moving average of parameters and of batch norm's statistics, which is
  # what is measured and written; 0: none.
  config.ema_decay = 0.9999
  # Whether the average forgets faster at first, as TF-Slim's does: in short
  # trainings it would still be where it began.
  config.ema_warmup = True
  # Whether colors are distorted, beside random crops and flips.
  config.color_distortion = True
  # Of initial values, dropout, and the order, crops and colors of the images.
  config.seed = 0

  # 'float32', or 'bfloat16' for products and convolutions; parameters and
  # statistics are float32 either way.
  config.precision = 'float32'
  # Parts in which a batch passes through a device that cannot hold it whole;
  # batch norm then sees one part at a time.
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
  """The config; `argument` is 'NETWORK,C5' or 'NETWORK,C5,DATASET'."""
  network, configuration, dataset = (*argument.split(',', 2), '', '')[:3]
  config = ml_collections.ConfigDict()

  # What main runs.
  config.job = 'pretrain'

  # A name of the table.
  config.network = network
  # imagenet (a directory or TFDS), or what configs/logistic_regression.py
  # takes: another of the table, or folder:PATH.
  config.dataset = dataset or 'imagenet'
  # Pixels of height and width in place of the network's own; 0 for those.
  config.image_size = 0
  # The weights file to write; '' is WORKDIR/pretrained/NETWORK_DATASET_C5.
  config.output = ''
  # Where datasets are, and how they are split: as there.
  config.data = logistic_regression.get_config().data
  config.pretrain = fields(network, configuration or 'C5')

  # Whether to write event files for TensorBoard.
  config.tensorboard = True
  return config
