"""Builds what gives the features of a network, of whatever kind it is.

Networks that JAX compiles have `features.Extractor`. A function of the user's
is called with the same batches. Features from elsewhere are read from files.
"""

import pathlib
from collections.abc import Iterator, Sequence

import jax
import numpy as np

from tf_transfer import datasets, errors, networks
from tf_transfer.networks import custom_function, feature_files
from tf_transfer.runtime.units import counted
from tf_transfer.transfer.fixed_features import feature_cache, features

_BLOCK = 2048  # rows


def build(
  net: networks.Network,
  cache: feature_cache.FeatureCache,
  options: features.Options | None = None,
  *,
  batch_size: int = 64,
  corrupt: str = 'error',
) -> features.Extractor:
  """Builds the extractor of a network; arguments as of `features.Extractor`.

  Without options these are the defaults.

  Raises:
    InputError: the network has no such layer.
  """
  kind = features.Extractor
  if isinstance(net, custom_function.FunctionNetwork):
    kind = FunctionExtractor
  elif isinstance(net, feature_files.StoredNetwork):
    kind = StoredExtractor
  return kind(
    net,
    cache,
    options or features.Options(),
    batch_size=batch_size,
    corrupt=corrupt,
  )


class FunctionExtractor(features.Extractor):
  """Extracts features with a function of the user's, which JAX cannot see."""

  def to_devices(self, images: np.ndarray) -> np.ndarray:
    """Returns images [B, S, S, 3] as they are: the function takes them."""
    return images

  def apply(self, images: np.ndarray | jax.Array) -> np.ndarray:
    """Computes features [B, D] of images uint8 [B, S, S, 3]."""
    return self._net.features_of_pixels({}, images)


