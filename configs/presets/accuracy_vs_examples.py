"""The paper's three settings at several numbers of examples (figure 9).

  python -m tf_transfer.main --workdir=runs/examples \\
      --config=accuracy_vs_examples:NETWORK,DATASET \\
      --config.examples="(1,2,4,8)" --config.draws=3

Job: curves. Changes of configs/curves.py: `settings` are all three, with the
batches, steps and learning rates of configs/presets/few_examples.py; `examples`
are 1 to 16 images of each class, each drawn three times. The smallest class of
train must have as many images as the largest of `examples`.

Expect: 15 studies of three cells each, of 56 trials for each of the two
settings that train: days on a GPU. Then figure_9, with the mean over draws, its
standard error, and from how many images on a setting is as good as logistic
regression.
"""

import ml_collections

from tf_transfer import config_files
from tf_transfer.configs import base, curves
from tf_transfer.configs.presets import few_examples


def get_config(
  argument: str = base.DEFAULT_CELL,
) -> ml_collections.ConfigDict:
  """Returns the config of figure 9.

  Args:
    argument: 'NETWORK,DATASET'.

  Raises:
    InputError: a part of the argument is missing or too much.
  """
  network, dataset = config_files.parse_argument(argument, 'NETWORK,DATASET')
  few = few_examples.get_config(f'{network},{dataset},1')
  config = curves.get_config(argument)
  config.update({name: few[name] for name in few if name != 'job'})
  config.data.examples_per_class = 0
  return config
