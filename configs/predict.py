"""Classifies images with a weights file, into predictions.csv.

  python -m tf_transfer.main --config=predict:WEIGHTS,PATH --workdir=DIR

WEIGHTS is a weights file with a head, as the job export or --config.export of a
study writes them. PATH is an image, a folder (with all folders in it), or a
.txt file with the path of an image in each line, relative to the file.

Expect: DIR/predictions.csv, a row for each image: file, class, probability, the
next classes with theirs, and why it cannot be read if it cannot. The exit code
is 1 if any cannot be read; the others are classified all the same.
"""

import ml_collections

from tf_transfer import config_fields, config_files
from tf_transfer.config_fields import Group, choice, integer, path
from tf_transfer.configs import base


class Predict(Group):
  """The fields of the classification."""

  # The job that main runs.
  job: choice('predict') = 'predict'

  # The weights file.
  weights: path('a weights file') = ''
  # An image, a folder of images, or a .txt file that lists images.
  images: path('an image, a folder or a .txt file') = ''
  # How many classes are written for each image, the most probable first.
  num_classes: integer(1, 1_000) = 5
  # Images that pass through the network together.
  batch_size: integer(1, 65_536) = 64
  # How an image is fitted to the network's input, as config.features.resize of
  # a study; '' is what the weights file says, or else 'resize_then_crop'.
  resize: choice('', *base.RESIZES) = ''


def get_config(argument: str = '') -> ml_collections.ConfigDict:
  """Returns the config of the classification.

  Args:
    argument: 'WEIGHTS,PATH'.

  Raises:
    InputError: the argument is not as above.
  """
  config = config_fields.defaults(Predict)
  if argument:
    parts = config_files.parse_argument(argument, 'WEIGHTS,PATH')
    config.weights, config.images = parts
  return config.lock()
