"""The table of public checkpoints: of each network, who publishes weights.

`SOURCES` has for each network its sources, the one to take by default first.
Numbers are ImageNet top-1 as published; the functions above it make the
sources that the networks of a family have in common.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from tf_transfer.convert_weights import (
  densenet,
  inception,
  mobilenet,
  modern_sources,
  nasnet,
  publishers,
  recipes,
  resnet,
  timm_recipes,
)
from tf_transfer.networks import densenet as densenet_lib
from tf_transfer.networks import nasnet as nasnet_lib
from tf_transfer.networks import resnet as resnet_lib

# Keras states the MD5 of most of its files, in the code of
# keras.applications. Ends the names of most of them.
_KERAS_FILE = '_weights_tf_dim_ordering_tf_kernels.h5'


def _resnet(
  layers: int,
  depths: tuple[int, ...],
  slim_top1: float,
  keras: tuple[str, float],
  torchvision: tuple[str, float],
  timm: tuple[str, float | None],
  torchvision_v2: tuple[str, float],
) -> tuple[publishers.Source, ...]:
  """Describes the sources of a ResNet.

  Args:
    layers: their number, as 50.
    depths: bottlenecks in each stage.
    slim_top1: TF-Slim's.
    keras: the MD5 of its file, and its top-1.
    torchvision: the hash in its file's name, and its top-1.
    timm: the tag behind its file's name, and its top-1, None if unknown.
    torchvision_v2: of torchvision's second version, as of the first.
  """
  scope = f'resnet_v1_{layers}'
  return (
    publishers.slim(
      functools.partial(resnet.slim, scope, depths),
      224,
      slim_top1,
      f'{scope}_2016_08_28.tar.gz -> {scope}.ckpt',
      scaling=publishers.VGG,
      num_classes=1000,
      options={'stride_in': 'last_3x3', 'stem_pool': 'same'},
      recipe=recipes.SLIM_RESNET,
    ),
    publishers.keras(
      functools.partial(resnet.keras, depths),
      224,
      keras[1],
      f'ResNet{layers}',
      f'resnet{layers}{_KERAS_FILE}',
      md5=keras[0],
      scaling=publishers.CAFFE,
      options={'stride_in': 'first_1x1', 'epsilon': 1.001e-5},
      recipe=recipes.AUTHORS_RESNET,
      license='MIT',
    ),
    *_torch_resnet(layers, depths, torchvision, timm, torchvision_v2),
  )


def _torch_resnet(
  layers: int,
  depths: tuple[int, ...],
  torchvision: tuple[str, float],
  timm: tuple[str, float | None],
  torchvision_v2: tuple[str, float],
) -> tuple[publishers.Source, ...]:
  """Describes a ResNet's sources of PyTorch; arguments as for `_resnet`."""
  torch_rules = functools.partial(resnet.torch, depths)
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
      timm[1],
      f'resnet{layers}.{timm[0]}',
      crop_fraction=0.95,
      recipe=timm_recipes.find(f'resnet{layers}.{timm[0]}'),
    ),
    publishers.torchvision_v2(
      torch_rules,
      224,
      torchvision_v2[1],
      f'resnet{layers}-{torchvision_v2[0]}.pth',
      crop_fraction=224 / 232,
      recipe=recipes.TORCHVISION_RESNET_V2,
    ),
  )


def _densenet(
  layers: int,
  depths: tuple[int, ...],
  keras: tuple[str, float],
  torchvision: tuple[str, float],
  timm: tuple[str, float],
) -> tuple[publishers.Source, ...]:
  """Describes the sources of a DenseNet; arguments as for `_resnet`."""
  torch_rules = functools.partial(densenet.torch, depths)
  return (
    publishers.keras(
      functools.partial(densenet.keras, depths),
      224,
      keras[1],
      f'DenseNet{layers}',
      f'densenet{layers}{_KERAS_FILE}',
      md5=keras[0],
      scaling=publishers.TORCH,
      options={'epsilon': 1.001e-5},
      recipe=recipes.PLAIN,
      license='BSD-3-Clause',
    ),
    publishers.torchvision(
      torch_rules,
      224,
      torchvision[1],
      f'densenet{layers}-{torchvision[0]}.pth',
      recipe=recipes.PLAIN,
    ),
    publishers.timm(
      torch_rules,
      224,
      timm[1],
      f'densenet{layers}.{timm[0]}',
      recipe=timm_recipes.find(f'densenet{layers}.{timm[0]}'),
    ),
  )


