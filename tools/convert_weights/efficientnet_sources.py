"""The public checkpoints of EfficientNet-B0 to B4.

They are part of `table.SOURCES`, which says what the numbers are.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from tf_transfer.convert_weights import (
  efficientnet,
  publishers,
  recipes,
  timm_recipes,
)
from tf_transfer.networks import efficientnet as efficientnet_lib
from tf_transfer.networks import recipe as recipe_lib

# What timm's own and torchvision's change.
_TORCH = {'padding': 'symmetric', 'epsilon': 1e-5}


def _efficientnet(
  number: int,
  size: int,
  keras: tuple[str, float],
  noisy_student_top1: float,
  timm: publishers.Source,
  torchvision: publishers.Source,
) -> tuple[publishers.Source, ...]:
  """Describes the sources of an EfficientNet.

  Args:
    number: of its name, as 0 of B0.
    size: of the images of Keras's and timm's `tf_` weights, in pixels.
    keras: the MD5 of its file, and its top-1.
    noisy_student_top1: of timm's `tf_` weights.
    timm: its own.
    torchvision: its own.
  """
  multipliers = efficientnet_lib.MULTIPLIERS[number]
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
      functools.partial(efficientnet.keras, *multipliers),
      size,
      keras[1],
      f'EfficientNetB{number}',
      f'efficientnetb{number}.h5',
      md5=keras[0],
      scaling=publishers.TORCH,
      crop_fraction=crop_fraction,
      interpolation='bicubic',
      recipe=recipes.at(
        recipes.EFFICIENTNET_AUTOAUGMENT, size, recipes.EFFICIENTNET_SCRIPT
      ),
      license='Apache-2.0',
    ),
    timm,
    publishers.timm(
      functools.partial(efficientnet.timm, *multipliers),
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
  number: int,
  size: int,
  top1: float,
  weights: str,
  recipe: recipe_lib.Recipe,
  **fields: Any,
) -> publishers.Source:
  """Describes timm's own weights of an EfficientNet."""
  return publishers.timm(
    functools.partial(efficientnet.timm, *efficientnet_lib.MULTIPLIERS[number]),
    size,
    top1,
    weights,
    options=_TORCH,
    recipe=recipes.at(recipe, size),
    **fields,
  )


def _torchvision_efficientnet(
  number: int,
  size: int,
  resized: int,
  top1: float,
  file: str,
  recipe: recipe_lib.Recipe,
) -> publishers.Source:
  """Describes torchvision's weights of an EfficientNet, which timm trained.

  Args:
    number: of its name, as 0 of B0.
    size: of the images that the network sees, in pixels.
    resized: the shorter side of the image that these are cropped from.
    top1: as published.
    file: its name.
    recipe: timm's.
  """
  return publishers.torchvision(
    functools.partial(
      efficientnet.torchvision, *efficientnet_lib.MULTIPLIERS[number]
    ),
    size,
    top1,
    file,
    crop_fraction=size / resized,
    interpolation='bicubic',
    options=_TORCH,
    recipe=recipes.ported(recipe),
  )


SOURCES: Mapping[str, tuple[publishers.Source, ...]] = {
  'efficientnet_b0': _efficientnet(
    0,
    224,
    ('902e53a9f72be733fc0bcb005b3ebbac', 0.771),
    0.78680,
    _timm_efficientnet(
      0,
      224,
      0.77698,
      'efficientnet_b0.ra_in1k',
      recipes.TIMM_EFFICIENTNET,
    ),
    _torchvision_efficientnet(
      0,
      224,
      256,
      0.77692,
      'efficientnet_b0_rwightman-7f5810bc.pth',
      recipes.at(recipes.TIMM_EFFICIENTNET, 224),
    ),
  ),
  'efficientnet_b1': _efficientnet(
    1,
    240,
    ('1d254153d4ab51201f1646940f018540', 0.791),
    0.81388,
    _timm_efficientnet(
      1,
      240,
      0.80404,
      'efficientnet_b1.ra4_e3600_r240_in1k',
      recipes.TIMM_EFFICIENTNET_RA4,
      scaling=publishers.HALF,
      crop_fraction=0.9,
    ),
    _torchvision_efficientnet(
      1,
      240,
      256,
      0.78642,
      'efficientnet_b1_rwightman-bac287d4.pth',
      recipe=timm_recipes.find('efficientnet_b1.ft_in1k'),
    ),
  ),
  'efficientnet_b2': _efficientnet(
    2,
    260,
    ('b15cce36ff4dcbd00b6dd88e7857a6ad', 0.801),
    0.82412,
    _timm_efficientnet(
      2,
      256,
      0.79324,
      'efficientnet_b2.ra_in1k',
      recipes.TIMM_EFFICIENTNET,
    ),
    _torchvision_efficientnet(
      2,
      288,
      288,
      0.80608,
      'efficientnet_b2_rwightman-c35c1473.pth',
      recipes.at(recipes.TIMM_EFFICIENTNET, 256),
    ),
  ),
  'efficientnet_b3': _efficientnet(
    3,
    300,
    ('ffd1fdc53d0ce67064dc6a9c7960ede0', 0.816),
    0.84054,
    _timm_efficientnet(
      3,
      288,
      0.81472,
      'efficientnet_b3.ra2_in1k',
      recipes.TIMM_EFFICIENTNET_RA2,
    ),
    _torchvision_efficientnet(
      3,
      300,
      320,
      0.82008,
      'efficientnet_b3_rwightman-b3899882.pth',
      recipes.at(recipes.TIMM_EFFICIENTNET_RA2, 288),
    ),
  ),
  'efficientnet_b4': _efficientnet(
    4,
    380,
    ('18c95ad55216b8f92d7e70b3a046e2fc', 0.829),
    0.85156,
    _timm_efficientnet(
      4,
      320,
      0.82658,
      'efficientnet_b4.ra2_in1k',
      recipes.TIMM_EFFICIENTNET_RA2,
    ),
    _torchvision_efficientnet(
      4,
      380,
      384,
      0.83384,
      'efficientnet_b4_rwightman-23ab8bcd.pth',
      recipes.at(recipes.TIMM_EFFICIENTNET_RA2, 320),
    ),
  ),
}
