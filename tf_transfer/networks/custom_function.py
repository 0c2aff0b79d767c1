"""Makes a network of any function from images to features."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from tf_transfer import errors
from tf_transfer.networks import custom
from tf_transfer.networks.network import Network

# Images that a function is called with together.
_BATCH_SIZE = 64


@dataclasses.dataclass(frozen=True, eq=False)
class FunctionNetwork(Network):
  """A network of which only a function from images to features is known.

  Attributes:
    function: maps scaled images, NumPy [B, H, W, 3], to features [B, D].
    width: D.
    probe: its features [2, D] of two fixed images.
    has_identity: whether its identity is stated, and may be a wrong one.
    family: as of `CustomNetwork`.
    stated_parameters: as its `parameters`.
  """

  function: Callable[[np.ndarray], Any] | None = None
  width: int = 0
  probe: np.ndarray | None = None
  has_identity: bool = False
  family: str = ''
  stated_parameters: int = 0

  @property
  def feature_dim(self) -> int:
    return self.width

  @property
  def parameters(self) -> int:
    """Number of parameters, stated or assumed."""
    return self.stated_parameters or custom.ASSUMED_PARAMETERS

  @property
  def features_sha256(self) -> str:
    """The hash by which features are cached.

    It is that of the features of two images, whatever identity is stated, so
    that the cache never has those of other weights.
    """
    return _hash_probe(self.contract.to_json(), self.probe)

  @property
  def fixed_reason(self) -> str:
    """Why it cannot be trained."""
    return (
      f'{self.name} is a function from images to features: it has fixed '
      'features, and cannot be trained. Return a Flax module with variables'
    )

  @property
  def wrong_features_advice(self) -> str:
    """What may be wrong where features are not finite or not repeatable."""
    return (
      'It is a function of yours, which has to return the same finite features '
      'of an image each time, whatever else is in the batch: without dropout, '
      'and with moving averages in place of the means of a batch'
    )

  def features(self, x: Any) -> np.ndarray:
    """Computes features of images, as `Network.features` does.

    Raises:
      InputError: x has another shape or was not scaled, or the function fails
        or returns no finite features [B, D].
    """
    x = self._check_images(x)
    values = [
      self._call(np.array(x[start : start + _BATCH_SIZE], np.float32))
      for start in range(0, len(x), _BATCH_SIZE)
    ]
    joined = np.concatenate(values) if values else np.empty((0, self.width))
    if not np.isfinite(joined).all():
      raise errors.InputError(f'{self.name}: features with NaN or infinity')
    return joined

  @property
  def features_of_pixels(self) -> Callable[..., np.ndarray]:
    """Maps variables, of which there are none, and pixels to features."""

    def compute(variables: Mapping[str, Any], images: Any) -> np.ndarray:
      del variables
      return self._call(self.contract.scale(np.asarray(images)))

    return compute

  def layers(self, image_size: int) -> dict[str, tuple[int, int, int]]:
    """Returns no layers: none is known."""
    del image_size
    return {}

  def apply_features(self, variables: Any, x: Any) -> jax.Array:
    """Raises an InputError: nothing can be compiled."""
    del variables, x
    raise errors.InputError(self.fixed_reason)

  def _call(self, x: np.ndarray) -> np.ndarray:
    """Calls the function with scaled images; returns [B, D]."""
    return call(self.function, x, self.name, self.width)


def call(
  function: Callable[[np.ndarray], Any],
  x: np.ndarray,
  name: str,
  width: int | None,
) -> np.ndarray:
  """Calls a function from images to features.

  Args:
    function: the function.
    x: scaled images [B, H, W, 3].
    name: of the network, for messages.
    width: number of features, where it is known.

  Raises:
    InputError: it fails, or does not return numbers [B, D].
  """
  try:
    values = function(x)
  except errors.InputError:
    raise
  # Whatever the user's function raises; a program may end itself.
  except (Exception, SystemExit) as error:
    first = (str(error).strip().splitlines() or [''])[0]
    raise errors.InputError(
      f'{name}: features of images {list(x.shape)}: {type(error).__name__}: '
      f'{first}'
    ) from error
  try:
    return custom.check_features(values, len(x), width)
  except errors.InputError as error:
    raise errors.InputError(f'{name}: {error}') from error


def build(own: custom.CustomNetwork, name: str, source: str) -> Network:
  """Makes the network of a function, which is called with two fixed images.

  Args:
    own: what the user's function returned.
    name: of the network where it has none.
    source: where it is from.

  Raises:
    InputError: the function fails, or does not return finite features.
  """
  images = own.contract.scale(custom.make_probe(own.contract.image_size))
  shown = own.name or name
  probe = call(own.features, images, shown, None)
  if not np.isfinite(probe).all():
    raise errors.InputError(f'{shown}: features with NaN or infinity')
  contract = own.contract.to_json()
  if own.identity:
    text = json.dumps([own.identity, contract], sort_keys=True)
    sha256 = hashlib.sha256(f'function\n{text}'.encode()).hexdigest()
  else:
    sha256 = _hash_probe(contract, probe)
  return FunctionNetwork(
    own.make_header(name, source),
    None,
    {},
    sha256,
    own.features,
    probe.shape[1],
    probe,
    bool(own.identity),
    own.family,
    own.parameters,
  )


def _hash_probe(contract: Mapping[str, Any], probe: np.ndarray) -> str:
  """Computes the SHA-256 of features of two images, and how these were made."""
  text = json.dumps([contract, list(probe.shape)], sort_keys=True)
  digest = hashlib.sha256(f'probe\n{text}\n'.encode())
  digest.update(np.ascontiguousarray(probe, '<f4'))
  return digest.hexdigest()