# What PyTorch's implementations of the MobileNets change.
_TORCH_MOBILE = {'padding': 'symmetric', 'epsilon': 1e-5}


def _mobilenet_v1() -> tuple[publishers.Source, ...]:
  """Describes the sources of MobileNet v1."""
  return (
    publishers.slim(
      mobilenet.slim_v1,
      224,
      0.709,
      'mobilenet_v1_1.0_224.tgz -> mobilenet_v1_1.0_224.ckpt',
      recipe=recipes.MOBILENET_V1,
    ),
    publishers.keras(
      mobilenet.keras_v1,
      224,
      0.704,
      'MobileNet',
      'mobilenet_1_0_224_tf.h5',
      recipe=recipes.MOBILENET_V1,
      license='Apache-2.0',
    ),
    publishers.timm(
      mobilenet.timm_v1,
      224,
      0.75388,
      'mobilenetv1_100.ra4_e3600_r224_in1k',
      scaling=publishers.HALF,
      options=_TORCH_MOBILE,
      recipe=timm_recipes.find('mobilenetv1_100.ra4_e3600_r224_in1k'),
    ),
  )


def _mobilenet_v2(
  width: float, slim_top1: float, keras_top1: float, timm_top1: float
) -> tuple[publishers.Source, ...]:
  """Describes the sources that both widths of MobileNet v2 have."""
  return (
    publishers.slim(
      mobilenet.slim_v2,
      224,
      slim_top1,
      f'mobilenet_v2_{width}_224.tgz -> mobilenet_v2_{width}_224.ckpt',
      recipe=recipes.MOBILENET_V2,
    ),
    publishers.keras(
      mobilenet.keras_v2,
      224,
      keras_top1,
      'MobileNetV2',
      f'mobilenet_v2{_KERAS_FILE.removesuffix(".h5")}_{width}_224.h5',
      arguments=(('alpha', width),),
      recipe=recipes.MOBILENET_V2,
      license='Apache-2.0',
    ),
    publishers.timm(
      mobilenet.timm_v2,
      224,
      timm_top1,
      f'mobilenetv2_{round(100 * width)}.ra_in1k',
      options=_TORCH_MOBILE,
      recipe=timm_recipes.find(f'mobilenetv2_{round(100 * width)}.ra_in1k'),
    ),
  )


_NO_SCALE = {'use_scale': False}


def _inception_v1() -> tuple[publishers.Source, ...]:
  """Describes the sources of Inception v1."""
  return (
    publishers.slim(
      inception.slim_v1,
      224,
      0.698,
      'inception_v1_2016_08_28.tar.gz -> inception_v1.ckpt',
      options=_NO_SCALE,
      recipe=recipes.EARLY_INCEPTION,
    ),
    publishers.torchvision(
      inception.torchvision_v1,
      224,
      0.69778,
      'googlenet-1378be20.pth',
      # It undoes its own scaling: what remains is that of TF-Slim.
      scaling=publishers.HALF,
      options={'padding': 'symmetric'},
      recipe=recipes.EARLY_INCEPTION_PORT,
    ),
  )


def _bn_inception() -> tuple[publishers.Source, ...]:
  """Describes the sources of BN-Inception."""
  return (
    publishers.slim(
      inception.slim_bn,
      224,
      0.739,
      'inception_v2_2016_08_28.tar.gz -> inception_v2.ckpt',
      options=_NO_SCALE,
      recipe=recipes.EARLY_INCEPTION,
    ),
    publishers.Source(
      name='pretrainedmodels',
      make_rules=inception.cadene_bn,
      contract=publishers.contract(224, publishers.CAFFE_BN),
      file='bn_inception-52deb4733.pth',
      options={
        'stem': 'plain',
        'padding': 'symmetric',
        'wide_pools': True,
        'count_padding': True,
        'epsilon': 1e-5,
      },
      imagenet_top1=0.735,
      imagenet_top1_source="pretrainedmodels' table",
      recipe=recipes.CAFFE_BN_INCEPTION,
      license='BSD-3-Clause',
    ),
  )


