"""Defines what a function returns that makes a network of anybody's own.

    from tf_transfer import networks
    from tf_transfer.contract import Contract

    def mine():
      return networks.CustomNetwork(
        contract=Contract(224, mean=(127.5,) * 3, std=(127.5,) * 3),
        module=MyModule(), variables=variables)

A config names it as `mypackage.module:mine`. docs/own_network.md has examples.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from tf_transfer import contract as contract_lib
from tf_transfer import errors
from tf_transfer.networks import header as header_lib
from tf_transfer.networks import recipe as recipe_lib
from tf_transfer.networks import table

# Names of networks are those of files, columns and labels, too.
_NAME = re.compile(r'\w[\w.+ -]{0,59}')
# Parameters that a function's network is taken to have, as a ResNet-50, where
# its cost is estimated.
ASSUMED_PARAMETERS = 25_000_000
# What a user may say of a network, beside what it computes.
STATEMENTS = (
  'family',
  'imagenet_top1',
  'imagenet_top1_source',
  'imagenet_measure',
)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class CustomNetwork:
  """A network of anybody's own: a Flax module with variables, or a function.

  Attributes:
    contract: what the network expects of its input.
    module: a Flax module that maps scaled images [B, H, W, 3] to features
      [B, D]. Its `__call__` takes the images alone or one more argument, by
      name: `train`, `training`, `deterministic` or `use_running_average`.
    variables: of the module: {'params': ..., 'batch_stats': ...}.
    features: in place of both, a function that maps scaled images, NumPy
      [B, H, W, 3] of float32, to features [B, D]: an array of NumPy, JAX,
      TensorFlow or PyTorch in the host's memory.
    identity: of a function, text that is another one whenever its features are,
      such as the SHA-256 of its weights. '' has features of two fixed images
      tell it.
    name: by which tables and figures call the network; '' is the function's.
    family: of networks whose errors are alike; '' is one of its own.
    parameters: their number; 0 counts those of the module.
    imagenet_top1: accuracy on ImageNet in 0 to 1, if it is known.
    imagenet_top1_source: who measured it.
    imagenet_measure: what was measured; one of `header.MEASURES`.
    recipe: how it was trained.
  """

  contract: contract_lib.Contract
  module: nn.Module | None = None
  variables: Mapping[str, Any] | None = None
  features: Callable[[np.ndarray], Any] | None = None
  identity: str = ''
  name: str = ''
  family: str = ''
  parameters: int = 0
  imagenet_top1: float | None = None
  imagenet_top1_source: str = ''
  imagenet_measure: str = ''
  recipe: recipe_lib.Recipe = recipe_lib.UNKNOWN

  def __post_init__(self) -> None:
    """Checks that the attributes go together.

    Raises:
      InputError: one is missing, of another type or out of range.
    """
    if not isinstance(self.contract, contract_lib.Contract):
      raise errors.InputError(
        'contract: expected a tf_transfer.contract.Contract, found '
        f'{type(self.contract).__name__}'
      )
    has_module = self.module is not None
    if has_module == (self.features is not None):
      raise errors.InputError(
        'expected either module and variables, or features'
      )
    if has_module:
      self._check_module()
    else:
      self._check_function()
    if self.name:
      check_name(self.name)
    check_statements({name: getattr(self, name) for name in STATEMENTS})
    if not isinstance(self.identity, str):
      raise errors.InputError(
        f'identity: expected a str, found {_describe(self.identity)}'
      )
    if type(self.parameters) is not int or self.parameters < 0:
      raise errors.InputError(
        f'parameters: expected their number, not {self.parameters!r}'
      )
    if not isinstance(self.recipe, recipe_lib.Recipe):
      raise errors.InputError(
        'recipe: expected a tf_transfer.networks.recipe.Recipe, found '
        f'{_describe(self.recipe)}'
      )

  def _check_module(self) -> None:
    """Raises an InputError where module or variables are none."""
    if not isinstance(self.module, nn.Module):
      raise errors.InputError(
        'module: expected an instance of a flax.linen.Module, found '
        f'{_describe(self.module)}'
      )
    if not isinstance(self.variables, Mapping) or not self.variables:
      raise errors.InputError(
        "variables: expected {'params': ...} of the module, found "
        f'{_describe(self.variables)}'
      )
    if self.identity:
      raise errors.InputError(
        'identity: that of a Flax module is its content; leave it out'
      )

  def _check_function(self) -> None:
    """Raises an InputError where features is no function, or has variables."""
    if not callable(self.features):
      raise errors.InputError(
        f'features: expected a function, found {_describe(self.features)}'
      )
    if self.variables is not None:
      raise errors.InputError('variables: expected with a module alone')

  def make_header(self, name: str, source: str) -> header_lib.Header:
    """Makes the header that a weights file of the network would have.

    Args:
      name: of the network where it has none.
      source: where it is from.
    """
    return header_lib.Header(
      network=self.name or name,
      options={},
      contract=self.contract,
      num_classes=0,
      imagenet_top1=self.imagenet_top1,
      imagenet_top1_source=self.imagenet_top1_source,
      imagenet_measure=self.imagenet_measure,
      recipe=self.recipe,
      source=source,
    )


def check_name(name: str) -> None:
  """Raises an InputError where a network cannot go by a name."""
  if not isinstance(name, str) or not _NAME.fullmatch(name):
    raise errors.InputError(
      f'name: {name!r}: expected up to 60 letters, digits and . _ + -'
    )
  if name in table.TABLE:
    raise errors.InputError(
      f'name: {name} is a network of the table: call this one otherwise'
    )


def check_statements(statements: Mapping[str, Any]) -> None:
  """Checks what a user says of a network.

  Args:
    statements: some of the fields in `STATEMENTS`.

  Raises:
    InputError: a value is of another type or out of range.
  """
  for field, value in statements.items():
    if field != 'imagenet_top1' and not isinstance(value, str):
      raise errors.InputError(
        f'{field}: expected a str, found {_describe(value)}'
      )
  top1 = statements.get('imagenet_top1')
  # A bool is an int.
  if top1 is not None and not (isinstance(top1, float) and 0 < top1 < 1):
    raise errors.InputError(
      f'imagenet_top1: expected a share between 0 and 1, not {top1!r}'
    )
  measure = statements.get('imagenet_measure', '')
  if measure not in header_lib.MEASURES:
    names = [name for name in header_lib.MEASURES if name]
    raise errors.unknown_name('imagenet_measure', measure, names)


def make_probe(image_size: int) -> np.ndarray:
  """Makes two fixed images, uint8 [2, S, S, 3]."""
  image, row, column, channel = np.ogrid[:2, :image_size, :image_size, :3]
  waves = row * (3 + 2 * image) + column * (5 - image) + 61 * channel
  return ((waves + row * column // 7) % 256).astype(np.uint8)


def check_features(values: Any, count: int, width: int | None) -> np.ndarray:
  """Returns features as float32 [B, D].

  Args:
    values: what a function returned for B images.
    count: B.
    width: D, where it is known.

  Raises:
    InputError: they have another shape or type.
  """
  # Of PyTorch's tensors those on a GPU, or with a gradient, are refused.
  try:
    array = np.asarray(values)
  # What JAX computes may fail only now, as of memory.
  except jax.errors.JaxRuntimeError:
    raise
  except Exception as error:
    raise errors.InputError(
      f'features are {_describe(values)}, which cannot be made a NumPy array '
      f'({error}). Of a PyTorch tensor, return x.detach().cpu().numpy()'
    ) from error
  # Of complex numbers a part would be lost; NumPy reads text as numbers.
  if not (
    jnp.issubdtype(array.dtype, jnp.floating) or array.dtype.kind in 'iub'
  ):
    raise errors.InputError(
      f'features are {_describe(values)} of the type {array.dtype}, expected '
      f'an array of numbers [{count}, D]'
    )
  expected = f'[{count}, {"D" if width is None else width}]'
  if array.ndim != 2 or len(array) != count or not array.shape[1]:
    raise errors.InputError(
      f'features have the shape {list(array.shape)}, expected {expected}'
    )
  if width is not None and array.shape[1] != width:
    raise errors.InputError(
      f'features have the shape {list(array.shape)}, expected {expected} as '
      'of the first images'
    )
  # What float32 cannot hold becomes infinite, which is an error of its own.
  with np.errstate(over='ignore'):
    return np.asarray(array, np.float32)


def _describe(value: Any) -> str:
  """Returns the type of a value, for messages."""
  if isinstance(value, type):
    return f'the class {value.__name__}, not an instance'
  return 'None' if value is None else f'a {type(value).__name__}'
