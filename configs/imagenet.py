"""Measures networks on ImageNet's validation images.

  python -m tf_transfer.main --workdir=runs/imagenet \\
      --config=imagenet:NETWORK --config.data.dir=DIR

NETWORK is a name of the table or the path of a weights file; several are
separated by commas. DIR holds imagenet/val, with a folder for each WNID or flat
beside its development kit, or imagenet2012 as TFDS prepares it. Train may be
missing, and a part of validation, but no class of the 1000.

Expect: top-1 and top-5 with 95 % intervals, within a percent of the published
figure, which is printed beside them. On two cores 50,000 images take
EfficientNet-Lite0 10 to 15 minutes.

A study with the same --workdir, or with --config.imagenet_results=
WORKDIR/imagenet, takes these accuracies in place of the published ones, if all
its networks were measured alike: on the same images, with the same resize and
the same crop.
"""

import ml_collections

from tf_transfer import config_fields, config_files
from tf_transfer.config_fields import (
  Group,
  choice,
  name,
  number,
  path,
  pixels,
  several,
)
from tf_transfer.configs import base


class ImageNet(Group):
  """The fields of the job."""

  # The job that main runs.
  job: choice('imagenet') = 'imagenet'

  # Names of the table, weights files, or repositories of the hub, timm/NAME.
  networks: several(name('a network'), least=1) = ('efficientnet_lite0',)
  # As in configs/base.py.
  weights_dir: path('a directory') = ''

  # How an image is fitted to the network's input: 'resize_then_crop' (the
  # shorter side, then the center: torchvision, timm), 'crop_then_resize' (the
  # central part, without keeping its aspect: TF-Slim) or 'whole_image' (as the
  # paper does for fixed features).
  resize: choice(*base.RESIZES) = 'resize_then_crop'
  # The side of the central crop as a fraction of the image's shorter side, the
  # same for all networks; 0: each network's own, as its publisher states it.
  # Publishers' fractions are 0.875 to 1: with 0.875, TF-Slim's and
  # torchvision's, all networks are measured on one footing.
  crop_fraction: number(least=0, most=1) = 0.0
  # Height and width in pixels in place of the networks' own; 0: their own.
  image_size: pixels() = 0

  data: base.Data
  features: base.FeatureCache


def get_config(
  argument: str = 'efficientnet_lite0',
) -> ml_collections.ConfigDict:
  """Returns the config of the job.

  Args:
    argument: 'NETWORK,NETWORK'.

  Raises:
    InputError: a name in the list is empty.
  """
  config = config_fields.defaults(ImageNet)
  config.networks = config_files.parse_list(argument, 'NETWORK')
  return config.lock()
