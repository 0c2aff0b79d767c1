"""Makes batches of a split for evaluation and for training.

Evaluation batches hold every example once, in order; the last batch is padded
and masked. Training batches hold all examples of an epoch in a random order,
epoch after epoch, each cropped and flipped at random. Threads decode both kinds
ahead of the consumer, and both kinds can start at any example or step.
"""

import collections
import dataclasses
import functools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from tf_transfer.contract import Contract
from tf_transfer.datasets.dataset import Split
from tf_transfer.datasets.images import augmentation
from tf_transfer.errors import InputError, unknown_name
from tf_transfer.images.decoding import CorruptImage
from tf_transfer.images.resizing import RESIZES

# Batches that are decoded ahead of the one that the consumer has.
READ_AHEAD = 3
# With more threads Python's lock costs more than they gain.
MAX_WORKERS = 16

Batch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class _BatchExamples:
  """The examples of one batch of one process.

  Attributes:
    indices: positions in the split, at most as many as the batch has rows.
    epochs: of each example; 0 in evaluation.
  """

  indices: tuple[int, ...]
  epochs: tuple[int, ...]


# Writes an example to a row of a batch: load(batch, row, index, epoch). May
# raise CorruptImage.
_Load = Callable[[Batch, int, int, int], None]


def batches(
  split: Split,
  contract: Contract,
  batch_size: int,
  *,
  resize: str = 'whole_image',
  start: int = 0,
  stop: int | None = None,
  process: tuple[int, int] = (0, 1),
  workers: int | None = None,
  corrupt: str = 'error',
) -> Iterator[Batch]:
  """Makes batches of every example of a split once, in order.

  Args:
    split: the examples.
    contract: how to resize images, to S x S pixels.
    batch_size: B, examples in each batch of all processes together. The last
      batch is padded.
    resize: 'whole_image', 'resize_then_crop' or 'crop_then_resize'; see the
      functions of these names in `images.resizing`.
    start: position of the first example, 0 to N.
    stop: position after that of the last example, start to N; None is N.
    process: number of this process and count of processes. Each gets its
      B / count rows of every batch, and all get the same number of batches.
    workers: threads that decode; None is one for each CPU core.
    corrupt: what to do with an image that cannot be decoded. 'error' raises;
      'skip' sets its index but not its mask, so that callers can count and
      name it.

  Yields:
    image uint8 [B / count, S, S, 3], RGB, 0 where the mask is False;
    label int32 [B / count], or [B / count, C] of several labels each; 0 in
      padding;
    mask bool [B / count], whether the row is an example;
    index int32 [B / count], the example's position in the split, -1 in
      padding.

  Raises:
    InputError: an option is out of range (at the call), or an example cannot
      be read (at its batch).
  """
  rows = _rows(batch_size, process, workers, corrupt)
  if resize not in RESIZES:
    raise unknown_name('resize', resize, RESIZES)
  stop = len(split) if stop is None else stop
  if not 0 <= start <= stop <= len(split):
    raise ValueError(
      f'{split.name}: no examples {start} to {stop}, it has {len(split)}'
    )

  def load(batch: Batch, row: int, index: int, epoch: int) -> None:
    """Decodes and resizes an example."""
    del epoch
    batch['image'][row] = RESIZES[resize](split.read(index), contract)

  examples = _examples_in_order(start, stop, batch_size, rows)
  empty = functools.partial(_empty, split, contract, len(rows))
  return _decode_batches(split, examples, empty, load, workers, corrupt)


def training_batches(
  split: Split,
  contract: Contract,
  batch_size: int,
  *,
  seed: int,
  stop: int,
  start: int = 0,
  color: bool = False,
  process: tuple[int, int] = (0, 1),
  workers: int | None = None,
  corrupt: str = 'error',
) -> Iterator[Batch]:
  """Makes batches to train on: in random order, cropped and flipped at random.

  An epoch may end within a batch: no example is dropped and no row is padded.
  Everything random depends only on the seed, the epoch and the example's
  position in the split. So batch k is the same for any number of threads and
  processes, and for any first step.

  Args:
    split: the examples.
    contract: how to resize crops, to S x S pixels.
    batch_size: B, examples in each batch of all processes together.
    seed: of everything random, 0 or more.
    stop: the step after the last.
    start: the first step; a run that resumes passes the number of steps done.
    color: whether to draw a distortion for `transfer.training.color.distort`.
    process: number of this process and count of processes. Each gets its
      B / count rows of every batch.
    workers: threads that decode; None is one for each CPU core.
    corrupt: 'error' raises on an image that cannot be decoded; 'skip' leaves
      it black and its mask False.

  Yields:
    image uint8 [B / count, S, S, 3], RGB;
    label int32 [B / count] or [B / count, C];
    mask bool [B / count], False for a corrupt image only;
    index int32 [B / count], the example's position in the split;
    color float32 [B / count, 5], if asked for.

  Raises:
    InputError: an option is out of range (at the call), or an example cannot
      be read (at its batch).
  """
  rows = _rows(batch_size, process, workers, corrupt)
  _check_training(split, seed, start, stop)
  load = functools.partial(_load_augmented, split, contract, seed, color)
  examples = _shuffled_examples(
    len(split), seed, range(start, stop), batch_size, rows
  )
  empty = functools.partial(_empty, split, contract, len(rows), color)
  return _decode_batches(split, examples, empty, load, workers, corrupt)