def _inception_v3() -> tuple[publishers.Source, ...]:
  """Describes the sources of Inception v3."""
  return (
    publishers.slim(
      inception.slim_v3,
      299,
      0.780,
      'inception_v3_2016_08_28.tar.gz -> inception_v3.ckpt',
      options=_NO_SCALE,
      recipe=recipes.INCEPTION,
    ),
    publishers.keras(
      inception.keras_v3,
      299,
      0.779,
      'InceptionV3',
      f'inception_v3{_KERAS_FILE}',
      md5='9a0d58056eeedaa3f26cb7ebd46da564',
      options=_NO_SCALE,
      recipe=recipes.INCEPTION,
      license='Apache-2.0',
    ),
    publishers.torchvision(
      inception.torch_v3,
      299,
      0.77294,
      'inception_v3_google-0cc3c7bd.pth',
      # As for Inception v1.
      scaling=publishers.HALF,
      crop_fraction=299 / 342,
      options={'count_padding': True},
      recipe=recipes.INCEPTION_PORT,
    ),
    publishers.timm(
      inception.torch_v3,
      299,
      0.77472,
      'inception_v3.tv_in1k',
      scaling=publishers.HALF,
      options={'count_padding': True},
      recipe=recipes.INCEPTION_PORT,
    ),
    # The same variables, trained on images scaled otherwise.
    publishers.timm(
      inception.torch_v3,
      299,
      0.78806,
      'inception_v3.gluon_in1k',
      name='timm_gluon',
      options={'count_padding': True},
      recipe=recipes.GLUON_INCEPTION,
    ),
  )


def _inception_v4() -> tuple[publishers.Source, ...]:
  """Describes the sources of Inception v4."""
  return (
    publishers.slim(
      inception.slim_v4,
      299,
      0.802,
      'inception_v4_2016_09_09.tar.gz -> inception_v4.ckpt',
      options=_NO_SCALE,
      recipe=recipes.INCEPTION,
    ),
    publishers.timm(
      inception.timm_v4,
      299,
      0.80144,
      'inception_v4.tf_in1k',
      scaling=publishers.HALF,
      recipe=recipes.INCEPTION_PORT,
    ),
  )


def _inception_resnet_v2() -> tuple[publishers.Source, ...]:
  """Describes the sources of Inception-ResNet v2."""
  return (
    publishers.slim(
      inception.slim_resnet_v2,
      299,
      0.804,
      'inception_resnet_v2_2016_08_30.tar.gz -> '
      'inception_resnet_v2_2016_08_30.ckpt',
      options=_NO_SCALE,
      recipe=recipes.INCEPTION,
    ),
    publishers.keras(
      inception.keras_resnet_v2,
      299,
      0.803,
      'InceptionResNetV2',
      f'inception_resnet_v2{_KERAS_FILE}',
      md5='e693bd0210a403b3192acc6073ad2e96',
      options=_NO_SCALE,
      recipe=recipes.INCEPTION,
      license='Apache-2.0',
    ),
    publishers.timm(
      inception.timm_resnet_v2,
      299,
      0.80434,
      'inception_resnet_v2.tf_in1k',
      scaling=publishers.HALF,
      crop_fraction=0.8975,
      recipe=recipes.INCEPTION_PORT,
    ),
  )


def _nasnet(
  name: str,
  config: Mapping[str, Any],
  size: int,
  slim_top1: float,
  keras: tuple[str, float],
  torch: Callable[[Callable[[], publishers.Rules]], publishers.Source],
) -> tuple[publishers.Source, ...]:
  """Describes the sources of a NASNet-A."""
  repeats = config['repeats']
  return (
    publishers.slim(
      functools.partial(nasnet.slim, repeats),
      size,
      slim_top1,
      f'nasnet-a_{name}_04_10_2017.tar.gz -> model.ckpt',
      recipe=recipes.NASNET,
    ),
    publishers.keras(
      functools.partial(nasnet.keras, repeats),
      size,
      keras[1],
      f'NASNet{name.capitalize()}',
      f'nasnet_{name}.h5',
      md5=keras[0],
      published_as=f'NASNet-{name}.h5',
      options={'reduction_pools': 'zeros'},
      recipe=recipes.NASNET,
      license='Apache-2.0',
    ),
    torch(functools.partial(nasnet.torch, repeats)),
  )


