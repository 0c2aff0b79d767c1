"""Writes and checks lists of files with their SHA-256.

A manifest tells later whether data has changed. It has one line per file, in
the format of `sha256sum`: the hash, two spaces, and a name: that of the
dataset, a slash, and the path below the dataset's directory.
"""

import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping

from tf_transfer.datasets.dataset import Progress
from tf_transfer.datasets.sources.image_files import (
  printable,
  printable_listing,
  read_bytes,
  read_error,
)
from tf_transfer.errors import InputError
from tf_transfer.runtime import files
from tf_transfer.runtime.units import counted

_BACKSLASH = '\\'
# In this order: the backslash first.
_ESCAPES = {'\\': r'\\', '\n': r'\n', '\r': r'\r'}
_LINE = re.compile(r'(\\?)([0-9a-fA-F]{64})  (.+)', re.DOTALL)


def write_or_check(
  path: str, names: Iterable[str], roots: Mapping[str, str], progress: Progress
) -> None:
  """Writes a manifest, or checks files against it if it exists.

  Args:
    path: of the manifest.
    names: datasets to check. Files of others in a manifest are ignored.
    roots: dataset -> its directory, of those that exist.
    progress: a wrapper of iterables like tqdm.

  Raises:
    InputError: files differ, are missing or new; or a file cannot be read or
      written.
  """
  path = os.path.expanduser(path)
  current = dict(_hash_files(roots, progress))
  if not os.path.exists(path):
    with files.atomic_write(path) as file:
      for name in sorted(current):
        file.write(_line(current[name], name))
    print(f'manifest: {counted(len(current), "file")} written to {path}')
    return
  names = set(names)
  expected = {
    name: digest
    for name, digest in _read(path).items()
    if name.split('/', 1)[0] in names
  }
  _compare(path, expected, current)
  number = counted(len(current), 'file')
  print(f'manifest: {number} compared, all as {path} has them')


def _line(digest: str, name: str) -> bytes:
  """Returns the line of a file, as `sha256sum` writes it.

  A name with a line break or backslash has these escaped, and a backslash
  before the hash says so.
  """
  escaped = name
  for character, escape in _ESCAPES.items():
    escaped = escaped.replace(character, escape)
  line = f'{"" if escaped == name else _BACKSLASH}{digest}  {escaped}\n'
  return line.encode('utf-8', 'surrogateescape')


def _unescape(name: str) -> str:
  """Returns the name that `_line` has escaped."""
  characters = {escape: character for character, escape in _ESCAPES.items()}
  return re.sub(r'\\[\\nr]', lambda match: characters[match[0]], name)


def _compare(
  path: str, expected: Mapping[str, str], current: Mapping[str, str]
) -> None:
  """Compares the hashes in a manifest with those of the files.

  Args:
    path: of the manifest.
    expected: name -> SHA-256 in the manifest.
    current: name -> SHA-256 of the file.

  Raises:
    InputError: they differ.
  """
  changed = [
    name
    for name in expected
    if name in current and current[name] != expected[name]
  ]
  missing = [name for name in expected if name not in current]
  new = [name for name in current if name not in expected]
  problems = [
    f'{len(names):,} {problem} ({printable_listing(sorted(names))})'
    for names, problem in (
      (changed, 'changed'),
      (missing, 'missing'),
      (new, 'not in it'),
    )
    if names
  ]
  if problems:
    raise InputError(
      f'{printable(path)}: of {counted(len(expected), "file")} '
      f'{"; ".join(problems)}: restore them, or remove the manifest to have '
      'it written anew'
    )


def _hash_files(
  roots: Mapping[str, str], progress: Progress
) -> Iterator[tuple[str, str]]:
  """Yields the name and the SHA-256, in hexadecimal, of each file.

  Args:
    roots: dataset -> its directory.
    progress: a wrapper of iterables like tqdm.

  Raises:
    InputError: a file or directory cannot be read.
  """
  paths = [(name, path) for name in roots for path in _find_files(roots[name])]
  for name, path in progress(
    paths, total=len(paths), desc='hashing', unit='file'
  ):
    relative = pathlib.PurePath(os.path.relpath(path, roots[name]))
    try:
      yield f'{name}/{relative.as_posix()}', files.sha256(path)
    except OSError as error:
      raise read_error(path, error) from error


def _find_files(root: str) -> Iterator[str]:
  """Yields the paths of all files in a directory and below it."""

  def raise_error(error: OSError) -> None:
    """Raises an InputError; os.walk would skip the directory."""
    raise read_error(error.filename, error) from error

  for folder, _, names in os.walk(root, onerror=raise_error):
    for name in names:
      yield os.path.join(folder, name)


def _read(path: str) -> dict[str, str]:
  """Reads a manifest: name -> SHA-256.

  Raises:
    InputError: it cannot be read, or a line has another format.
  """
  digests = {}
  # Names of files need not be text, and may hold what else ends a line.
  text = read_bytes(path).decode('utf-8', 'surrogateescape')
  for number, line in enumerate(text.removesuffix('\n').split('\n'), start=1):
    match = _LINE.fullmatch(line.removesuffix('\r'))
    if match is None:
      raise InputError(
        f'{printable(path)}, line {number}: expected a SHA-256, two spaces '
        'and a path: this is no manifest; name another file'
      )
    escaped, digest, name = match.groups()
    digests[_unescape(name) if escaped else name] = digest.lower()
  return digests
