"""Draws the paper's figures from its published numbers and checks its claims.

  python -m tf_transfer.main --config=published --workdir=DIR

Needs no network, weights or images. Expect: figures 1, 2, 3, 5, 6, 7 and 8 as
PDF and PNG in DIR, and a line for each claim with the value that the published
numbers give beside the one that the paper prints, in under a minute on two
cores.
"""

import ml_collections

from tf_transfer import config_fields
from tf_transfer.config_fields import Group, choice


class Published(Group):
  """The only field: there is nothing to choose."""

  # The job that main runs.
  job: choice('published') = 'published'


def get_config() -> ml_collections.ConfigDict:
  """Returns the config of the job; there is nothing to choose."""
  config = config_fields.defaults(Published)
  return config.lock()
