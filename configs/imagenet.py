"""Networks on ImageNet's validation images, beside their published accuracy.

  python -m tf_transfer.main --workdir=runs/imagenet \\
      --config=configs/imagenet.py:NETWORK --config.data.dir=DIR

NETWORK is a name of the table or the path of a weights file. DIR holds
imagenet/val, with a folder for each WNID or flat beside its development kit,
or imagenet2012 as TFDS prepares it. Train need not be there, nor all of
validation, but all 1000 classes.

Expect: top-1 and top-5 with 95 % intervals within a percent of the published
figure. On two cores 50,000 images take EfficientNet-Lite0 10 to 15 minutes.
"""

import ml_collections


def get_config(
  argument: str = 'efficientnet_lite0',
) -> ml_collections.ConfigDict:
  """The config; `argument` is 'NETWORK,NETWORK'."""
  config = ml_collections.ConfigDict()

  # What main runs.
  config.job = 'imagenet'

  # Names of the table, or paths of weights files.
  config.networks = tuple(name for name in argument.split(',') if name)
  # As in configs/logistic_regression.py.
  config.weights_dir = ''

  # How images become a network's input: 'resize_then_crop' (the shorter side,
  # then the center: torchvision, timm), 'crop_then_resize' (the central part,
  # not keeping its aspect: TF-Slim) or 'whole_image' (as the paper shows
  # images to fixed networks).
  config.resize = 'resize_then_crop'

  # As in configs/logistic_regression.py.
  config.data = ml_collections.ConfigDict()
  config.data.dir = ''
  config.data.cache_dir = ''
  config.data.corrupt = 'error'

  config.features = ml_collections.ConfigDict()
  config.features.batch_size = 64
  config.features.cache_dir = ''
  config.features.cache_gib = 50.0
  return config
