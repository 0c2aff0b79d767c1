"""Several ledgers into one, by the identity of their records.

  python -m tf_transfer.main --config=configs/merge.py:DIR1,DIR2 --workdir=DIR

Into DIR go the records, predictions and failures of the workdirs DIR1 and DIR2
(as of machines that share no disk), and those of the parts of a study that was
cut (`--config.part` of configs/study.py) in any of them. Without DIR1 and DIR2
it is the parts in DIR alone.

Expect: seconds. What several ledgers agree on is there once; where they have
different results of one cell, both are shown, what DIR had first stays, and
the exit code is 1.
"""

import ml_collections


def get_config(argument: str = '') -> ml_collections.ConfigDict:
  """The config of a merge; `argument` is 'DIR1,DIR2,...'."""
  config = ml_collections.ConfigDict()

  # What main runs.
  config.job = 'merge'

  # The workdirs whose ledgers are merged into that of --workdir.
  config.sources = tuple(name for name in argument.split(',') if name)
  # The one of them that is right where results differ; '' for none: then what
  # was there first stays, and the conflict is an error.
  config.prefer = ''
  return config
