"""Asks 1,266 public checkpoints whether better on ImageNet holds elsewhere.

  python -m tf_transfer.main --config=timm_results --workdir=DIR

Needs no network, weights or images: the accuracies are those that timm
publishes. Expect: r on five test sets of shifted images, by pretraining data,
with what it does not say; accuracy_under_shift.pdf and .png, timm_results.html
to find a checkpoint in, and timm_results.csv in DIR, in half a minute on two
cores.
"""

import ml_collections

from tf_transfer import config_fields
from tf_transfer.config_fields import Group, choice


class TimmResults(Group):
  """The only field: there is nothing to choose."""

  # The job that main runs.
  job: choice('timm_results') = 'timm_results'


def get_config() -> ml_collections.ConfigDict:
  """Returns the config of the job; there is nothing to choose."""
  config = config_fields.defaults(TimmResults)
  return config.lock()
