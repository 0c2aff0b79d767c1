"""The table of networks; building one, and loading its weights file.

net = networks.load('efficientnet_lite0.safetensors')
features = net.features(net.contract.scale(images))  # [B, net.feature_dim]
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

import flax.errors
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from tf_transfer import contract as contract_lib
from tf_transfer import errors
from tf_transfer.networks import (
  bn_inception,
  classifier,
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
  weights,
)
from tf_transfer.runtime import devices, files


@dataclasses.dataclass(frozen=True)
class Row:
  """A network of the table.

  Attributes:
    backbone: its backbone, given options as keywords.
    image_size: pixels, as it was trained.
    feature_dim: width of the pooled features.
    parameters: trainable ones of the default options, without the head. Batch
      norm's scale counts; tables that leave it out, as for the Inceptions of
      TF-Slim, print less.
  """

  backbone: Callable[..., nn.Module]
  image_size: int
  feature_dim: int
  parameters: int


# Images that pass through a network together on CPU.
_CHUNK = 4

_lite = functools.partial(functools.partial, efficientnet.EfficientNetLite)
_efficientnet_v2 = functools.partial(
  functools.partial, efficientnet_v2.EfficientNetV2
)
_densenet = functools.partial(functools.partial, densenet.DenseNet)
_mobilenet_v2 = functools.partial(functools.partial, mobilenet.MobileNetV2)
_resnet = functools.partial(functools.partial, resnet.ResNet)

TABLE: Mapping[str, Row] = {
  'inception_v1': Row(
    functools.partial(inception_v1.InceptionV1), 224, 1024, 5_599_904
  ),
  'bn_inception': Row(
    functools.partial(bn_inception.BNInception), 224, 1024, 10_163_224
  ),
  'inception_v3': Row(
    functools.partial(inception_v3.InceptionV3), 299, 2048, 21_785_568
  ),
  'inception_v4': Row(
    functools.partial(inception_v4.InceptionV4), 299, 1536, 41_142_816
  ),
  'inception_resnet_v2': Row(
    functools.partial(inception_resnet_v2.InceptionResNetV2),
    299,
    1536,
    54_306_464,
  ),
  'resnet50': Row(_resnet(depths=resnet.DEPTHS_50), 224, 2048, 23_508_032),
  'resnet101': Row(_resnet(depths=resnet.DEPTHS_101), 224, 2048, 42_500_160),
  'resnet152': Row(_resnet(depths=resnet.DEPTHS_152), 224, 2048, 58_143_808),
  'densenet121': Row(
    _densenet(depths=densenet.DEPTHS_121), 224, 1024, 6_953_856
  ),
  'densenet169': Row(
    _densenet(depths=densenet.DEPTHS_169), 224, 1664, 12_484_480
  ),
  'densenet201': Row(
    _densenet(depths=densenet.DEPTHS_201), 224, 1920, 18_092_928
  ),
  'mobilenet_v1': Row(
    functools.partial(mobilenet.MobileNetV1), 224, 1024, 3_206_976
  ),
  'mobilenet_v2': Row(_mobilenet_v2(), 224, 1280, 2_223_872),
  'mobilenet_v2_140': Row(_mobilenet_v2(width=1.4), 224, 1792, 4_315_776),
  'nasnet_mobile': Row(
    functools.partial(nasnet.NASNet, **nasnet.MOBILE), 224, 1056, 4_232_978
  ),
  'nasnet_large': Row(
    functools.partial(nasnet.NASNet, **nasnet.LARGE), 331, 4032, 84_720_150
  ),
  'efficientnet_lite0': Row(_lite(), 224, 1280, 3_371_008),
  'efficientnet_lite1': Row(_lite(depth=1.1), 240, 1280, 4_135_680),
  'efficientnet_lite2': Row(_lite(width=1.1, depth=1.2), 260, 1280, 4_811_072),
  'efficientnet_v2_b0': Row(
    _efficientnet_v2(efficientnet_v2.B0), 224, 1280, 5_858_704
  ),
  'efficientnet_v2_b1': Row(
    _efficientnet_v2(efficientnet_v2.B1), 240, 1280, 6_860_052
  ),
  'efficientnet_v2_b2': Row(
    _efficientnet_v2(efficientnet_v2.B2), 260, 1408, 8_687_086
  ),
  'efficientnet_v2_b3': Row(
    _efficientnet_v2(efficientnet_v2.B3), 300, 1536, 12_821_406
  ),
  'efficientnet_v2_s': Row(
    _efficientnet_v2(efficientnet_v2.S), 384, 1280, 20_177_488
  ),
  'efficientnet_v2_m': Row(
    _efficientnet_v2(efficientnet_v2.M), 480, 1280, 52_858_356
  ),
  'efficientnet_v2_l': Row(
    _efficientnet_v2(efficientnet_v2.L), 480, 1280, 117_234_272
  ),
  'inception_small': Row(
    functools.partial(inception_small.InceptionSmall), 32, 128, 109_640
  ),
}


def row(name: str) -> Row:
  """The row of a network; an unknown name is an InputError."""
  if name not in TABLE:
    raise errors.unknown_name('network', name, TABLE)
  return TABLE[name]


def build(
  name: str,
  *,
  num_classes: int = 1000,
  dropout: float = 0.0,
  auxiliary_head: bool = False,
  **options: Any,
) -> classifier.Classifier:
  """The named network as a Flax module, without weights.

  Args:
    name: in the table.
    num_classes: number of logits.
    dropout: share of the features that training drops.
    auxiliary_head: whether to train a second head in the middle of the
      network; the Inceptions from v3 on and the NASNets have a place for one.
    **options: fields of the backbone.

  Raises:
    InputError: the name is unknown, or the backbone has no such option, does
      not know its value, or has no place for an auxiliary head.
  """
  try:
    backbone = row(name).backbone(**options)
  except (TypeError, ValueError) as error:
    raise errors.InputError(f'{name}: {error}') from error
  if auxiliary_head and not has_auxiliary(name):
    raise errors.InputError(
      f'{name} has no place for an auxiliary head: build it without'
    )
  return classifier.Classifier(backbone, num_classes, dropout, auxiliary_head)


def has_auxiliary(name: str) -> bool:
  """Whether a network of the table has a place for an auxiliary head."""
  return bool(getattr(row(name).backbone(), 'auxiliary_after', None))


def expected_variables(
  model: classifier.Classifier, image_size: int
) -> dict[str, jax.ShapeDtypeStruct]:
  """The shapes of all variables of a network, by path, nothing computed."""
  image = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.float32)
  return weights.flatten(jax.eval_shape(model.init, jax.random.key(0), image))


def map_chunks(
  function: Callable[[jax.Array], jax.Array], x: jax.Array
) -> jax.Array:
  """Applies a function to a few rows of x at a time.

  On CPU the activations of a large batch come fresh from the operating
  system at every call, and its zeroing of them takes longer than the
  arithmetic. Chunks reuse one small buffer.
  """
  count = -(-x.shape[0] // _CHUNK)
  padding = [(0, count * _CHUNK - x.shape[0])] + [(0, 0)] * (x.ndim - 1)
  chunks = jnp.pad(x, padding).reshape(count, _CHUNK, *x.shape[1:])
  results = lax.map(function, chunks)
  return results.reshape(-1, *results.shape[2:])[: x.shape[0]]


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
  """A network with its weights.

  Attributes:
    header: what its weights file says of itself.
    model: the Flax module.
    variables: nested {'params': ..., 'batch_stats': ...}.
    sha256: of the weights file.
  """

  header: weights.Header
  model: classifier.Classifier
  variables: Mapping[str, Any]
  sha256: str

  @property
  def name(self) -> str:
    return self.header.network

  @property
  def contract(self) -> contract_lib.Contract:
    return self.header.contract

  @property
  def feature_dim(self) -> int:
    return row(self.name).feature_dim

  def apply_features(
    self, variables: Mapping[str, Any], x: jax.Array
  ) -> jax.Array:
    """Pure function for use under `jit`: x [B, H, W, 3] -> [B, D]."""
    return self._apply(self._method('features'), variables, x)

  def apply_logits(
    self, variables: Mapping[str, Any], x: jax.Array
  ) -> jax.Array:
    """Pure function for use under `jit`: x [B, H, W, 3] -> [B, classes]."""
    return self._apply(self._method('__call__'), variables, x)

  def apply_layer(
    self,
    variables: Mapping[str, Any],
    x: jax.Array,
    layer: str,
    pool: Callable[[jax.Array], jax.Array],
  ) -> jax.Array:
    """Pure function for use under `jit`: x [B, H, W, 3] -> pooled [B, ...].

    Args:
      variables: of the model.
      x: scaled images.
      layer: one of `layers`, or one of their submodules: 'stage1_block1/conv2'.
      pool: maps its output [B, H, W, C] to [B, ...], a few images at a time.
    """

    def pooled(variables, x):
      outputs = self._captured(
        variables, x, lambda path: '/'.join(path) == layer
      )
      return pool(outputs[layer])

    return self._apply(pooled, variables, x)

  def layers(self, image_size: int) -> dict[str, tuple[int, int, int]]:
    """The layers with an output per position: [H, W, C] by name.

    Args:
      image_size: pixels of the square images shown to it.

    Raises:
      InputError: the network cannot work at this size.
    """
    image = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.float32)
    try:
      outputs = jax.eval_shape(
        lambda variables, x: self._captured(variables, x, bool),
        self.variables,
        image,
      )
    # What JAX and Flax raise where nothing is left of an image.
    except (ValueError, TypeError, flax.errors.FlaxError) as error:
      raise errors.InputError(
        f'{self.name} cannot work on images of {image_size} px ({error}); it '
        f'was trained on {self.contract.image_size} px'
      ) from error
    return {
      name: output.shape[1:]
      for name, output in outputs.items()
      if len(output.shape) == 4 and 0 not in output.shape
    }

  def _captured(
    self,
    variables: Mapping[str, Any],
    x: jax.Array,
    wanted: Callable[[tuple[str, ...]], bool],
  ) -> dict[str, jax.Array]:
    """Outputs of the backbone's submodules, by path below the backbone."""
    outputs = {}

    def keep(next_method, arguments, keywords, context):
      output = next_method(*arguments, **keywords)
      path = context.module.path
      if (
        context.method_name == '__call__'
        and path[:1] == ('backbone',)
        and wanted(path[1:])
        and isinstance(output, jax.Array)
      ):
        outputs['/'.join(path[1:])] = output
      return output

    with nn.intercept_methods(keep):
      self.model.apply(variables, x, method='features')
    return outputs

  def _method(self, method: str):
    def whole(variables, x):
      return self.model.apply(variables, x, method=method)

    return whole

  def _apply(
    self,
    whole: Callable[[Mapping[str, Any], jax.Array], jax.Array],
    variables: Mapping[str, Any],
    x: jax.Array,
  ) -> jax.Array:
    def in_chunks(variables, x):
      return map_chunks(functools.partial(whole, variables), x)

    # Without this, GPU and TPU would round float32 inputs of products.
    with jax.default_matmul_precision('highest'):
      return lax.platform_dependent(variables, x, cpu=in_chunks, default=whole)

  @functools.cached_property
  def _head(self):
    def head(variables, features):
      with jax.default_matmul_precision('highest'):
        return self.model.apply(
          variables, features, method=lambda model, x: model.head(x)
        )

    return jax.jit(head)

  @functools.cached_property
  def _features(self):
    return jax.jit(
      self.apply_features, compiler_options=devices.compiler_options()
    )

  @functools.cached_property
  def _logits(self):
    return jax.jit(
      self.apply_logits, compiler_options=devices.compiler_options()
    )

  def _checked(self, x: Any) -> jax.Array:
    if np.ndim(x) != 4 or np.shape(x)[-1] != 3:
      raise errors.InputError(
        f'{self.name}: expected images [B, H, W, 3], got shape {np.shape(x)}'
      )
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
      raise errors.InputError(
        f'{self.name}: expected scaled float images, got {x.dtype}; '
        'use net.contract.scale(images)'
      )
    return x.astype(jnp.float32)

  def features(self, x: Any) -> jax.Array:
    """Features of images.

    Args:
      x: [B, H, W, 3] float, scaled as by `contract.scale`.

    Returns:
      [B, feature_dim] float32, what the logits layer is fed.

    Raises:
      InputError: x has another shape, or was not scaled.
    """
    return self._features(self.variables, self._checked(x))

  def logits(self, x: Any) -> jax.Array:
    """Logits [B, header.num_classes] of images; x as for `features`."""
    return self._logits(self.variables, self._checked(x))

  def logits_of(self, features: Any) -> jax.Array:
    """Logits [B, header.num_classes] of features [B, feature_dim]."""
    return self._head(self.variables, jnp.asarray(features))


def untrained(name: str) -> Network:
  """A network of the table without weights, to be trained from random values.

  Its input is scaled to -1 to 1, as that of TF-Slim's networks.
  """
  size = row(name).image_size
  contract = contract_lib.Contract(size, (127.5,) * 3, (127.5,) * 3)
  header = weights.Header(name, {}, contract)
  return Network(header, build(name), {}, sha256='')


def load(path: os.PathLike | str) -> Network:
  """Loads a weights file, strictly: every variable there, and no other.

  Raises:
    InputError: no such file, or it is damaged, or belongs to another network;
      everything that is wrong is listed in the one error.
  """
  header, tensors = weights.read(path)
  model = build(
    header.network, num_classes=header.num_classes, **header.options
  )
  problems = weights.mismatches(
    tensors, expected_variables(model, header.contract.image_size)
  )
  if problems:
    raise errors.InputError(
      f'{path} does not hold the weights of {header.network}:'
      f'{weights.shorten(problems)}'
    )
  variables = jax.tree.map(jnp.asarray, weights.unflatten(tensors))
  return Network(header, model, variables, files.sha256(path))
