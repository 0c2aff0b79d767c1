"""Reads images from files, and describes what a source of a dataset holds."""

import contextlib
import dataclasses
import hashlib
import os
import stat
from collections.abc import Iterable, Mapping

import numpy as np

from tf_transfer import errors
from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import Progress, Split, listing
from tf_transfer.errors import InputError
from tf_transfer.images import decoding
from tf_transfer.runtime.units import GIB

# A file that is read into memory is no larger.
_MAX_BYTES = 4 * GIB


@dataclasses.dataclass(frozen=True, eq=False)
class ImageFiles:
  """Where the encoded images of N examples are.

  Attributes:
    paths: of the file that is image i, or that contains it.
    descriptions: the name of image i in messages.
    offsets: int64 [N], where image i begins in its file; None: at 0.
    sizes_bytes: int64 [N], length of image i; None: all of its file.
    known_digests: uint8 [N, 32], the SHA-256 of each image; None: not computed
      yet.
    cache_entries: files of the cache that digests are from. They are removed
      if an image has another digest.
  """

  paths: tuple[str, ...]
  descriptions: tuple[str, ...]
  offsets: np.ndarray | None = None
  sizes_bytes: np.ndarray | None = None
  known_digests: np.ndarray | None = None
  cache_entries: tuple[str, ...] = ()

  def __len__(self) -> int:
    """Returns the number of images."""
    return len(self.paths)

  def take(self, positions: np.ndarray) -> 'ImageFiles':
    """Returns the images at the given positions, in this order."""
    arrays = (self.offsets, self.sizes_bytes, self.known_digests)
    return ImageFiles(
      tuple(self.paths[i] for i in positions),
      tuple(self.descriptions[i] for i in positions),
      *(None if array is None else array[positions] for array in arrays),
      cache_entries=self.cache_entries,
    )

  def unverified_bytes(self, i: int) -> bytes:
    """Reads the bytes of image i without comparing them with a digest."""
    if self.offsets is None:
      return read_bytes(self.paths[i])
    return read_bytes(
      self.paths[i], int(self.offsets[i]), int(self.sizes_bytes[i])
    )

  def digests(self, name: str, progress: Progress) -> np.ndarray:
    """Returns the SHA-256 of every image, uint8 [N, 32].

    Reads all images if the digests are not known.

    Args:
      name: of the dataset, for the progress bar.
      progress: a wrapper of iterables like tqdm.
    """
    if self.known_digests is not None:
      return self.known_digests
    numbers = progress(
      range(len(self)), total=len(self), desc=f'reading {name}', unit='file'
    )
    return splits.content_digests(map(self.unverified_bytes, numbers))

  def encoded(self, i: int, digest: np.ndarray) -> bytes:
    """Reads the bytes of image i and checks that they have not changed.

    Args:
      i: position of the image.
      digest: uint8 [32], the SHA-256 that its bytes must have.

    Raises:
      InputError: they cannot be read, or have changed.
    """
    data = self.unverified_bytes(i)
    # Splits and caches depend on the digest: it must be that of the data used.
    if hashlib.sha256(data).digest() != digest.tobytes():
      raise self._changed_error(i)
    return data

  def _changed_error(self, i: int) -> InputError:
    """Returns the error to raise if image i has changed.

    Files of the cache with its digest are removed, so that the next start reads
    all images anew.
    """
    for entry in self.cache_entries:
      with contextlib.suppress(OSError):
        os.unlink(entry)
    if self.cache_entries:
      return InputError(
        f'{self.descriptions[i]}: the file has changed since its digest was '
        f'stored in {printable(self.cache_entries[0])}, which is removed: '
        'start the same command again, to have all images read anew'
      )
    return InputError(
      f'{self.descriptions[i]}: the file has changed since the dataset was '
      'opened: start again when nothing writes there any more'
    )

  def read(self, i: int, digest: np.ndarray) -> np.ndarray:
    """Reads image i as `encoded` does, and decodes it to uint8 [H, W, 3]."""
    return decoding.decode(self.encoded(i, digest), self.descriptions[i])


def whole_files(paths: Iterable[str]) -> ImageFiles:
  """Describes images each of which is a file of its own."""
  paths = tuple(paths)
  return ImageFiles(paths, tuple(printable(path) for path in paths))


