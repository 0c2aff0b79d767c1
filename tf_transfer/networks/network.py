"""A network with its weights: features and logits of images."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import flax.errors
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from tf_transfer import contract as contract_lib
from tf_transfer import errors
from tf_transfer.networks import classifier, predict, table, weights
from tf_transfer.runtime import devices

# Applied to variables and images: (variables, x [B, H, W, 3]) -> [B, ...].
Function = Callable[[Mapping[str, Any], jax.Array], jax.Array]

# Images that pass through a network together on CPU.
_CHUNK = 4
# Images that pass through a network at once: more are cut into batches of this
# size. On CPU, which takes a few images at a time, small ones cost nothing, and
# the last has less to fill up.
_MAX_BATCH = 128
_MAX_BATCH_ON_CPU = 4 * _CHUNK
# Batches that are on the way to a device or computed there.
_AHEAD = 2


def map_chunks(
  function: Callable[[jax.Array], jax.Array], x: jax.Array
) -> jax.Array:
  """Applies a function to a few rows of x at a time.

  On CPU the activations of a large batch come fresh from the operating
  system at every call, and its zeroing of them takes longer than the
  arithmetic. Chunks reuse one small buffer.

  Args:
    function: maps [4, ...] to [4, ...], row by row.
    x: [B, ...], any number of rows.

  Returns:
    [B, ...]
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
    variables: nested {'params': ..., 'batch_stats': ...}; empty for a network
      that is yet to be trained.
    sha256: of the weights file, see `weights.sha256`; '' where there is none.
  """

  header: weights.Header
  model: classifier.Classifier
  variables: Mapping[str, Any]
  sha256: str

  @property
  def name(self) -> str:
    return self.header.network

  def with_image_size(self, image_size: int) -> 'Network':
    """Returns this network for images of another size.

    Args:
      image_size: height and width in pixels.

    Raises:
      InputError: nothing would be left of such small images.
    """
    table.check_image_size(self.name, image_size)
    contract = dataclasses.replace(self.contract, image_size=image_size)
    header = dataclasses.replace(self.header, contract=contract)
    return dataclasses.replace(self, header=header)

  def with_crop_fraction(self, crop_fraction: float) -> 'Network':
    """Returns this network for another central crop of ImageNet's images.

    Args:
      crop_fraction: side of the crop, as a fraction of the shorter side.
    """
    contract = dataclasses.replace(self.contract, crop_fraction=crop_fraction)
    header = dataclasses.replace(self.header, contract=contract)
    return dataclasses.replace(self, header=header)

  @property
  def contract(self) -> contract_lib.Contract:
    return self.header.contract

  @property
  def feature_dim(self) -> int:
    """Number of features; an option of the backbone may change the table's."""
    own = getattr(self.model.backbone, 'feature_dim', None)
    return table.row(self.name).feature_dim if own is None else own

  @property
  def parameters(self) -> int:
    """Number of parameters, as the table has it, without those of a head."""
    return table.row(self.name).parameters

  @property
  def family(self) -> str:
    """The family that its errors are alike in; '' is that of the table."""
    return ''

  @property
  def features_sha256(self) -> str:
    """The hash of the weights by which features are cached."""
    return self.sha256

  @property
  def wrong_features_advice(self) -> str:
    """What may be wrong where features are not finite or not repeatable."""
    return (
      'Memory may be nearly exhausted: end other programs or decrease '
      '--config.features.batch_size; the same command computes them again'
    )

  @property
  def sees_images(self) -> bool:
    """Whether it can be shown images, rather than having features in files."""
    return True

  @property
  def fixed_reason(self) -> str:
    """Why it cannot be trained; '' if it can."""
    return ''

  def features(self, x: Any) -> jax.Array:
    """Computes features of images.

    Args:
      x: [B, H, W, 3] float, scaled as by `contract.scale`. B is any number:
        more than 128 images, 16 on CPU, pass through the network in batches of
        so many, and only a few of these are on the device.

    Returns:
      [B, feature_dim] float32, the input of the logits layer.

    Raises:
      InputError: x has another shape, or was not scaled.
    """
    return self._in_batches(self._features, x)

  def logits(self, x: Any) -> jax.Array:
    """Computes logits [B, header.num_classes] of images; x as for `features`.

    Raises:
      InputError: x has another shape, or was not scaled; or the network has no
        head.
    """
    self.check_head()
    return self._in_batches(self._logits, x)

  def _in_batches(self, function: Function, x: Any) -> jax.Array:
    """Applies a compiled function to images, at most a batch at a time.

    Each batch has the same size, so that one program serves all: the last is
    filled up with zeros, whose results are dropped.

    Raises:
      InputError: x is not as for `features`.
    """
    x = self._check_images(x)
    size = _MAX_BATCH
    if jax.default_backend() == 'cpu':
      size = _MAX_BATCH_ON_CPU
    if len(x) <= size or isinstance(x, jax.core.Tracer):
      return function(self.variables, jnp.asarray(x, jnp.float32))
    results = []
    for start in range(0, len(x), size):
      batch = jnp.asarray(x[start : start + size], jnp.float32)
      count = len(batch)
      if count < size:
        batch = jnp.pad(batch, [(0, size - count), *[(0, 0)] * 3])
      results.append(function(self.variables, batch)[:count])
      # JAX returns at once: without this all images would be on the device.
      if len(results) > _AHEAD:
        results[-1 - _AHEAD].block_until_ready()
    return jnp.concatenate(results)

  def logits_from_features(self, features: Any) -> jax.Array:
    """Computes logits [B, header.num_classes] of features [B, feature_dim].

    Raises:
      InputError: the network has no head.
    """
    self.check_head()
    return self._head(self.variables, jnp.asarray(features))

  def predict(
    self, images: predict.Image | Iterable[predict.Image], **options: Any
  ) -> predict.Predictions:
    """Classifies images: reads, resizes and scales them as in training.

    Args:
      images: paths, bytes of image files, or pixels uint8 [H, W, 3], of any
        sizes and any number; or one of these alone.
      **options: as for `predict.predict`: batch_size, corrupt, resize.

    Returns:
      The class of each image and the probability of each class.

    Raises:
      CorruptImage: images cannot be read, all of which the message names.
      InputError: an option or the type of an image is not as above, or the
        network has no head.
    """
    self.check_head()
    return predict.predict(self, images, **options)

  def apply_features(
    self, variables: Mapping[str, Any], x: jax.Array
  ) -> jax.Array:
    """Maps x [B, H, W, 3] to features [B, D]; pure, for use under `jit`."""
    return self._apply(self._bind_method('features'), variables, x)

  def apply_logits(
    self, variables: Mapping[str, Any], x: jax.Array
  ) -> jax.Array:
    """Maps x [B, H, W, 3] to logits [B, C]; pure, for use under `jit`.

    Raises:
      InputError: the network has no head.
    """
    self.check_head()
    return self._apply(self._bind_method('__call__'), variables, x)

  def apply_layer(
    self,
    variables: Mapping[str, Any],
    x: jax.Array,
    layer: str,
    pool: Callable[[jax.Array], jax.Array],
  ) -> jax.Array:
    """Pools the output of a layer; pure, for use under `jit`.

    Args:
      variables: of the model.
      x: [B, H, W, 3], scaled images.
      layer: one of `layers`, or one of their submodules: 'stage1_block1/conv2'.
      pool: maps its output [B, H, W, C] to [B, ...], a few images at a time.

    Returns:
      What `pool` gives, [B, ...].
    """

    def pool_layer(variables: Mapping[str, Any], x: jax.Array) -> jax.Array:
      outputs = self._capture_outputs(
        variables, x, lambda path: '/'.join(path) == layer
      )
      return pool(outputs[layer])

    return self._apply(pool_layer, variables, x)

  def layers(self, image_size: int) -> dict[str, tuple[int, int, int]]:
    """Lists the layers that have an output for each position of the image.

    Args:
      image_size: height and width of the images, in pixels.

    Returns:
      {name: (H, W, C)}, in the order of computation.

    Raises:
      InputError: the network cannot work at this size.
    """
    image = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.float32)
    order: list[str] = []  # what JAX returns is in that of the alphabet

    def capture(variables: Mapping[str, Any], x: jax.Array) -> dict:
      outputs = self._capture_outputs(variables, x, bool)
      order[:] = outputs
      return outputs

    try:
      outputs = jax.eval_shape(capture, self.variables, image)
    # What JAX and Flax raise where nothing is left of an image.
    except (ValueError, TypeError, flax.errors.FlaxError) as error:
      reason = str(error).splitlines()[0]
      raise errors.InputError(
        f'image_size: {self.name} cannot work on images of {image_size} px '
        f'({reason}); it was trained on {self.contract.image_size} px'
      ) from error
    shapes = {name: outputs[name].shape for name in order}
    return {
      name: shape[1:]
      for name, shape in shapes.items()
      if len(shape) == 4 and 0 not in shape
    }

  def _capture_outputs(
    self,
    variables: Mapping[str, Any],
    x: jax.Array,
    is_captured: Callable[[tuple[str, ...]], bool],
  ) -> dict[str, jax.Array]:
    """Runs the backbone and returns outputs of its submodules.

    Args:
      variables: of the model.
      x: [B, H, W, 3].
      is_captured: whether the output of a submodule is returned, by its path
        below the backbone.

    Returns:
      Outputs by path below the backbone, as 'stage1_block1/conv2'.
    """
    outputs = {}

    def capture(
      next_method: Callable[..., Any],
      arguments: tuple[Any, ...],
      keywords: dict[str, Any],
      context: nn.module.InterceptorContext,
    ) -> Any:
      output = next_method(*arguments, **keywords)
      # A method that __post_init__ calls is of a module without a path yet.
      path = context.module.path if context.method_name == '__call__' else ()
      if (
        path[:1] == ('backbone',)
        and is_captured(path[1:])
        and isinstance(output, jax.Array)
      ):
        outputs['/'.join(path[1:])] = output
      return output

    with nn.intercept_methods(capture):
      self.model.apply(variables, x, method='features')
    return outputs

  def _bind_method(self, method: str) -> Function:
    """Returns a method of the model as a function of variables and images."""

    def apply_method(variables: Mapping[str, Any], x: jax.Array) -> jax.Array:
      return self.model.apply(variables, x, method=method)

    return apply_method

  def _apply(
    self, function: Function, variables: Mapping[str, Any], x: jax.Array
  ) -> jax.Array:
    """Applies a function: on CPU in chunks, elsewhere to all images at once."""

    def apply_in_chunks(
      variables: Mapping[str, Any], x: jax.Array
    ) -> jax.Array:
      return map_chunks(functools.partial(function, variables), x)

    # Without this, GPU and TPU would round float32 inputs of products.
    with jax.default_matmul_precision('highest'):
      return lax.platform_dependent(
        variables, x, cpu=apply_in_chunks, default=function
      )

  @functools.cached_property
  def _head(self) -> Function:
    def head(variables: Mapping[str, Any], features: jax.Array) -> jax.Array:
      with jax.default_matmul_precision('highest'):
        return self.model.apply(
          variables, features, method=lambda model, x: model.head(x)
        )

    return jax.jit(head)

  @functools.cached_property
  def _features(self) -> Function:
    return jax.jit(
      self.apply_features, compiler_options=devices.compiler_options()
    )

  @functools.cached_property
  def _logits(self) -> Function:
    return jax.jit(
      self.apply_logits, compiler_options=devices.compiler_options()
    )

  @functools.cached_property
  def features_of_pixels(self) -> Function:
    """Maps variables and images uint8 [B, S, S, 3] to features [B, D]."""
    return self._compile_with_scaling(self.apply_features)

  @functools.cached_property
  def logits_of_pixels(self) -> Function:
    """Maps variables and images uint8 [B, S, S, 3] to logits [B, C]."""
    return self._compile_with_scaling(self.apply_logits)

  def _compile_with_scaling(self, function: Function) -> Function:
    """Compiles a function of scaled images as one of pixels."""

    def scale_and_apply(
      variables: Mapping[str, Any], images: jax.Array
    ) -> jax.Array:
      return function(variables, self.contract.scale(images))

    return jax.jit(scale_and_apply, compiler_options=devices.compiler_options())

  def check_head(self) -> None:
    """Raises an InputError where there is no head to compute logits."""
    # The model's: training gives a network without a head one.
    if self.model is None or not self.model.num_classes:
      raise errors.InputError(
        f'{self.name}: its weights file has no head (converted from '
        f'{self.header.source}): it has features, and no logits'
      )

  def _check_images(self, x: Any) -> jax.Array | np.ndarray:
    """Returns images as an array of floats; refuses what was not scaled.

    An array stays where it is, in memory or on a device.
    """
    if not isinstance(x, jax.Array):
      x = np.asarray(x)
    if x.ndim != 4 or x.shape[-1] != 3:
      raise errors.InputError(
        f'{self.name}: expected images [B, H, W, 3], got shape {x.shape}'
      )
    if not jnp.issubdtype(x.dtype, jnp.floating):
      raise errors.InputError(
        f'{self.name}: expected scaled float images, got {x.dtype}; '
        'use net.contract.scale(images)'
      )
    for size in x.shape[1:3]:
      table.check_image_size(self.name, size)
    return x
