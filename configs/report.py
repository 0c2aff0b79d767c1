"""Writes a page about a study, to look at in a browser, offline.

  python -m tf_transfer.main --config=report \\
      --config.ledger=runs/quickstart --workdir=runs/page

Expect: WORKDIR/report.html, one file of 2 MB that loads nothing from the
network: the answer with its interval, figure 2 with a choice of cells, every
cell beside the paper's number and why the two may differ, validation curves,
failures, how often the test splits were read, provenance, and all of it as CSV.
It takes seconds. A study writes the same page when it ends.
"""

import ml_collections

from tf_transfer import config_fields
from tf_transfer.config_fields import Group, boolean, choice, path


class Report(Group):
  """The fields of the job."""

  # The job that main runs.
  job: choice('report') = 'report'

  # The workdir of the study, where results.jsonl is; '' is --workdir.
  ledger: path('a directory') = ''
  # As in configs/base.py.
  correct_with_holm: boolean = False
  # As in configs/base.py; '' means imagenet in the study's workdir.
  imagenet_results: path('a directory') = ''
  # As config.data.test_reads_dir of the study; where the study has a
  # data.cache_dir, its folder test_reads; '' is the user's cache.
  test_reads_dir: path('a directory') = ''


def get_config() -> ml_collections.ConfigDict:
  """Returns the config of the job."""
  config = config_fields.defaults(Report)
  return config.lock()
