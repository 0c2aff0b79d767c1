"""Classifies images of any size with a network: files, bytes or pixels.

net = networks.load('pets.safetensors')
predictions = net.predict(['cat.jpg', 'dog.png'])
predictions.names  # ('Siamese', 'beagle')
predictions.probabilities  # [2, 37]

Decoding, resizing and scaling are those by which the network's head was fitted.
"""

import collections
import dataclasses
import os
import pathlib
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from tf_transfer import errors
from tf_transfer.images import resizing
from tf_transfer.images.decoding import CorruptImage, decode
from tf_transfer.runtime.units import GIB, counted

if TYPE_CHECKING:
  from tf_transfer.networks.network import Network

# A file's path, the bytes of a file, or pixels uint8 [H, W, 3].
Image = os.PathLike | str | bytes | np.ndarray

# How images are resized for a network whose file does not say it: as
# torchvision and timm evaluate on ImageNet.
DEFAULT_RESIZE = 'resize_then_crop'
# What leaves out images that cannot be read, in Python.
SKIP_ADVICE = 'pass corrupt="skip"'
# A file that is read into memory is no larger.
_MAX_BYTES = 4 * GIB
# Batches that are decoded ahead, and threads that decode.
_READ_AHEAD, _MAX_WORKERS = 3, 16


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
  """What a network holds each of N images for.

  Attributes:
    classes: the name of each class; () where the weights file has no names.
    labels: int64 [N], the most probable class of each image; -1 for an image
      that cannot be read.
    probabilities: float32 [N, C], calibrated by the temperature of the weights
      file; NaN for an image that cannot be read.
    problems: why images cannot be read, by their position.
  """

  classes: tuple[str, ...]
  labels: np.ndarray
  probabilities: np.ndarray
  problems: dict[int, str]

  def __len__(self) -> int:
    """Returns the number of images."""
    return len(self.labels)

  @property
  def names(self) -> tuple[str | None, ...]:
    """The class of each image by name, or by number where it has none.

    None for an image that cannot be read.
    """
    return tuple(
      None if label < 0 else self.class_name(int(label))
      for label in self.labels
    )

  def class_name(self, label: int) -> str:
    """Returns the name of a class; its number where it has none."""
    return self.classes[label] if self.classes else str(label)

  def top(self, position: int, count: int) -> list[tuple[str, float]]:
    """Returns the most probable classes of an image, each with its probability.

    Args:
      position: of the image.
      count: the largest number of classes.
    """
    row = self.probabilities[position]
    # The predicted class is first even where rounding ties it with another.
    is_other = np.arange(len(row)) != self.labels[position]
    order = np.lexsort((is_other, -row))[:count]
    return [(self.class_name(int(c)), float(row[c])) for c in order]


def softmax(scores: np.ndarray, temperature: float = 1.0) -> np.ndarray:
  """Returns probabilities float64 [N, C] of scores [N, C] over a temperature.

  The largest score of each row keeps the largest probability.
  """
  scores = np.asarray(scores, np.float64)
  exp = np.exp((scores - scores.max(axis=1, keepdims=True)) / temperature)
  return exp / exp.sum(axis=1, keepdims=True)


def predict(
  net: 'Network',
  images: Image | Iterable[Image],
  *,
  batch_size: int = 64,
  corrupt: str = 'error',
  resize: str = '',
  advance: Callable[[int], Any] = lambda count: None,
) -> Predictions:
  """Classifies images.

  Args:
    net: a network with a head.
    images: paths, bytes of image files, or pixels uint8 [H, W, 3], RGB, of any
      sizes; or one of these alone.
    batch_size: images that pass through the network together.
    corrupt: what to do with images that cannot be read: 'error' raises, 'skip'
      gives them the label -1.
    resize: one of `resizing.RESIZES`; '' is that of the weights file, or
      `DEFAULT_RESIZE` where the file does not say.
    advance: called with a number of images that are done.

  Raises:
    CorruptImage: images cannot be read, all of which the message names.
    InputError: an option or the type of an image is not as above, or the
      network has no head.
  """
  images = [images] if _is_one(images) else list(images)
  num_classes = net.header.num_classes
  labels = np.full(len(images), -1)
  probabilities = np.full((len(images), num_classes), np.nan, np.float32)
  problems: dict[int, str] = {}
  for rows, logits, bad in _run(
    net,
    images,
    net.logits_of_pixels,
    batch_size=batch_size,
    corrupt=corrupt,
    resize=resize,
  ):
    if len(rows):
      labels[rows] = logits.argmax(axis=1)
      probabilities[rows] = softmax(logits, net.header.temperature)
    problems |= bad
    advance(len(rows) + len(bad))
  return Predictions(net.header.classes, labels, probabilities, problems)


