"""Checks which of the paper's datasets are there, and what is in a folder.

  python -m tf_transfer.main --config=datasets --config.data.dir=DIR
  python -m tf_transfer.main --config=datasets:NAME,NAME ...
  python -m tf_transfer.main --config=datasets:folder:PATH

Expect of a folder: images by class and split, all files that cannot be decoded,
copies and images that look alike, sizes, what is left out, classes too small to
be tested, and what to do about each. With a workdir long lists are cut on the
screen, and a file in it has all. The exit code is 1 if something stops a job.

Expect of the paper's: a line for each dataset that is missing; for each that is
there, its place, its classes and counts beside the paper's, and the hashes of
its splits. With names, also how to get those that are missing. The first time
every image is read for its hash, a few minutes for Food-101; later no time, if
a workdir is given. The exit code is 1 if a dataset that is there is not as it
should be.
"""

import re

import ml_collections

from tf_transfer import config_fields, config_files
from tf_transfer.config_fields import (
  Group,
  boolean,
  choice,
  name,
  path,
  several,
)
from tf_transfer.configs import base


class Datasets(Group):
  """The fields of the check."""

  # The job that main runs.
  job: choice('datasets') = 'datasets'

  # food101 cifar10 cifar100 birdsnap sun397 cars aircraft voc2007 dtd pets
  # caltech101 flowers imagenet, or folder:PATH; () means all but folders.
  datasets: several(name('a dataset')) = ()
  data: base.Data

  # Whether to decode every image, to find those that cannot be decoded.
  decode: boolean = False
  # A file with the SHA-256 of every file of the datasets that are there. It is
  # written if it does not exist, and compared with them if it does; '' is none.
  manifest: path('a file') = ''


def get_config(argument: str = '') -> ml_collections.ConfigDict:
  """Returns the config of the check.

  Args:
    argument: 'NAME,NAME', or '' for all datasets. Folders come last: a path may
      contain commas.

  Raises:
    InputError: a name in the list is empty.
  """
  config = config_fields.defaults(Datasets)
  names, *paths = re.split('(?:^|,)folder:', argument)
  folders = tuple(f'folder:{path}' for path in paths)
  config.datasets = (*config_files.parse_list(names, 'NAME'), *folders)
  return config.lock()
