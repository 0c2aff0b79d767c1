"""Reads TensorFlow checkpoints, V1 (one file) and V2 (.index and .data).

Where training kept moving averages of the variables, those are the weights
to use: they were evaluated.
"""

import os
import pathlib
import re

import numpy as np

from tf_transfer import errors

_AVERAGE = '/ExponentialMovingAverage'
# What a training script keeps beside the network.
_TRAINING = re.compile(r'(.*/)?(global_step|RMSProp(_\d+)?|Momentum)')
_PARTS = re.compile(r'(.*)\.(index|meta|data-\d{5}-of-\d{5})')


def prefix(path: os.PathLike | str) -> str:
  """The name that TensorFlow calls a checkpoint, from that of any part."""
  match = _PARTS.fullmatch(os.fspath(path))
  return match[1] if match else os.fspath(path)


def data_file(path: os.PathLike | str) -> pathlib.Path | None:
  """The file that holds the (first) values; None where there is none."""
  start = pathlib.Path(prefix(path))
  found = sorted(start.parent.glob(f'{start.name}.data-00000-of-*'))
  if found:
    return found[0]
  return start if start.is_file() else None


def read(path: os.PathLike | str) -> dict[str, np.ndarray]:
  """Reads the network's variables of a checkpoint.

  Args:
    path: the checkpoint's prefix, one of its parts, or the V1 file.

  Returns:
    {name: array}: of a variable with a moving average, the average.

  Raises:
    InputError: no such checkpoint, cut short, or TensorFlow is missing.
  """
  try:
    import tensorflow as tf
  except ModuleNotFoundError as error:
    raise errors.InputError(
      'reading a TensorFlow checkpoint needs TensorFlow: '
      'pip install tensorflow-cpu'
    ) from error
  try:
    reader = tf.train.load_checkpoint(prefix(path))
    names = sorted(reader.get_variable_to_shape_map())
    tensors = {
      name: reader.get_tensor(name)
      for name in names
      if not _TRAINING.fullmatch(name.removesuffix(_AVERAGE))
    }
  except (tf.errors.OpError, ValueError, RuntimeError) as error:
    raise errors.InputError(
      f'{path} is no whole TensorFlow checkpoint ({error}): it may be cut '
      'short, miss a part, or be of another format. Get it again.'
    ) from error
  return averaged(tensors)


def averaged(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Puts moving averages in the place of the variables they belong to."""
  averages = {
    name.removesuffix(_AVERAGE): array
    for name, array in tensors.items()
    if name.endswith(_AVERAGE)
  }
  plain = {n: a for n, a in tensors.items() if not n.endswith(_AVERAGE)}
  return {**plain, **averages}
