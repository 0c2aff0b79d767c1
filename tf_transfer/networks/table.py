"""The table of networks.

docs/add_a_network.md says how to add one, and which files that touches. Rows of
networks after the paper's are in modern_table.py.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from tf_transfer import errors
from tf_transfer.networks import (
  bn_inception,
  densenet,
  inception_resnet_v2,
  inception_small,
  inception_v1,
  inception_v3,
  inception_v4,
  layers,
  mobilenet,
  modern_table,
  nasnet,
  resnet,
)
from tf_transfer.networks.row import Row
from tf_transfer.runtime import schemas

# Type of an option's default -> type of its values.
_OPTION_TYPES = {
  # Epsilon, momentum, and shares.
  float: Annotated[float, msgspec.Meta(ge=0, le=1)],
  # Sizes of images, in pixels.
  int: Annotated[int, msgspec.Meta(ge=1, le=10_000)],
}


_PAPER = 'Kornblith et al. (2019), of the networks that they trained'

TABLE: Mapping[str, Row] = {
  'inception_v1': Row(
    title='Inception v1',
    family='Inception',
    backbone=functools.partial(inception_v1.InceptionV1),
    image_size=224,
    feature_dim=1024,
    parameters=5_599_904,
    imagenet_top1=0.736,
    imagenet_top1_source=_PAPER,
  ),
  'bn_inception': Row(
    title='BN-Inception',
    family='Inception',
    backbone=functools.partial(bn_inception.BNInception),
    image_size=224,
    feature_dim=1024,
    parameters=10_163_224,
    imagenet_top1=0.753,
    imagenet_top1_source=_PAPER,
  ),
  'inception_v3': Row(
    title='Inception v3',
    family='Inception',
    backbone=functools.partial(inception_v3.InceptionV3),
    image_size=299,
    feature_dim=2048,
    parameters=21_785_568,
    imagenet_top1=0.786,
    imagenet_top1_source=_PAPER,
    min_image_size=75,
    min_auxiliary_size=107,
  ),
  'inception_v4': Row(
    title='Inception v4',
    family='Inception',
    backbone=functools.partial(inception_v4.InceptionV4),
    image_size=299,
    feature_dim=1536,
    parameters=41_142_816,
    imagenet_top1=0.799,
    imagenet_top1_source=_PAPER,
    min_image_size=75,
    min_auxiliary_size=107,
  ),
  'inception_resnet_v2': Row(
    title='Inception-ResNet v2',
    family='Inception',
    backbone=functools.partial(inception_resnet_v2.InceptionResNetV2),
    image_size=299,
    feature_dim=1536,
    parameters=54_306_464,
    imagenet_top1=0.803,
    imagenet_top1_source=_PAPER,
    min_image_size=75,
    min_auxiliary_size=107,
  ),
  'resnet50': Row(
    title='ResNet-50',
    family='ResNet',
    backbone=functools.partial(resnet.ResNet, depths=resnet.DEPTHS_50),
    image_size=224,
    feature_dim=2048,
    parameters=23_508_032,
    imagenet_top1=0.769,
    imagenet_top1_source=_PAPER,
  ),
  'resnet101': Row(
    title='ResNet-101',
    family='ResNet',
    backbone=functools.partial(resnet.ResNet, depths=resnet.DEPTHS_101),
    image_size=224,
    feature_dim=2048,
    parameters=42_500_160,
    imagenet_top1=0.786,
    imagenet_top1_source=_PAPER,
  ),
  'resnet152': Row(
    title='ResNet-152',
    family='ResNet',
    backbone=functools.partial(resnet.ResNet, depths=resnet.DEPTHS_152),
    image_size=224,
    feature_dim=2048,
    parameters=58_143_808,
    imagenet_top1=0.793,
    imagenet_top1_source=_PAPER,
  ),
  'densenet121': Row(
    title='DenseNet-121',
    family='DenseNet',
    backbone=functools.partial(densenet.DenseNet, depths=densenet.DEPTHS_121),
    image_size=224,
    feature_dim=1024,
    parameters=6_953_856,
    imagenet_top1=0.756,
    imagenet_top1_source=_PAPER,
    min_image_size=29,
  ),
  'densenet169': Row(
    title='DenseNet-169',
    family='DenseNet',
    backbone=functools.partial(densenet.DenseNet, depths=densenet.DEPTHS_169),
    image_size=224,
    feature_dim=1664,
    parameters=12_484_480,
    imagenet_top1=0.767,
    imagenet_top1_source=_PAPER,
    min_image_size=29,
  ),
  'densenet201': Row(
    title='DenseNet-201',
    family='DenseNet',
    backbone=functools.partial(densenet.DenseNet, depths=densenet.DEPTHS_201),
    image_size=224,
    feature_dim=1920,
    parameters=18_092_928,
    imagenet_top1=0.771,
    imagenet_top1_source=_PAPER,
    min_image_size=29,
  ),
  'mobilenet_v1': Row(
    title='MobileNet v1',
    family='MobileNet',
    backbone=functools.partial(mobilenet.MobileNetV1),
    image_size=224,
    feature_dim=1024,
    parameters=3_206_976,
    imagenet_top1=0.724,
    imagenet_top1_source=_PAPER,
  ),
  'mobilenet_v2': Row(
    title='MobileNet v2',
    family='MobileNet',
    backbone=functools.partial(mobilenet.MobileNetV2),
    image_size=224,
    feature_dim=1280,
    parameters=2_223_872,
    imagenet_top1=0.716,
    imagenet_top1_source=_PAPER,
  ),
  'mobilenet_v2_140': Row(
    title='MobileNet v2 (1.4)',
    family='MobileNet',
    backbone=functools.partial(mobilenet.MobileNetV2, width=1.4),
    image_size=224,
    feature_dim=1792,
    parameters=4_315_776,
    imagenet_top1=0.747,
    imagenet_top1_source=_PAPER,
  ),
  'nasnet_mobile': Row(
    title='NASNet-A Mobile',
    family='NASNet',
    backbone=functools.partial(nasnet.NASNet, **nasnet.MOBILE),
    image_size=224,
    feature_dim=1056,
    parameters=4_232_978,
    imagenet_top1=0.736,
    imagenet_top1_source=_PAPER,
    min_image_size=3,
    min_auxiliary_size=67,
  ),
  'nasnet_large': Row(
    title='NASNet-A Large',
    family='NASNet',
    backbone=functools.partial(nasnet.NASNet, **nasnet.LARGE),
    image_size=331,
    feature_dim=4032,
    parameters=84_720_150,
    imagenet_top1=0.808,
    imagenet_top1_source=_PAPER,
    min_image_size=3,
    min_auxiliary_size=67,
  ),
  **modern_table.ROWS,
  'inception_small': Row(
    title='Small Inception',
    family='Inception',
    backbone=functools.partial(inception_small.InceptionSmall),
    image_size=32,
    feature_dim=128,
    parameters=109_640,
    min_auxiliary_size=17,
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


def check_options(name: str, options: Mapping[str, Any]) -> None:
  """Checks the options of a backbone that a weights file states.

  A weights file may set what its source does otherwise: a padding, an epsilon.
  What makes the architecture, such as depths and widths, is the table's.

  Args:
    name: in the table.
    options: fields of its backbone.

  Raises:
    InputError: the name is unknown, the backbone has no such option, or a value
      is of another type than the default or out of range.
  """
  backbone = row(name).backbone
  preset = getattr(backbone, 'keywords', {})
  defaults = {
    field.name: field.default
    for field in dataclasses.fields(getattr(backbone, 'func', backbone))
    if isinstance(field.default, bool | int | float | str)
    and field.name not in (*preset, 'name')
  }
  for option, value in options.items():
    if option not in defaults:
      raise errors.unknown_name(f'option of {name}', option, defaults)
    kind = type(defaults[option])
    expected = _OPTION_TYPES.get(kind, kind)
    schemas.convert(value, expected, f'option {option}')


def title(name: str) -> str:
  """Returns the name of a network for people: 'ResNet-50' for 'resnet50'.

  What a label adds in brackets is kept: 'ResNet-50 (a1_in1k)'. A name without a
  title in the table, such as the path of a weights file, is returned as it is.
  """
  network, bracket, rest = name.partition(' (')
  if network not in TABLE:
    return name
  return (TABLE[network].title or network) + bracket + rest


def family(name: str) -> str:
  """Returns the family of a network: 'ResNet' for 'resnet50'.

  A name that is not in the table is a family of its own.
  """
  return (TABLE[name].family if name in TABLE else '') or name


def has_auxiliary(name: str) -> bool:
  """Says whether a network has a place for an auxiliary head."""
  return bool(getattr(row(name).backbone(), 'auxiliary_after', None))


def has_batch_norm(name: str) -> bool:
  """Says whether a network has batch norm: a scale to leave out, statistics."""
  return isinstance(row(name).backbone(), layers.Normalized)


def min_image_size(name: str, auxiliary_head: bool = False) -> int:
  """Returns the smallest image size of a network, in pixels.

  Args:
    name: in the table.
    auxiliary_head: whether it is trained with an auxiliary head, where it has a
      place for one.

  Raises:
    InputError: the name is unknown.
  """
  architecture = row(name)
  if auxiliary_head:
    return max(architecture.min_image_size, architecture.min_auxiliary_size)
  return architecture.min_image_size


def size_multiple(name: str) -> int:
  """Returns the number of pixels of which a network takes multiples alone."""
  return TABLE[name].size_multiple if name in TABLE else 1


def check_image_size(
  name: str, image_size: int, auxiliary_head: bool = False
) -> None:
  """Raises an InputError where a network does not take images of a size.

  Args:
    name: of the network; one that is not in the table takes all sizes.
    image_size: height and width of the images, in pixels.
    auxiliary_head: as for `min_image_size`.
  """
  least = min_image_size(name, auxiliary_head) if name in TABLE else 1
  if image_size < least:
    head = ' with an auxiliary head' if auxiliary_head else ''
    raise errors.InputError(
      f'image_size: {name}{head} works on images of at least {least} px, not '
      f'{image_size}'
    )
  multiple = size_multiple(name)
  if image_size % multiple:
    below = image_size - image_size % multiple
    raise errors.InputError(
      f'image_size: {name} takes images whole patches of {multiple} px wide, '
      f'not {image_size} px; the nearest are {below} and {below + multiple}'
    )
