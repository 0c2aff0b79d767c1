"""Counts what is left out of a directory of images, and says it."""

import collections
import dataclasses
import os
from collections.abc import Collection, Mapping, Sequence

from tf_transfer.datasets.dataset import listing
from tf_transfer.datasets.sources.image_files import (
  printable,
  printable_listing,
)
from tf_transfer.runtime.units import counted

# How many things a note lists before it counts the others.
MAX_LISTED = 8
# How many files of a kind are remembered by name.
MAX_NAMED = 3

# (device, inode) of a file or folder.
FileId = tuple[int, int]

# Kind of links -> the noun for one and for several, and the verb.
_LINKS = {
  'followed': ('link to a folder', 'links to folders', 'followed'),
  'repeated': (
    'link to a folder that is read anyway',
    'links to folders that are read anyway',
    'left out',
  ),
  'outside': (
    'link to a folder outside of the directory',
    'links to folders outside of the directory',
    'left out',
  ),
  'broken': (
    'link that leads to no file',
    'links that lead to no file',
    'left out',
  ),
}


@dataclasses.dataclass
class Counts:
  """What was left out of a tree, or found in an unusual way.

  Attributes:
    beside: paths of images that are beside the class folders.
    system_folders: paths of folders that were not read.
    left_out: how many files of an extension were left out, by a text that names
      it, and the reason if it is no usual one.
    left_out_paths: the first few of each of these.
    num_hidden: how many hidden files.
    num_special: how many pipes, sockets and devices.
    unusual: how many images were told by content, by extension.
    links: paths of links to folders that were 'followed', lead to a folder that
      is read anyway ('repeated'), or lead 'outside' of the root; and of those
      that are 'broken'.
    num_file_links: how many images are links.
    num_repeated_files: how many links lead to images that are read anyway.
  """

  beside: list[str] = dataclasses.field(default_factory=list)
  system_folders: list[str] = dataclasses.field(default_factory=list)
  left_out: collections.Counter = dataclasses.field(
    default_factory=collections.Counter
  )
  left_out_paths: dict[str, list[str]] = dataclasses.field(default_factory=dict)
  num_hidden: int = 0
  num_special: int = 0
  unusual: collections.Counter = dataclasses.field(
    default_factory=collections.Counter
  )
  links: Mapping[str, dict[str, None]] = dataclasses.field(
    default_factory=lambda: {kind: {} for kind in _LINKS}
  )
  num_file_links: int = 0
  num_repeated_files: int = 0

  def leave_out(self, path: str, kind: str) -> None:
    """Counts a file of a kind as left out, and keeps the first few names."""
    self.left_out[kind] += 1
    paths = self.left_out_paths.setdefault(kind, [])
    if len(paths) < MAX_NAMED:
      paths.append(path)

  def notes(self, root: str, read: Collection[FileId]) -> list[str]:
    """Returns a sentence for each kind of unusual thing that there is.

    Args:
      root: of the tree.
      read: the folders that were read, links to hidden ones among them.
    """
    notes = []
    if self.beside:
      first = printable(os.path.relpath(self.beside[0], root))
      notes.append(
        f'{counted(len(self.beside), "image")} beside the class folders '
        f'{are(len(self.beside))} left out, the first {first}'
      )
    notes += _system_notes(self.system_folders, read)
    if self.unusual:
      total = sum(self.unusual.values())
      texts = [
        f'{count:,} {text}' for text, count in self.unusual.most_common()
      ]
      notes.append(
        f'{counted(total, "file is an image", "files are images")} by content, '
        f'not by name: {_listed(texts, "other extension")}'
      )
    return notes + self._link_notes(root)

  def left_out_notes(self) -> list[str]:
    """Returns a sentence on the files that were left out, if there are any."""
    texts = self._left_out_texts()
    return [f'left out: {_listed(texts, "other kind")}'] if texts else []

  def left_out_by_kind(
    self, root: str
  ) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Returns the number and first names of each kind that was left out."""
    kinds = {
      kind: (
        count,
        tuple(
          printable(os.path.relpath(path, root))
          for path in self.left_out_paths[kind]
        ),
      )
      for kind, count in self.left_out.most_common()
    }
    for kind, count in (
      ('hidden', self.num_hidden),
      ('pipes, sockets or devices', self.num_special),
    ):
      if count:
        kinds[kind] = count, ()
    return kinds

  def _left_out_texts(self) -> list[str]:
    """Lists the kinds of files that were left out, each with its number."""
    texts = [f'{count:,} {text}' for text, count in self.left_out.most_common()]
    if self.num_hidden:
      texts.append(counted(self.num_hidden, 'hidden file'))
    if self.num_special:
      texts.append(
        counted(
          self.num_special,
          'pipe, socket or device',
          'pipes, sockets and devices',
        )
      )
    return texts

  def _link_notes(self, root: str) -> list[str]:
    """Returns a sentence for each kind of link that there is."""
    notes = []
    for kind, (one, more, verb) in _LINKS.items():
      if links := self.links[kind]:
        names = [os.path.relpath(link, root) for link in links]
        notes.append(
          f'{counted(len(links), one, more)} {are(len(links))} {verb}: '
          f'{printable_listing(names)}'
        )
        if kind == 'outside':
          notes[-1] += '; copy what should be read, or link its files'
    if self.num_file_links:
      notes.append(
        counted(
          self.num_file_links,
          'image is a link to a file',
          'images are links to files',
        )
      )
    if self.num_repeated_files:
      count = self.num_repeated_files
      text = counted(count, 'link to an image', 'links to images')
      notes.append(
        f'{text} that {are(count)} read anyway {are(count)} left out'
      )
    return notes


def are(count: int) -> str:
  """Returns the verb for a number of things."""
  return 'is' if count == 1 else 'are'


def _listed(texts: Sequence[str], noun: str) -> str:
  """Lists a few texts, and counts the others with a noun."""
  if len(texts) <= MAX_LISTED:
    return ', '.join(texts)
  more = counted(len(texts) - MAX_LISTED, noun)
  return f'{", ".join(texts[:MAX_LISTED])} and {more}'


def _system_notes(
  folders: Sequence[str], read: Collection[FileId]
) -> list[str]:
  """Counts the files in folders that are left out, by the folders' names.

  Args:
    folders: their paths.
    read: folders that do not count.
  """
  names, files, unreadable = {}, collections.Counter(), collections.Counter()
  for folder in folders:
    name = os.path.basename(folder)
    # Folders whose names differ only in case count as one.
    key = name.casefold()
    names.setdefault(key, printable(name))
    num_files, is_readable = _count_files(folder, read)
    files[key] += num_files
    unreadable[key] += not is_readable
  notes = [
    f'{counted(count, "file")} in {names[key]} left out'
    for key, count in files.most_common()
    if count
  ]
  if len(notes) > MAX_LISTED:
    others = files.most_common()[MAX_LISTED - 1 :]
    notes[MAX_LISTED - 1 :] = [
      f'{counted(sum(count for _, count in others), "file")} in '
      f'{len(others)} other hidden folders left out'
    ]
  if hidden := [names[key] for key, count in unreadable.items() if count]:
    notes.append(f'left out, and cannot be counted: {listing(hidden)}')
  return notes


def _count_files(folder: str, read: Collection[FileId]) -> tuple[int, bool]:
  """Counts the files in a folder and below it.

  Args:
    folder: its path.
    read: folders that do not count.

  Returns:
    The number, and whether all folders could be read.
  """
  count, is_readable, stack = 0, True, [folder]
  while stack:
    try:
      folder = stack.pop()
      status = os.stat(folder)
      if (status.st_dev, status.st_ino) in read:
        continue
      with os.scandir(folder) as entries:
        for entry in entries:
          if entry.is_dir(follow_symlinks=False):
            stack.append(entry.path)
          else:
            count += 1
    except OSError:
      is_readable = False
  return count, is_readable
