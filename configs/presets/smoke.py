"""All three settings on real images, offline: checks that everything works.

  python -m tf_transfer.main --config=smoke --workdir=runs/smoke

Job: study. Changes of configs/base.py: all three `settings`, images at 32 px,
five penalties, and two trials of ten steps for each setting that trains.
--config=smoke:NETWORK,DATASET takes another network or dataset than
EfficientNet-Lite0 and digits.

Expect: three rows, in two to three minutes on two cores, most of it for
compiling (the second time it takes seconds). The numbers mean nothing: a few
steps teach little, and next to nothing from random values.
"""

import ml_collections

from tf_transfer.configs import base


def get_config(argument: str = base.DEFAULT_CELL) -> ml_collections.ConfigDict:
  """Returns the config of three cells; `argument` is 'NETWORK,DATASET'."""
  config = base.get_config(argument)
  config.settings = ('logistic_regression', 'fine_tuned', 'random_init')
  config.image_size = 32
  config.logistic_regression.num_penalties = 5
  for fields in (config.fine_tuned, config.random_init):
    fields.num_learning_rates = 2
    fields.num_weight_decays = 1
    fields.weight_decay_max = fields.weight_decay_min
    fields.include_zero_weight_decay = False
    fields.steps = 10
    fields.batch_size = 32
    fields.checkpoint_every = 5
    fields.log_every = 5
  return config
