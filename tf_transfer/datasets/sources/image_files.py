"""Images in files: whole files, or stretches of larger ones."""

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Mapping

import numpy as np

from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import Progress, Split, listing
from tf_transfer.datasets.images import decoding
from tf_transfer.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class ImageFiles:
  """Where the encoded images of N examples are.

  Attributes:
    paths: of the file that image i is, or is in.
    whats: what to call image i in messages.
    offsets: int64 [N], where image i begins in its file; None: at 0.
    sizes: int64 [N], bytes of image i; None: all of its file.
    known: uint8 [N, 32], the SHA-256 of each, where it is known.
  """

  paths: tuple[str, ...]
  whats: tuple[str, ...]
  offsets: np.ndarray | None = None
  sizes: np.ndarray | None = None
  known: np.ndarray | None = None

  def __len__(self) -> int:
    return len(self.paths)

  def take(self, positions: np.ndarray) -> 'ImageFiles':
    """The images at these positions, in this order."""
    arrays = (self.offsets, self.sizes, self.known)
    return ImageFiles(
      tuple(self.paths[i] for i in positions),
      tuple(self.whats[i] for i in positions),
      *(None if array is None else array[positions] for array in arrays),
    )

  def stored(self, i: int) -> bytes:
    """The bytes of image i, as they are now."""
    if self.offsets is None:
      return read_bytes(self.paths[i])
    return read_bytes(self.paths[i], int(self.offsets[i]), int(self.sizes[i]))

  def digests(self, name: str, progress: Progress) -> np.ndarray:
    """The SHA-256 of every image: uint8 [N, 32]; reads those not known.

    Args:
      name: of the dataset, for the progress bar.
      progress: shows how far the reading is.
    """
    if self.known is not None:
      return self.known
    count = len(self)
    numbers = progress(
      range(count), total=count, desc=f'reading {name}', unit='file'
    )
    joined = b''.join(hashlib.sha256(self.stored(i)).digest() for i in numbers)
    return np.frombuffer(joined, np.uint8).reshape(-1, splits.DIGEST_SIZE)

  def encoded(self, i: int, digest: np.ndarray) -> bytes:
    """The bytes of image i, if they still are what was hashed.

    Args:
      i: its number.
      digest: uint8 [32], the SHA-256 that its bytes had.

    Raises:
      InputError: they cannot be read, or have changed.
    """
    data = self.stored(i)
    # Splits and caches go by the digest: it has to be that of what is used.
    if hashlib.sha256(data).digest() != digest.tobytes():
      raise InputError(
        f'{self.whats[i]}: the file has changed since the dataset was opened: '
        'start again when nothing writes there any more'
      )
    return data

  def read(self, i: int, digest: np.ndarray) -> np.ndarray:
    """The same, decoded: uint8 [H, W, 3]."""
    return decoding.decode(self.encoded(i, digest), self.whats[i])


def whole_files(paths: Iterable[str]) -> ImageFiles:
  """Images of which each is a file."""
  paths = tuple(paths)
  return ImageFiles(paths, tuple(shown(path) for path in paths))


def read_bytes(path: str, offset: int = 0, size: int = -1) -> bytes:
  """Bytes of a file from `offset` on; all where no size is given.

  Raises:
    InputError: it is no regular file, cannot be read, or ends too early.
  """
  # A pipe would make the reading wait for ever.
  if os.path.exists(path) and not os.path.isfile(path):
    raise InputError(f'{shown(path)}: not a regular file: remove it')
  try:
    with open(path, 'rb') as file:
      file.seek(offset)
      data = file.read(size)
  except OSError as error:
    raise unreadable(path, error) from error
  if size >= 0 and len(data) != size:
    raise InputError(
      f'{shown(path)}: ends after {offset + len(data)} bytes, but '
      f'{offset + size} were there before: the file is cut short; restore it'
    )
  return data


def read_text(path: str) -> str:
  """A text file in UTF-8.

  Raises:
    InputError: it cannot be read, or is no text.
  """
  try:
    return read_bytes(path).decode('utf-8-sig')
  except UnicodeDecodeError as error:
    raise InputError(
      f'{shown(path)}: not a text file ({error}): restore the original'
    ) from error


def unreadable(path: str, error: OSError) -> InputError:
  return InputError(
    f'{shown(path)}: cannot be read ({error.strerror}): restore it, make it '
    'readable or remove it, and start again'
  )


def shown(path: str) -> str:
  """A path that can be printed, whatever bytes it is made of."""
  return os.fsencode(path).decode('utf-8', 'backslashreplace')


def shown_listing(names: Iterable[str]) -> str:
  return listing(shown(name) for name in names)


@dataclasses.dataclass(frozen=True, eq=False)
class Pixels:
  """N small images that are held in memory, decoded.

  Attributes:
    values: uint8 [N, H, W, 3]; the content that is hashed is its pixels.
    whats: what to call image i in messages.
  """

  values: np.ndarray
  whats: tuple[str, ...]

  def __len__(self) -> int:
    return len(self.values)

  def take(self, positions: np.ndarray) -> 'Pixels':
    """The images at these positions, in this order."""
    return Pixels(
      self.values[positions], tuple(self.whats[i] for i in positions)
    )

  def digests(self, name: str, progress: Progress) -> np.ndarray:
    """The SHA-256 of every image's pixels, uint8 [N, 32]; takes no time."""
    del name, progress
    return splits.content_digests([image.tobytes() for image in self.values])

  def encoded(self, i: int, digest: np.ndarray) -> None:
    """None: there is no file to decode a part of."""
    del i, digest

  def read(self, i: int, digest: np.ndarray) -> np.ndarray:
    """Image i as uint8 [H, W, 3]; in memory nothing changes it."""
    del digest
    return self.values[i].copy()


def split_of(
  name: str,
  labels: np.ndarray,
  digests: np.ndarray,
  stored: ImageFiles | Pixels,
) -> Split:
  """A split whose images are read where they are stored, when asked for."""
  return Split(
    name=name,
    labels=labels,
    digests=digests,
    read=lambda i: stored.read(i, digests[i]),
    describe=stored.whats.__getitem__,
    encoded=lambda i: stored.encoded(i, digests[i]),
  )


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
  """Examples of one official part, of which no image is decoded yet.

  Attributes:
    names: what the dataset's authors call each, the same from every source
      that says it; empty strings where a source does not.
    labels: int32 [N], or [N, C] as in `Split`.
    images: N of them.
  """

  names: tuple[str, ...]
  labels: np.ndarray
  images: ImageFiles | Pixels

  def __len__(self) -> int:
    return len(self.images)

  def take(self, positions: np.ndarray) -> 'Examples':
    """The examples at these positions, in this order."""
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
    parts: train, test and, where it is official, val; or `whole`.
    notes: what is to be said of the data, one sentence each.
  """

  classes: tuple[str, ...]
  parts: Mapping[str, Examples]
  notes: tuple[str, ...] = ()
