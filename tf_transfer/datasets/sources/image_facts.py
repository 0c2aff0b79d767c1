"""Finds out about image files what needs their pixels, once for each content.

The facts of a folder are cached in one entry. Each belongs to the SHA-256 of a
file, so that only files that are new or have changed are decoded the next
time.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from tf_transfer.contract import Contract
from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import Progress
from tf_transfer.datasets.images import perceptual_hash
from tf_transfer.datasets.sources import digest_cache
from tf_transfer.datasets.sources.image_files import printable, read_bytes
from tf_transfer.errors import InputError
from tf_transfer.images import decoding, resizing
from tf_transfer.images.formats import HEAD_BYTES, image_format

# Increase it if facts of the same file change.
_VERSION = 1
# Pixels of a thumbnail's side.
THUMBNAIL_SIZE = 16
_SIZE = 32
_CONTRACT = Contract(_SIZE, mean=(0, 0, 0), std=(1, 1, 1), antialias=True)
_MAX_WORKERS = 16
# Files that are submitted to the threads at once.
_CHUNK_SIZE = 1024
_ARRAYS = ('digests', 'heights', 'widths', 'hashes', 'thumbnails')
# Bytes of a file's facts on disk: arrays, and a text with its reason.
_MAX_BYTES = 8192


@dataclasses.dataclass(frozen=True, eq=False)
class ImageFacts:
  """What is known of N image files.

  Attributes:
    digests: uint8 [N, 32], the SHA-256 of each file; 0 if it cannot be opened.
    heights: int32 [N], pixels after EXIF orientation; 0 if it is unreadable.
    widths: int32 [N], likewise.
    hashes: uint64 [N], the perceptual hash of the whole image; 0 if it is
      unreadable.
    thumbnails: uint8 [N, 16, 16, 3], the whole image without regard to its
      aspect; 0 if it is unreadable.
    formats: [N], of `FORMATS`; '' if it is none.
    problems: [N], why the file cannot be opened, with its name, or decoded,
      without it; '' if it can.
  """

  digests: np.ndarray
  heights: np.ndarray
  widths: np.ndarray
  hashes: np.ndarray
  thumbnails: np.ndarray
  formats: tuple[str, ...]
  problems: tuple[str, ...]

  def __len__(self) -> int:
    """Returns the number of files."""
    return len(self.digests)

  @property
  def is_readable(self) -> np.ndarray:
    """Whether each file can be decoded, bool [N]."""
    return np.array([not problem for problem in self.problems], bool)

  @property
  def is_opened(self) -> np.ndarray:
    """Whether each file could be opened, bool [N]; its digest is known then."""
    return self.digests.any(axis=1)

  def take(self, positions: np.ndarray) -> 'ImageFacts':
    """Returns the facts of the files at int [K] positions, in this order."""
    return ImageFacts(
      *(getattr(self, name)[positions] for name in _ARRAYS),
      tuple(self.formats[i] for i in positions),
      tuple(self.problems[i] for i in positions),
    )


def join(parts: Sequence[ImageFacts]) -> ImageFacts:
  """Returns the facts of the files of all parts, in order."""
  return ImageFacts(
    *(
      np.concatenate([getattr(part, name) for part in parts])
      for name in _ARRAYS
    ),
    sum((part.formats for part in parts), ()),
    sum((part.problems for part in parts), ()),
  )


# Facts of one file, in the order of the attributes of `ImageFacts`.
_Row = tuple[bytes, int, int, int, np.ndarray, str, str]


def find(
  paths: Sequence[str],
  root: str,
  name: str,
  cache_dir: str | os.PathLike | None,
  progress: Progress,
) -> ImageFacts:
  """Reads every file, and decodes those whose facts are not cached.

  The files are decoded in threads. No more images are in memory than there are
  threads.

  Args:
    paths: of the files.
    root: the directory that they are in, which names the cache's entry.
    name: of the dataset, for the progress bar.
    cache_dir: of the cache; None: nothing is cached.
    progress: a wrapper of iterables like tqdm.

  Raises:
    InputError: there is too little memory to decode a file.
  """
  key = {
    'facts': _VERSION,
    'root': os.path.realpath(root),
  }
  max_bytes = _MAX_BYTES * (2 * len(paths) + 1000)
  cached = digest_cache.load(cache_dir, key, max_bytes)
  known = {} if cached is None else _rows_by_digest(cached)
  rows = list(
    progress(
      _find_rows(paths, known),
      total=len(paths),
      desc=f'reading {name}',
      unit='file',
    )
  )
  facts = _from_rows(rows)
  opened = facts.take(np.flatnonzero(facts.is_opened))
  if {digest.tobytes() for digest in opened.digests} != known.keys():
    digest_cache.store(cache_dir, key, _to_arrays(opened))
  return facts


def _find_rows(
  paths: Sequence[str], known: dict[bytes, _Row]
) -> Iterator[_Row]:
  """Finds the facts of each file, in threads."""

  def find_row(path: str) -> _Row:
    try:
      data = read_bytes(path)
    except InputError as error:
      return _without_image(bytes(splits.DIGEST_SIZE), '', str(error))
    digest = hashlib.sha256(data).digest()
    return known.get(digest) or _decode(data, digest, path)

  workers = min(os.cpu_count() or 1, _MAX_WORKERS)
  with ThreadPoolExecutor(workers, thread_name_prefix='decode') as pool:
    for start in range(0, len(paths), _CHUNK_SIZE):
      yield from pool.map(find_row, paths[start : start + _CHUNK_SIZE])


def _decode(data: bytes, digest: bytes, path: str) -> _Row:
  """Decodes a file, and returns its facts."""
  kind = image_format(data[:HEAD_BYTES]) or ''
  try:
    image = decoding.decode(data, printable(path))
  except decoding.CorruptImage as error:
    return _without_image(digest, kind, error.reason or 'it is damaged')
  small = resizing.whole_image(image, _CONTRACT)
  step = _SIZE // THUMBNAIL_SIZE
  blocks = small.reshape(THUMBNAIL_SIZE, step, THUMBNAIL_SIZE, step, 3)
  thumbnail = np.floor(blocks.mean(axis=(1, 3)) + 0.5).astype(np.uint8)
  hashed = int(perceptual_hash.hash_images(small[None])[0])
  return digest, *image.shape[:2], hashed, thumbnail, kind, ''


def _without_image(digest: bytes, kind: str, problem: str) -> _Row:
  """Returns the facts of a file that is no image that can be decoded."""
  empty = np.zeros((THUMBNAIL_SIZE, THUMBNAIL_SIZE, 3), np.uint8)
  return digest, 0, 0, 0, empty, kind, problem


def _from_rows(rows: Sequence[_Row]) -> ImageFacts:
  """Joins the facts of single files."""
  digests, heights, widths, hashes, thumbnails, formats, problems = (
    zip(*rows, strict=True) if rows else ((),) * 7
  )
  size = (-1, THUMBNAIL_SIZE, THUMBNAIL_SIZE, 3)
  joined = np.frombuffer(b''.join(digests), np.uint8)
  return ImageFacts(
    joined.reshape(-1, splits.DIGEST_SIZE),
    np.array(heights, np.int32),
    np.array(widths, np.int32),
    np.array(hashes, np.uint64),
    np.array(thumbnails, np.uint8).reshape(size),
    formats,
    problems,
  )


def _rows_by_digest(arrays: digest_cache.Arrays) -> dict[bytes, _Row]:
  """Returns the facts that are cached, by the digest of their file."""
  formats, problems = json.loads(arrays['texts'].tobytes())
  columns = [arrays[name] for name in _ARRAYS]
  rows = zip(*columns, formats, problems, strict=True)
  return {row[0].tobytes(): (row[0].tobytes(), *row[1:]) for row in rows}


def _to_arrays(facts: ImageFacts) -> dict[str, Any]:
  """Returns the arrays of a cache's entry: each content once."""
  _, first = np.unique(facts.digests, axis=0, return_index=True)
  facts = facts.take(first)
  texts = json.dumps([facts.formats, facts.problems]).encode()
  arrays = {name: getattr(facts, name) for name in _ARRAYS}
  return {**arrays, 'texts': np.frombuffer(texts, np.uint8)}
