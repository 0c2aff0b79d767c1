"""Reads and writes weights files: one .safetensors with all of a network.

Its tensors, float32, are named by their path in the network
(`params/backbone/...`, `params/head/...`, `batch_stats/backbone/...`). Its
metadata hold one entry, `tf_transfer`: the header below as JSON, with a digest
of itself and the tensors.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import stat
from collections.abc import Iterator, Mapping
from typing import Any

import flax.traverse_util
import jax
import numpy as np
import safetensors
import safetensors.numpy

from tf_transfer import errors
from tf_transfer.networks import header as header_lib
from tf_transfer.networks import integrity
from tf_transfer.networks.header import Header, in_one_line
from tf_transfer.runtime import files

__all__ = [
  'Header',
  'flatten',
  'in_one_line',
  'mismatches',
  'read',
  'read_header',
  'read_shapes',
  'save',
  'sha256',
  'shorten',
  'unflatten',
]

_METADATA_KEY = 'tf_transfer'
_DIGEST = 'content_sha256'
_MAX_LISTED = 12  # problems in one error; the rest are counted
# What files begin with that are taken for weights files, and what they are.
_OTHER_FILES = {
  b'PK': 'a ZIP archive, as of PyTorch, NumPy or Keras',
  b'\x89HDF': 'an HDF5 file, as of Keras',
  b'\x80\x02': 'a pickle, as of PyTorch',
  b'\x93NUMPY': 'a NumPy array',
  b'\x1f\x8b': 'a gzip archive',
  b'version https://git-lfs': 'a Git LFS pointer, not the file itself',
  b'\x89PNG': 'an image',
  b'\xff\xd8\xff': 'an image',
  b'<!': 'a web page',
  b'<html': 'a web page',
}
_REMEDY = 'Remove it, and convert or train the weights again.'


def flatten(variables: Mapping[str, Any]) -> dict[str, Any]:
  """Flattens nested variables to {'params/backbone/...': array}."""
  return flax.traverse_util.flatten_dict(variables, sep='/')


def unflatten(tensors: Mapping[str, Any]) -> dict[str, Any]:
  """Nests variables that are named {'params/backbone/...': array}."""
  return flax.traverse_util.unflatten_dict(dict(tensors), sep='/')


def mismatches(
  tensors: Mapping[str, Any], expected: Mapping[str, Any]
) -> list[str]:
  """Lists variables that are missing, left over, misshapen or implausible.

  Args:
    tensors: the variables by path; or anything with a `shape`, of which no
      values are checked.
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
  fitting = {}
  for path in sorted(tensors.keys() & expected.keys()):
    array, shape = tensors[path], tuple(expected[path].shape)
    if array.shape != shape:
      problems.append(f'{path}: expected shape {shape}, found {array.shape}')
    elif isinstance(array, np.ndarray):
      fitting[path] = array
  return problems + integrity.implausible(fitting)


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
  fields = header.to_json()
  fields['format'] = header_lib.WITH_DIGEST[fields['format']]
  fields[_DIGEST] = integrity.digest(fields, tensors)
  data = safetensors.numpy.save(
    tensors, {_METADATA_KEY: json.dumps(fields, sort_keys=True)}
  )
  path = pathlib.Path(path)
  files.sweep(path.parent)
  with files.atomic_write(path) as file:
    file.write(data)


def read(path: os.PathLike | str) -> tuple[Header, dict[str, np.ndarray]]:
  """Reads a weights file, and checks that its content is what was written.

  Returns:
    Its header, and its tensors by path.

  Raises:
    InputError: the file is missing, cut short, or no weights file; its content
      was changed, or is that of no network.
  """
  with _open(path) as file:
    fields = _read_fields(path, file)
    header, expected = _parse_header(path, fields)
    _check_types(path, file)
    tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
  if expected is not None and integrity.digest(fields, tensors) != expected:
    raise errors.InputError(
      f'{path} is damaged: its content is not what was written (its SHA-256 '
      f'differs from that in its header). {_REMEDY}'
    )
  problems = integrity.implausible(tensors)
  if problems:
    count = f' and {len(problems) - 1} more' if len(problems) > 1 else ''
    raise errors.InputError(
      f'{path} holds no usable weights: {problems[0]}{count}. {_REMEDY}'
    )
  return header, tensors


def sha256(path: os.PathLike | str) -> str:
  """Computes the hash by which records know weights, in hexadecimal.

  It is that of the file without the digest, as it was written before there was
  one. So weights that are converted again are the same weights, and their cells
  are not run again. Files with the fields of a classifier were never written
  without a digest: theirs is that of the file.

  Args:
    path: of a weights file that `read` accepts.
  """
  with open(path, 'rb') as file:
    length = int.from_bytes(file.read(8), 'little')
    entries = json.loads(file.read(length))
    metadata = entries['__metadata__']
    fields = json.loads(metadata[_METADATA_KEY])
    if fields['format'] != header_lib.FORMAT_WITH_DIGEST:
      return files.sha256(path)
    del fields[_DIGEST]
    fields['format'] = header_lib.FORMAT_WITHOUT_DIGEST
    metadata[_METADATA_KEY] = json.dumps(fields, sort_keys=True)
    text = json.dumps(entries, separators=(',', ':'), ensure_ascii=False)
    header = text.encode()
    header += b' ' * (-len(header) % 8)
    digest = hashlib.sha256(len(header).to_bytes(8, 'little') + header)
    while block := file.read(2**20):
      digest.update(block)
  return digest.hexdigest()


