"""Fine-tuning and random initialization after several numbers of steps.

  python -m tf_transfer.main --workdir=runs/steps \\
      --config=accuracy_vs_steps:NETWORK,DATASET \\
      --config.steps="(76,152,305,610)"

Job: curves. Changes of configs/curves.py: `settings` are fine_tuned and
random_init; `steps` are the paper's in figure 8, each about twice the one
before. Each point is tuned on its own, with the grids of configs/base.py.

Expect: 11 studies of two cells each, of 56 trials a cell: days on a GPU, half
of them for the last point. Then figure_8, with the paper's curves behind ours
on its datasets, and how many times as many steps random initialization takes to
90 % of its greatest odds.
"""

import ml_collections

from tf_transfer.configs import base, curves


def get_config(
  argument: str = base.DEFAULT_CELL,
) -> ml_collections.ConfigDict:
  """Returns the config of figure 8.

  Args:
    argument: 'NETWORK,DATASET'.

  Raises:
    InputError: a part of the argument is missing or too much.
  """
  config = curves.get_config(argument)
  config.settings = ('fine_tuned', 'random_init')
  config.examples = ()
  config.steps = (
    *(76, 152, 305, 610, 1220, 2441, 4882, 9765),
    *(19_531, 39_062, 78_125),
  )
  return config
