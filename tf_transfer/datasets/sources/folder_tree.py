"""Lists the images below a directory, and counts what is left out."""

import collections
import dataclasses
import os
import re
import stat
from collections.abc import Sequence

from tf_transfer.datasets.sources.folder_counts import (
  MAX_LISTED,
  Counts,
  FileId,
  are,
)
from tf_transfer.datasets.sources.image_files import (
  printable,
  read_error,
)
from tf_transfer.images.formats import (
  FORMATS,
  HEAD_BYTES,
  foreign_format,
  image_format,
)
from tf_transfer.runtime.units import counted

_EXTENSIONS_BY_FORMAT = {
  'JPEG': ('.jpg', '.jpeg', '.jpe', '.jfif'),
  'PNG': ('.png',),
  'BMP': ('.bmp',),
  'GIF': ('.gif',),
  'TIFF': ('.tif', '.tiff'),
  'WEBP': ('.webp',),
  'PPM': ('.ppm', '.pgm', '.pbm', '.pnm'),
  'AVIF': ('.avif',),
}

# A file with one of these, in any case, is an image, which may be corrupt. The
# content of all other files tells whether they are images.
EXTENSIONS = tuple(
  extension
  for name, extensions in _EXTENSIONS_BY_FORMAT.items()
  if name in FORMATS
  for extension in extensions
)

# What file servers and systems keep for themselves, in lower case. Hidden
# folders, whose names begin with a period, are left out as well.
SYSTEM_FOLDERS = frozenset(
  (
    *('@eadir', '@tmp', '#recycle', '#snapshot'),  # Synology.
    *('@recycle', '@recently-snapshot', '@__thumb'),  # QNAP.
    '~snapshot',  # NetApp.
    *('$recycle.bin', 'recycler', 'recycled'),  # Windows, of all ages.
    *('system volume information', *(f'found.{i:03}' for i in range(10))),
    *('__macosx', 'network trash folder', 'temporary items'),  # macOS.
    *('lost+found', '__pycache__'),
  )
)

# Files of cameras that begin as TIFF does, and where a decoder of TIFF finds
# the preview in place of the image.
_RAW_SUFFIXES = frozenset(
  (
    *('.3fr', '.arw', '.cr2', '.dcr', '.dng', '.erf', '.fff', '.iiq', '.k25'),
    *('.kdc', '.mef', '.mos', '.nef', '.nrw', '.pef', '.rwl', '.sr2', '.srf'),
    *('.srw',),
  )
)

# A small JPEG beside a film or image.
_THUMBNAIL_SUFFIX = '.thm'

# An extension as people know them; what follows another period is none.
_SUFFIX = re.compile(r'\.[a-z0-9_+~-]{1,11}', re.IGNORECASE)
_NO_SUFFIX = 'without extension'


@dataclasses.dataclass(frozen=True)
class _Link:
  """A link to something that is no folder.

  Attributes:
    name: of the link.
    target: id of the regular file that it leads to; None: it leads to none.
  """

  name: str
  target: FileId | None


@dataclasses.dataclass(frozen=True)
class _Listing:
  """What a folder holds, each sorted by name.

  Attributes:
    folders: names of its folders.
    folder_links: names of its links to folders.
    images: name and inode of the files with an extension of images.
    others: name and inode of the other regular files.
    file_links: its links to what is no folder.
    system_folders: names of hidden folders, and of those of systems.
    num_hidden: how many files are hidden.
    num_special: how many pipes, sockets and devices there are.
  """

  folders: Sequence[str]
  folder_links: Sequence[str]
  images: Sequence[tuple[str, int]]
  others: Sequence[tuple[str, int]]
  file_links: Sequence[_Link]
  system_folders: Sequence[str]
  num_hidden: int
  num_special: int


