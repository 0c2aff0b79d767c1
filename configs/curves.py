"""Accuracy at several numbers of examples or steps: figures 9 and 8.

  python -m tf_transfer.main --workdir=runs/curves \\
      --config=curves:NETWORK,DATASET --config.examples="(1,2,4,8)"

Each point is a study of its own, with the fields of configs/base.py, and all
are in one ledger. This config takes logistic regression alone, which takes
seconds; accuracy_vs_examples and accuracy_vs_steps are the paper's.

Expect: first a table of the points, with how long they may take
(--config.only_plan=True ends it there); then the points, one after another;
then figure_9, or figure_8 where `steps` are named, and report.html. The job may
be killed at any moment: the same command goes on.
"""

import ml_collections

from tf_transfer import config_fields, config_files
from tf_transfer.config_fields import choice, integer, several
from tf_transfer.configs import base


class Curves(base.Study):
  """The fields of a study, and those of its points."""

  # The job that main runs.
  job: choice('curves') = 'curves'

  # Training images of each class, a point of figure 9 for each number; they
  # take the place of data.examples_per_class.
  examples: several(integer(1, 1_000_000)) = (1, 2, 4, 8, 16)
  # How often the examples are drawn, with the seeds data.subset_seed,
  # data.subset_seed + 1 ...
  draws: integer(1, 1000) = 3
  # Training steps, a point of figure 8 for each number; they take the place of
  # `steps` and min_epochs of the settings that train.
  steps: several(integer(1, 100_000_000)) = ()

  @staticmethod
  def contradiction(config: ml_collections.ConfigDict) -> str:
    """Says which fields do not go together; '' if all do."""
    if bool(config.examples) == bool(config.steps):
      return (
        'examples: expected numbers either here, for figure 9, or in steps, '
        'for figure 8, with () in the other one'
      )
    if config.export:
      return (
        "export: expected '', found a file: each point has a network of its own"
      )
    return ''


def get_config(
  argument: str = base.DEFAULT_CELL,
) -> ml_collections.ConfigDict:
  """Returns the config of logistic regression at five sizes.

  Args:
    argument: 'NETWORK,DATASET'.

  Raises:
    InputError: a part of the argument is missing or too much.
  """
  network, dataset = config_files.parse_argument(argument, 'NETWORK,DATASET')
  config = config_fields.defaults(Curves)
  config.networks = (network,)
  config.datasets = (dataset,)
  return config
