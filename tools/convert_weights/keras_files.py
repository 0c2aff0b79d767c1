"""Reads Keras's files: the legacy .h5, and .weights.h5 and .keras of Keras 3.

Layers are matched by position, not by name, as Keras does it. In the legacy
layout the position counts among all layers with weights, in the newer ones
among the layers of a class (`conv2d_5` is the sixth convolution, whatever its
name). We build the model, and give its names to the layers of the file at the
same positions. The names in the file do not matter: they differ among versions
of Keras and, for layers that their author did not name, among sessions.
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

# How the newer files call the layers of a class.
_KINDS = {
  'BatchNormalization': 'batch_normalization',
  'Conv2D': 'conv2d',
  'Dense': 'dense',
  'DepthwiseConv2D': 'depthwise_conv2d',
  'Normalization': 'normalization',
  'LayerNormalization': 'layer_normalization',
  'LayerScale': 'layer_scale',
  'SeparableConv2D': 'separable_conv2d',
}
_BATCH_NORM = ('gamma', 'beta', 'moving_mean', 'moving_variance')
# What the weights of a layer are called, by its kind and their number.
_WEIGHTS = {
  ('conv2d', 1): ('kernel',),
  ('conv2d', 2): ('kernel', 'bias'),
  ('dense', 2): ('kernel', 'bias'),
  ('depthwise_conv2d', 1): ('depthwise_kernel',),
  ('layer_normalization', 2): ('gamma', 'beta'),
  ('layer_scale', 1): ('gamma',),
  ('separable_conv2d', 2): ('depthwise_kernel', 'pointwise_kernel'),
}
_ALL = 'layers'  # the one group of a legacy file
# TensorFlow 2.13 to 2.15 wrote the second.
_ROOTS = ('layers', '_layer_checkpoint_dependencies')
_MAX_DEPTH = 3  # of models within models
_AUTOMATIC = re.compile(
  r'(conv2d|batch_normalization|normalization)(?:_(\d+))?'
)


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
    packages.import_tensorflow('a Keras model')
    keras = packages.import_module('keras', 'a Keras model')
    return getattr(keras.applications, self.name)(
      weights=weights, **dict(self.options)
    )


@dataclasses.dataclass(frozen=True)
class Layer:
  """A layer of a model that has weights.

  Attributes:
    name: as the rules know it.
    kind: its class, as the newer files name it.
    weights: names of its weights, in Keras's order.
    nested: whether it is in a model within the model.
  """

  name: str
  kind: str
  weights: tuple[str, ...]
  nested: bool = False


@dataclasses.dataclass(frozen=True)
class _FileLayer:
  """A layer in a file that has weights.

  Attributes:
    key: of its group in the file.
    name: the layer's own, or '' where the file does not say.
    arrays: by name or number, in Keras's order.
  """

  key: str
  name: str
  arrays: Mapping[str, np.ndarray]


def _renumber(layers: Iterable[str]) -> dict[str, str]:
  """Returns new names, by the old, of the layers that nobody named.

  A session numbers them (`conv2d_95`), and only the order of the numbers means
  anything: the new ones count from 1.
  """
  by_kind: dict[str, list[tuple[int, str]]] = {}
  for layer in layers:
    match = _AUTOMATIC.fullmatch(layer)
    if match:
      kind, number = match.groups()
      by_kind.setdefault(kind, []).append((int(number or 0), layer))
  return {
    layer: f'{kind}_{rank}'
    for kind, numbered in by_kind.items()
    for rank, (_, layer) in enumerate(sorted(numbered), start=1)
  }


def _weight_name(kind: str, name: str) -> str:
  """Returns the name by which the rules know a weight."""
  if kind == 'layer_scale':  # Keras does not name it.
    return 'gamma'
  # Keras 3 calls the kernels of both kinds of convolution alike.
  depthwise = (kind, name) == ('depthwise_conv2d', 'kernel')
  return 'depthwise_kernel' if depthwise else name


def weighted_layers(model: Any) -> list[Any]:
  """Returns the Keras layers of a model that have weights, in its order.

  A model within the model stands for its layers.
  """
  result = []
  for layer in model.layers:
    if layer.weights:
      result += weighted_layers(layer) if hasattr(layer, 'layers') else [layer]
  return result


def layers_of(model: Any) -> list[Layer]:
  """Returns the layers of a Keras model that have weights, in its order."""
  layers = weighted_layers(model)
  renumbered = _renumber(layer.name for layer in layers)
  kinds = [_KINDS[type(layer).__name__] for layer in layers]
  outer = {id(layer) for layer in model.layers}
  return [
    Layer(
      renumbered.get(layer.name, layer.name),
      kind,
      tuple(_weight_name(kind, weight.name) for weight in layer.weights),
      nested=id(layer) not in outer,
    )
    for layer, kind in zip(layers, kinds, strict=True)
  ]


@functools.cache
def _application_layers(application: Application) -> list[Layer]:
  """Returns the layers of a model, which is built once."""
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
    model's layers. Layers that the model lacks keep the file's names.

  Raises:
    InputError: no such file, cut short, or of another format; or its named
      layers are not at the positions where the model has them.
  """
  packages.import_module('h5py', 'reading a Keras file')
  try:
    with _open(path) as file:
      groups = _read_layers(file)
  except (
    *(OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile),
    *(EOFError, MemoryError, OverflowError),
    # A group where there should be an array, or the reverse.
    *(AttributeError, TypeError),
  ) as error:
    raise errors.InputError(
      f'{path} is no complete Keras file ({error}): it may be cut short or '
      'of another format. Get it again.'
    ) from error
  layers = _application_layers(application) if application else []
  tensors, problems = _match(groups, layers)
  if problems:
    raise errors.InputError(
      f'{path}: its layers are not those of {application.name} in their '
      f'order:{weights_lib.shorten(problems)}'
    )
  return tensors