@dataclasses.dataclass
class _Branch:
  """The images of one class folder.

  Attributes:
    folder: its path.
    paths: of the images.
    num_nested: how many of them are in folders inside it.
    nested_folders: the folders inside it that hold images.
    targets: ids of the files that its links lead to.
  """

  folder: str
  paths: list[str] = dataclasses.field(default_factory=list)
  num_nested: int = 0
  nested_folders: set[str] = dataclasses.field(default_factory=set)
  targets: set[FileId] = dataclasses.field(default_factory=set)


class FolderTree:
  """The folders and images below a root, each read once.

  Links to folders are followed only to folders below the root that are not
  read anyway. Links to files are followed everywhere.
  """

  def __init__(self, root: str):
    """Reads nothing yet.

    Args:
      root: a directory.
    """
    self._root = root
    self._real_root = os.path.realpath(root)
    self._listings: dict[str, _Listing] = {}
    # Folders that are read, and the listing of each.
    self._entered: dict[FileId, _Listing] = {}
    self._branches: list[_Branch] = []
    self._folder_links: collections.deque[tuple[_Branch, str]] = (
      collections.deque()
    )
    self._file_links: list[tuple[_Branch, str, _Link]] = []
    self._counts = Counts()

  def subfolders(self, folder: str) -> list[str]:
    """Lists the names of the folders in a folder, sorted.

    Links that lead out of the root are left out, and counted.

    Raises:
      InputError: the folder cannot be read.
    """
    listing = self._list(folder)
    links = [
      name
      for name in listing.folder_links
      if self._leads_inside(os.path.join(folder, name))
    ]
    return sorted([*listing.folders, *links])

  def image_names(self, folder: str) -> list[str]:
    """Lists the names of the images in a folder itself, sorted.

    Raises:
      InputError: the folder cannot be read.
    """
    listing = self._list(folder)
    names = [name for name, _ in listing.images]
    names += [x.name for x in listing.file_links if has_extension(x.name)]
    names += [
      name
      for name, _ in listing.others
      if _look_inside(os.path.join(folder, name)) is None
    ]
    return sorted(names)

  def find_images(
    self, folders: Sequence[str], parents: Sequence[str]
  ) -> list[list[str]]:
    """Finds the images in some folders and in the folders inside them.

    Folders are read before links to them are followed, so that an image that
    can be reached in two ways belongs to the folder that it is in.

    Args:
      folders: of classes.
      parents: the folders that these are in, and the root.

    Returns:
      For each of `folders` the paths of its images.

    Raises:
      InputError: a folder cannot be read.
    """
    for parent in parents:
      if self._enter(parent):
        names, _ = self._sort_files(parent)
        links = self._list(parent).file_links
        names += [x.name for x in links if has_extension(x.name)]
        self._counts.beside += [os.path.join(parent, name) for name in names]
    self._branches = [_Branch(folder) for folder in folders]
    for branch in self._branches:
      if os.path.islink(branch.folder):
        self._folder_links.append((branch, branch.folder))
      else:
        self._walk(branch, branch.folder)
    while self._folder_links:
      branch, link = self._folder_links.popleft()
      if self._leads_inside(link):
        kind = 'followed' if self._walk(branch, link) else 'repeated'
        self._counts.links[kind][link] = None
    self._add_file_links()
    return [branch.paths for branch in self._branches]

  def is_repeated(self, link: str) -> bool:
    """Returns whether a path is a link to a folder that is read anyway."""
    return link in self._counts.links['repeated']

  def notes(self) -> list[str]:
    """Says what was left out, and what was read in an unusual place."""
    return [*self.reading_notes(), *self.left_out_notes()]

  def reading_notes(self) -> list[str]:
    """Says what was read in an unusual place.

    Images in folders inside those of classes are unusual, links, and images
    without an extension of images.
    """
    notes = self._counts.notes(self._root, self._entered.keys())
    return [*notes, *self._nested_notes()]

  def left_out_notes(self) -> list[str]:
    """Says how many files of each kind were left out, if there are any."""
    return self._counts.left_out_notes()

  def left_out(self) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Returns the number and first names of each kind that was left out."""
    return self._counts.left_out_by_kind(self._root)

  def _list(self, folder: str) -> _Listing:
    """Lists a folder; a second time from memory."""
    if folder not in self._listings:
      self._listings[folder] = _scan(folder)
    return self._listings[folder]

  def _enter(self, folder: str) -> bool:
    """Marks a folder as read; returns whether it was not before."""
    try:
      status = os.stat(folder)
    except OSError as error:
      raise read_error(folder, error) from error
    key = status.st_dev, status.st_ino
    if key in self._entered:
      return False
    self._entered[key] = self._list(folder)
    return True

  def _leads_inside(self, link: str) -> bool:
    """Returns whether a link leads to a folder below the root."""
    target = os.path.realpath(link)
    if target.startswith(os.path.join(self._real_root, '')):
      return True
    # The root itself is read anyway.
    kind = 'repeated' if target == self._real_root else 'outside'
    self._counts.links[kind][link] = None
    return False

  def _walk(self, branch: _Branch, top: str) -> bool:
    """Adds the images in a folder, and in those inside it, to a branch.

    Args:
      branch: to add them to.
      top: the folder, or a link to it.

    Returns:
      False if the folder is read already.
    """
    if not self._enter(top):
      return False
    stack = [top]
    while stack:
      folder = stack.pop()
      if folder is not top and not self._enter(folder):
        continue
      names, unusual = self._sort_files(folder)
      branch.paths += [os.path.join(folder, name) for name in names]
      self._counts.unusual.update(map(_suffix, unusual))
      if folder != branch.folder and names:
        branch.num_nested += len(names)
        branch.nested_folders.add(folder)
      listing = self._list(folder)
      for name in listing.folder_links:
        self._folder_links.append((branch, os.path.join(folder, name)))
      for link in listing.file_links:
        self._file_links.append((branch, os.path.join(folder, link.name), link))
      # Reversed, because the last one is popped first: 'a' comes before 'b'.
      stack += [
        os.path.join(folder, name) for name in reversed(listing.folders)
      ]
    return True

  def _sort_files(self, folder: str) -> tuple[list[str], list[str]]:
    """Tells the images in a folder from other files, which are counted.

    Returns:
      The names of the images, but for links; and of those of them that have no
      extension of images.
    """
    listing = self._list(folder)
    unusual = []
    for name, _ in listing.others:
      path = os.path.join(folder, name)
      reason = _look_inside(path)
      if reason is None:
        unusual.append(name)
      else:
        self._counts.leave_out(path, _suffix(name) + reason)
    counts = self._counts
    counts.num_hidden += listing.num_hidden
    counts.num_special += listing.num_special
    counts.system_folders += [
      os.path.join(folder, name) for name in listing.system_folders
    ]
    return [name for name, _ in listing.images] + unusual, unusual

  def _add_file_links(self) -> None:
    """Adds the images that links lead to, unless they are read anyway."""
    if not self._file_links:
      return
    read = {
      (device, inode)
      for (device, _), listing in self._entered.items()
      for files in (listing.images, listing.others)
      for _, inode in files
    }
    for branch, path, link in self._file_links:
      if link.target and (link.target in read or link.target in branch.targets):
        self._counts.num_repeated_files += 1
        continue
      if not has_extension(link.name):
        if link.target is None:
          self._counts.links['broken'][path] = None
          continue
        reason = _look_inside(path)
        if reason is not None:
          self._counts.leave_out(path, _suffix(link.name) + reason)
          continue
      branch.paths.append(path)
      branch.targets.add(link.target)
      if os.path.dirname(path) != branch.folder:
        branch.num_nested += 1
        branch.nested_folders.add(os.path.dirname(path))
      self._counts.num_file_links += 1

  def _nested_notes(self) -> list[str]:
    """Says how many images are in folders inside those of classes."""
    nested = [branch for branch in self._branches if branch.num_nested]
    notes = [
      f'{printable(os.path.relpath(branch.folder, self._root))}: '
      f'{branch.num_nested:,} of its {counted(len(branch.paths), "image")} '
      f'{are(branch.num_nested)} in '
      f'{counted(len(branch.nested_folders), "folder")} inside it'
      for branch in nested
    ]
    if len(nested) <= MAX_LISTED:
      return notes
    others = nested[MAX_LISTED:]
    images = counted(sum(x.num_nested for x in others), 'image')
    folders = counted(sum(len(x.nested_folders) for x in others), 'folder')
    return [
      *notes[:MAX_LISTED],
      f'so are {images} in {folders} inside '
      f'{counted(len(others), "other class", "other classes")}',
    ]


def has_extension(name: str) -> bool:
  """Returns whether a name has an extension of images, in any case."""
  return name.lower().endswith(EXTENSIONS)


def _suffix(name: str) -> str:
  """Returns the extension of a file in lower case, or that it has none."""
  suffix = os.path.splitext(name)[1].lower()
  return suffix if _SUFFIX.fullmatch(suffix) else _NO_SUFFIX


def _look_inside(path: str) -> str | None:
  """Returns None if a file is an image by its content, else why it is not.

  The reason is a text that follows the extension, and empty if there is
  nothing to say.
  """
  try:
    # In place of `open`, which makes three more system calls.
    file = os.open(path, os.O_RDONLY)
    try:
      head = os.read(file, HEAD_BYTES)
    finally:
      os.close(file)
  except OSError as error:
    return f' (cannot be read: {error.strerror})'
  kind = image_format(head)
  foreign = foreign_format(head) if kind is None else None
  suffix = _suffix(path)
  if kind == 'TIFF' and suffix in _RAW_SUFFIXES:
    kind, foreign = None, 'camera raw'
  if foreign is not None:
    return f' ({foreign} images, which cannot be read)'
  if kind is not None and suffix == _THUMBNAIL_SUFFIX:
    return ' (thumbnails of a camera)'
  # Text may begin as a PPM does: "P1 0.5".
  is_text = kind == 'PPM' and suffix != _NO_SUFFIX
  return '' if kind is None or is_text else None


def _scan(folder: str) -> _Listing:
  """Lists what is in a folder.

  Raises:
    InputError: the folder cannot be read.
  """
  folders, folder_links, images, others = [], [], [], []
  file_links, system_folders = [], []
  num_hidden = num_special = 0
  try:
    with os.scandir(folder) as entries:
      for entry in entries:
        name = entry.name
        is_hidden = name.startswith('.')
        is_link = entry.is_symlink()
        if not is_link and entry.is_dir():
          is_system = is_hidden or name.casefold() in SYSTEM_FOLDERS
          (system_folders if is_system else folders).append(name)
        elif is_hidden:
          num_hidden += 1
        elif is_link:
          status = _status_of_target(entry)
          if status is not None and stat.S_ISDIR(status.st_mode):
            folder_links.append(name)
          else:
            file_links.append(_make_link(name, status))
        elif has_extension(name):
          images.append((name, entry.inode()))
        elif entry.is_file():
          others.append((name, entry.inode()))
        else:
          num_special += 1
  except OSError as error:
    raise read_error(folder, error) from error
  return _Listing(
    sorted(folders),
    sorted(folder_links),
    sorted(images),
    sorted(others),
    sorted(file_links, key=lambda link: link.name),
    sorted(system_folders),
    num_hidden,
    num_special,
  )


def _status_of_target(link: os.DirEntry) -> os.stat_result | None:
  """Returns the status of what a link leads to; None: it leads nowhere."""
  try:
    return link.stat()
  except OSError:
    return None


def _make_link(name: str, status: os.stat_result | None) -> _Link:
  """Describes a link; what is no regular file counts as nothing."""
  if status is None or not stat.S_ISREG(status.st_mode):
    return _Link(name, None)
  return _Link(name, (status.st_dev, status.st_ino))
