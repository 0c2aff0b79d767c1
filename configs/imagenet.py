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
"""

import ml_collections

from tf_transfer import config_files
from tf_transfer.configs import base


def get_config(
  argument: str = 'efficientnet_lite0',
) -> ml_collections.ConfigDict:
  """Returns the config of the job.

  Args:
    argument: 'NETWORK,NETWORK'.

  Raises:
    InputError: a name in the list is empty.
  """
  config = ml_collections.ConfigDict()
  # The job that main runs.
  config.job = 'imagenet'

  # Names of the table, or paths of weights files.
  config.networks = config_files.parse_list(argument, 'NETWORK')
  # As in configs/base.py.
  config.weights_dir = ''

  # How an image is fitted to the network's input: 'resize_then_crop' (the
  # shorter side, then the center: torchvision, timm), 'crop_then_resize' (the
  # central part, without keeping its aspect: TF-Slim) or 'whole_image' (as the
  # paper does for fixed features).
  config.resize = 'resize_then_crop'

  config.data = base.data_fields()
  config.features = base.feature_cache_fields()
  return config.lock()
