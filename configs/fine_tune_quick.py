"""Fine-tunes a network on a folder of images, in a time that you name.

  python -m tf_transfer.main --workdir=runs/mine \\
      --config=fine_tune_quick:NETWORK,PATH --config.budget=20m

PATH is a directory with a folder of images per class, or the name of a dataset.
The job measures how fast this device trains and evaluates the network, and
chooses the grid, steps, batch size and image size with which the search, the
refit and the test end within the budget. It says what it chose and why. It then
runs as a cell of the setting fine_tuned, with a record in the ledger.

The fields are those of configs/base.py and `budget`; config.image_size is the
largest size that is chosen. Of fine_tuned the grid, search, steps and batch
size are chosen, and the other fields count.

Expect: the result with its interval, the time that it took, and how long the
paper's protocol would take on this device. A job that is killed goes on with
what it chose, if it is given the same command.
"""

import ml_collections

from tf_transfer import config_fields, config_files, datasets
from tf_transfer.config_fields import choice, duration
from tf_transfer.configs import base


class FineTuneQuick(base.Study):
  """The fields of a study of one cell, and its budget."""

  # The job that main runs.
  job: choice('fine_tune_quick') = 'fine_tune_quick'

  # How long the job may take, from its start to its end: 90s, 20m, 1h30m.
  budget: duration(required=True) = '20m'

  @staticmethod
  def contradiction(config: ml_collections.ConfigDict) -> str:
    """Says which fields do not go together; '' if all do."""
    for field in ('networks', 'datasets'):
      if len(config[field]) > 1 or 'all' in config[field]:
        return f'{field}: expected one, found {", ".join(config[field])}'
    if config.part:
      return f"part: expected '', found {config.part!r}: there is one cell"
    return ''


def get_config(
  argument: str = base.DEFAULT_CELL,
) -> ml_collections.ConfigDict:
  """Returns the config.

  Args:
    argument: 'NETWORK,PATH'.

  Raises:
    InputError: a part of the argument is missing or too much.
  """
  network, path = config_files.parse_argument(argument, 'NETWORK,PATH')
  config = config_fields.defaults(FineTuneQuick)
  config.networks = (network,)
  config.datasets = (datasets.name_of(path),)
  config.settings = ('fine_tuned',)
  config.tensorboard = False  # To import TensorFlow takes seconds.
  return config