def _rows(
  batch_size: int, process: tuple[int, int], workers: int | None, corrupt: str
) -> range:
  """Checks options, and returns the rows of a batch that this process makes."""
  for name, value in (('batch_size', batch_size), ('workers', workers)):
    if value is not None and value < 1:
      raise InputError(f'{name}: expected 1 or more, got {value}')
  if corrupt not in ('error', 'skip'):
    raise InputError(f"corrupt: expected 'error' or 'skip', got {corrupt!r}")
  index, count = process
  if not 0 <= index < count:
    raise ValueError(f'process: no number {index} of {count}')
  if batch_size % count:
    raise InputError(
      f'batch_size: expected a multiple of the {count} processes, got '
      f'{batch_size}'
    )
  each = batch_size // count
  return range(index * each, (index + 1) * each)


def _load_augmented(
  split: Split,
  contract: Contract,
  seed: int,
  color: bool,
  batch: Batch,
  row: int,
  index: int,
  epoch: int,
) -> None:
  """Decodes, crops, resizes and flips an example into a row of a batch."""
  generator = augmentation.generator(seed, epoch, index)
  batch['image'][row] = augmentation.crop_and_flip(
    split, index, contract, generator
  )
  if color:
    batch['color'][row] = augmentation.draw_color(generator)


def _check_training(split: Split, seed: int, start: int, stop: int) -> None:
  """Raises an InputError if an option of `training_batches` is out of range."""
  if not len(split):
    raise InputError(f'{split.name}: there is nothing to train on')
  if not 0 <= start <= stop:
    raise InputError(f'steps: expected 0 <= start <= stop, got {start}, {stop}')
  if seed < 0:
    raise InputError(f'seed: expected 0 or more, got {seed}')


def _examples_in_order(
  start: int, stop: int, batch_size: int, rows: range
) -> Iterator[_BatchExamples]:
  """Lists the examples of each batch for evaluation.

  Args:
    start: position of the first example.
    stop: position after that of the last example.
    batch_size: examples in each batch of all processes together.
    rows: of each batch that this process makes.
  """
  for first in range(start, stop, batch_size):
    positions = range(first, min(first + batch_size, stop))
    indices = tuple(positions[rows.start : rows.stop])
    yield _BatchExamples(indices, (0,) * len(indices))


def _shuffled_examples(
  length: int, seed: int, steps: range, batch_size: int, rows: range
) -> Iterator[_BatchExamples]:
  """Lists the examples of each batch for training.

  Args:
    length: number of examples in the split.
    seed: of the orders.
    steps: whose batches are listed.
    batch_size: examples in each batch of all processes together.
    rows: of each batch that this process makes.
  """
  for step in steps:
    positions = range(step * batch_size, (step + 1) * batch_size)
    epochs_and_places = [
      divmod(position, length) for position in positions[rows.start : rows.stop]
    ]
    yield _BatchExamples(
      tuple(
        int(_epoch_order(length, seed, epoch)[place])
        for epoch, place in epochs_and_places
      ),
      tuple(epoch for epoch, _ in epochs_and_places),
    )


@functools.lru_cache(maxsize=4)
def _epoch_order(length: int, seed: int, epoch: int) -> np.ndarray:
  """Returns the random order of examples in an epoch, int64 [length]."""
  return augmentation.order_generator(seed, epoch).permutation(length)


def _decode_batches(
  split: Split,
  batch_examples: Iterator[_BatchExamples],
  empty: Callable[[], Batch],
  load: _Load,
  workers: int | None,
  corrupt: str,
) -> Iterator[Batch]:
  """Decodes batches in threads, a few ahead of the consumer."""
  workers = workers or min(os.cpu_count() or 1, MAX_WORKERS)
  fill = functools.partial(_fill_row, split, load, corrupt == 'skip')
  pool = ThreadPoolExecutor(workers, thread_name_prefix='decode')
  pending: collections.deque[tuple[Batch, list[Future]]] = collections.deque()
  try:
    for examples in batch_examples:
      batch = empty()
      pending.append(
        (
          batch,
          [
            pool.submit(fill, batch, row, index, epoch)
            for row, (index, epoch) in enumerate(
              zip(examples.indices, examples.epochs, strict=True)
            )
          ],
        )
      )
      if len(pending) > READ_AHEAD:
        yield _wait(*pending.popleft())
    while pending:
      yield _wait(*pending.popleft())
  finally:
    # Also if the consumer stops early: threads start nothing that is queued.
    pool.shutdown(cancel_futures=True)


def _wait(batch: Batch, futures: list[Future]) -> Batch:
  """Waits until all rows of a batch are decoded, and returns the batch."""
  for future in futures:
    future.result()
  return batch


def _fill_row(
  split: Split,
  load: _Load,
  skip_corrupt: bool,
  batch: Batch,
  row: int,
  index: int,
  epoch: int,
) -> None:
  """Decodes one example into a row of a batch."""
  batch['label'][row] = split.labels[index]
  batch['index'][row] = index
  try:
    load(batch, row, index, epoch)
  except CorruptImage:
    if not skip_corrupt:
      raise
  else:
    batch['mask'][row] = True


def _empty(
  split: Split, contract: Contract, rows: int, color: bool = False
) -> Batch:
  """Makes a batch whose rows are all padding."""
  size = contract.image_size
  batch = {
    'image': np.zeros((rows, size, size, 3), np.uint8),
    'label': np.zeros((rows, *split.labels.shape[1:]), np.int32),
    'mask': np.zeros(rows, bool),
    'index': np.full(rows, -1, np.int32),
  }
  if color:
    batch['color'] = np.zeros((rows, 5), np.float32)
  return batch
