"""A whole study on real data, without a download site, on two cores.

  apt-get install dataset-fashion-mnist tuxpaint-stamps-default
  python -m tf_transfer.main --config=offline_study --workdir=runs/offline

Job: study. Changes of configs/quickstart.py: three datasets (digits,
Fashion-MNIST, and the photographs and drawings of Tux Paint in 16 classes);
logistic regression on all, and fine-tuning on the last, the smallest; images at
64 px and coarse searches: enough to compare, not the networks' best.
--config=offline_study:PATH takes another folder of images in place of Tux
Paint's.

Expect: twelve rows in about a quarter of an hour; killed and started again, the
same ones.
"""

import ml_collections

from tf_transfer import config_files
from tf_transfer.configs import quickstart

STAMPS = '/usr/share/tuxpaint/stamps'


def get_config(argument: str = STAMPS) -> ml_collections.ConfigDict:
  """Returns the config of the study.

  Args:
    argument: a directory with one folder of images per class.

  Raises:
    InputError: the argument is empty.
  """
  (folder,) = config_files.parse_argument(argument, 'PATH')
  config = quickstart.get_config()
  config.datasets = ('digits', 'fashion_mnist', f'folder:{folder}')
  config.settings = ('logistic_regression', 'fine_tuned')
  config.leave_out = (
    ('*', 'digits', 'fine_tuned'),
    ('*', 'fashion_mnist', 'fine_tuned'),
  )
  config.image_size = 64
  # A decade apart, without the smaller ones, which are never chosen; on
  # Fashion-MNIST's 49,843 images they take minutes each.
  config.logistic_regression.num_penalties = 6
  config.logistic_regression.penalty_min = 1.0
  fields = config.fine_tuned
  fields.num_learning_rates = 2
  fields.learning_rate_min = 1e-2
  fields.num_weight_decays = 1
  fields.weight_decay_max = fields.weight_decay_min
  fields.include_zero_weight_decay = False
  fields.steps = 60
  fields.batch_size = 32
  fields.checkpoint_every = 10
  return config
