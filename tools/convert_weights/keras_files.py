"""Reads Keras's files: the legacy .h5, and .weights.h5 and .keras of Keras 3.

None of them is read by name. Keras itself pairs a file's layers with a
model's by position: in the legacy layout by that among all layers with
weights, in the newer ones by that among the layers of a class (`conv2d_5` is
the sixth convolution, whatever its name). So do we: the model is built, and
its names are given to what stands in their places. They do not depend on the
names in the file, which differ among versions of Keras and, where a layer's
author did not name it, among sessions.
"""

import collections
import contextlib
import dataclasses
import functools
import io
import itertools
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tf_transfer import errors
from tf_transfer.convert_weights import packages
from tf_transfer.networks import weights as weights_lib

# What the newer files call the layers of a class.
_KINDS = {
  'BatchNormalization': 'batch_normalization',
  'Conv2D': 'conv2d',
  'Dense': 'dense',
  'DepthwiseConv2D': 'depthwise_conv2d',
  'SeparableConv2D': 'separable_conv2d',
}
_ALL = 'layers'  # the one group of a legacy file
# Tensorflow 2.13 to 2.15 wrote the second.
_ROOTS = ('layers', '_layer_checkpoint_dependencies')
_AUTOMATIC = re.compile(r'(conv2d|batch_normalization)(?:_(\d+))?')


@dataclasses.dataclass(frozen=True)
class Application:
  """A model of keras.applications.

  Attributes:
    name: of the function that builds it.
    options: its arguments, as pairs of name and value.
  """

  name: str
  options: tuple[tuple[str, Any], ...] = ()

  def build(self, weights: str | None = None) -> Any:
    """Builds the model, with random weights or those that Keras downloads."""
    packages.tensorflow('a Keras model')
    keras = packages.needed('keras', 'a Keras model')
    return getattr(keras.applications, self.name)(
      weights=weights, **dict(self.options)
    )


@dataclasses.dataclass(frozen=True)
class Layer:
  """A layer with weights of a model.

  Attributes:
    name: as the rules know it.
    kind: as the newer files call its class.
    weights: their names, in Keras's order.
  """

  name: str
  kind: str
  weights: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Stored:
  """A layer with weights of a file.

  Attributes:
    key: of its group in the file.
    name: the layer's own, or '' where the file does not say.
    arrays: by name or number, in Keras's order.
  """

  key: str
  name: str
  arrays: Mapping[str, np.ndarray]


def _renumbered(layers: Iterable[str]) -> dict[str, str]:
  """Old name -> new, for the layers that nobody named.

  A session numbers them (`conv2d_95`), so only the order of the numbers means
  anything: here they count from 1.
  """
  found: dict[str, list[tuple[int, str]]] = {}
  for layer in layers:
    match = _AUTOMATIC.fullmatch(layer)
    if match:
      kind, number = match.groups()
      found.setdefault(kind, []).append((int(number or 0), layer))
  return {
    layer: f'{kind}_{rank}'
    for kind, numbered in found.items()
    for rank, (_, layer) in enumerate(sorted(numbered), start=1)
  }


def _weight_name(kind: str, name: str) -> str:
  # Keras 3 calls the kernels of both kinds of convolution alike.
  depthwise = (kind, name) == ('depthwise_conv2d', 'kernel')
  return 'depthwise_kernel' if depthwise else name


def layers_of(model: Any) -> list[Layer]:
  """The layers with weights of a Keras model, in its order."""
  layers = [layer for layer in model.layers if layer.weights]
  renumbered = _renumbered(layer.name for layer in layers)
  kinds = [_KINDS[type(layer).__name__] for layer in layers]
  return [
    Layer(
      renumbered.get(layer.name, layer.name),
      kind,
      tuple(_weight_name(kind, weight.name) for weight in layer.weights),
    )
    for layer, kind in zip(layers, kinds, strict=True)
  ]


@functools.cache
def _layers(application: Application) -> list[Layer]:
  return layers_of(application.build())


def read(
  path: os.PathLike | str, application: Application | None
) -> dict[str, np.ndarray]:
  """Reads the weights of a Keras file.

  Args:
    path: a legacy .h5, or a .weights.h5 or .keras file.
    application: the model whose weights it should hold; None for none.

  Returns:
    {'layer/weight': array}, as conv1_conv/kernel, under the names of the
    model's layers; what has no place in the model, under that in the file.

  Raises:
    InputError: no such file, cut short, or of another kind; or its named
      layers do not stand where the model has them.
  """
  packages.needed('h5py', 'reading a Keras file')
  try:
    with _opened(path) as file:
      groups = _stored(file)
  except (
    *(OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile),
    # A group where there should be an array, or the reverse.
    *(AttributeError, TypeError),
  ) as error:
    raise errors.InputError(
      f'{path} is no whole Keras file ({error}): it may be cut short or of '
      'another format. Get it again.'
    ) from error
  layers = _layers(application) if application else []
  tensors, problems = _placed(groups, layers)
  if problems:
    raise errors.InputError(
      f'{path}: its layers are not those of {application.name} in their '
      f'order:{weights_lib.shorten(problems)}'
    )
  return tensors