@contextlib.contextmanager
def _open(path: os.PathLike | str) -> Iterator[Any]:
  """Opens the HDF5 file, out of its archive where it is in one."""
  import h5py

  with open(path, 'rb') as head:
    is_archive = head.read(4) == b'PK\x03\x04'
  if not is_archive:
    with h5py.File(path, 'r') as file:
      yield file
    return
  with zipfile.ZipFile(path) as archive:
    info = archive.getinfo('model.weights.h5')
    # Keras stores without compression; anything else may be a zip bomb.
    if info.compress_type != zipfile.ZIP_STORED:
      raise ValueError('compressed weights, which Keras does not write')
    if info.file_size > os.path.getsize(path):
      raise ValueError('weights that are larger than the archive')
    data = io.BytesIO(archive.read(info))
  with h5py.File(data, 'r') as file:
    yield file


def _member(group: Any, name: str) -> Any:
  """Returns a member of a group by its path; links to it are refused.

  A link may lead to any other file of the machine. Keras writes none.
  """
  import h5py

  for part in name.split('/'):
    link = group.get(part, getlink=True)
    if isinstance(link, (h5py.ExternalLink, h5py.SoftLink)):
      raise ValueError(f'{part} is a link, which Keras does not write')
    group = group[part]
  return group


def _read_array(group: Any, name: str) -> np.ndarray:
  """Reads an array; refuses one whose values are not all in the file."""
  dataset = _member(group, name)
  if (
    dataset.external
    or dataset.is_virtual
    or dataset.id.get_storage_size() < dataset.nbytes
  ):
    raise ValueError(f'{dataset.name} {dataset.shape} is not all in the file')
  return np.asarray(dataset)


def _read_layers(file: Any) -> dict[str, list[_FileLayer]]:
  """Reads the layers with weights, in groups whose order counts."""
  root = file
  if 'model_weights' in file:
    root = _member(file, 'model_weights')
  names = _names(root.attrs, 'layer_names')
  if names:
    return {_ALL: _legacy_layers(root, names)}
  for name in _ROOTS:
    if name in file:
      return _layers_by_kind(_member(file, name))
  raise ValueError(
    'neither the attribute layer_names of the legacy layout nor the group '
    'layers of that of Keras 3'
  )


def _names(attributes: Any, key: str) -> list[str]:
  """Reads a list of names, which Keras splits at HDF5's limit of size."""
  if key in attributes:
    values = list(attributes[key])
  else:
    keys = itertools.takewhile(
      lambda part: part in attributes,
      (f'{key}{number}' for number in itertools.count()),
    )
    values = [name for part in keys for name in attributes[part]]
  return [v.decode() if isinstance(v, bytes) else str(v) for v in values]


