"""A list of files with their SHA-256, to tell whether data has changed.

One line a file, as `sha256sum` writes them: the hash, two spaces, and the
dataset's name, a slash and the path below its directory.
"""

import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping

from tf_transfer.datasets.dataset import Progress
from tf_transfer.datasets.sources.image_files import (
  read_text,
  shown_listing,
  unreadable,
)
from tf_transfer.errors import InputError
from tf_transfer.runtime import files


def write_or_check(
  path: str, names: Iterable[str], roots: Mapping[str, str], progress: Progress
) -> None:
  """Writes a manifest, or compares files with the one that is there.

  Args:
    path: of the manifest.
    names: the datasets that are asked for; others in a manifest do not count.
    roots: dataset -> its directory, of those that are here.
    progress: shows how far the reading is.

  Raises:
    InputError: files differ, are gone or new; or something cannot be read or
      written.
  """
  path = os.path.expanduser(path)
  found = dict(_hashes(roots, progress))
  if not os.path.exists(path):
    with files.atomic_write(path) as file:
      for name in sorted(found):
        line = f'{found[name]}  {name}\n'
        file.write(line.encode('utf-8', 'surrogateescape'))
    print(f'manifest: {len(found):,} files written to {path}')
    return
  asked = set(names)
  written = {
    name: digest
    for name, digest in _read(path).items()
    if name.split('/', 1)[0] in asked
  }
  _compare(path, written, found)
  print(f'manifest: all {len(found):,} files are as {path} has them')


def _compare(
  path: str, written: Mapping[str, str], found: Mapping[str, str]
) -> None:
  """Raises InputError, with what differs, unless both are the same."""
  changed = [k for k in written if k in found and found[k] != written[k]]
  gone = [k for k in written if k not in found]
  new = [k for k in found if k not in written]
  problems = [
    f'{len(some):,} {what} ({shown_listing(sorted(some))})'
    for some, what in (
      (changed, 'have changed'),
      (gone, 'are gone'),
      (new, 'are not in it'),
    )
    if some
  ]
  if problems:
    raise InputError(
      f'{path}: of {len(written):,} files {"; ".join(problems)}: restore them, '
      'or remove the manifest to have it written anew'
    )


def _hashes(
  roots: Mapping[str, str], progress: Progress
) -> Iterator[tuple[str, str]]:
  """Each file's name in the manifest, and its SHA-256 in hexadecimal."""
  listed = [(name, path) for name in roots for path in _below(roots[name])]
  for name, path in progress(
    listed, total=len(listed), desc='hashing', unit='file'
  ):
    relative = pathlib.PurePath(os.path.relpath(path, roots[name]))
    try:
      yield f'{name}/{relative.as_posix()}', files.sha256(path)
    except OSError as error:
      raise unreadable(path, error) from error


def _below(root: str) -> Iterator[str]:
  """The paths of all files in a directory and those in it."""

  def refuse(error: OSError) -> None:
    raise unreadable(error.filename, error) from error

  for folder, _, names in os.walk(root, onerror=refuse):
    for name in names:
      yield os.path.join(folder, name)


def _read(path: str) -> dict[str, str]:
  lines = read_text(path).splitlines()
  written = {}
  for number, line in enumerate(lines, start=1):
    digest, _, name = line.partition('  ')
    if len(digest) != 64 or not name:
      raise InputError(
        f'{path}, line {number}: expected a SHA-256, two spaces and a path: '
        'this is no manifest; name another file'
      )
    written[name] = digest
  return written
