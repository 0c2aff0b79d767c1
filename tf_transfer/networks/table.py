"""The table of networks.

To add a network:

1. Write its backbone, in the file of its architecture in this folder.
2. Add its row to `TABLE`.
3. Add its variables' digest to tests/networks/parameter_paths.json. The test
   that compares them prints it.
4. Where weights of it are public, add their sources to
   tools/convert_weights/table.py. If its blocks are new there, write rules that
   rename its variables, in the module of its family in tools/convert_weights.
   Record golden outputs of each source in tests/golden.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping

from flax import linen as nn

from tf_transfer import errors
from tf_transfer.networks import (
  bn_inception,
  densenet,
  efficientnet,
  efficientnet_v2,
  inception_resnet_v2,
  inception_small,
  inception_v1,
  inception_v3,
  inception_v4,
  mobilenet,
  nasnet,
  resnet,
)


@dataclasses.dataclass(frozen=True)
class Row:
  """A network of the table.

  Attributes:
    backbone: makes its backbone; takes the backbone's options as keywords.
    image_size: height and width, in pixels, of the images it was trained on.
    feature_dim: number of features, after pooling.
    parameters: number of trainable parameters at the default options, without
      the head. The scale of batch norm counts; tables that leave it out, as
      TF-Slim's of the Inceptions, have smaller numbers.
    title: its name for people, for tables and figures.
    imagenet_top1: accuracy on ImageNet, in 0 to 1, that the architecture
      reached; None if not known. It is the x-axis for networks trained from
      random values. Each weights file has its own.
    imagenet_top1_source: who measured it.
  """

  backbone: Callable[..., nn.Module]
  image_size: int
  feature_dim: int
  parameters: int
  title: str = ''
  imagenet_top1: float | None = None
  imagenet_top1_source: str = ''


_PAPER = 'Kornblith et al. (2019), of the networks that they trained'
_AUTHORS = "published by the network's authors"
_KERAS = "Keras's table of applications"

TABLE: Mapping[str, Row] = {
  'inception_v1': Row(
    title='Inception v1',
    backbone=functools.partial(inception_v1.InceptionV1),
    image_size=224,
    feature_dim=1024,
    parameters=5_599_904,
    imagenet_top1=0.736,
    imagenet_top1_source=_PAPER,
  ),
  'bn_inception': Row(
    title='BN-Inception',
    backbone=functools.partial(bn_inception.BNInception),
    image_size=224,
    feature_dim=1024,
    parameters=10_163_224,
    imagenet_top1=0.753,
    imagenet_top1_source=_PAPER,
  ),
  'inception_v3': Row(
    title='Inception v3',
    backbone=functools.partial(inception_v3.InceptionV3),
    image_size=299,
    feature_dim=2048,
    parameters=21_785_568,
    imagenet_top1=0.786,
    imagenet_top1_source=_PAPER,
  ),
  'inception_v4': Row(
    title='Inception v4',
    backbone=functools.partial(inception_v4.InceptionV4),
    image_size=299,
    feature_dim=1536,
    parameters=41_142_816,
    imagenet_top1=0.799,
    imagenet_top1_source=_PAPER,
  ),
  'inception_resnet_v2': Row(
    title='Inception-ResNet v2',
    backbone=functools.partial(inception_resnet_v2.InceptionResNetV2),
    image_size=299,
    feature_dim=1536,
    parameters=54_306_464,
    imagenet_top1=0.803,
    imagenet_top1_source=_PAPER,
  ),
  'resnet50': Row(
    title='ResNet-50',
    backbone=functools.partial(resnet.ResNet, depths=resnet.DEPTHS_50),
    image_size=224,
    feature_dim=2048,
    parameters=23_508_032,
    imagenet_top1=0.769,
    imagenet_top1_source=_PAPER,
  ),
  'resnet101': Row(
    title='ResNet-101',
    backbone=functools.partial(resnet.ResNet, depths=resnet.DEPTHS_101),
    image_size=224,
    feature_dim=2048,
    parameters=42_500_160,
    imagenet_top1=0.786,
    imagenet_top1_source=_PAPER,
  ),
  'resnet152': Row(
    title='ResNet-152',
    backbone=functools.partial(resnet.ResNet, depths=resnet.DEPTHS_152),
    image_size=224,
    feature_dim=2048,
    parameters=58_143_808,
    imagenet_top1=0.793,
    imagenet_top1_source=_PAPER,
  ),
  'densenet121': Row(
    title='DenseNet-121',
    backbone=functools.partial(densenet.DenseNet, depths=densenet.DEPTHS_121),
    image_size=224,
    feature_dim=1024,
    parameters=6_953_856,
    imagenet_top1=0.756,
    imagenet_top1_source=_PAPER,
  ),
  'densenet169': Row(
    title='DenseNet-169',
    backbone=functools.partial(densenet.DenseNet, depths=densenet.DEPTHS_169),
    image_size=224,
    feature_dim=1664,
    parameters=12_484_480,
    imagenet_top1=0.767,
    imagenet_top1_source=_PAPER,
  ),
  'densenet201': Row(
    title='DenseNet-201',
    backbone=functools.partial(densenet.DenseNet, depths=densenet.DEPTHS_201),
    image_size=224,
    feature_dim=1920,
    parameters=18_092_928,
    imagenet_top1=0.771,
    imagenet_top1_source=_PAPER,
  ),
  'mobilenet_v1': Row(
    title='MobileNet v1',
    backbone=functools.partial(mobilenet.MobileNetV1),
    image_size=224,
    feature_dim=1024,
    parameters=3_206_976,
    imagenet_top1=0.724,
    imagenet_top1_source=_PAPER,
  ),
  'mobilenet_v2': Row(
    title='MobileNet v2',
    backbone=functools.partial(mobilenet.MobileNetV2),
    image_size=224,
    feature_dim=1280,
    parameters=2_223_872,
    imagenet_top1=0.716,
    imagenet_top1_source=_PAPER,
  ),
  'mobilenet_v2_140': Row(
    title='MobileNet v2 (1.4)',
    backbone=functools.partial(mobilenet.MobileNetV2, width=1.4),
    image_size=224,
    feature_dim=1792,
    parameters=4_315_776,
    imagenet_top1=0.747,
    imagenet_top1_source=_PAPER,
  ),
  'nasnet_mobile': Row(
    title='NASNet-A Mobile',
    backbone=functools.partial(nasnet.NASNet, **nasnet.MOBILE),
    image_size=224,
    feature_dim=1056,
    parameters=4_232_978,
    imagenet_top1=0.736,
    imagenet_top1_source=_PAPER,
  ),
  'nasnet_large': Row(
    title='NASNet-A Large',
    backbone=functools.partial(nasnet.NASNet, **nasnet.LARGE),
    image_size=331,
    feature_dim=4032,
    parameters=84_720_150,
    imagenet_top1=0.808,
    imagenet_top1_source=_PAPER,
  ),
  'efficientnet_lite0': Row(
    title='EfficientNet-Lite0',
    backbone=functools.partial(efficientnet.EfficientNetLite),
    image_size=224,
    feature_dim=1280,
    parameters=3_371_008,
    imagenet_top1=0.751,
    imagenet_top1_source=_AUTHORS,
  ),
  'efficientnet_lite1': Row(
    title='EfficientNet-Lite1',
    backbone=functools.partial(efficientnet.EfficientNetLite, depth=1.1),
    image_size=240,
    feature_dim=1280,
    parameters=4_135_680,
    imagenet_top1=0.767,
    imagenet_top1_source=_AUTHORS,
  ),
  'efficientnet_lite2': Row(
    title='EfficientNet-Lite2',
    backbone=functools.partial(
      efficientnet.EfficientNetLite, width=1.1, depth=1.2
    ),
    image_size=260,
    feature_dim=1280,
    parameters=4_811_072,
    imagenet_top1=0.776,
    imagenet_top1_source=_AUTHORS,
  ),
  'efficientnet_v2_b0': Row(
    title='EfficientNetV2-B0',
    backbone=functools.partial(
      efficientnet_v2.EfficientNetV2, efficientnet_v2.B0
    ),
    image_size=224,
    feature_dim=1280,
    parameters=5_858_704,
    imagenet_top1=0.787,
    imagenet_top1_source=_KERAS,
  ),
  'efficientnet_v2_b1': Row(
    title='EfficientNetV2-B1',
    backbone=functools.partial(
      efficientnet_v2.EfficientNetV2, efficientnet_v2.B1
    ),
    image_size=240,
    feature_dim=1280,
    parameters=6_860_052,
    imagenet_top1=0.798,
    imagenet_top1_source=_KERAS,
  ),
  'efficientnet_v2_b2': Row(
    title='EfficientNetV2-B2',
    backbone=functools.partial(
      efficientnet_v2.EfficientNetV2, efficientnet_v2.B2
    ),
    image_size=260,
    feature_dim=1408,
    parameters=8_687_086,
    imagenet_top1=0.805,
    imagenet_top1_source=_KERAS,
  ),
  'efficientnet_v2_b3': Row(
    title='EfficientNetV2-B3',
    backbone=functools.partial(
      efficientnet_v2.EfficientNetV2, efficientnet_v2.B3
    ),
    image_size=300,
    feature_dim=1536,
    parameters=12_821_406,
    imagenet_top1=0.820,
    imagenet_top1_source=_KERAS,
  ),
  'efficientnet_v2_s': Row(
    title='EfficientNetV2-S',
    backbone=functools.partial(
      efficientnet_v2.EfficientNetV2, efficientnet_v2.S
    ),
    image_size=384,
    feature_dim=1280,
    parameters=20_177_488,
    imagenet_top1=0.839,
    imagenet_top1_source=_KERAS,
  ),
  'efficientnet_v2_m': Row(
    title='EfficientNetV2-M',
    backbone=functools.partial(
      efficientnet_v2.EfficientNetV2, efficientnet_v2.M
    ),
    image_size=480,
    feature_dim=1280,
    parameters=52_858_356,
    imagenet_top1=0.853,
    imagenet_top1_source=_KERAS,
  ),
  'efficientnet_v2_l': Row(
    title='EfficientNetV2-L',
    backbone=functools.partial(
      efficientnet_v2.EfficientNetV2, efficientnet_v2.L
    ),
    image_size=480,
    feature_dim=1280,
    parameters=117_234_272,
    imagenet_top1=0.857,
    imagenet_top1_source=_KERAS,
  ),
  'inception_small': Row(
    title='Small Inception',
    backbone=functools.partial(inception_small.InceptionSmall),
    image_size=32,
    feature_dim=128,
    parameters=109_640,
  ),
}


def row(name: str) -> Row:
  """Returns the row of a network.

  Raises:
    InputError: the table has no such network.
  """
  if name not in TABLE:
    raise errors.unknown_name('network', name, TABLE)
  return TABLE[name]


def title(name: str) -> str:
  """Returns the name of a network for people: 'ResNet-50' for 'resnet50'.

  A name without a title in the table, such as the path of a weights file or
  a label with a hash, is returned as it is.
  """
  return (TABLE[name].title if name in TABLE else '') or name


def has_auxiliary(name: str) -> bool:
  """Says whether a network has a place for an auxiliary head."""
  return bool(getattr(row(name).backbone(), 'auxiliary_after', None))