def _legacy_layers(root: Any, names: Sequence[str]) -> list[_FileLayer]:
  """Reads the layers of the legacy layout, in the order of their names.

  A model within a model has one name, and the weights of many layers.
  """
  found: dict[str, dict[str, np.ndarray]] = {}
  for outer in names:
    group = _member(root, outer)
    weights = _names(group.attrs, 'weight_names')
    is_model = len({weight.rpartition('/')[0] for weight in weights}) > 1
    for weight in weights:
      layer = weight.split('/')[-2] if is_model else outer
      arrays = found.setdefault(layer, {})
      name = weight.split('/')[-1].split(':')[0]
      if name in arrays:
        raise ValueError(f'{layer}/{name} twice')
      arrays[name] = _read_array(group, weight)
  # Layers without weights are numbered too.
  renumbered = _renumber(dict.fromkeys([*names, *found]))
  return [
    _FileLayer(layer, renumbered.get(layer, layer), arrays)
    for layer, arrays in found.items()
  ]


def _layers_by_kind(root: Any, depth: int = 0) -> dict[str, list[_FileLayer]]:
  """Reads the layers of Keras 3's layout, by the kind of layer, in order.

  Those of a model within the model come before the model's own.
  """
  groups = {key: _member(root, key) for key in root}
  names = {
    key: str(_member(group, 'vars').attrs.get('name', ''))
    for key, group in groups.items()
    if 'vars' in group
  }
  by_kind = collections.defaultdict(list)
  for group in groups.values():
    # A group may hold itself.
    if 'layers' in group and depth < _MAX_DEPTH:
      inner = _layers_by_kind(_member(group, 'layers'), depth + 1)
      for kind, layers in inner.items():
        by_kind[kind] += layers
  renumbered = _renumber(names.values())
  numbered = []
  for key, name in names.items():
    variables = groups[key]['vars']
    if len(variables):
      kind, number = re.fullmatch(r'(.*?)(?:_(\d+))?', key).groups()
      arrays = {
        index: _read_array(variables, index)
        for index in sorted(variables, key=int)
      }
      layer = _FileLayer(key, renumbered.get(name, name), arrays)
      numbered.append((int(number or 0), kind, layer))
  for _, kind, layer in sorted(numbered, key=lambda entry: entry[0]):
    by_kind[kind].append(layer)
  return dict(by_kind)


def _match(
  groups: Mapping[str, Sequence[_FileLayer]], layers: Sequence[Layer]
) -> tuple[dict[str, np.ndarray], list[str]]:
  """Matches the layers of a file to those of a model, by position.

  Where a group has not as many layers and weights as the model, positions say
  nothing: its layers are matched by name, so that an error can say which are
  missing and which are too many.

  Returns:
    The arrays by name, and a line for each named layer at the position of
    another.
  """
  tensors, problems = {}, []
  # Names that a session numbered say nothing.
  named = {
    layer.name for layer in layers if not _AUTOMATIC.fullmatch(layer.name)
  }
  for kind, file_layers in groups.items():
    matches = [layer for layer in layers if kind in (_ALL, layer.kind)]
    if kind != _ALL:
      # Those of models within the model come first, as they were read.
      matches.sort(key=lambda layer: not layer.nested)
    # The head may be missing: it is the last layer of all.
    if len(file_layers) == len(matches) - 1 and matches[-1] is layers[-1]:
      matches = matches[:-1]
    counts = [len(layer.weights) for layer in matches]
    if counts != [len(layer.arrays) for layer in file_layers]:
      matches = _match_by_name(kind, file_layers, layers)
    for file_layer, layer in zip(file_layers, matches, strict=True):
      if file_layer.name in named and file_layer.name != layer.name:
        problems.append(
          f'{file_layer.name} stands in the place of {layer.name}'
        )
      arrays = file_layer.arrays.values()
      for name, array in zip(layer.weights, arrays, strict=True):
        path = f'{layer.name}/{name}'
        if path in tensors:
          problems.append(f'{path} is there twice')
        tensors[path] = array
  return tensors, problems


def _match_by_name(
  kind: str, file_layers: Sequence[_FileLayer], layers: Sequence[Layer]
) -> list[Layer]:
  """Matches layers by name; one that the model lacks becomes its own match."""
  by_name = {(layer.name, len(layer.weights)): layer for layer in layers}
  return [
    by_name.get(
      (file_layer.name, len(file_layer.arrays)),
      Layer(
        file_layer.name or file_layer.key,
        '',
        _guess_weights(kind, tuple(file_layer.arrays)),
      ),
    )
    for file_layer in file_layers
  ]


def _guess_weights(kind: str, keys: tuple[str, ...]) -> tuple[str, ...]:
  """Returns the names of a layer's weights, which the newer files number."""
  if kind == 'batch_normalization' and len(keys) in (3, 4):
    return _BATCH_NORM[-len(keys) :]
  return _WEIGHTS.get((kind, len(keys)), keys)
