"""A page about a study, to look at in a browser, offline.

  python -m tf_transfer.main --config=configs/report.py \\
      --config.ledger=runs/quickstart --workdir=runs/page

Expect: WORKDIR/report.html, one file of 2 MB that asks for no network: the
answer with its interval, figure 2 to choose from, every cell beside the
paper's number and why the two may differ, curves of validation, what went
wrong, where the numbers come from, and all of it as CSV. It takes seconds. A
study writes the same page when it ends.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """The config of the job."""
  config = ml_collections.ConfigDict()

  # What main runs.
  config.job = 'report'

  # The workdir of the study, where results.jsonl is; '' is --workdir.
  config.ledger = ''
  # Whether the marks of what is tied with the best allow for the number of
  # networks that are compared (Holm's correction); the paper's do not.
  config.correct_with_holm = False
  return config
