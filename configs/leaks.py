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

from tf_transfer import config_files
from tf_transfer.configs import base


def get_config(argument: str = 'digits') -> ml_collections.ConfigDict:
  """Returns the config of the audit of one dataset.

  Args:
    argument: 'DATASET'.

  Raises:
    InputError: the argument is empty or names several datasets.
  """
  (dataset,) = config_files.parse_argument(argument, 'DATASET')
  config = ml_collections.ConfigDict()
  # The job that main runs.
  config.job = 'leaks'

  # digits, fashion_mnist, folder:PATH ...
  config.dataset = dataset
  # Other datasets whose train and val are searched too; one that is missing is
  # left out, which is printed.
  config.against = ('imagenet',)
  config.data = base.data_fields()

  # The largest number of the 64 bits of two images' perceptual hashes that may
  # differ in a near copy.
  config.max_distance = 8

  # A weights file, or a network of the table whose weights come with a
  # package: then images with nearly equal features are near copies too. '' is
  # none.
  config.network = ''
  # The smallest cosine between the features of two near copies.
  config.min_cosine = 0.95
  # As in configs/base.py; cached features are not computed again.
  config.weights_dir = ''
  config.features = base.feature_cache_fields()

  # The workdir of a study whose records on this dataset are measured again
  # without the leaked images; '' is none.
  config.ledger = ''

  # The largest number of pairs in leaks.png, the least alike first.
  config.max_pairs_shown = 100
  return config.lock()
