"""The paper's own numbers: its figures drawn again and its claims checked.

  python -m tf_transfer.main --config=configs/published.py --workdir=DIR

Needs no network, weights or images. Expect: figures 1, 2, 3, 5, 6, 7 and 8 as
PDF and PNG in DIR, and a line for each claim with what the published numbers
give beside what the paper prints, in under a minute on two cores.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """The config of the job; there is nothing to choose."""
  config = ml_collections.ConfigDict()

  # What main runs.
  config.job = 'published'
  return config
