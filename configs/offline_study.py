"""A whole study on real data, without a download site, on two cores.

  apt-get install dataset-fashion-mnist tuxpaint-stamps-default
  python -m tf_transfer.main --config=configs/offline_study.py \\
      --workdir=runs/offline

Three real ImageNet networks (extra `quickstart`) × digits, Fashion-MNIST and
the photographs and drawings of Tux Paint in 16 classes × logistic regression,
and fine-tuning on the last, the smallest. After the colon another folder of
images can stand: configs/offline_study.py:PATH. Images are shown at 64 px and
the searches are coarse: enough to compare, not the networks' best.

Expect: twelve rows in about a quarter of an hour; killed and started again, the
same ones.
"""

import ml_collections

from tf_transfer.configs import fine_tuned, quickstart

STAMPS = '/usr/share/tuxpaint/stamps'


def get_config(argument: str = STAMPS) -> ml_collections.ConfigDict:
  """The config of the study; `argument` is a folder with one per class."""
  config = quickstart.get_config()
  folder = f'folder:{argument}'
  config.datasets = ('digits', 'fashion_mnist', folder)
  config.settings = ('logistic_regression', 'fine_tuned')
  config.leave_out = (
    ('*', 'digits', 'fine_tuned'),
    ('*', 'fashion_mnist', 'fine_tuned'),
  )
  config.image_size = 64
  # A decade apart, without the smaller, which none chooses; of Fashion-MNIST's
  # 49,843 images they take minutes each.
  config.logistic_regression.num_penalties = 6
  config.logistic_regression.penalty_min = 1.0
  config.fine_tuned = fine_tuned.fields()
  config.fine_tuned.num_learning_rates = 2
  config.fine_tuned.learning_rate_min = 1e-2
  config.fine_tuned.num_weight_decays = 1
  config.fine_tuned.weight_decay_max = config.fine_tuned.weight_decay_min
  config.fine_tuned.include_zero_weight_decay = False
  config.fine_tuned.steps = 60
  config.fine_tuned.batch_size = 32
  config.fine_tuned.checkpoint_every = 10
  return config
