import threading
import time

import numpy as np
import pytest

from tf_transfer.contract import Contract
from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import Split
from tf_transfer.datasets.images import RESIZES, CorruptImage
from tf_transfer.datasets.pipeline import READ_AHEAD, batches
from tf_transfer.errors import InputError

CONTRACT = Contract(4, mean=(0, 0, 0), std=(1, 1, 1))


def decoding_threads():
  return [t for t in threading.enumerate() if t.name.startswith('decode')]


@pytest.fixture
def split():
  """23 examples of one colour each; `split.seen` collects what is read."""
  seen = []

  def read(i):
    seen.append(i)
    time.sleep(0.001 * ((i * 7) % 5))  # Threads finish out of order.
    return np.full((5 + i, 9, 3), i + 1, np.uint8)

  made = Split(
    name='train',
    labels=np.arange(23) % 4,
    digests=splits.content_digests([bytes([i]) for i in range(23)]),
    read=read,
    describe=lambda i: f'example {i}',
  )
  object.__setattr__(made, 'seen', seen)
  return made


def counted(found):
  """The examples that count, as (index, label, colour) in order."""
  rows = []
  for batch in found:
    for i in np.flatnonzero(batch['mask']):
      image = batch['image'][i]
      assert (image == image[0, 0, 0]).all()
      rows.append(
        (int(batch['index'][i]), int(batch['label'][i]), int(image[0, 0, 0]))
      )
  return rows


@pytest.mark.parametrize('batch_size', [1, 4, 23, 40])
@pytest.mark.parametrize('workers', [1, 5, None])
def test_every_example_once_in_order(split, batch_size, workers):
  found = list(batches(split, CONTRACT, batch_size, workers=workers))
  assert counted(found) == [(i, i % 4, i + 1) for i in range(23)]
  assert sorted(split.seen) == list(range(23))
  assert len(found) == -(-23 // batch_size)
  assert not decoding_threads()


def test_shapes_types_and_padding(split):
  found = list(batches(split, CONTRACT, 5))
  for batch in found:
    assert {k: (v.shape, v.dtype.name) for k, v in batch.items()} == {
      'image': ((5, 4, 4, 3), 'uint8'),
      'label': ((5,), 'int32'),
      'mask': ((5,), 'bool'),
      'index': ((5,), 'int32'),
    }
  last = found[-1]
  assert last['mask'].tolist() == [True, True, True, False, False]
  assert last['index'].tolist() == [20, 21, 22, -1, -1]
  assert last['label'][3:].tolist() == [0, 0]
  assert not last['image'][3:].any()


@pytest.mark.parametrize('resize', RESIZES)
def test_each_resize(split, resize):
  found = list(batches(split, CONTRACT, 23, resize=resize))
  expected = [RESIZES[resize](split.read(i), CONTRACT) for i in range(23)]
  np.testing.assert_array_equal(found[0]['image'], expected)


def test_several_labels_each(split):
  labels = np.arange(69).reshape(23, 3) % 3 - 1
  object.__setattr__(split, 'labels', labels.astype(np.int32))
  last = list(batches(split, CONTRACT, 5))[-1]
  assert last['label'].dtype == np.int32
  np.testing.assert_array_equal(last['label'][:3], labels[20:])
  assert not last['label'][3:].any()


def test_a_part_of_a_split(split):
  found = counted(batches(split, CONTRACT, 4, start=6, stop=13))
  assert [index for index, _, _ in found] == list(range(6, 13))
  assert sorted(split.seen) == list(range(6, 13))
  assert list(batches(split, CONTRACT, 4, start=23)) == []
  joined = counted(batches(split, CONTRACT, 4, stop=6)) + counted(
    batches(split, CONTRACT, 3, start=6)
  )
  assert joined == counted(batches(split, CONTRACT, 7))


def test_reading_ahead_is_bounded_and_stops_with_the_consumer(split):
  made = batches(split, CONTRACT, 2, workers=2)
  assert split.seen == []  # Nothing happens before the first is asked for.
  next(made)
  time.sleep(0.1)
  assert len(split.seen) <= 2 + 2 * READ_AHEAD
  assert decoding_threads()
  made.close()
  assert not decoding_threads()
  assert len(split.seen) <= 2 + 2 * READ_AHEAD


@pytest.fixture
def half_corrupt(split):
  read = split.read

  def fail(i):
    if i in (3, 22):
      raise CorruptImage(f'example {i}: not a readable image')
    return read(i)

  object.__setattr__(split, 'read', fail)
  return split


def test_a_corrupt_image_is_an_error_that_names_it(half_corrupt):
  made = batches(half_corrupt, CONTRACT, 2)
  assert next(made)['index'].tolist() == [0, 1]
  with pytest.raises(CorruptImage, match='example 3'):
    next(made)
  assert not decoding_threads()


def test_corrupt_images_can_be_skipped_and_counted(half_corrupt):
  found = list(batches(half_corrupt, CONTRACT, 5, corrupt='skip'))
  index = np.concatenate([batch['index'] for batch in found])
  mask = np.concatenate([batch['mask'] for batch in found])
  image = np.concatenate([batch['image'] for batch in found])
  assert index[(index >= 0) & ~mask].tolist() == [3, 22]
  assert mask.sum() == 21
  assert not image[~mask].any()


def test_other_errors_are_never_skipped(split):
  def vanish(i):
    raise InputError('example: cannot be read')

  object.__setattr__(split, 'read', vanish)
  with pytest.raises(InputError, match='cannot be read'):
    list(batches(split, CONTRACT, 5, corrupt='skip'))
  assert not decoding_threads()


@pytest.mark.parametrize(
  ('arguments', 'error', 'message'),
  [
    ({'batch_size': 0}, InputError, 'batch_size: expected 1 or more, got 0'),
    ({'workers': 0}, InputError, 'workers: expected 1'),
    ({'resize': 'crop'}, InputError, "unknown resize 'crop'"),
    ({'corrupt': 'ignore'}, InputError, "expected 'error' or 'skip'"),
    ({'start': -1}, ValueError, 'no examples -1 to 23'),
    ({'stop': 24}, ValueError, 'no examples 0 to 24, it has 23'),
    ({'start': 5, 'stop': 4}, ValueError, 'no examples 5 to 4'),
  ],
)
def test_bad_arguments_fail_at_the_call(split, arguments, error, message):
  with pytest.raises(error, match=message):
    batches(split, CONTRACT, **{'batch_size': 2} | arguments)