def features(
  net: 'Network',
  images: Iterable[Image],
  *,
  batch_size: int = 64,
  corrupt: str = 'error',
  resize: str = '',
  advance: Callable[[int], Any] = lambda count: None,
) -> tuple[np.ndarray, dict[int, str]]:
  """Computes the features of images; arguments as for `predict`.

  Returns:
    float32 [N, D], NaN for an image that cannot be read; and why images cannot
    be read, by their position.

  Raises:
    CorruptImage: images cannot be read, all of which the message names.
    InputError: an option or the type of an image is not as for `predict`.
  """
  images = list(images)
  values = np.full((len(images), net.feature_dim), np.nan, np.float32)
  problems: dict[int, str] = {}
  for rows, output, bad in _run(
    net,
    images,
    net.features_of_pixels,
    batch_size=batch_size,
    corrupt=corrupt,
    resize=resize,
  ):
    values[rows] = output
    problems |= bad
    advance(len(rows) + len(bad))
  return values, problems


def resize_of(net: 'Network', resize: str = '') -> str:
  """Returns how images are resized for a network.

  Args:
    net: the network.
    resize: one of `resizing.RESIZES`, or '' for what its weights file says.

  Raises:
    InputError: it is none of these.
  """
  resize = resize or net.header.resize or DEFAULT_RESIZE
  if resize not in resizing.RESIZES:
    raise errors.unknown_name('resize', resize, resizing.RESIZES)
  return resize


def _is_one(images: Any) -> bool:
  """Whether something is one image rather than several."""
  if isinstance(images, np.ndarray):
    return images.ndim == 3
  return isinstance(images, str | bytes | os.PathLike)


def _run(
  net: 'Network',
  images: Sequence[Image],
  function: Callable[..., jax.Array],
  *,
  batch_size: int,
  corrupt: str,
  resize: str,
) -> Iterator[tuple[np.ndarray, np.ndarray, dict[int, str]]]:
  """Applies a function of a network to images, batch by batch.

  Args:
    net: the network.
    images: of it.
    function: maps variables and images uint8 [B, S, S, 3] to [B, ...].
    batch_size: as for `predict`.
    corrupt: as for `predict`.
    resize: as for `predict`.

  Yields:
    The positions of images, the function's values of them, and why images
    cannot be read, by position. With corrupt='error' nothing is computed from
    the first of these on.

  Raises:
    CorruptImage: as for `predict`, after the last batch.
  """
  if corrupt not in ('error', 'skip'):
    raise errors.InputError(
      f"corrupt: expected 'error' or 'skip', got {corrupt!r}"
    )
  if batch_size < 1:
    raise errors.InputError(f'batch_size: expected 1 or more, got {batch_size}')
  resize = resize_of(net, resize)
  # Few images need no batch of 64, and few sizes are compiled.
  batch_size = min(batch_size, 1 << max(len(images) - 1, 0).bit_length())
  problems: dict[int, str] = {}
  for start, pixels in _decode_batches(net, images, batch_size, resize):
    bad = {start + i: p for i, p in enumerate(pixels) if isinstance(p, str)}
    problems |= bad
    if problems and corrupt == 'error':
      continue
    rows = [i for i, p in enumerate(pixels) if not isinstance(p, str)]
    batch = np.zeros((batch_size, *_shape(net)), np.uint8)
    for row, i in enumerate(rows):
      batch[row] = pixels[i]
    values = np.asarray(function(net.variables, batch))[: len(rows)]
    yield np.array(rows, int) + start, values, bad
  if problems and corrupt == 'error':
    raise _report(problems, len(images))


