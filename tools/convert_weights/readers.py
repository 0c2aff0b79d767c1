"""Reads a checkpoint of any format, told by its content."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping

import numpy as np
import safetensors
import safetensors.numpy

from tf_transfer import errors
from tf_transfer.convert_weights import (
  formats,
  keras_files,
  tensorflow_files,
  torch_files,
)
from tf_transfer.runtime import units

# The entry of the metadata that makes a file one of ours.
_WEIGHTS_FILE = 'tf_transfer'
# The types of variables in a .safetensors that are not quantized.
_DTYPES = ('F64', 'F32', 'F16', 'BF16', 'I64', 'I32')


@dataclasses.dataclass(frozen=True)
class Checkpoint:
  """What a file of any format holds.

  Attributes:
    tensors: the arrays by name.
    format: as `formats.identify` calls it.
    notes: sentences on what was chosen or left out.
  """

  tensors: Mapping[str, np.ndarray]
  format: str
  notes: tuple[str, ...] = ()


def file_of(path: os.PathLike | str) -> pathlib.Path:
  """Returns the file that holds a checkpoint's values.

  Raises:
    InputError: there is no such file, or it is no checkpoint.
  """
  if formats.identify(path) == 'tensorflow':
    return tensorflow_files.data_file(path) or pathlib.Path(path)
  return pathlib.Path(path)


def read(
  path: os.PathLike | str,
  application: keras_files.Application | None = None,
  key: str | None = None,
) -> Checkpoint:
  """Reads the arrays of a checkpoint by name.

  Args:
    path: of the checkpoint.
    application: the model that gives the arrays of a Keras file their names;
      other files name their arrays themselves.
    key: under which a PyTorch file has the network; None to tell.

  Raises:
    InputError: the file is missing, damaged, refused or of another format.
  """
  kind = formats.identify(path)
  if kind == 'torch':
    return _read_torch(path, key)
  if kind == 'keras':
    tensors = keras_files.read(path, application)
  elif kind == 'graph':
    tensors = tensorflow_files.read_graph(path)
  elif kind == 'tensorflow':
    tensors = tensorflow_files.read(path)
  else:
    tensors = _read_safetensors(path)
  return Checkpoint(tensors, kind)


def _read_torch(path: os.PathLike | str, key: str | None) -> Checkpoint:
  """Reads a file of PyTorch, and says which of its state dicts."""
  state_dict = torch_files.read(path, key)
  notes = []
  if state_dict.key:
    others = ''
    if state_dict.num_others:
      noun = units.counted(state_dict.num_others, 'tensor')
      others = f'; left out: {noun} under other keys'
    notes.append(f'the variables under {state_dict.key} are read{others}')
  return Checkpoint(state_dict.tensors, 'torch', tuple(notes))


def _read_safetensors(path: os.PathLike | str) -> dict[str, np.ndarray]:
  """Reads a .safetensors file; refuses quantized variables."""
  try:
    with safetensors.safe_open(path, framework='numpy') as file:
      if _WEIGHTS_FILE in (file.metadata() or {}):
        raise errors.InputError(
          f'{path} is a weights file already: it needs no conversion'
        )
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
