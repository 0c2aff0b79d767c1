"""Names networks, datasets and settings as people write them.

Imports no plotting library: printing a name has to be quick.
"""

import pathlib
from collections.abc import Mapping

_NETWORKS: Mapping[str, str] = {
  'inception_v1': 'Inception v1',
  'bn_inception': 'BN-Inception',
  'inception_v3': 'Inception v3',
  'inception_v4': 'Inception v4',
  'inception_resnet_v2': 'Inception-ResNet v2',
  'resnet50': 'ResNet-50',
  'resnet101': 'ResNet-101',
  'resnet152': 'ResNet-152',
  'densenet121': 'DenseNet-121',
  'densenet169': 'DenseNet-169',
  'densenet201': 'DenseNet-201',
  'mobilenet_v1': 'MobileNet v1',
  'mobilenet_v2': 'MobileNet v2',
  'mobilenet_v2_140': 'MobileNet v2 (1.4)',
  'nasnet_mobile': 'NASNet-A Mobile',
  'nasnet_large': 'NASNet-A Large',
  'efficientnet_lite0': 'EfficientNet-Lite0',
  'efficientnet_lite1': 'EfficientNet-Lite1',
  'efficientnet_lite2': 'EfficientNet-Lite2',
  'inception_small': 'Small Inception',
}
_DATASETS: Mapping[str, str] = {
  'food101': 'Food-101',
  'cifar10': 'CIFAR-10',
  'cifar100': 'CIFAR-100',
  'birdsnap': 'Birdsnap',
  'sun397': 'SUN397',
  'cars': 'Stanford Cars',
  'aircraft': 'FGVC Aircraft',
  'voc2007': 'PASCAL VOC 2007',
  'dtd': 'DTD',
  'pets': 'Oxford-IIIT Pets',
  'caltech101': 'Caltech-101',
  'flowers': '102 Flowers',
  'digits': 'Digits',
  'fashion_mnist': 'Fashion-MNIST',
}
_SETTINGS: Mapping[str, str] = {
  'logistic_regression': 'Logistic regression',
  'fine_tuned': 'Fine-tuned',
  'random_init': 'Random initialization',
}


def display_name(name: str) -> str:
  """Returns the title of a network or dataset; of a folder its last part."""
  if name.startswith('folder:'):
    return pathlib.PurePath(name).name
  return _NETWORKS.get(name) or _DATASETS.get(name) or name


def setting_text(setting: str) -> str:
  """Returns the title of a setting."""
  return _SETTINGS.get(setting) or setting.replace('_', ' ').capitalize()
