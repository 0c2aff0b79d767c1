"""Which test images of a dataset were seen in training, and what it matters.

  python -m tf_transfer.main --config=configs/leaks.py:DATASET \\
      --workdir=runs/leaks

DATASET is what configs/logistic_regression.py takes. Looks for exact copies
and for near ones (other compression, other size, slightly cropped) of its test
images in its own train and val, and in ImageNet's where that is there (the
paper's appendix H). Writes leaks.csv, leaks.png with the pairs side by side,
and leaks.json with the counts; with --config.ledger=WORKDIR also the accuracy
of each record of that workdir with the leaked test images left out.

Expect: digits takes seconds and finds no exact copy. Its images are 8 x 8
pixels and alike: by hash two in five are near copies, which shows what hashes
are not made for.
"""

import ml_collections

from tf_transfer.configs import logistic_regression


def get_config(argument: str = 'digits') -> ml_collections.ConfigDict:
  """The config of the audit of one dataset."""
  config = ml_collections.ConfigDict()

  # What main runs.
  config.job = 'leaks'

  # digits, fashion_mnist, folder:PATH ...
  config.dataset = argument
  # Other datasets whose train and val are searched too; one that is not there
  # is left out, and said so.
  config.against = ('imagenet',)

  # As in configs/logistic_regression.py.
  config.data = logistic_regression.get_config().data

  # Of the 64 bits of two images' perceptual hashes, how many may differ in a
  # near copy.
  config.max_distance = 8

  # A weights file, or a network of the table whose weights come with a
  # package: then images with nearly the same features are near copies too;
  # '' for none.
  config.network = ''
  # The cosine of the features from which on they are.
  config.min_cosine = 0.95
  # As in configs/logistic_regression.py; features found there are not computed
  # again.
  config.weights_dir = ''
  config.features = ml_collections.ConfigDict()
  config.features.batch_size = 64
  config.features.cache_dir = ''
  config.features.cache_gib = 50.0

  # The workdir of a study whose records on this dataset are measured again
  # without the leaked images; '' for none.
  config.ledger = ''

  # How many pairs leaks.png shows at most, the least alike first.
  config.max_pairs_shown = 100
  return config
