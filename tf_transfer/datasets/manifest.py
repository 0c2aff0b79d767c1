"""Writes and checks lists of files with their SHA-256.

A manifest tells later whether data has changed. It has one line per file, in
the format of `sha256sum`: the hash, two spaces, and a name: that of the
dataset, a slash, and the path below the dataset's directory.
"""

import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping

from tf_transfer.datasets.dataset import Progress
from tf_transfer.datasets.sources.image_files import (
  printable_listing,
  read_error,
  read_text,
)
from tf_transfer.errors import InputError
from tf_transfer.runtime import files


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
        line = f'{current[name]}  {name}\n'
        file.write(line.encode('utf-8', 'surrogateescape'))
    print(f'manifest: {len(current):,} files written to {path}')
    return
  names = set(names)
  expected = {
    name: digest
    for name, digest in _read(path).items()
    if name.split('/', 1)[0] in names
  }
  _compare(path, expected, current)
  print(f'manifest: all {len(current):,} files are as {path} has them')


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
      (changed, 'have changed'),
      (missing, 'are gone'),
      (new, 'are not in it'),
    )
    if names
  ]
  if problems:
    raise InputError(
      f'{path}: of {len(expected):,} files {"; ".join(problems)}: restore '
      'them, or remove the manifest to have it written anew'
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
  for number, line in enumerate(read_text(path).splitlines(), start=1):
    digest, _, name = line.partition('  ')
    if len(digest) != 64 or not name:
      raise InputError(
        f'{path}, line {number}: expected a SHA-256, two spaces and a path: '
        'this is no manifest; name another file'
      )
    digests[name] = digest
  return digests