@contextlib.contextmanager
def _opened(path: os.PathLike | str) -> Iterator[Any]:
  """The HDF5 file, out of its archive where it is in one."""
  import h5py

  if not str(path).endswith('.keras'):
    with h5py.File(path, 'r') as file:
      yield file
    return
  with zipfile.ZipFile(path) as archive:
    info = archive.getinfo('model.weights.h5')
    # Keras stores without compression; anything else may be a zip bomb.
    if info.compress_type != zipfile.ZIP_STORED:
      raise ValueError('compressed weights, which Keras does not write')
    data = io.BytesIO(archive.read(info))
  with h5py.File(data, 'r') as file:
    yield file


def _array(dataset: Any) -> np.ndarray:
  # Both would have more read than the file holds.
  if dataset.external or dataset.id.get_storage_size() < dataset.nbytes:
    raise ValueError(f'{dataset.name} {dataset.shape} is not all in the file')
  return np.asarray(dataset)


def _stored(file: Any) -> dict[str, list[_Stored]]:
  """The layers with weights of a file, in the groups that have an order."""
  root = file.get('model_weights', file)
  names = _names(root.attrs, 'layer_names')
  if names:
    return {_ALL: _legacy_layers(root, names)}
  for name in _ROOTS:
    if name in file:
      return _layers_by_kind(file[name])
  raise ValueError(
    'neither the attribute layer_names of the legacy layout nor the group '
    'layers of that of Keras 3'
  )


def _names(attributes: Any, key: str) -> list[str]:
  """A list of names, which Keras splits when it outgrows HDF5's limit."""
  if key in attributes:
    values = list(attributes[key])
  else:
    keys = itertools.takewhile(
      lambda part: part in attributes,
      (f'{key}{number}' for number in itertools.count()),
    )
    values = [name for part in keys for name in attributes[part]]
  return [v.decode() if isinstance(v, bytes) else str(v) for v in values]


def _legacy_layers(root: Any, names: Sequence[str]) -> list[_Stored]:
  renumbered = _renumbered(names)
  layers = []
  for layer in names:
    arrays = {}
    for weight in _names(root[layer].attrs, 'weight_names'):
      name = weight.split('/')[-1].split(':')[0]
      if name in arrays:
        raise ValueError(f'{layer}/{name} twice')
      arrays[name] = _array(root[layer][weight])
    if arrays:
      layers.append(_Stored(layer, renumbered.get(layer, layer), arrays))
  return layers


def _layers_by_kind(root: Any) -> dict[str, list[_Stored]]:
  names = {
    key: str(group['vars'].attrs.get('name', ''))
    for key, group in root.items()
    if 'vars' in group
  }
  renumbered = _renumbered(names.values())
  numbered = collections.defaultdict(list)
  for key, name in names.items():
    variables = root[key]['vars']
    if len(variables):
      kind, number = re.fullmatch(r'(.*?)(?:_(\d+))?', key).groups()
      arrays = {
        index: _array(variables[index]) for index in sorted(variables, key=int)
      }
      stored = _Stored(key, renumbered.get(name, name), arrays)
      numbered[kind].append((int(number or 0), stored))
  return {
    kind: [layer for _, layer in sorted(found, key=lambda item: item[0])]
    for kind, found in numbered.items()
  }


def _placed(
  groups: Mapping[str, Sequence[_Stored]], layers: Sequence[Layer]
) -> tuple[dict[str, np.ndarray], list[str]]:
  """Gives the arrays of a file the names of the layers in their places.

  Where the layers of a group and their weights are not as many as the
  model's, none has a place: they are left to their names, for an error to
  say which are missing and which too many.

  Returns:
    The arrays by name; and which named layers stand in another's place.
  """
  tensors, problems = {}, []
  # Names that a session numbered say nothing.
  known = {
    layer.name for layer in layers if not _AUTOMATIC.fullmatch(layer.name)
  }
  for kind, stored in groups.items():
    places = [layer for layer in layers if kind in (_ALL, layer.kind)]
    counts = [len(layer.weights) for layer in places]
    if counts != [len(layer.arrays) for layer in stored]:
      places = _by_name(stored, layers)
    for found, place in zip(stored, places, strict=True):
      if found.name in known and found.name != place.name:
        problems.append(f'{found.name} stands in the place of {place.name}')
      for name, array in zip(place.weights, found.arrays.values(), strict=True):
        path = f'{place.name}/{name}'
        if path in tensors:
          problems.append(f'{path} is there twice')
        tensors[path] = array
  return tensors, problems


def _by_name(stored: Sequence[_Stored], layers: Sequence[Layer]) -> list[Layer]:
  """The layers that the names in a file say, as far as the model has them."""
  known = {(layer.name, len(layer.weights)): layer for layer in layers}
  return [
    known.get(
      (found.name, len(found.arrays)),
      Layer(found.key, '', tuple(found.arrays)),
    )
    for found in stored
  ]
