"""Writes the features of images as arrays, to go on with elsewhere.

  python -m tf_transfer.main --config=features:NETWORK,DATASET --workdir=DIR

NETWORK is as in configs/presets/logistic_regression.py. DATASET is a name of
the table, folder:PATH for a folder with a folder for each class, or the path of
a folder of images without classes.

Expect: DIR/features.npy, float32 [N, D], and DIR/files.csv with a line for each
of its rows: file, split, class and index. With --config.parquet=True also
DIR/features.parquet, both in one file.
"""

import ml_collections

from tf_transfer import config_fields, config_files
from tf_transfer.config_fields import Group, boolean, choice, path, pixels
from tf_transfer.configs import base


class FeaturesJob(Group):
  """The fields of the job."""

  # The job that main runs.
  job: choice('features') = 'features'

  # A name of the table, a weights file, a repository of the hub (timm/NAME), or
  # a function, module:function.
  network: path('a network') = 'efficientnet_lite0'
  # A name of the table, folder:PATH, or the path of a folder without classes.
  dataset: path('a dataset') = 'digits'
  data: base.Data
  features: base.Features
  # As in configs/base.py.
  weights_dir: path('a directory') = ''
  # As in configs/base.py.
  image_size: pixels() = 0
  # Whether to write Parquet too, which needs the package pyarrow.
  parquet: boolean = False


def get_config(argument: str = base.DEFAULT_CELL) -> ml_collections.ConfigDict:
  """Returns the config of the job.

  Args:
    argument: 'NETWORK,DATASET'.

  Raises:
    InputError: the argument is not as above.
  """
  config = config_fields.defaults(FeaturesJob)
  parts = config_files.parse_argument(argument, 'NETWORK,DATASET')
  config.network, config.dataset = parts
  return config.lock()
