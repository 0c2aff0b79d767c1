"""Batches for evaluation and for training."""

import threading
import time

import numpy as np
import pytest

from tf_transfer.contract import Contract
from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import Split
from tf_transfer.datasets.images.image_cache import cache_images
from tf_transfer.datasets.pipeline import READ_AHEAD, batches, training_batches
from tf_transfer.errors import InputError
from tf_transfer.images.decoding import CorruptImage
from tf_transfer.images.resizing import RESIZES

CONTRACT = Contract(4, mean=(0, 0, 0), std=(1, 1, 1))


def decoding_threads():
  return [t for t in threading.enumerate() if t.name.startswith('decode')]


@pytest.fixture
def split():
  """23 examples of one color each.

  `split.read_positions` lists those that were read.
  """
  read_positions = []

  def read(i):
    read_positions.append(i)
    time.sleep(0.001 * ((i * 7) % 5))  # Threads finish out of order.
    return np.full((5 + i, 9, 3), i + 1, np.uint8)

  split = Split(
    name='train',
    labels=np.arange(23) % 4,
    digests=splits.content_digests([bytes([i]) for i in range(23)]),
    read=read,
    describe=lambda i: f'example {i}',
  )
  object.__setattr__(split, 'read_positions', read_positions)
  return split


def unmasked(results):
  """Returns (index, label, color) of the examples in batches, in order."""
  rows = []
  for batch in results:
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
  results = list(batches(split, CONTRACT, batch_size, workers=workers))
  assert unmasked(results) == [(i, i % 4, i + 1) for i in range(23)]
  assert sorted(split.read_positions) == list(range(23))
  assert len(results) == -(-23 // batch_size)
  assert not decoding_threads()


def test_shapes_types_and_padding(split):
  results = list(batches(split, CONTRACT, 5))
  for batch in results:
    assert {k: (v.shape, v.dtype.name) for k, v in batch.items()} == {
      'image': ((5, 4, 4, 3), 'uint8'),
      'label': ((5,), 'int32'),
      'mask': ((5,), 'bool'),
      'index': ((5,), 'int32'),
    }
  last = results[-1]
  assert last['mask'].tolist() == [True, True, True, False, False]
  assert last['index'].tolist() == [20, 21, 22, -1, -1]
  assert last['label'][3:].tolist() == [0, 0]
  assert not last['image'][3:].any()


@pytest.mark.parametrize('resize', RESIZES)
def test_each_resize(split, resize):
  results = list(batches(split, CONTRACT, 23, resize=resize))
  expected = [RESIZES[resize](split.read(i), CONTRACT) for i in range(23)]
  np.testing.assert_array_equal(results[0]['image'], expected)


def test_several_labels_each(split):
  labels = np.arange(69).reshape(23, 3) % 3 - 1
  object.__setattr__(split, 'labels', labels.astype(np.int32))
  last = list(batches(split, CONTRACT, 5))[-1]
  assert last['label'].dtype == np.int32
  np.testing.assert_array_equal(last['label'][:3], labels[20:])
  assert not last['label'][3:].any()


def test_a_part_of_a_split(split):
  results = unmasked(batches(split, CONTRACT, 4, start=6, stop=13))
  assert [index for index, _, _ in results] == list(range(6, 13))
  assert sorted(split.read_positions) == list(range(6, 13))
  assert list(batches(split, CONTRACT, 4, start=23)) == []
  both_parts = unmasked(batches(split, CONTRACT, 4, stop=6)) + unmasked(
    batches(split, CONTRACT, 3, start=6)
  )
  assert both_parts == unmasked(batches(split, CONTRACT, 7))


def test_reading_ahead_is_bounded_and_stops_with_the_consumer(split):
  iterator = batches(split, CONTRACT, 2, workers=2)
  assert (
    split.read_positions == []
  )  # Nothing happens before the first is asked for.
  next(iterator)
  time.sleep(0.1)
  assert len(split.read_positions) <= 2 + 2 * READ_AHEAD
  assert decoding_threads()
  iterator.close()
  assert not decoding_threads()
  assert len(split.read_positions) <= 2 + 2 * READ_AHEAD


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
  iterator = batches(half_corrupt, CONTRACT, 2)
  assert next(iterator)['index'].tolist() == [0, 1]
  with pytest.raises(CorruptImage, match='example 3'):
    next(iterator)
  assert not decoding_threads()


def test_corrupt_images_can_be_skipped_and_unmasked(half_corrupt):
  results = list(batches(half_corrupt, CONTRACT, 5, corrupt='skip'))
  index = np.concatenate([batch['index'] for batch in results])
  mask = np.concatenate([batch['mask'] for batch in results])
  image = np.concatenate([batch['image'] for batch in results])
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


# Training.


@pytest.fixture(scope='module')
def varied():
  """29 noisy examples, each unlike the others, of several sizes."""
  rng = np.random.default_rng(0)
  images = [
    rng.integers(0, 256, (9 + i % 5, 8 + i % 7, 3), dtype=np.uint8)
    for i in range(29)
  ]
  return Split(
    name='train',
    labels=np.arange(29) % 4,
    digests=splits.content_digests([image.tobytes() for image in images]),
    read=images.__getitem__,
    describe=lambda i: f'example {i}',
  )


def train(split, batch_size=8, seed=5, stop=9, **options):
  return list(
    training_batches(
      split, CONTRACT, batch_size, seed=seed, stop=stop, **options
    )
  )


def assert_same(results, expected):
  assert len(results) == len(expected)
  for one, other in zip(results, expected, strict=True):
    assert one.keys() == other.keys()
    for name in one:
      np.testing.assert_array_equal(one[name], other[name])


def test_every_epoch_sees_every_example_once_in_another_order(varied):
  index = np.concatenate([batch['index'] for batch in train(varied, stop=11)])
  assert len(index) == 88
  epochs = [index[:29], index[29:58], index[58:87]]
  for epoch in epochs:
    np.testing.assert_array_equal(np.sort(epoch), np.arange(29))
  assert len({epoch.tobytes() for epoch in epochs}) == 3
  assert (epochs[0] != np.arange(29)).any()


def test_shapes_and_types_in_training(varied):
  for batch in train(varied, color=True):
    assert {k: (v.shape, v.dtype.name) for k, v in batch.items()} == {
      'image': ((8, 4, 4, 3), 'uint8'),
      'label': ((8,), 'int32'),
      'mask': ((8,), 'bool'),
      'index': ((8,), 'int32'),
      'color': ((8, 5), 'float32'),
    }
    assert batch['mask'].all()
    np.testing.assert_array_equal(batch['label'], batch['index'] % 4)
  assert 'color' not in train(varied)[0]


def test_each_visit_of_an_example_is_another(varied):
  visits_by_example = {}
  for batch in train(varied, stop=29, color=True):
    for i, image, color in zip(
      batch['index'], batch['image'], batch['color'], strict=True
    ):
      visit = image.tobytes() + color.tobytes()
      visits_by_example.setdefault(int(i), []).append(visit)
  for visits in visits_by_example.values():
    assert len(visits) == 8
    assert len(set(visits)) == 8


def test_the_seed_decides_all(varied):
  expected = train(varied, color=True)
  assert_same(train(varied, color=True), expected)
  other = train(varied, color=True, seed=6)
  for name in ('index', 'image', 'color'):
    assert (other[0][name] != expected[0][name]).any()


@pytest.mark.parametrize('workers', [1, 7])
def test_workers_change_nothing(varied, workers):
  assert_same(train(varied, workers=workers), train(varied, workers=3))
  assert not decoding_threads()


@pytest.mark.parametrize('start', [1, 3, 4, 8, 9])
def test_going_on_at_any_step_is_as_if_never_stopped(varied, start):
  expected = train(varied, color=True)[start:]
  assert_same(train(varied, color=True, start=start), expected)


@pytest.mark.parametrize('count', [2, 4])
def test_processes_share_each_batch(varied, count):
  whole = train(varied, color=True)
  parts = [train(varied, color=True, process=(i, count)) for i in range(count)]
  joined = [
    {k: np.concatenate([part[k] for part in step]) for k in step[0]}
    for step in zip(*parts, strict=True)
  ]
  assert_same(joined, whole)


@pytest.mark.parametrize('count', [2, 3, 6])
def test_processes_share_each_batch_of_an_evaluation(varied, count):
  whole = list(batches(varied, CONTRACT, 6))
  parts = [
    list(batches(varied, CONTRACT, 6, process=(i, count))) for i in range(count)
  ]
  joined = [
    {k: np.concatenate([part[k] for part in step]) for k in step[0]}
    for step in zip(*parts, strict=True)
  ]
  assert_same(joined, whole)
  # 29 of 30 rows: padded at the very end only.
  assert [batch['mask'].sum() for batch in joined] == [6, 6, 6, 6, 5]


def test_a_batch_larger_than_the_split(varied):
  batch = train(varied, batch_size=64, stop=1)[0]
  np.testing.assert_array_equal(
    np.bincount(batch['index'], minlength=29)[[0, 1]] >= 2, True
  )
  assert batch['mask'].all()


def test_decoded_images_in_memory_change_nothing(varied):
  expected = train(varied)
  for budget in (0, 2000, 10**6):
    assert_same(train(cache_images(varied, budget)), expected)


def test_a_corrupt_image_in_training(half_corrupt):
  with pytest.raises(CorruptImage, match='example (3|22)'):
    train(half_corrupt, stop=3)
  results = train(half_corrupt, stop=3, corrupt='skip')
  index = np.concatenate([batch['index'] for batch in results])
  mask = np.concatenate([batch['mask'] for batch in results])
  np.testing.assert_array_equal(~mask, np.isin(index, [3, 22]))
  assert not decoding_threads()


@pytest.mark.parametrize(
  ('arguments', 'error', 'message'),
  [
    ({'batch_size': 0}, InputError, 'batch_size: expected 1 or more'),
    ({'seed': -1}, InputError, 'seed: expected 0 or more, got -1'),
    ({'start': 4, 'stop': 3}, InputError, 'expected 0 <= start <= stop'),
    ({'process': (0, 3)}, InputError, 'a multiple of the 3 processes, got 8'),
    ({'process': (2, 2)}, ValueError, 'no number 2 of 2'),
    ({'corrupt': 'no'}, InputError, "expected 'error' or 'skip'"),
  ],
)
def test_bad_arguments_of_training_fail_at_the_call(
  varied, arguments, error, message
):
  options = {'batch_size': 8, 'seed': 0, 'stop': 9} | arguments
  batch_size = options.pop('batch_size')
  with pytest.raises(error, match=message):
    training_batches(varied, CONTRACT, batch_size, **options)


def test_nothing_to_train_on(varied):
  empty = Split(
    name='train',
    labels=np.zeros(0),
    digests=np.zeros((0, 32)),
    read=varied.read,
    describe=str,
  )
  with pytest.raises(InputError, match='nothing to train on'):
    training_batches(empty, CONTRACT, 8, seed=0, stop=1)
