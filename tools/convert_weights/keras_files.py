"""Reads the legacy Keras .h5 files of keras.applications.

A file lists its layers, each a group that lists its weights. Layers that
their author did not name are numbered by the session that saved them
(`conv2d_95`), so only the order of the numbers means anything: here they are
counted again from 1.
"""

import itertools
import os
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from tf_transfer import errors

_NUMBERED = re.compile(r'(conv2d|batch_normalization)(?:_(\d+))?')


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


def _renumbered(layers: Iterable[str]) -> dict[str, str]:
  """Old name -> new, for the layers that a session numbered."""
  found: dict[str, list[tuple[int, str]]] = {}
  for layer in layers:
    match = _NUMBERED.fullmatch(layer)
    if match:
      kind, number = match.groups()
      found.setdefault(kind, []).append((int(number or 0), layer))
  return {
    layer: f'{kind}_{rank}'
    for kind, numbered in found.items()
    for rank, (_, layer) in enumerate(sorted(numbered), start=1)
  }


def read(path: os.PathLike | str) -> dict[str, np.ndarray]:
  """Reads the weights of a legacy Keras file.

  Returns:
    {'layer/weight': array}, as conv1_conv/kernel, in the order of the file.

  Raises:
    InputError: no such file, cut short, or of another kind.
  """
  try:
    import h5py
  except ModuleNotFoundError as error:
    raise errors.InputError(
      'reading a Keras .h5 file needs h5py: pip install h5py'
    ) from error
  try:
    with h5py.File(path, 'r') as file:
      return _read_layers(file)
  except (OSError, KeyError, ValueError, RuntimeError) as error:
    raise errors.InputError(
      f'{path} is no whole Keras .h5 file ({error}): it may be cut short or '
      'of another format. Get it again.'
    ) from error


def _read_layers(file: Any) -> dict[str, np.ndarray]:
  root = file.get('model_weights', file)
  layers = _names(root.attrs, 'layer_names')
  if not layers:
    raise ValueError(
      'no attribute layer_names: only files of the legacy layout are read'
    )
  renumbered = _renumbered(layers)
  tensors = {}
  for layer in layers:
    for weight in _names(root[layer].attrs, 'weight_names'):
      kind = weight.split('/')[-1].split(':')[0]
      name = f'{renumbered.get(layer, layer)}/{kind}'
      if name in tensors:
        raise ValueError(f'{name} twice')
      tensors[name] = np.asarray(root[layer][weight])
  return tensors
