"""Reads files of JSON lines that others may have written or damaged."""

import collections
import dataclasses
import json
import os
import pathlib
import re
import stat
from collections.abc import Iterator
from typing import Any

from tf_transfer import errors

_SPACE = re.compile(r'[ \t\r\n]*')
_BOM = b'\xef\xbb\xbf'
# Where JSON ends too early, at most the start of a word or an escape is left.
_LONGEST_REST = len(r'\udbff')


@dataclasses.dataclass(frozen=True)
class Line:
  """A line that is not blank.

  Attributes:
    number: from 1.
    text: the line, without its line break.
    objects: the JSON objects in it with their texts, in order. One; more where
      line breaks were lost.
    is_cut: whether the file ends within an object that is not among `objects`.
    problem: why the rest of the line cannot be read; '' if it can.
  """

  number: int
  text: bytes
  objects: tuple[tuple[bytes, dict[str, Any]], ...]
  is_cut: bool = False
  problem: str = ''


def read_regular(path: pathlib.Path) -> bytes | None:
  """Reads a file; None if there is none.

  Raises:
    InputError: it cannot be read, or is a directory, a pipe or a device, or a
      link to nothing.
  """
  try:
    if not stat.S_ISREG(os.stat(path).st_mode):
      raise errors.InputError(
        f'{path}: expected a file, found a directory, pipe or device of this '
        'name: move it away'
      )
    return path.read_bytes()
  except FileNotFoundError as error:
    if not path.is_symlink():
      return None
    # Such as one to a disk that is not mounted: its records are not lost.
    raise errors.InputError(
      f'{path}: a link to {path.readlink()}, which is not there: mount or '
      'restore it, or remove the link'
    ) from error
  except OSError as error:
    raise errors.InputError(
      f'{path}: cannot be read: {error.strerror or error}'
    ) from error


def read(path: pathlib.Path) -> Iterator[Line]:
  """Yields the lines of a file that are not blank; none if there is no file.

  Raises:
    InputError: the file cannot be read.
  """
  data = read_regular(path) or b''
  lines = data.removeprefix(_BOM).split(b'\n')
  for number, text in enumerate(lines, start=1):
    # A file system may fill the end of a file with zeros after a power cut.
    is_last = number == len(lines)
    content = text.rstrip(b'\0') if is_last else text
    if content.strip():
      yield _parse(number, content, is_last)
    elif content != text:
      yield Line(number, text, (), is_cut=True)


def _parse(number: int, text: bytes, is_last: bool) -> Line:
  """Parses a line."""
  objects: list[tuple[bytes, dict[str, Any]]] = []
  position, problem, is_cut = 0, '', False
  try:
    characters = text.decode()
  except UnicodeDecodeError as error:
    if not is_last or error.reason != 'unexpected end of data':
      return Line(number, text, (), problem='not UTF-8')
    characters, is_cut = text[: error.start].decode(), True
  while True:
    start = _SPACE.match(characters, position).end()
    if start == len(characters):
      break
    try:
      value, position = _DECODER.raw_decode(characters, start)
    except json.JSONDecodeError as error:
      is_cut = is_last and _ends_early(characters, start, error)
      problem = '' if is_cut else f'not JSON: {error}'
      break
    except ValueError as error:
      problem = str(error)
      break
    except RecursionError:
      problem = 'nested too deeply'
      break
    if not isinstance(value, dict):
      problem = f'expected an object, found {type(value).__name__}'
      break
    objects.append((characters[start:position].encode(), value))
  return Line(number, text, tuple(objects), is_cut, problem)


def _ends_early(text: str, start: int, error: json.JSONDecodeError) -> bool:
  """Tells whether an object is right but for its missing end."""
  return text[start] == '{' and (
    error.msg.startswith('Unterminated string')
    or len(text) - error.pos <= _LONGEST_REST
  )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  """Makes a dict of the fields of an object.

  Raises:
    ValueError: a field is there twice.
  """
  fields = dict(pairs)
  if len(fields) != len(pairs):
    counts = collections.Counter(name for name, _ in pairs)
    (name, _), *_ = counts.most_common(1)
    raise ValueError(f'the field {name!r:.60} is there twice')
  return fields


# NaN, which is no JSON, becomes a float: the reader knows which field it is of.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique)
