"""Finding and leaving out the images that cannot be decoded."""

import dataclasses

import numpy as np
import pytest

from tf_transfer.contract import Contract
from tf_transfer.datasets import pipeline
from tf_transfer.datasets.dataset import Split
from tf_transfer.datasets.images import corruption
from tf_transfer.errors import InputError
from tf_transfer.images.decoding import CorruptImage

CONTRACT = Contract(4, mean=(0, 0, 0), std=(1, 1, 1))


def make_split(num_images, corrupt, reads=None):
  def read(i):
    if reads is not None:
      reads.append(i)
    if i in corrupt:
      raise CorruptImage(f'image {i}: broken', 'broken')
    return np.full((5, 5, 3), i % 256, np.uint8)

  return Split(
    'train',
    np.zeros(num_images),
    np.arange(num_images * 32).reshape(num_images, 32) % 251,
    read,
    lambda i: f'image {i}',
  )


def test_every_corrupt_image_is_found_and_each_is_decoded_once():
  reads = []
  corrupt = {0, 7, 1023, 1024, 2499}
  split = make_split(2500, corrupt, reads)
  assert corruption.find(split, 'x') == sorted(corrupt)
  assert sorted(reads) == list(range(2500))
  # Cells of a study share their splits.
  assert corruption.find(split, 'x') == sorted(corrupt)
  assert len(reads) == 2500


def test_processes_share_the_work():
  split = make_split(11, {2, 3, 10})
  parts = [corruption.find(split, 'x', (index, 2)) for index in range(2)]
  assert parts == [[2, 10], [3]]


def test_other_errors_are_not_taken_for_corrupt_images():
  def read(i):
    raise ZeroDivisionError

  split = dataclasses.replace(make_split(3, ()), read=read)
  with pytest.raises(ZeroDivisionError):
    corruption.find(split, 'x')


def test_what_is_left_out_is_left_out_of_training_and_evaluation():
  split = dataclasses.replace(
    make_split(9, ()), encoded=lambda i: b'%d' % i, name='val'
  )
  rest = corruption.leave_out(split, [2, 5])
  assert [rest.encoded(i) for i in (1, 2)] == [b'1', None]
  rest = corruption.leave_out(make_split(9, ()), [2, 5])
  (batch,) = pipeline.batches(rest, CONTRACT, 9, corrupt='skip')
  assert np.flatnonzero(~batch['mask']).tolist() == [2, 5]
  for batch in pipeline.training_batches(
    rest, CONTRACT, 9, seed=0, stop=3, corrupt='skip'
  ):
    assert sorted(batch['index'][~batch['mask']].tolist()) == [2, 5]
  with pytest.raises(CorruptImage, match='image 2'):
    rest.read(2)


def test_nothing_left_out_is_the_split_itself():
  split = make_split(3, ())
  assert corruption.leave_out(split, []) is split


def test_the_report_counts_all_names_a_few_and_says_what_to_do():
  split = make_split(9, set(range(7)))
  error = corruption.report([(split, i) for i in range(7)], 1200)
  assert isinstance(error, InputError)
  text = str(error)
  assert text.startswith('7 of 1,200 images cannot be decoded: image 0, image')
  assert 'and 2 more (the first: broken); replace' in text
  assert '--config.data.corrupt=skip' in text
  assert '\n' not in text


def test_once_one_is_met_all_are_named():
  splits = {'train': make_split(5, {1}), 'test': make_split(6, {0, 4})}
  text = str(corruption.report_all(splits, 'photos'))
  assert text.startswith('3 of 11 images cannot be decoded: image 1, image 0')
