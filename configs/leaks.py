"""Finds test images of a dataset that were seen in training.

  python -m tf_transfer.main --config=leaks:DATASET --workdir=runs/leaks

DATASET is as in configs/presets/logistic_regression.py. The job looks for exact
copies and near copies (other compression, other size, slightly cropped) of the
dataset's test images in its own train and val, and in ImageNet's where that is
there (the paper's appendix H). It writes leaks.csv, leaks.png with the pairs
side by side, and leaks.json with the counts. With --config.ledger=WORKDIR it
also writes the accuracy of each record of that workdir without the leaked test
images.

Expect: digits takes seconds and has no exact copy. Its images are 8 x 8 pixels
and alike: by hash two in five are near copies, which shows what hashes cannot
do.
"""

import ml_collections

from tf_transfer import config_fields, config_files
from tf_transfer.config_fields import (
  Group,
  choice,
  integer,
  name,
  number,
  path,
  several,
)
from tf_transfer.configs import base


class Leaks(Group):
  """The fields of the audit."""

  # The job that main runs.
  job: choice('leaks') = 'leaks'

  # digits, fashion_mnist, folder:PATH ...
  dataset: name('a dataset') = 'digits'
  # Other datasets whose train and val are searched too; one that is missing is
  # left out, which is printed.
  against: several(name('a dataset')) = ('imagenet',)
  data: base.Data

  # The largest number of the 64 bits of two images' perceptual hashes that may
  # differ in a near copy; -1: none is found by its hash.
  max_distance: integer(-1, 64) = 8

  # A network as in configs/base.py: then images with nearly equal features are
  # near copies too. '' is none.
  network: path('a network') = ''
  # The smallest cosine between the features of two near copies.
  min_cosine: number(least=-1, most=1) = 0.95
  # As in configs/base.py; cached features are not computed again.
  weights_dir: path('a directory') = ''
  features: base.FeatureCache

  # The workdir of a study whose records on this dataset are measured again
  # without the leaked images; '' is none.
  ledger: path('a directory') = ''

  # The largest number of pairs in leaks.png, the least alike first.
  max_pairs_shown: integer(1, 10_000) = 100


def get_config(argument: str = 'digits') -> ml_collections.ConfigDict:
  """Returns the config of the audit of one dataset.

  Args:
    argument: 'DATASET'.

  Raises:
    InputError: the argument is empty or names several datasets.
  """
  (dataset,) = config_files.parse_argument(argument, 'DATASET')
  config = config_fields.defaults(Leaks)
  config.dataset = dataset
  return config.lock()
