"""Merges several ledgers into one, by the identity of their records.

  python -m tf_transfer.main --config=merge:DIR1,DIR2 --workdir=DIR

DIR gets the records, predictions and failures of the workdirs DIR1 and DIR2
(for example of machines that share no disk), and of the parts of a study that
was cut (`--config.part` of configs/base.py) in any of them. Without DIR1 and
DIR2, only the parts in DIR are joined.

Expect: seconds. A record that several ledgers agree on is kept once. Where they
have different results of one cell, both are printed, the one that was in DIR
first stays, and the exit code is 1.
"""

import ml_collections

from tf_transfer import config_fields, config_files
from tf_transfer.config_fields import Group, choice, path, several


class Merge(Group):
  """The fields of a merge."""

  # The job that main runs.
  job: choice('merge') = 'merge'

  # The workdirs whose ledgers are merged into that of --workdir.
  sources: several(path('a directory', required=True)) = ()
  # The one of them that is right where results differ. '' is none: then the
  # record that was there first stays, and the conflict is an error.
  prefer: path('a directory') = ''


def get_config(argument: str = '') -> ml_collections.ConfigDict:
  """Returns the config of a merge.

  Args:
    argument: 'DIR,DIR', or ''.

  Raises:
    InputError: a directory in the list is empty.
  """
  config = config_fields.defaults(Merge)
  config.sources = config_files.parse_list(argument, 'DIR')
  return config.lock()