def _cadene_nasnet_mobile(
  make_rules: Callable[[], publishers.Rules],
) -> publishers.Source:
  """Describes the mobile NASNet of pretrainedmodels."""
  return publishers.Source(
    name='pretrainedmodels',
    make_rules=make_rules,
    contract=publishers.contract(224, publishers.HALF),
    file='nasnetamobile-7e03cead.pth',
    imagenet_top1=0.741,
    imagenet_top1_source="pretrainedmodels' table",
    recipe=recipes.NASNET,
    license='BSD-3-Clause',
  )


def _timm_nasnet_large(
  make_rules: Callable[[], publishers.Rules],
) -> publishers.Source:
  """Describes the large NASNet of timm."""
  return publishers.timm(
    make_rules,
    331,
    0.82638,
    'nasnetalarge.tf_in1k',
    scaling=publishers.HALF,
    crop_fraction=0.911,
    options={'reduction_pools': 'zeros_average'},
    recipe=recipes.NASNET,
  )


SOURCES: Mapping[str, tuple[publishers.Source, ...]] = {
  'inception_v1': _inception_v1(),
  'bn_inception': _bn_inception(),
  'inception_v3': _inception_v3(),
  'inception_v4': _inception_v4(),
  'inception_resnet_v2': _inception_resnet_v2(),
  'resnet50': _resnet(
    50,
    resnet_lib.DEPTHS_50,
    0.752,
    ('2cb95161c43110f7111970584f804107', 0.749),
    ('0676ba61', 0.7613),
    ('a1_in1k', 0.80382),
    ('11ad3fa6', 0.80858),
  ),
  'resnet101': _resnet(
    101,
    resnet_lib.DEPTHS_101,
    0.764,
    ('f1aeb4b969a6efcfb50fad2f0c20cfc5', 0.764),
    ('63fe2227', 0.77374),
    ('a1h_in1k', None),
    ('cd907fc2', 0.81886),
  ),
  'resnet152': _resnet(
    152,
    resnet_lib.DEPTHS_152,
    0.768,
    ('100835be76be38e30d865e96f2aaae62', 0.766),
    ('394f9c45', 0.78312),
    ('a1h_in1k', None),
    ('f82ba261', 0.82284),
  ),
  'densenet121': _densenet(
    121,
    densenet_lib.DEPTHS_121,
    ('9d60b8095a5708f2dcce2bca79d332c7', 0.750),
    ('a639ec97', 0.74434),
    ('ra_in1k', 0.75574),
  ),
  'densenet169': _densenet(
    169,
    densenet_lib.DEPTHS_169,
    ('d699b8f76981ab1b30698df4c175e90b', 0.762),
    ('b2777c0a', 0.756),
    ('tv_in1k', 0.75922),
  ),
  'densenet201': _densenet(
    201,
    densenet_lib.DEPTHS_201,
    ('1ceb130c1ea1b78c3bf6114dbdfd8807', 0.773),
    ('c1103571', 0.76896),
    ('tv_in1k', 0.77284),
  ),
  'mobilenet_v1': _mobilenet_v1(),
  'mobilenet_v2': (
    *_mobilenet_v2(1.0, 0.719, 0.713, 0.7291),
    publishers.torchvision(
      mobilenet.torchvision_v2,
      224,
      0.71878,
      'mobilenet_v2-b0353104.pth',
      options=_TORCH_MOBILE,
      recipe=recipes.TORCHVISION_MOBILENET_V2,
    ),
  ),
  'mobilenet_v2_140': _mobilenet_v2(1.4, 0.749, 0.750, 0.76528),
  'nasnet_mobile': _nasnet(
    'mobile',
    nasnet_lib.MOBILE,
    224,
    0.740,
    ('020fb642bf7360b370c678b08e0adf61', 0.744),
    _cadene_nasnet_mobile,
  ),
  'nasnet_large': _nasnet(
    'large',
    nasnet_lib.LARGE,
    331,
    0.827,
    ('11577c9a518f0070763c2b964a382f17', 0.825),
    _timm_nasnet_large,
  ),
  **modern_sources.SOURCES,
}
