"""Fine-tuning one network on one dataset, at the paper's grid.

  python -m tf_transfer.main --workdir=runs/mine \\
      --config=configs/fine_tuned.py:NETWORK,DATASET

NETWORK and DATASET are as in configs/logistic_regression.py. 56 trials of
20,000 steps of 256 images, and one on train + val: days on a GPU for most
networks. How long is said before the first step. SIGTERM ends it with exit
code 75 once it has written where it stands; the same command goes on.

Expect: with two learning rates, two weight decays and 100 steps of 32 images,
efficientnet_lite0,digits takes a CPU the better part of an hour. On a dataset
as small as this one --config.fine_tuned.min_epochs=100, batch_size=64 and
rates a quarter as large are the paper's (figure 9).
"""

import ml_collections

from configs import logistic_regression


def fields() -> ml_collections.ConfigDict:
  """The fields of training, with the values of fine-tuning."""
  config = ml_collections.ConfigDict()
  # The grid, evenly spaced in the logarithm: rates × decays, each decay divided
  # by the rate and so the one that acts at the first step; and no decay.
  config.learning_rates = 7
  config.learning_rate_min = 1e-4
  config.learning_rate_max = 1e-1
  config.weight_decays = 7
  config.weight_decay_min = 1e-6
  config.weight_decay_max = 1e-3
  config.no_weight_decay = True

  # Updates of the parameters; min_epochs raises them where they would be
  # fewer epochs of the split that is trained on (100 at few examples).
  config.steps = 20_000
  config.min_epochs = 0
  # Images of an update, on all devices together.
  config.batch_size = 256
  # Of initial values, dropout, and the order and crops of the images.
  config.seed = 0

  # Regularisers, off in the paper's main results; it had 0.1, 0.2 and True.
  config.label_smoothing = 0.0
  config.dropout = 0.0
  config.auxiliary_head = False
  # Of a moving average of the weights, which is then what is tested; 0: none.
  config.average_decay = 0.0

  # 'float32', or 'bfloat16' for products and convolutions; parameters and
  # statistics are float32 either way.
  config.precision = 'float32'
  # Parts in which a batch passes through a device that cannot hold it whole;
  # batch norm then sees one part at a time.
  config.accumulation = 1

  # What follows changes no result.
  # Trials that train at once, on the same batches: each takes the memory of
  # its parameters and as much again for the momentum.
  config.together = 8
  # Steps between checkpoints.
  config.checkpoint_every = 1000
  # Memory for decoded images of the split that is trained on, in GiB.
  config.decoded_gb = 4.0
  return config


def get_config(
  argument: str = 'efficientnet_lite0,digits',
) -> ml_collections.ConfigDict:
  """The config of one cell; `argument` is 'NETWORK,DATASET'."""
  config = logistic_regression.get_config(argument)
  config.settings = ('fine_tuned',)
  config.fine_tuned = fields()
  return config