class StoredExtractor(features.Extractor):
  """Reads features from files, for the examples that a dataset asks for.

  An example is found by its name, or, where the files have no names, by its
  place in the split. Labels that are beside the features must agree.
  """

  sees_images = False

  def __call__(
    self, split: datasets.Split, name: str, out: np.ndarray | None = None
  ) -> features.Features:
    """Reads the features of a split; arguments as of `features.Extractor`.

    Raises:
      InputError: an example has no features, or its label is another one.
    """
    if out is None:
      out = np.empty((len(split), self.feature_dim), np.float32)
    rows = self._find(split, name)
    present = [i for i, row in enumerate(rows) if row is not None]
    if len(present) < len(rows):
      self._report_missing(split, name, rows)
    self._check_labels(split, name, rows, present)
    indices = np.array(present, np.int64)
    for array, number, places in _by_array(rows, present):
      for start in range(0, len(places), _BLOCK):
        block = slice(start, start + _BLOCK)
        out[places[block]] = array.read(number[block])
    skipped = tuple(
      split.describe(i) for i, row in enumerate(rows) if row is None
    )
    return features.Features(
      out[: len(present)], split.labels[indices], indices, skipped, 0
    )

  def _find(
    self, split: datasets.Split, name: str
  ) -> list[tuple[feature_files.FeatureArray, int] | None]:
    """Finds the array and the row of each example; None where there is none.

    Raises:
      InputError: there are no names, and the split has another length.
    """
    arrays = self._net.arrays
    if all(one.names is not None for one in arrays.values()):
      return self._find_by_name(split)
    if split.base is not None:
      base, positions = split.base
      rows = self._find(base, name)
      return [rows[i] for i in positions]
    array = arrays.get(split.name)
    if array is None or len(array.values) != len(split):
      rows_text = 'no rows' if array is None else f'{len(array.values):,} rows'
      raise errors.InputError(
        f'{self._net.name}: {name} has {counted(len(split), "example")}, and '
        f'{split.name}.npy {rows_text}. Give {split.name}_names.txt with the '
        f'name of each row, such as {split.describe(0)}'
      )
    if array.names is not None:
      return self._find_by_name(split)
    if array.labels is None:
      raise errors.InputError(
        f'{self._net.name}: nothing tells which example a row of '
        f'{split.name}.npy is of: give {split.name}_names.txt, or '
        f'{split.name}_labels.npy and rows in the order of the dataset'
      )
    return [(array, row) for row in range(len(split))]

  def _find_by_name(
    self, split: datasets.Split
  ) -> list[tuple[feature_files.FeatureArray, int] | None]:
    """Finds rows by names, which are the dataset's or the last part of them.

    Raises:
      InputError: a name that is needed is there twice.
    """
    rows: dict[str, list[tuple[feature_files.FeatureArray, int]]] = {}
    for array in self._net.arrays.values():
      for number, named in enumerate(array.names or ()):
        rows.setdefault(named, []).append((array, number))
        if '/' in named:
          short = pathlib.PurePosixPath(named).name
          rows.setdefault(short, []).append((array, number))
    aligned = []
    for i in range(len(split)):
      full = split.describe(i)
      matches = rows.get(full) or rows.get(pathlib.PurePosixPath(full).name)
      if matches and len(matches) > 1:
        raise errors.InputError(
          f'{self._net.name}: {full} is the name of {len(matches)} rows'
        )
      aligned.append(matches[0] if matches else None)
    return aligned

  def _report_missing(
    self, split: datasets.Split, name: str, rows: Sequence[object]
  ) -> None:
    """Raises an InputError where examples have no features.

    With `corrupt` 'skip' they are left out, as images that cannot be decoded
    are, unless none is there.
    """
    missing = [i for i, row in enumerate(rows) if row is None]
    if self._corrupt == 'skip' and len(missing) < len(rows):
      return
    raise errors.InputError(
      f'{self._net.name}: no features of {len(missing):,} of '
      f'{counted(len(rows), "example")} of {name}; the first is '
      f'{split.describe(missing[0])}'
    )

  def _check_labels(
    self,
    split: datasets.Split,
    name: str,
    rows: Sequence[tuple[feature_files.FeatureArray, int] | None],
    present: Sequence[int],
  ) -> None:
    """Raises an InputError where labels tell that rows are of other examples.

    Classes may have other numbers or names there: the same examples must share
    a label.
    """
    theirs: dict[object, tuple[object, int]] = {}
    ours: dict[object, object] = {}
    for i in present:
      array, row = rows[i]
      if array.labels is None:
        continue
      other, own = _key(array.labels[row]), _key(split.labels[i])
      first, example = theirs.setdefault(other, (own, i))
      if first != own or ours.setdefault(own, other) != other:
        raise errors.InputError(
          f'{self._net.name}: the labels of {name} are not those beside '
          f'{array.path.name}: {split.describe(i)} (row {row}) is of another '
          f'class than {split.describe(example)} in one of them. Are the rows '
          f'in the order of the dataset? {split.name}_names.txt tells'
        )


def _key(label: object) -> object:
  """Returns a label as what can be compared: a number, a name, or several."""
  if isinstance(label, np.ndarray):
    # An ignored label, -1, is not there.
    return tuple(int(x > 0) for x in label) if label.ndim else int(label)
  return label if isinstance(label, str) else int(label)


def _by_array(
  rows: Sequence[tuple[feature_files.FeatureArray, int] | None],
  present: Sequence[int],
) -> Iterator[tuple[feature_files.FeatureArray, np.ndarray, np.ndarray]]:
  """Groups rows by their arrays.

  Yields:
    An array, the numbers of its rows, and the place of each in the matrix.
  """
  groups: dict[int, list[tuple[int, int]]] = {}
  arrays = {}
  for place, i in enumerate(present):
    array, row = rows[i]
    arrays[id(array)] = array
    groups.setdefault(id(array), []).append((row, place))
  for key, pairs in groups.items():
    numbers, places = np.array(pairs, np.int64).T
    yield arrays[key], numbers, places
