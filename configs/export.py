"""Exports the network of a finished cell, with its head, to be used elsewhere.

  python -m tf_transfer.main --config=export:NETWORK,DATASET \\
      --workdir=runs/mine

--workdir is that of a finished study. NETWORK and DATASET are those of the
study; a folder may be gone since. The cell is one of a classifier on fixed
features that is linear in them: logistic regression or ridge regression. Where
several records fit, they are listed; --config.setting or --config.identity
names one. Networks that were trained are written while they are, by
--config.export of their study.

Expect: WORKDIR/exports/NETWORK_DATASET.safetensors, with the names of the
classes and the temperature, and the command that classifies images with it. It
takes seconds.
"""

import ml_collections

from tf_transfer import config_fields, config_files
from tf_transfer.config_fields import Group, choice, path, text


class Export(Group):
  """The fields of the export."""

  # The job that main runs.
  job: choice('export') = 'export'

  # A network of the study: its name, the path of its weights file, or its
  # repository on the hub; '' is any.
  network: path('a network') = ''
  # A dataset of the study; '' is any.
  dataset: path('a dataset') = ''
  # The setting of the cell; '' is any that can be exported.
  setting: text('the name of a setting') = ''
  # The identity of the record, or its beginning; '' is any.
  identity: text('hexadecimal digits', most=32) = ''
  # What is written: 'weights', a weights file of this package; 'stablehlo', a
  # file that JAX runs alone; 'saved_model', a directory that TensorFlow runs
  # alone.
  format: choice('weights', 'stablehlo', 'saved_model') = 'weights'
  # Where it is written; '' means WORKDIR/exports/NETWORK_DATASET with the
  # ending of the format, and for weights of timm their tag behind NETWORK.
  output: path('a file') = ''
  # Where the weights file of the network is looked for; '' means
  # WORKDIR/weights.
  weights_dir: path('a directory') = ''


def get_config(argument: str = '') -> ml_collections.ConfigDict:
  """Returns the config of the export.

  Args:
    argument: 'NETWORK,DATASET', or '' where `identity` names the record.

  Raises:
    InputError: the argument is not as above.
  """
  config = config_fields.defaults(Export)
  if argument:
    parts = config_files.parse_argument(argument, 'NETWORK,DATASET')
    config.network, config.dataset = parts
  return config.lock()