def _shape(net: 'Network') -> tuple[int, int, int]:
  """Returns the shape [S, S, 3] of a network's images."""
  return (net.contract.image_size,) * 2 + (3,)


def _decode_batches(
  net: 'Network', images: Sequence[Image], batch_size: int, resize: str
) -> Iterator[tuple[int, list[np.ndarray | str]]]:
  """Reads and resizes images in threads, a few batches ahead of their use.

  Yields:
    The position of the first image of a batch; and of each its pixels
    [S, S, 3], or why it cannot be read.
  """

  def load(position: int) -> np.ndarray | str:
    pixels = _pixels(images[position], position)
    if isinstance(pixels, str):
      return pixels
    return resizing.RESIZES[resize](pixels, net.contract)

  workers = min(os.cpu_count() or 1, _MAX_WORKERS)
  pool = ThreadPoolExecutor(workers, thread_name_prefix='decode')
  pending: collections.deque[tuple[int, list[Any]]] = collections.deque()

  def finish() -> tuple[int, list[np.ndarray | str]]:
    start, futures = pending.popleft()
    return start, [future.result() for future in futures]

  try:
    for start in range(0, len(images), batch_size):
      positions = range(start, min(start + batch_size, len(images)))
      pending.append((start, [pool.submit(load, i) for i in positions]))
      if len(pending) > _READ_AHEAD:
        yield finish()
    while pending:
      yield finish()
  finally:
    pool.shutdown(cancel_futures=True)


def _pixels(image: Image, position: int) -> np.ndarray | str:
  """Returns an image as uint8 [H, W, 3], or says why it cannot be read.

  Raises:
    InputError: it is none of the types of `Image`.
  """
  if isinstance(image, np.ndarray):
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
      raise errors.InputError(
        f'image {position}: expected pixels uint8 [H, W, 3], got '
        f'{image.dtype} {list(image.shape)}'
      )
    return image if image.size else f'image {position}: it has no pixels'
  if isinstance(image, bytes):
    name, data = f'image {position}', image
  elif isinstance(image, str | os.PathLike):
    name = errors.printable(str(image)).replace('\n', '\\n')
    try:
      data = _read(pathlib.Path(image))
    # A null byte in the path is a ValueError.
    except (OSError, ValueError) as error:
      return f'{name}: {getattr(error, "strerror", None) or error}'
  else:
    raise errors.InputError(
      f'image {position}: expected a path, bytes or pixels uint8 [H, W, 3], '
      f'got {type(image).__name__}'
    )
  try:
    return decode(data, name)
  except CorruptImage as error:
    return f'{name}: {error.reason or "not a readable image"}'


def _read(path: pathlib.Path) -> bytes:
  """Reads a file.

  Raises:
    ValueError: it is no file, or is larger than any image.
    OSError: it cannot be read.
  """
  status = path.stat()
  # Reading a pipe would wait for ever.
  if not stat.S_ISREG(status.st_mode):
    raise ValueError('not a regular file')
  if status.st_size > _MAX_BYTES:
    raise ValueError(f'{status.st_size / GIB:,.0f} GiB, which is no image')
  return path.read_bytes()


def _report(problems: dict[int, str], num_images: int) -> CorruptImage:
  """Returns the error for images that cannot be read; it names all of them."""
  listed = '; '.join(problems[i] for i in sorted(problems))
  return CorruptImage(
    f'{len(problems):,} of {counted(num_images, "image")} cannot be read: '
    f'{listed}. Replace or remove them, or {SKIP_ADVICE}'
  )
