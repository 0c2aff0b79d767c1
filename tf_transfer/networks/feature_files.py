"""Opens features that were computed elsewhere: `features:DIR`.

A directory has `train.npy`, `val.npy` and `test.npy`, float [N, D], or some of
them, and beside them which example each row is of: `SPLIT_names.txt`,
`SPLIT_labels.npy` or `SPLIT_labels.txt`. docs/own_network.md describes it.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_transfer import contract as contract_lib
from tf_transfer import errors
from tf_transfer.networks import custom
from tf_transfer.networks import header as header_lib
from tf_transfer.networks.network import Network
from tf_transfer.runtime import array_files

_ABOUT = 'about.json'
_FIELDS = ('name', *custom.STATEMENTS)
_BLOCK = 4096  # rows
# What features from elsewhere expect of images, which they never see.
_CONTRACT = contract_lib.Contract(224, (127.5,) * 3, (127.5,) * 3)


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureArray:
  """The features of a split.

  Attributes:
    path: of the .npy file.
    values: [N, D] of some float type, on disk.
    names: of the examples, or None.
    labels: as `array_files.read_labels`, or None.
  """

  path: pathlib.Path
  values: np.ndarray
  names: list[str] | None
  labels: np.ndarray | list[str] | None

  def read(self, rows: np.ndarray) -> np.ndarray:
    """Reads rows as float32 [K, D]."""
    return np.asarray(self.values[rows], np.float32)


@dataclasses.dataclass(frozen=True, eq=False)
class StoredNetwork(Network):
  """A network of which only features are there, and no images are shown.

  Attributes:
    arrays: by split.
    family: of networks whose errors are alike; '' is one of its own.
  """

  arrays: Mapping[str, FeatureArray] = dataclasses.field(default_factory=dict)
  family: str = ''

  @property
  def feature_dim(self) -> int:
    return next(iter(self.arrays.values())).values.shape[1]

  @property
  def parameters(self) -> int:
    """Returns 1: nothing is computed, so that it costs next to nothing."""
    return 1

  @property
  def sees_images(self) -> bool:
    """Returns False: there are features in files."""
    return False

  @property
  def fixed_reason(self) -> str:
    """Why it cannot be trained."""
    return (
      f'{self.name}: there are features in files and no network, which '
      'cannot be trained'
    )

  def layers(self, image_size: int) -> dict[str, tuple[int, int, int]]:
    """Returns no layers: none is known."""
    del image_size
    return {}

  def features(self, x: Any) -> Any:
    """Raises an InputError: there is no network."""
    del x
    raise errors.InputError(
      f'{self.name}: there are features in files, and no network to show '
      'other images to'
    )

  @property
  def features_of_pixels(self) -> Any:
    """Raises an InputError: there is no network."""
    return self.features(None)


def check(directory: pathlib.Path) -> None:
  """Raises an InputError where a directory has no features."""
  if not directory.is_dir():
    raise errors.InputError(f'features:{directory}: there is no such directory')
  if not any((directory / f'{s}.npy').exists() for s in array_files.SPLITS):
    raise errors.InputError(
      f'features:{directory}: expected train.npy, val.npy and test.npy in it'
    )


def load(directory: pathlib.Path) -> StoredNetwork:
  """Opens the features in a directory, and reads them once to hash them.

  Raises:
    InputError: there are none; or an array is none of floats [N, D], has NaN,
      or another length than its names or labels.
  """
  check(directory)
  arrays = {
    split: _open(directory, split)
    for split in array_files.SPLITS
    if (directory / f'{split}.npy').exists()
  }
  widths = {split: one.values.shape[1] for split, one in arrays.items()}
  if len(set(widths.values())) > 1:
    listed = ', '.join(f'{split} {width}' for split, width in widths.items())
    raise errors.InputError(
      f'features:{directory}: rows have different widths: {listed}'
    )
  about = _read_about(directory)
  name = about.pop('name', '') or directory.resolve().name
  try:
    custom.check_name(name)
  except errors.InputError as error:
    raise errors.InputError(
      f'features:{directory}: {error}. Rename the directory, or state a name '
      f'in its {_ABOUT}'
    ) from error
  family = about.pop('family', '')
  header = header_lib.Header(
    network=name,
    options={},
    contract=_CONTRACT,
    num_classes=0,
    source=f'features:{directory}',
    **about,
  )
  return StoredNetwork(header, None, {}, _hash(arrays), arrays, family)


def _open(directory: pathlib.Path, split: str) -> FeatureArray:
  """Opens the features of a split.

  Raises:
    InputError: they are no floats [N, D], or of another length than what is
      beside them.
  """
  path = directory / f'{split}.npy'
  values = array_files.load_array(path)
  if values.dtype.kind != 'f' or values.ndim != 2 or 0 in values.shape:
    raise errors.InputError(
      f'{path}: expected float16, float32 or float64 [N, D], found '
      f'{values.dtype} {list(values.shape)}'
    )
  names = array_files.read_names(directory, split)
  labels = array_files.read_labels(directory, split)
  if names is not None:
    named = directory / f'{split}_names.txt'
    array_files.check_length(named, len(names), len(values))
  if labels is not None:
    labeled = directory / f'{split}_labels'
    array_files.check_length(labeled, len(labels), len(values))
  return FeatureArray(path, values, names, labels)


def _read_about(directory: pathlib.Path) -> dict[str, Any]:
  """Reads what about.json states of a network; nothing where there is none.

  Raises:
    InputError: it is no such JSON.
  """
  path = directory / _ABOUT
  if not path.exists():
    return {}
  try:
    fields = json.loads(path.read_text(encoding='utf-8'))
  except (OSError, ValueError) as error:
    raise errors.InputError(f'{path} cannot be read: {error}') from error
  if not isinstance(fields, dict):
    raise errors.InputError(f'{path}: expected an object')
  for field in fields:
    if field not in _FIELDS:
      raise errors.unknown_name(f'field of {path}', field, _FIELDS)
  statements = {k: fields[k] for k in custom.STATEMENTS if k in fields}
  try:
    custom.check_statements(statements)
  except errors.InputError as error:
    raise errors.InputError(f'{path}: {error}') from error
  return fields


def _hash(arrays: Mapping[str, FeatureArray]) -> str:
  """Computes the SHA-256 of features and the names of what they are of.

  It is that of float32 values in rows, whatever type and order they have on
  disk.

  Raises:
    InputError: a value is NaN or not within float32.
  """
  digest = hashlib.sha256(b'features\n')
  for split, one in arrays.items():
    names = '' if one.names is None else '\n'.join(one.names)
    shape = list(one.values.shape)
    digest.update(f'\n{split} {shape}\n{names}\n'.encode())
    for start in range(0, len(one.values), _BLOCK):
      with np.errstate(over='ignore'):
        block = one.read(np.arange(len(one.values))[start : start + _BLOCK])
      wrong = ~np.isfinite(block).all(axis=1)
      if wrong.any():
        raise errors.InputError(
          f'{one.path}: NaN or infinity in row '
          f'{start + int(np.flatnonzero(wrong)[0])}, the first of such rows'
        )
      digest.update(np.ascontiguousarray(block, '<f4'))
  return digest.hexdigest()
