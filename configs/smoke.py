"""All three settings on real images, offline: to see that everything works.

  python -m tf_transfer.main --config=configs/smoke.py --workdir=runs/smoke

EfficientNet-Lite0 at 32 px on digits, a few steps of each kind of training.

Expect: three rows, in two to three minutes on two cores, most of it for
compiling (the second time it takes seconds). The numbers mean nothing: so few
steps teach little, from random values next to nothing.
"""

import ml_collections

from tf_transfer.configs import fine_tuned, logistic_regression, random_init


def get_config() -> ml_collections.ConfigDict:
  """The config of one network × digits × three settings."""
  config = logistic_regression.get_config()
  config.settings = ('logistic_regression', 'fine_tuned', 'random_init')
  config.image_size = 32
  config.logistic_regression.num_penalties = 5
  for name, fields in (
    ('fine_tuned', fine_tuned.fields()),
    ('random_init', random_init.fields()),
  ):
    fields.num_learning_rates = 2
    fields.num_weight_decays = 1
    fields.weight_decay_max = fields.weight_decay_min
    fields.include_zero_weight_decay = False
    fields.steps = 10
    fields.batch_size = 32
    fields.checkpoint_every = 5
    fields.log_every = 5
    config[name] = fields
  return config
