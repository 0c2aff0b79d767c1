"""The publishers of weights, and what all weights of one have in common."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tf_transfer import contract as contract_lib
from tf_transfer.convert_weights import keras_files, rules
from tf_transfer.networks import recipe as recipe_lib

Rules = Sequence[rules.Rule]


@dataclasses.dataclass(frozen=True)
class Source:
  """Public weights of one network.

  Attributes:
    name: of the source.
    make_rules: makes the rules that turn its names into our paths.
    contract: the preprocessing the weights were trained with.
    file: the published file's name, and of an archive the name in it; of
      timm, the repository on the Hugging Face hub.
    md5: of the file, where its publisher states it.
    sha256: likewise.
    published_as: the file's name where it is published, if `file` is that
      under which a library keeps it.
    package: Python package that carries the file, or ''.
    application: Keras's model that has these weights.
    formats: of its files, as `formats.identify` calls them.
    options: fields of the backbone that these weights need.
    num_classes: number of logits; 1001 have background as class 0.
    imagenet_top1: published accuracy in 0 to 1.
    imagenet_top1_source: who published it.
    imagenet_measure: what it is the accuracy of, as in a weights file's header.
    recipe: how they were trained, as far as is known.
    license: of the weights.
  """

  name: str
  make_rules: Callable[[], Rules]
  contract: contract_lib.Contract
  file: str
  md5: str = ''
  sha256: str = ''
  published_as: str = ''
  package: str = ''
  application: keras_files.Application | None = None
  formats: tuple[str, ...] = ('torch',)
  options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  num_classes: int = 1000
  imagenet_top1: float | None = None
  imagenet_top1_source: str = ''
  imagenet_measure: str = ''
  recipe: recipe_lib.Recipe = recipe_lib.UNKNOWN
  license: str = ''

  @functools.cached_property
  def rules(self) -> Rules:
    """From the source's names to our paths; the first that matches counts."""
    return tuple(self.make_rules())

  @property
  def background(self) -> bool:
    """Whether class 0 is "background"."""
    return self.num_classes == 1001


# Mean and standard deviation on 0 to 255, and the order of the channels.
HALF = ((127.5,) * 3, (127.5,) * 3, 'rgb')
EFFICIENTNET_V2 = ((128.0,) * 3, (128.0,) * 3, 'rgb')
VGG = ((123.68, 116.78, 103.94), (1.0,) * 3, 'rgb')
CAFFE = ((103.939, 116.779, 123.68), (1.0,) * 3, 'bgr')
CAFFE_BN = ((104.0, 117.0, 128.0), (1.0,) * 3, 'bgr')
TORCH = (
  (0.485 * 255, 0.456 * 255, 0.406 * 255),
  (0.229 * 255, 0.224 * 255, 0.225 * 255),
  'rgb',
)


def contract(
  size: int,
  scaling: tuple[Any, Any, str],
  *,
  crop_fraction: float = 0.875,
  interpolation: str = 'bilinear',
  antialias: bool = True,
  pixel_centers: bool = True,
) -> contract_lib.Contract:
  """Makes a contract; `scaling` is mean, deviation and order of channels."""
  mean, std, channels = scaling
  return contract_lib.Contract(
    image_size=size,
    mean=mean,
    std=std,
    channels=channels,
    crop_fraction=crop_fraction,
    interpolation=interpolation,
    antialias=antialias,
    pixel_centers=pixel_centers,
  )


def slim(
  make_rules: Callable[[], Rules],
  size: int,
  top1: float,
  file: str,
  *,
  scaling: tuple[Any, Any, str] = HALF,
  num_classes: int = 1001,
  **fields: Any,
) -> Source:
  """Describes weights of TF-Slim; they have a background class unless said."""
  return Source(
    name='slim',
    make_rules=make_rules,
    # TensorFlow 1 resizes without antialiasing, from corner to corner.
    contract=contract(size, scaling, antialias=False, pixel_centers=False),
    file=file,
    formats=('tensorflow',),
    num_classes=num_classes,
    imagenet_top1=top1,
    imagenet_top1_source="TF-Slim's table of pretrained models",
    license='Apache-2.0',
    **fields,
  )


def keras(
  make_rules: Callable[[], Rules],
  size: int,
  top1: float,
  application: str,
  file: str,
  *,
  arguments: tuple[tuple[str, Any], ...] = (),
  scaling: tuple[Any, Any, str] = HALF,
  crop_fraction: float = 0.875,
  interpolation: str = 'bilinear',
  top1_source: str = "Keras's table of applications",
  **fields: Any,
) -> Source:
  """Describes weights of keras.applications."""
  return Source(
    name='keras',
    make_rules=make_rules,
    contract=contract(
      size,
      scaling,
      crop_fraction=crop_fraction,
      interpolation=interpolation,
      antialias=False,
    ),
    file=file,
    application=keras_files.Application(application, arguments),
    formats=('keras',),
    imagenet_top1=top1,
    imagenet_top1_source=top1_source,
    **fields,
  )


def torchvision(
  make_rules: Callable[[], Rules],
  size: int,
  top1: float,
  file: str,
  *,
  scaling: tuple[Any, Any, str] = TORCH,
  crop_fraction: float = 0.875,
  interpolation: str = 'bilinear',
  **fields: Any,
) -> Source:
  """Describes weights of torchvision, the first version of each network."""
  return Source(
    name='torchvision',
    make_rules=make_rules,
    contract=contract(
      size, scaling, crop_fraction=crop_fraction, interpolation=interpolation
    ),
    file=file,
    imagenet_top1=top1,
    imagenet_top1_source=(
      "torchvision's table, for IMAGENET1K_V1; other versions differ"
    ),
    license='BSD-3-Clause',
    **fields,
  )


def torchvision_v2(
  make_rules: Callable[[], Rules],
  size: int,
  top1: float,
  file: str,
  **fields: Any,
) -> Source:
  """Describes torchvision's second version of a network's weights."""
  return dataclasses.replace(
    torchvision(make_rules, size, top1, file, **fields),
    name='torchvision_v2',
    imagenet_top1_source="torchvision's table, for IMAGENET1K_V2",
  )


def timm(
  make_rules: Callable[[], Rules],
  size: int,
  top1: float | None,
  weights: str,
  *,
  name: str = 'timm',
  scaling: tuple[Any, Any, str] = TORCH,
  crop_fraction: float = 0.875,
  **fields: Any,
) -> Source:
  """Describes weights of timm, by their name on the Hugging Face hub."""
  published = f"timm's table of results, for the weights {weights}"
  return Source(
    name=name,
    make_rules=make_rules,
    contract=contract(
      size, scaling, crop_fraction=crop_fraction, interpolation='bicubic'
    ),
    file=f'timm/{weights}',
    # The second are its .bin, under the same names.
    formats=('safetensors', 'torch'),
    imagenet_top1=top1,
    imagenet_top1_source=published if top1 else '',
    license='Apache-2.0',
    **fields,
  )
