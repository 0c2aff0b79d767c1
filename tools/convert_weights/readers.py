"""Reads a checkpoint of any format, told by how the file's name ends."""

import os
import pathlib
from collections.abc import Mapping

import numpy as np
import safetensors
import safetensors.numpy

from tf_transfer import errors
from tf_transfer.convert_weights import (
  keras_files,
  tensorflow_files,
  torch_files,
)

_FORMATS = {
  '.pth': 'torch',
  '.pt': 'torch',
  '.bin': 'torch',
  '.safetensors': 'safetensors',
  '.h5': 'keras',
  '.hdf5': 'keras',
  '.keras': 'keras',
  '.pb': 'graph',
}

# The types of variables in a .safetensors that are not quantized.
_DTYPES = ('F64', 'F32', 'F16', 'BF16', 'I64', 'I32')
# Prefixes of DataParallel and its distributed form, and of torch.compile.
_WRAPPERS = ('module.', '_orig_mod.')


def format_of(path: os.PathLike | str) -> str:
  """Returns the format that a file's name says.

  Returns:
    'torch', 'safetensors', 'keras', 'graph', or else 'tensorflow'.
  """
  return _FORMATS.get(pathlib.Path(path).suffix, 'tensorflow')


def file_of(path: os.PathLike | str) -> pathlib.Path:
  """Returns the file that holds a checkpoint's values.

  Raises:
    InputError: there is no such file.
  """
  path = pathlib.Path(path)
  if format_of(path) == 'tensorflow':
    file = tensorflow_files.data_file(path)
  else:
    file = path if path.is_file() else None
  if file is None:
    raise errors.InputError(f'input {path}: no such file')
  return file


def read(
  path: os.PathLike | str,
  application: keras_files.Application | None = None,
) -> dict[str, np.ndarray]:
  """Reads the arrays of a checkpoint by name.

  Args:
    path: of the checkpoint.
    application: the model that gives the arrays of a Keras file their names;
      other files name their arrays themselves.

  Raises:
    InputError: the file is missing, damaged, refused or of another format.
  """
  kind = format_of(path)
  if kind == 'torch':
    return torch_files.read(path)
  if kind == 'keras':
    return keras_files.read(path, application)
  if kind == 'graph':
    return tensorflow_files.read_graph(path)
  if kind == 'tensorflow':
    return tensorflow_files.read(path)
  return _read_safetensors(path)


def _read_safetensors(path: os.PathLike | str) -> dict[str, np.ndarray]:
  """Reads a .safetensors file; refuses quantized variables."""
  try:
    with safetensors.safe_open(path, framework='numpy') as file:
      dtypes = {n: file.get_slice(n).get_dtype() for n in file.keys()}  # noqa: SIM118
      quantized = sorted(n for n, t in dtypes.items() if t not in _DTYPES)
      if not quantized:
        return {name: file.get_tensor(name) for name in dtypes}
  except (safetensors.SafetensorError, OSError) as error:
    raise errors.InputError(
      f'{path} is no complete .safetensors file ({error}): it may be cut '
      'short. Get it again.'
    ) from error
  raise errors.InputError(
    f'{path} holds {len(quantized)} quantized variables, as {quantized[0]} of '
    f'{dtypes[quantized[0]]}: expected floating point of 16 bits or more. '
    'Get the weights that were not quantized.'
  )


def strip_wrapper(
  tensors: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], str]:
  """Removes the prefix that a wrapper of PyTorch put before every name.

  Returns:
    The arrays by their names in the network, and the prefix or ''.
  """
  for prefix in _WRAPPERS:
    if tensors and all(name.startswith(prefix) for name in tensors):
      return {n.removeprefix(prefix): a for n, a in tensors.items()}, prefix
  return dict(tensors), ''
