"""A split in batches, ready for a network of a given contract.

Evaluation sees every example once, in order, the last batch padded and
masked; training sees all examples of an epoch in a random order, epoch after
epoch, each cropped and flipped at random. Both decode in threads, ahead of
the consumer, and both can be begun anywhere.
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
from tf_transfer.datasets.images.decoding import RESIZES, CorruptImage
from tf_transfer.errors import InputError, unknown_name

# How many batches are decoded or waiting beyond the one that is made.
READ_AHEAD = 3
# More threads than this wait for each other in Python more than they decode.
MAX_WORKERS = 16

Batch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class _Plan:
  """The examples of one batch of one process.

  Attributes:
    indices: of the examples in the split, at most as many as the batch has
      rows.
    epochs: which visit to each example it is; evaluation has one.
  """

  indices: tuple[int, ...]
  epochs: tuple[int, ...]


# Fills what chance or the contract decides of a row: load(batch, row, index,
# epoch). May raise CorruptImage.
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
  """Every example of a split once, in order, at a network's input size.

  Args:
    split: the examples.
    contract: says how images are resized, to S x S pixels.
    batch_size: B, examples in each batch of all processes together; the last
      one is padded.
    resize: 'whole_image', 'resize_then_crop' or 'crop_then_resize'; see the
      functions of these names in `images`.
    start: the first example, 0 to N.
    stop: the one after the last, start to N; None is N.
    process: which of how many processes this is; each gets its B / count rows
      of every batch, and all get as many batches.
    workers: threads that decode; None is one for each CPU core.
    corrupt: 'error' raises on an image that cannot be read; 'skip' gives it
      an index but no mask, so that callers can count and name it.

  Yields:
    image uint8 [B / count, S, S, 3], RGB, 0 where the mask is False;
    label int32 [B / count], or [B / count, C] of several labels each; 0 in
      padding;
    mask bool [B / count], whether the example counts;
    index int32 [B / count], the example's position in the split, -1 in
      padding.

  Raises:
    InputError: an option is out of range (at the call), or an example cannot
      be read (when its batch is asked for).
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
    del epoch
    batch['image'][row] = RESIZES[resize](split.read(index), contract)

  def plans() -> Iterator[_Plan]:
    for first in range(start, stop, batch_size):
      positions = range(first, min(first + batch_size, stop))
      indices = tuple(positions[rows.start : rows.stop])
      yield _Plan(indices, (0,) * len(indices))

  empty = functools.partial(_empty, split, contract, len(rows))
  return _filled(split, plans(), empty, load, workers, corrupt)


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
  """Batches to train on: in random order, cropped and flipped at random.

  The examples of an epoch come in an order of its own, and the next epoch
  begins where it ends, within a batch too: none is left out and none padded.
  What becomes of an example depends on the seed, the epoch and its position
  in the split alone. So batch k is the same however many threads or processes
  there are, and wherever the steps begin.

  Args:
    split: the examples.
    contract: says how crops are resized, to S x S pixels.
    batch_size: B, examples in each batch of all processes together.
    seed: of everything random, 0 or more.
    stop: the step after the last.
    start: the first step; a run that goes on gives the steps done so far.
    color: whether to draw a color distortion too, for
      `transfer.color.distort`.
    process: which of how many processes this is; each gets its B / count rows
      of every batch.
    workers: threads that decode; None is one for each CPU core.
    corrupt: 'error' raises on an image that cannot be read; 'skip' leaves it
      black and unmasked.

  Yields:
    image uint8 [B / count, S, S, 3], RGB;
    label int32 [B / count] or [B / count, C];
    mask bool [B / count], False for a corrupt image only;
    index int32 [B / count], the example's position in the split;
    color float32 [B / count, 5], if asked for.

  Raises:
    InputError: an option is out of range (at the call), or an example cannot
      be read (when its batch is asked for).
  """
  rows = _rows(batch_size, process, workers, corrupt)
  if not len(split):
    raise InputError(f'{split.name}: there is nothing to train on')
  if not 0 <= start <= stop:
    raise InputError(f'steps: expected 0 <= start <= stop, got {start}, {stop}')
  if seed < 0:
    raise InputError(f'seed: expected 0 or more, got {seed}')

  def load(batch: Batch, row: int, index: int, epoch: int) -> None:
    generator = augmentation.generator(seed, epoch, index)
    batch['image'][row] = augmentation.crop_and_flip(
      split, index, contract, generator
    )
    if color:
      batch['color'][row] = augmentation.draw_color(generator)

  def plans() -> Iterator[_Plan]:
    for step in range(start, stop):
      positions = range(step * batch_size, (step + 1) * batch_size)
      visits = [
        divmod(p, len(split)) for p in positions[rows.start : rows.stop]
      ]
      yield _Plan(
        tuple(int(_order(len(split), seed, epoch)[i]) for epoch, i in visits),
        tuple(epoch for epoch, _ in visits),
      )

  def empty() -> Batch:
    batch = _empty(split, contract, len(rows))
    if color:
      batch['color'] = np.zeros((len(rows), 5), np.float32)
    return batch

  return _filled(split, plans(), empty, load, workers, corrupt)


def _rows(
  batch_size: int, process: tuple[int, int], workers: int | None, corrupt: str
) -> range:
  """The rows of each batch that this process makes, options being in range."""
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


@functools.lru_cache(maxsize=4)
def _order(length: int, seed: int, epoch: int) -> np.ndarray:
  """The order of an epoch, int64 [length]."""
  return augmentation.order_generator(seed, epoch).permutation(length)


def _filled(
  split: Split,
  plans: Iterator[_Plan],
  empty: Callable[[], Batch],
  load: _Load,
  workers: int | None,
  corrupt: str,
) -> Iterator[Batch]:
  """Makes the planned batches: owns the threads, and ends them."""
  workers = workers or min(os.cpu_count() or 1, MAX_WORKERS)
  fill = functools.partial(_fill, split, load, corrupt == 'skip')
  pool = ThreadPoolExecutor(workers, thread_name_prefix='decode')
  pending: collections.deque[tuple[Batch, list[Future]]] = collections.deque()
  try:
    for plan in plans:
      batch = empty()
      pending.append(
        (
          batch,
          [
            pool.submit(fill, batch, row, index, epoch)
            for row, (index, epoch) in enumerate(
              zip(plan.indices, plan.epochs, strict=True)
            )
          ],
        )
      )
      if len(pending) > READ_AHEAD:
        yield _finished(*pending.popleft())
    while pending:
      yield _finished(*pending.popleft())
  finally:
    # Also where the consumer stops early: nothing that waits is begun.
    pool.shutdown(cancel_futures=True)


def _finished(batch: Batch, futures: list[Future]) -> Batch:
  for future in futures:
    future.result()
  return batch


def _fill(
  split: Split,
  load: _Load,
  skip_corrupt: bool,
  batch: Batch,
  row: int,
  index: int,
  epoch: int,
) -> None:
  """Makes one row of a batch."""
  batch['label'][row] = split.labels[index]
  batch['index'][row] = index
  try:
    load(batch, row, index, epoch)
  except CorruptImage:
    if not skip_corrupt:
      raise
  else:
    batch['mask'][row] = True


def _empty(split: Split, contract: Contract, rows: int) -> Batch:
  size = contract.image_size
  return {
    'image': np.zeros((rows, size, size, 3), np.uint8),
    'label': np.zeros((rows, *split.labels.shape[1:]), np.int32),
    'mask': np.zeros(rows, bool),
    'index': np.full(rows, -1, np.int32),
  }
