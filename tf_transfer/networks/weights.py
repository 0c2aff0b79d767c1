"""Reads and writes weights files: one .safetensors with all of a network.

Its tensors are named by their path in the network (`params/backbone/...`,
`params/head/...`, `batch_stats/backbone/...`). Its metadata hold one entry,
`tf_transfer`: the header below as JSON.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import flax.traverse_util
import numpy as np
import safetensors
import safetensors.numpy

from tf_transfer import contract as contract_lib
from tf_transfer import errors
from tf_transfer.networks import recipe as recipe_lib
from tf_transfer.runtime import files

_METADATA_KEY = 'tf_transfer'
_FORMAT = 2
# The format in which the recipe was a sentence.
_FORMAT_WITH_SENTENCE = 1
# Fields that the file's metadata spells otherwise.
_FILE_NAMES = {'license': 'licence'}
_MAX_LISTED = 12  # problems in one error; the rest are counted


@dataclasses.dataclass(frozen=True)
class Header:
  """What a weights file says of itself.

  Attributes:
    network: its name in the table of networks.
    options: fields of the backbone that differ from its defaults.
    contract: what the network expects of its input.
    num_classes: number of logits; 0 where the file has no head.
    background: whether class 0 is "background", ahead of ImageNet's 1000.
    imagenet_top1: accuracy on ImageNet's validation set in 0 to 1, or None.
    imagenet_top1_source: who measured it.
    recipe: how it was trained, as far as is known.
    source: the name of the file that was converted, or where the values are
      from.
    source_sha256: SHA-256 of that file.
    license: of the weights.
  """

  network: str
  options: Mapping[str, Any]
  contract: contract_lib.Contract
  num_classes: int = 1000
  background: bool = False
  imagenet_top1: float | None = None
  imagenet_top1_source: str = ''
  recipe: recipe_lib.Recipe = recipe_lib.UNKNOWN
  source: str = ''
  source_sha256: str = ''
  license: str = ''

  def to_json(self) -> dict[str, Any]:
    """Returns the fields as a dict that JSON can hold."""
    fields = {
      _FILE_NAMES.get(field.name, field.name): getattr(self, field.name)
      for field in dataclasses.fields(self)
    }
    return {
      'format': _FORMAT,
      **fields,
      'options': dict(self.options),
      'contract': self.contract.to_json(),
      'recipe': self.recipe.to_json(),
    }

  @classmethod
  def from_json(cls, fields: dict[str, Any]) -> 'Header':
    """Makes a header of what `to_json` returned.

    Raises:
      ValueError: a field is missing, unknown or of another format.
    """
    fields = dict(fields)
    version = fields.pop('format', None)
    if version == _FORMAT_WITH_SENTENCE:
      sentence = recipe_lib.Recipe(notes=str(fields['recipe']))
      fields['recipe'] = sentence.to_json()
    elif version != _FORMAT:
      raise ValueError(f'format {version!r}, this program reads {_FORMAT}')
    for name, file_name in _FILE_NAMES.items():
      if file_name in fields:
        fields[name] = fields.pop(file_name)
    known = {field.name for field in dataclasses.fields(cls)}
    if set(fields) != known:
      raise ValueError(
        f'header: missing {sorted(known - set(fields))}, '
        f'unknown {sorted(set(fields) - known)}'
      )
    fields['contract'] = contract_lib.Contract.from_json(fields['contract'])
    fields['recipe'] = recipe_lib.Recipe.from_json(fields['recipe'])
    return cls(**fields)


def flatten(variables: Mapping[str, Any]) -> dict[str, Any]:
  """Flattens nested variables to {'params/backbone/...': array}."""
  return flax.traverse_util.flatten_dict(variables, sep='/')


def unflatten(tensors: Mapping[str, Any]) -> dict[str, Any]:
  """Nests variables that are named {'params/backbone/...': array}."""
  return flax.traverse_util.unflatten_dict(dict(tensors), sep='/')


def mismatches(
  tensors: Mapping[str, np.ndarray], expected: Mapping[str, Any]
) -> list[str]:
  """Lists variables that are missing, left over, misshapen or not finite.

  Args:
    tensors: the variables by path.
    expected: anything with a `shape`, by path.

  Returns:
    A line for each problem.
  """
  problems = [
    f'missing {path} {tuple(expected[path].shape)}'
    for path in sorted(expected.keys() - tensors.keys())
  ]
  problems += [
    f'left over {path} {tensors[path].shape}'
    for path in sorted(tensors.keys() - expected.keys())
  ]
  for path in sorted(tensors.keys() & expected.keys()):
    array, shape = tensors[path], tuple(expected[path].shape)
    if array.shape != shape:
      problems.append(f'{path}: expected shape {shape}, found {array.shape}')
    elif not np.all(np.isfinite(array)):
      problems.append(f'{path}: holds NaN or infinity')
  return problems


def shorten(problems: list[str]) -> str:
  """Joins the first few problems, a line each, and counts the others."""
  lines = problems[:_MAX_LISTED]
  if len(problems) > _MAX_LISTED:
    lines.append(f'... and {len(problems) - _MAX_LISTED} more')
  return '\n  '.join(['', *lines])


def save(
  path: os.PathLike | str, header: Header, variables: Mapping[str, Any]
) -> None:
  """Writes a weights file atomically.

  Args:
    path: of the .safetensors file.
    header: of the file.
    variables: nested {'params': ..., 'batch_stats': ...}.

  Raises:
    InputError: the file could not be written.
  """
  tensors = {
    name: np.ascontiguousarray(array, np.float32)
    for name, array in flatten(variables).items()
  }
  data = safetensors.numpy.save(
    tensors, {_METADATA_KEY: json.dumps(header.to_json(), sort_keys=True)}
  )
  with files.atomic_write(path) as file:
    file.write(data)


def read(path: os.PathLike | str) -> tuple[Header, dict[str, np.ndarray]]:
  """Reads a weights file.

  Returns:
    Its header, and its tensors by path.

  Raises:
    InputError: the file is missing, cut short, or no weights file.
  """
  with _open(path) as file:
    header = _parse_header(path, file)
    return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def read_header(path: os.PathLike | str) -> Header:
  """Reads the header of a weights file; raises what `read` raises."""
  with _open(path) as file:
    return _parse_header(path, file)


@contextlib.contextmanager
def _open(path: os.PathLike | str) -> Iterator[Any]:
  """Opens a safetensors file; an InputError says why it cannot be read."""
  if not pathlib.Path(path).is_file():
    raise errors.InputError(
      f'no weights file at {path}: expected a .safetensors file that '
      'tf-transfer-convert has written'
    )
  try:
    with safetensors.safe_open(path, framework='numpy') as file:
      yield file
  except (safetensors.SafetensorError, OSError) as error:
    raise errors.InputError(
      f'{path} cannot be read as safetensors ({error}): it may be cut short. '
      'Convert the weights again.'
    ) from error


def _parse_header(path: os.PathLike | str, file: Any) -> Header:
  """Reads the header of an open weights file."""
  metadata = file.metadata() or {}
  if _METADATA_KEY not in metadata:
    raise errors.InputError(
      f'{path} is a safetensors file without the header of a weights file. '
      'Convert it with tf-transfer-convert first.'
    )
  try:
    return Header.from_json(json.loads(metadata[_METADATA_KEY]))
  except (ValueError, TypeError) as error:
    raise errors.InputError(
      f'{path}: its header does not fit: {error}. Convert the weights again '
      'with this version of tf-transfer-convert.'
    ) from error
