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

from tf_transfer.configs import logistic_regression


def fields() -> ml_collections.ConfigDict:
  """The fields of training, with the values of fine-tuning."""
  config = ml_collections.ConfigDict()
  # The grid, evenly spaced in the logarithm: rates × decays, each decay divided
  # by the rate and so the one that acts at the first step; and no decay.
  config.num_learning_rates = 7
  config.learning_rate_min = 1e-4
  config.learning_rate_max = 1e-1
  config.num_weight_decays = 7
  config.weight_decay_min = 1e-6
  config.weight_decay_max = 1e-3
  config.include_zero_weight_decay = True

  # Updates of the parameters; min_epochs raises them where they would be
  # fewer epochs of the split that is trained on (100 at few examples).
  config.steps = 20_000
  config.min_epochs = 0
  # Images of an update, on all devices together.
  config.batch_size = 256
  # Of initial values, dropout, and the order and crops of the images.
  config.seed = 0

  # 'exhaustive': every trial goes through all steps, as in the paper.
  # 'halving': all go to the first rung, halving_first of the steps; those that
  # are best on val there, halving_keep of them, go on to one that is
  # 1 / halving_keep times as far, and so on. With 1/8 and 1/2 that takes 31 %
  # of the steps. 'both': exhaustive, and at the end it is said what halving
  # would have saved and lost.
  config.search = 'exhaustive'
  config.halving_first = 0.125
  config.halving_keep = 0.5

  # Steps between evaluations on val; 0: only at the end, and at rungs.
  config.evaluate_every = 0
  # Whether the number of steps is chosen on val too, of those after which it
  # is evaluated; the paper does not.
  config.early_stopping = False
  # Whether the network that is tested is trained anew on train + val, as the
  # paper's. If not it is the best trial as it was when it was best.
  config.refit_on_trainval = True

  # Regularizers, off in the paper's main results; it had 0.1, 0.2 and True.
  config.label_smoothing = 0.0
  config.dropout = 0.0
  config.auxiliary_head = False
  # Of a moving average of the weights, which is then what is tested; 0: none.
  config.ema_decay = 0.0

  # 'float32', or 'bfloat16' for products and convolutions; parameters and
  # statistics are float32 either way.
  config.precision = 'float32'
  # Parts in which a batch passes through a device that cannot hold it whole;
  # batch norm then sees one part at a time.
  config.gradient_accumulation_steps = 1

  # What follows changes no result.
  # Trials that train at once, on the same batches: each takes the memory of
  # its parameters and as much again for the momentum. 0: as many as the
  # memory of a device holds beside a step, where it says how much it has.
  config.concurrent_trials = 8
  # Steps between checkpoints.
  config.checkpoint_every = 1000
  # Memory for decoded images of the split that is trained on, in GiB.
  config.image_cache_gib = 4.0
  # Steps between points of TensorBoard's curves, a run for each trial.
  config.log_every = 100
  # Steps that are profiled, once, for TensorBoard's profile plugin; 0: none.
  config.profile_steps = 0
  return config


def get_config(
  argument: str = 'efficientnet_lite0,digits',
) -> ml_collections.ConfigDict:
  """The config of one cell; `argument` is 'NETWORK,DATASET'."""
  config = logistic_regression.get_config(argument)
  config.settings = ('fine_tuned',)
  config.fine_tuned = fields()
  return config
