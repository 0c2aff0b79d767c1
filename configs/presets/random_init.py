"""Training one network on one dataset from random values, at the paper's grid.

  python -m tf_transfer.main --workdir=runs/mine \\
      --config=random_init:NETWORK,DATASET

Job: study. Changes `settings` of configs/base.py to ('random_init',).

As configs/presets/fine_tuned.py, with another grid. A network of the table
needs no weights file: without one its input is scaled to -1 to 1, as TF-Slim's.
"""

import ml_collections

from tf_transfer.configs import base


def get_config(argument: str = base.DEFAULT_CELL) -> ml_collections.ConfigDict:
  """Returns the config of one cell; `argument` is 'NETWORK,DATASET'."""
  config = base.get_config(argument)
  config.settings = ('random_init',)
  return config
