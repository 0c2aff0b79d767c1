"""The weights file: one .safetensors that is all a network needs.

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
# In which the recipe was a sentence.
_FORMAT_OF_SENTENCES = 1
# Fields that the file's metadata spells otherwise.
_FILE_NAMES = {'license': 'licence'}
_LISTED = 12  # problems named in one error before the rest are counted


@dataclasses.dataclass(frozen=True)
class Header:
  """What a weights file says of itself.

  Attributes:
    network: its name in the table of networks.
    options: fields of the backbone that this source of weights needs.
    contract: what the network expects of its input.
    num_classes: number of logits.
    background: whether class 0 is "background", ahead of ImageNet's 1000.
    imagenet_top1: accuracy on ImageNet's validation set in 0 to 1, or None.
    imagenet_top1_source: who measured it.
    recipe: how it was trained, as far as is known.
    source: the name of the file that was converted.
    source_sha256: and its SHA-256.
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
    """The inverse of `to_json`; what does not fit is a ValueError."""
    fields = dict(fields)
    version = fields.pop('format', None)
    if version == _FORMAT_OF_SENTENCES:
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
  """Nested variables -> {'params/backbone/...': array}."""
  return flax.traverse_util.flatten_dict(variables, sep='/')


def unflatten(tensors: Mapping[str, Any]) -> dict[str, Any]:
  """{'params/backbone/...': array} -> nested variables."""
  return flax.traverse_util.unflatten_dict(dict(tensors), sep='/')


def mismatches(
  tensors: Mapping[str, np.ndarray], expected: Mapping[str, Any]
) -> list[str]:
  """Lists what is missing, left over, of the wrong shape or not finite.

  Args:
    tensors: what there is, by path.
    expected: anything with a `shape`, by path.
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
    found, wanted = tensors[path], tuple(expected[path].shape)
    if found.shape != wanted:
      problems.append(f'{path}: expected shape {wanted}, found {found.shape}')
    elif not np.all(np.isfinite(found)):
      problems.append(f'{path}: holds NaN or infinity')
  return problems


def shorten(problems: list[str]) -> str:
  """The first few problems, a line each, and how many more there are."""
  lines = problems[:_LISTED]
  if len(problems) > _LISTED:
    lines.append(f'... and {len(problems) - _LISTED} more')
  return '\n  '.join(['', *lines])


def save(
  path: os.PathLike | str, header: Header, variables: Mapping[str, Any]
) -> None:
  """Writes a weights file, whole or not at all.

  Args:
    path: of the .safetensors file.
    header: what the file says of itself.
    variables: nested {'params': ..., 'batch_stats': ...}.

  Raises:
    InputError: it could not be written.
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
    InputError: there is no such file, it is cut short, or no weights file.
  """
  with _opened(path) as file:
    header = _header(path, file)
    return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def read_header(path: os.PathLike | str) -> Header:
  """Reads a weights file's header alone; errors as those of `read`."""
  with _opened(path) as file:
    return _header(path, file)


@contextlib.contextmanager
def _opened(path: os.PathLike | str) -> Iterator[Any]:
  if not pathlib.Path(path).is_file():
    raise errors.InputError(
      f'no weights file at {path}: expected a .safetensors file that '
      'tools.convert_weights has written'
    )
  try:
    with safetensors.safe_open(path, framework='numpy') as file:
      yield file
  except (safetensors.SafetensorError, OSError) as error:
    raise errors.InputError(
      f'{path} cannot be read as safetensors ({error}): it may be cut short. '
      'Convert the weights again.'
    ) from error


def _header(path: os.PathLike | str, file: Any) -> Header:
  metadata = file.metadata() or {}
  if _METADATA_KEY not in metadata:
    raise errors.InputError(
      f'{path} is a safetensors file without the header of a weights file. '
      'Convert it with tools.convert_weights first.'
    )
  try:
    return Header.from_json(json.loads(metadata[_METADATA_KEY]))
  except (ValueError, TypeError) as error:
    raise errors.InputError(
      f'{path}: its header does not fit: {error}. Convert the weights again '
      'with this version of tools.convert_weights.'
    ) from error
