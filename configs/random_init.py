"""Training one network on one dataset from random values, at the paper's grid.

  python -m tf_transfer.main --workdir=runs/mine \\
      --config=configs/random_init.py:NETWORK,DATASET

As configs/fine_tuned.py, but for the grid. A network of the table needs no
weights file here: without one its input is scaled to -1 to 1, as TF-Slim's.
"""

import ml_collections

from tf_transfer.configs import fine_tuned, logistic_regression


def fields() -> ml_collections.ConfigDict:
  """The fields of training, with the values of random initialization."""
  config = fine_tuned.fields()
  config.learning_rate_min = 1e-3
  config.learning_rate_max = 1.0
  config.num_weight_decays = 8
  config.weight_decay_min = 1e-5
  config.weight_decay_max = 10**-1.5
  config.include_zero_weight_decay = False
  return config


def get_config(
  argument: str = 'efficientnet_lite0,digits',
) -> ml_collections.ConfigDict:
  """The config of one cell; `argument` is 'NETWORK,DATASET'."""
  config = logistic_regression.get_config(argument)
  config.settings = ('random_init',)
  config.random_init = fields()
  return config
