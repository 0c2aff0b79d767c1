"""Makes a network of anybody's own Flax module and its variables."""

import dataclasses
import hashlib
import inspect
import json
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from tf_transfer import errors
from tf_transfer.networks import classifier, custom, weights
from tf_transfer.networks.network import Network

# Arguments by which modules are told of training, and whether they are so in
# the opposite sense.
_TRAIN_ARGUMENTS = {
  'train': False,
  'training': False,
  'is_training': False,
  'deterministic': True,
  'use_running_average': True,
}
# Collections that training knows.
_TRAINABLE = {'params', 'batch_stats'}
# Addresses of functions in the text of programs and modules.
_ADDRESS = re.compile(r' at 0x[0-9a-f]+|0x[0-9a-f]{6,}')
_MAX_LISTED = 3  # problems in one error


class CustomBackbone(nn.Module):
  """A module of anybody's own, as the backbone of a classifier.

  Attributes:
    module: maps [B, H, W, 3] to features [B, D].
    feature_dim: D.
  """

  module: nn.Module
  feature_dim: int = 0

  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    """Maps x [B, H, W, 3] to features [B, D] of float32."""
    return self.module(x, **_train_argument(self.module, train)).astype(
      jnp.float32
    )


@dataclasses.dataclass(frozen=True, eq=False)
class FlaxNetwork(Network):
  """A network of anybody's own Flax module.

  Attributes:
    family: as of `CustomNetwork`.
    stated_parameters: as its `parameters`.
  """

  family: str = ''
  stated_parameters: int = 0

  @property
  def parameters(self) -> int:
    """Number of parameters."""
    return self.stated_parameters or sum(
      x.size for x in jax.tree.leaves(self.variables['params'])
    )

  @property
  def wrong_features_advice(self) -> str:
    """What may be wrong where features are not finite or not repeatable."""
    return (
      'The module has to compute the same features of an image whatever else '
      f'is in the batch. If it does: {super().wrong_features_advice}'
    )

  @property
  def fixed_reason(self) -> str:
    """Why it cannot be trained; '' if it can."""
    others = sorted(self.variables.keys() - _TRAINABLE)
    if others:
      return (
        f'{self.name}: its module has variables {", ".join(others)}, and '
        'training knows params and batch_stats alone: it has fixed features'
      )
    return ''


def build(own: custom.CustomNetwork, name: str, source: str) -> Network:
  """Makes the network of a Flax module.

  Args:
    own: what the user's function returned.
    name: of the network where it has none.
    source: where it is from.

  Raises:
    InputError: the variables are not those of the module, or it does not map
      images to features [B, D].
  """
  variables = _to_host(own.variables)
  module = own.module.clone(name=None, parent=None)
  size = own.contract.image_size
  image = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)

  def apply(variables: Mapping[str, Any], x: jax.Array) -> jax.Array:
    return CustomBackbone(module).apply(variables, x)

  nested = {k: {'module': v} for k, v in variables.items()}
  try:
    output = jax.eval_shape(apply, nested, image)
    program = str(jax.make_jaxpr(apply)(nested, image))
  # Whatever the user's module raises.
  except Exception as error:
    first = str(error).strip().splitlines() or ['']
    raise errors.InputError(
      f'module: it cannot be applied to images [2, {size}, {size}, 3] with '
      f'these variables: {type(error).__name__}: {first[0]}'
    ) from error
  custom.check_features(np.zeros(output.shape, output.dtype), 2, None)
  _check_variables(module, nested, image)
  return FlaxNetwork(
    own.make_header(name, source),
    classifier.Classifier(CustomBackbone(module, output.shape[1]), 0),
    {k: jax.tree.map(jnp.asarray, {'backbone': v}) for k, v in nested.items()},
    _identity(own, variables, repr(module), program),
    own.family,
    own.parameters,
  )


def _to_host(variables: Mapping[str, Any]) -> dict[str, Any]:
  """Returns plain dicts of finite NumPy arrays; unboxes metadata.

  Raises:
    InputError: there is none, or a value is no array or not finite.
  """
  unboxed = nn.meta.unbox(variables)
  nested = {}
  for collection, values in unboxed.items():
    flat = weights.flatten(values)
    for path, value in flat.items():
      array = np.asarray(value)
      if array.dtype == object:
        raise errors.InputError(f'variables: {collection}/{path}: no array')
      is_float = jnp.issubdtype(array.dtype, jnp.floating)
      if is_float and not np.isfinite(array.astype(np.float32)).all():
        raise errors.InputError(
          f'variables: {collection}/{path}: NaN or infinity'
        )
      flat[path] = array
    nested[collection] = weights.unflatten(flat)
  if 'params' not in nested:
    raise errors.InputError(
      f'variables: expected params among {", ".join(nested)}'
    )
  return nested


def _check_variables(
  module: nn.Module, nested: Mapping[str, Any], image: jax.ShapeDtypeStruct
) -> None:
  """Raises an InputError where variables are left over, as of another module.

  A module that cannot be initialized here is not checked.
  """
  keys = {name: jax.random.key(0) for name in ('params', 'dropout')}
  try:
    shapes = jax.eval_shape(CustomBackbone(module).init, keys, image)
  except Exception:  # noqa: BLE001
    return
  expected = weights.flatten(nn.meta.unbox(shapes))
  problems = weights.mismatches(
    {
      path: jax.ShapeDtypeStruct(array.shape, array.dtype)
      for path, array in weights.flatten(nested).items()
    },
    expected,
  )
  if problems:
    more = len(problems) - _MAX_LISTED
    raise errors.InputError(
      f'variables: {"; ".join(problems[:_MAX_LISTED])}'
      + (f'; and {more} more' if more > 0 else '')
    )


def _identity(
  own: custom.CustomNetwork,
  variables: Mapping[str, Any],
  structure: str,
  program: str,
) -> str:
  """Computes the SHA-256 of all that determines the features.

  Args:
    own: its contract.
    variables: their paths, types, shapes and values.
    structure: the module's fields.
    program: the operations that its code makes of them.
  """
  digest = hashlib.sha256(b'flax\n')
  digest.update(json.dumps(own.contract.to_json(), sort_keys=True).encode())
  for text in (structure, program):
    digest.update(b'\n' + _ADDRESS.sub('', text).encode())
  for path, array in sorted(weights.flatten(variables).items()):
    head = f'\n{path} {array.dtype} {array.shape}\n'
    digest.update(head.encode())
    digest.update(np.ascontiguousarray(array).tobytes())
  return digest.hexdigest()


def _train_argument(module: nn.Module, train: bool) -> dict[str, bool]:
  """Returns the argument that tells a module whether it is trained, if any."""
  parameters = inspect.signature(type(module).__call__).parameters
  for name, is_opposite in _TRAIN_ARGUMENTS.items():
    if name in parameters:
      return {name: train != is_opposite}
  return {}
