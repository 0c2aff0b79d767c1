"""A split in batches, ready for a network of a given contract."""

import collections
import functools
import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tf_transfer.contract import Contract
from tf_transfer.datasets.dataset import Split
from tf_transfer.datasets.images import RESIZES, CorruptImage
from tf_transfer.errors import InputError, unknown_name

# How many batches' images are decoded or waiting beyond the one that is made.
READ_AHEAD = 3
# More threads than this wait for each other in Python more than they decode.
MAX_WORKERS = 16

Batch = dict[str, np.ndarray]


def batches(
  split: Split,
  contract: Contract,
  batch_size: int,
  *,
  resize: str = 'whole_image',
  start: int = 0,
  stop: int | None = None,
  workers: int | None = None,
  corrupt: str = 'error',
) -> Iterator[Batch]:
  """Every example of a split once, in order, at a network's input size.

  Args:
    split: the examples.
    contract: says how images are resized, to S x S pixels.
    batch_size: B, examples in each batch; the last one is padded.
    resize: 'whole_image', 'resize_then_crop' or 'crop_then_resize'; see the
      functions of these names in `images`.
    start: the first example, 0 to N.
    stop: the one after the last, start to N; None is N.
    workers: threads that decode; None is one for each CPU core.
    corrupt: 'error' raises on an image that cannot be read; 'skip' gives it
      an index but no mask, so that callers can count and name it.

  Yields:
    image uint8 [B, S, S, 3], RGB, 0 where the mask is False;
    label int32 [B], or [B, C] of several labels each; 0 in padding;
    mask bool [B], whether the example counts;
    index int32 [B], the example's position in the split, -1 in padding.

  Raises:
    InputError: an option is out of range (at the call), or an example cannot
      be read (when its batch is asked for).
  """
  for name, value in (('batch_size', batch_size), ('workers', workers)):
    if value is not None and value < 1:
      raise InputError(f'{name}: expected 1 or more, got {value}')
  if corrupt not in ('error', 'skip'):
    raise InputError(f"corrupt: expected 'error' or 'skip', got {corrupt!r}")
  if resize not in RESIZES:
    raise unknown_name('resize', resize, RESIZES)
  stop = len(split) if stop is None else stop
  if not 0 <= start <= stop <= len(split):
    raise ValueError(
      f'{split.name}: no examples {start} to {stop}, it has {len(split)}'
    )
  workers = workers or min(os.cpu_count() or 1, MAX_WORKERS)
  load = functools.partial(_load, split, contract, resize, corrupt == 'skip')
  return _batches(
    split, contract, batch_size, range(start, stop), workers, load
  )


def _batches(
  split: Split,
  contract: Contract,
  batch_size: int,
  indices: range,
  workers: int,
  load: Callable[[int], np.ndarray | None],
) -> Iterator[Batch]:
  """The generator behind `batches`: owns the threads, and ends them."""
  pool = ThreadPoolExecutor(workers, thread_name_prefix='decode')
  try:
    todo = iter(indices)
    ahead = itertools.islice(todo, READ_AHEAD * batch_size)
    pending = collections.deque(pool.submit(load, i) for i in ahead)
    for first in range(indices.start, indices.stop, batch_size):
      batch = _empty(batch_size, contract.image_size, split.labels)
      last = min(first + batch_size, indices.stop)
      for row, index in enumerate(range(first, last)):
        image = pending.popleft().result()
        pending.extend(pool.submit(load, i) for i in itertools.islice(todo, 1))
        batch['label'][row] = split.labels[index]
        batch['index'][row] = index
        if image is not None:
          batch['image'][row] = image
          batch['mask'][row] = True
      yield batch
  finally:
    # Also where the consumer stops early: nothing that waits is begun.
    pool.shutdown(cancel_futures=True)


def _empty(batch_size: int, size: int, labels: np.ndarray) -> Batch:
  return {
    'image': np.zeros((batch_size, size, size, 3), np.uint8),
    'label': np.zeros((batch_size, *labels.shape[1:]), np.int32),
    'mask': np.zeros(batch_size, bool),
    'index': np.full(batch_size, -1, np.int32),
  }


def _load(
  split: Split, contract: Contract, resize: str, skip_corrupt: bool, i: int
) -> np.ndarray | None:
  """Example i as uint8 [S, S, 3]; None if it is corrupt and to be skipped."""
  try:
    return RESIZES[resize](split.read(i), contract)
  except CorruptImage:
    if not skip_corrupt:
      raise
    return None