def read_bytes(path: str, offset: int = 0, size: int = -1) -> bytes:
  """Reads a file, or a part of it.

  Args:
    path: of the file.
    offset: first byte.
    size: number of bytes; -1: up to the end.

  Raises:
    InputError: it is no regular file, is larger than any image, cannot be
      read, or ends too early.
  """
  try:
    status = os.stat(path)
    # Reading a pipe would wait for ever.
    if not stat.S_ISREG(status.st_mode):
      raise InputError(f'{printable(path)}: not a regular file: remove it')
    if size < 0 and status.st_size > _MAX_BYTES:
      raise InputError(
        f'{printable(path)}: {status.st_size / GIB:,.0f} GiB, which is no '
        'image: move it away'
      )
    with open(path, 'rb') as file:
      file.seek(offset)
      data = file.read(size)
  except OSError as error:
    raise read_error(path, error) from error
  if size >= 0 and len(data) != size:
    raise InputError(
      f'{printable(path)}: ends after {offset + len(data)} bytes, but '
      f'{offset + size} were there before: the file is cut short; restore it'
    )
  return data


def read_text(path: str) -> str:
  """Reads a text file in UTF-8.

  Raises:
    InputError: it cannot be read, or is no text.
  """
  try:
    return read_bytes(path).decode('utf-8-sig')
  except UnicodeDecodeError as error:
    raise InputError(
      f'{printable(path)}: not a text file ({error}): restore the original'
    ) from error


def read_error(path: str, error: OSError) -> InputError:
  """Returns the error to raise if `path` could not be read."""
  return InputError(
    f'{printable(path)}: cannot be read ({error.strerror}): restore it, make '
    'it readable or remove it, and start again'
  )


def printable(path: str) -> str:
  """Makes a path printable in a line, even if it is not valid UTF-8."""
  try:
    data = os.fsencode(path)
  except UnicodeEncodeError:
    # A text that is no path of this system, whose locale is ASCII.
    data = path.encode('utf-8', 'surrogateescape')
  text = data.decode('utf-8', 'backslashreplace')
  return errors.printable(text).replace('\n', '\\n').replace('\t', '\\t')


def printable_listing(names: Iterable[str]) -> str:
  """Lists a few names for a sentence, and counts the others."""
  return listing(printable(name) for name in names)


@dataclasses.dataclass(frozen=True, eq=False)
class Pixels:
  """N small images that are decoded and in memory.

  Attributes:
    values: uint8 [N, H, W, 3]. The digest of an image is that of its pixels.
    descriptions: the name of image i in messages.
  """

  values: np.ndarray
  descriptions: tuple[str, ...]

  def __len__(self) -> int:
    """Returns the number of images."""
    return len(self.values)

  def take(self, positions: np.ndarray) -> 'Pixels':
    """Returns the images at the given positions, in this order."""
    return Pixels(
      self.values[positions], tuple(self.descriptions[i] for i in positions)
    )

  def digests(self, name: str, progress: Progress) -> np.ndarray:
    """Computes the SHA-256 of every image's pixels, uint8 [N, 32]."""
    del name, progress
    return splits.content_digests([image.tobytes() for image in self.values])

  def encoded(self, i: int, digest: np.ndarray) -> None:
    """Returns None: there is no file to decode a part of."""
    del i, digest

  def read(self, i: int, digest: np.ndarray) -> np.ndarray:
    """Returns image i as uint8 [H, W, 3]; nothing in memory changes it."""
    del digest
    return self.values[i].copy()


def make_split(
  name: str,
  labels: np.ndarray,
  digests: np.ndarray,
  images: ImageFiles | Pixels,
) -> Split:
  """Makes a split whose images are read when they are asked for.

  Args:
    name: of the split.
    labels: int32 [N], or [N, C] as in `Split`.
    digests: uint8 [N, 32], the SHA-256 of each image.
    images: N of them.
  """
  return Split(
    name=name,
    labels=labels,
    digests=digests,
    read=lambda i: images.read(i, digests[i]),
    describe=images.descriptions.__getitem__,
    encoded=lambda i: images.encoded(i, digests[i]),
  )


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
  """The examples of one official split, before any image is decoded.

  Attributes:
    names: by the dataset's authors, the same from every source that has them;
      empty strings if a source has none.
    labels: int32 [N], or [N, C] as in `Split`.
    images: N of them.
  """

  names: tuple[str, ...]
  labels: np.ndarray
  images: ImageFiles | Pixels

  def __len__(self) -> int:
    """Returns the number of examples."""
    return len(self.images)

  def take(self, positions: np.ndarray) -> 'Examples':
    """Returns the examples at the given positions, in this order."""
    return Examples(
      tuple(self.names[i] for i in positions),
      self.labels[positions],
      self.images.take(positions),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Contents:
  """What a source holds.

  Attributes:
    classes: the name of each class.
    splits: train, test and, if it is official, val; or only 'whole', if the
      authors define no split.
    notes: sentences on the data for records.
  """

  classes: tuple[str, ...]
  splits: Mapping[str, Examples]
  notes: tuple[str, ...] = ()
