"""Reads TensorFlow checkpoints, V1 and V2, and frozen graphs.

A V1 checkpoint is one file, a V2 an .index and its .data. Where training kept
moving averages of the variables, those are the weights to use: they are what
was evaluated. A frozen graph is a .pb file, a GraphDef whose variables have
become nodes of kind Const under the variables' names.
"""

import glob
import itertools
import math
import os
import pathlib
import re
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from tf_transfer import errors
from tf_transfer.convert_weights import packages

_AVERAGE = '/ExponentialMovingAverage'
# What a training script keeps beside the network.
_TRAINING = re.compile(
  r'(.*/)?(global_step|RMSProp(_\d+)?|Momentum|Adam(_1)?|beta[12]_power)'
)
# The variable in which a checkpoint of objects describes them.
_OBJECT_GRAPH = '_CHECKPOINTABLE_OBJECT_GRAPH'
_MAX_REPEATED = 2**24  # elements
_MAX_MISSING = 4  # parts in an error
_PARTS = re.compile(r'(.*)\.(index|meta|data-\d{5}-of-\d{5})')


def prefix(path: os.PathLike | str) -> str:
  """Returns TensorFlow's name of a checkpoint, from the path of any part."""
  match = _PARTS.fullmatch(os.fspath(path))
  return match[1] if match else os.fspath(path)


def is_part(path: os.PathLike | str) -> bool:
  """Tells whether a file is named as a part of a V2 checkpoint."""
  return prefix(path) != os.fspath(path)


def _data_files(start: pathlib.Path) -> list[pathlib.Path]:
  """Returns the .data files of a checkpoint, in order."""
  pattern = f'{glob.escape(start.name)}.data-?????-of-?????'
  return sorted(start.parent.glob(pattern))


def data_file(path: os.PathLike | str) -> pathlib.Path | None:
  """Returns the file that holds the (first) values, or None.

  Raises:
    InputError: some parts of the checkpoint are there, and others are not.
  """
  start = pathlib.Path(prefix(path))
  parts = _data_files(start)
  index = start.with_name(f'{start.name}.index')
  if not parts and not index.is_file():
    return start if start.is_file() else None
  missing = [] if index.is_file() else [index.name]
  if parts:
    count = parts[0].name[-5:]
    names = {part.name for part in parts}
    expected = (
      f'{start.name}.data-{n:05d}-of-{count}' for n in range(int(count))
    )
    # The count may be anything: no more is looked for than is named.
    absent = (name for name in expected if name not in names)
    missing += itertools.islice(absent, _MAX_MISSING)
  else:
    missing.append(f'{start.name}.data-00000-of-00001')
  if missing:
    raise errors.InputError(
      f'{path} is no complete TensorFlow checkpoint: no such file as '
      f'{", ".join(missing)} in {start.parent}. Get all of its parts.'
    )
  return parts[0]


def read(path: os.PathLike | str) -> dict[str, np.ndarray]:
  """Reads the network's variables of a checkpoint.

  Args:
    path: the checkpoint's prefix, one of its parts, or the V1 file.

  Returns:
    {name: array}: of a variable with a moving average, the average.

  Raises:
    InputError: no such checkpoint, cut short, one of Python objects or with
      strings, or TensorFlow is missing.
  """
  tf = packages.import_tensorflow('reading a TensorFlow checkpoint')
  try:
    reader = tf.train.load_checkpoint(prefix(path))
    dtypes = reader.get_variable_to_dtype_map()
    names = sorted(name for name, t in dtypes.items() if t != tf.string)
    tensors = {
      name: reader.get_tensor(name)
      for name in names
      if not _TRAINING.fullmatch(name.removesuffix(_AVERAGE))
    }
  # IndexError is for a .data file that ends before a variable does.
  except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
    raise errors.InputError(
      f'{path} is no complete TensorFlow checkpoint ({error}): it may be '
      'cut short, miss a part, or be of another format. Get it again.'
    ) from error
  _check_strings(path, dtypes.keys() - set(names))
  return use_averages(tensors)


def _check_strings(path: os.PathLike | str, strings: Collection[str]) -> None:
  """Refuses a checkpoint with strings, which no network has.

  Object checkpoints of TensorFlow 2 have some; the error says what to do.
  """
  if _OBJECT_GRAPH in strings:
    raise errors.InputError(
      f'{path} is an object checkpoint of TensorFlow 2, whose variables are '
      'named by the Python objects that held them: expected one by the '
      "variables' own names, as TF-Slim writes it. Have Keras write the model "
      'with save_weights, to a .weights.h5, and convert that.'
    )
  if strings:
    raise errors.InputError(
      f'{path} holds strings, which no network does: '
      f'{", ".join(sorted(strings))}. It is not a checkpoint of a network, or '
      'of more than that.'
    )


def use_averages(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Replaces variables by their moving averages, where there are some."""
  averages = {
    name.removesuffix(_AVERAGE): array
    for name, array in tensors.items()
    if name.endswith(_AVERAGE)
  }
  plain = {n: a for n, a in tensors.items() if not n.endswith(_AVERAGE)}
  return {**plain, **averages}


def _check_sizes(tensors: Iterable[Any], file_size: int) -> None:
  """Refuses constants that take much more memory than their file.

  A constant of one value throughout is stored as that value and a shape.
  """
  size = sum(
    math.prod(dim.size for dim in tensor.tensor_shape.dim) for tensor in tensors
  )
  if size > file_size + _MAX_REPEATED:
    raise ValueError(f'constants of {size:,} elements in {file_size:,} bytes')


def read_graph(path: os.PathLike | str) -> dict[str, np.ndarray]:
  """Reads the network's variables of a frozen graph.

  Nodes that the network's operations brought along (shapes, axes, an epsilon)
  are integers or scalars; variables are arrays of floating point numbers.

  Raises:
    InputError: no such file, no graph, one without variables, or TensorFlow
      is missing.
  """
  # TensorFlow's own definition of the message: it knows all dtypes and both
  # ways of packing values, and reading a checkpoint needs it anyway.
  tf = packages.import_tensorflow('reading a frozen graph')
  from google.protobuf.message import DecodeError

  try:
    graph = tf.compat.v1.GraphDef.FromString(pathlib.Path(path).read_bytes())
    tensors = {
      node.name: node.attr['value'].tensor
      for node in graph.node
      if node.op == 'Const'
    }
    if not tensors:
      raise ValueError('no node of kind Const')
    _check_sizes(tensors.values(), graph.ByteSize())
    constants = {name: tf.make_ndarray(t) for name, t in tensors.items()}
  except (DecodeError, OSError, TypeError, ValueError) as error:
    raise errors.InputError(
      f'{path} is no complete frozen graph ({error}): it may be cut short '
      'or of another format. Get it again.'
    ) from error
  tensors = {
    name: array
    for name, array in constants.items()
    if array.ndim and np.issubdtype(array.dtype, np.floating)
  }
  if not any(name.endswith('/moving_mean') for name in tensors):
    raise errors.InputError(
      f'{path} is no frozen graph of variables: among its '
      f'{len(constants)} Const nodes there is no moving_mean of a batch norm. '
      'If they were folded into the kernels or quantized, take the checkpoint '
      'that the graph was made from.'
    )
  return use_averages(tensors)