def read_header(path: os.PathLike | str) -> Header:
  """Reads the header of a weights file, and no tensor.

  Raises:
    InputError: the file is missing, cut short, or no weights file.
  """
  with _open(path) as file:
    return _parse_header(path, _read_fields(path, file))[0]


def read_shapes(
  path: os.PathLike | str,
) -> dict[str, jax.ShapeDtypeStruct]:
  """Reads the shapes of the tensors by path, and no tensor.

  Raises:
    InputError: the file is missing, cut short, or no weights file.
  """
  with _open(path) as file:
    return {
      name: jax.ShapeDtypeStruct(file.get_slice(name).get_shape(), np.float32)
      for name in file.keys()  # noqa: SIM118
    }


@contextlib.contextmanager
def _open(path: os.PathLike | str) -> Iterator[Any]:
  """Opens a safetensors file; an InputError says why it cannot be read."""
  _check_kind(path)
  try:
    with safetensors.safe_open(path, framework='numpy') as file:
      yield file
  except (safetensors.SafetensorError, OSError) as error:
    raise errors.InputError(
      f'{path} cannot be read as safetensors ({error}): it is cut short, or '
      'no weights file. Name another, or convert or train the weights again.'
    ) from error


def _check_kind(path: os.PathLike | str) -> None:
  """Raises an InputError where a path is not that of a safetensors file."""
  expected = 'expected a .safetensors file that tf-transfer-convert has written'
  try:
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
      kind = 'a directory' if stat.S_ISDIR(mode) else 'no regular file'
      raise errors.InputError(
        f'no weights file at {path}: it is {kind}, {expected}'
      )
    with open(path, 'rb') as file:
      start = file.read(32)
  except FileNotFoundError as error:
    raise errors.InputError(f'no weights file at {path}: {expected}') from error
  # A null byte in the path is a ValueError.
  except (OSError, ValueError) as error:
    reason = getattr(error, 'strerror', None) or error
    raise errors.InputError(
      f'no weights file at {path} can be read ({reason}): {expected}'
    ) from error
  for signature, kind in _OTHER_FILES.items():
    if start.lower().startswith(signature.lower()):
      raise errors.InputError(
        f'{path} cannot be read as safetensors: it is {kind}. Convert '
        'checkpoints with tf-transfer-convert first.'
      )


def _read_fields(path: os.PathLike | str, file: Any) -> dict[str, Any]:
  """Reads the JSON of the header of an open weights file."""
  metadata = file.metadata() or {}
  if _METADATA_KEY not in metadata:
    raise errors.InputError(
      f'{path} is a safetensors file without the header of a weights file. '
      'Convert it with tf-transfer-convert first.'
    )
  try:
    fields = json.loads(metadata[_METADATA_KEY])
  # A NaN is no JSON but is parsed, and fits no range.
  except ValueError as error:
    raise errors.InputError(f'{path}: header: not JSON ({error})') from error
  except RecursionError as error:
    raise errors.InputError(f'{path}: header: nested too deeply') from error
  if not isinstance(fields, dict):
    raise errors.InputError(f'{path}: header: expected object')
  return fields


def _parse_header(
  path: os.PathLike | str, fields: dict[str, Any]
) -> tuple[Header, str | None]:
  """Parses the JSON of a header.

  Args:
    path: of the file, for the message.
    fields: of the header; the digest is taken out of them.

  Returns:
    The header, and the digest of the content; None in formats without one.
  """
  expected = None
  older = fields
  for without_digest, version in header_lib.WITH_DIGEST.items():
    if fields.get('format') == version:
      expected = str(fields.pop(_DIGEST, ''))
      older = {**fields, 'format': without_digest}
  try:
    return Header.from_json(older), expected
  except errors.InputError as error:
    reason = str(error)[: header_lib.MAX_SHOWN]
    raise errors.InputError(f'{path}: {reason}. {_REMEDY}') from error


def _check_types(path: os.PathLike | str, file: Any) -> None:
  """Raises an InputError where a tensor is not of float32."""
  for name in file.keys():  # noqa: SIM118
    dtype = file.get_slice(name).get_dtype()
    if dtype != integrity.DTYPE:
      raise errors.InputError(
        f'{path}: {in_one_line(name)}: expected float32, found {dtype}. '
        f'{_REMEDY}'
      )
