"""Which of the paper's datasets are here, whether whole, and how to get others.

  python -m tf_transfer.main --config=configs/datasets.py --config.data.dir=DIR
  python -m tf_transfer.main --config=configs/datasets.py:NAME,NAME ...

Expect: a line for each that is not here; for each that is, where, classes and
counts against the paper's, and the hashes of its splits. With names, how to
get those that are not here too. Every image is read once for the hashes: a
few minutes for Food-101 the first time, no time after that if a workdir is
given. Ends with 1 if something that is here is not as it should be.
"""

import ml_collections


def get_config(argument: str = '') -> ml_collections.ConfigDict:
  """The config of the doctor; `argument` is 'NAME,NAME' or nothing for all."""
  config = ml_collections.ConfigDict()

  # What main runs.
  config.job = 'datasets'

  # food101 cifar10 cifar100 birdsnap sun397 cars aircraft voc2007 dtd pets
  # caltech101 flowers imagenet; () is all of them.
  config.datasets = tuple(name for name in argument.split(',') if name)

  # As in configs/logistic_regression.py.
  config.data = ml_collections.ConfigDict()
  config.data.dir = ''
  config.data.prepare = False
  config.data.cache_dir = ''
  config.data.cut_banner = False
  config.data.split_seed = 0

  # Whether to decode every image, to find those that cannot be.
  config.decode = False
  # A file with the SHA-256 of every file of the datasets that are here: it is
  # written if it is not there, and compared with them if it is. '' is none.
  config.manifest = ''
  return config
