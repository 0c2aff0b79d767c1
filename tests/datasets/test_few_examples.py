"""A few examples of each class (figure 9)."""

import numpy as np
import pytest

from tf_transfer import datasets, errors
from tf_transfer.configs.presets import few_examples
from tf_transfer.transfer.training import search


@pytest.fixture(scope='module')
def digits():
  return datasets.open('digits')


def digests(split):
  return {row.tobytes() for row in split.digests}


def test_so_many_of_each_class(digits):
  few = datasets.few_examples(digits, 3, seed=0)
  train = few.splits['train']
  np.testing.assert_array_equal(np.bincount(train.labels), [3] * 10)
  assert digests(train) < digests(digits.splits['train'])
  assert few.splits['val'] is digits.splits['val']
  assert few.splits['test'] is digits.splits['test']
  # The last fit sees no more of them.
  assert few.trainval.hash == train.hash
  assert digits.trainval.hash not in (train.hash, digits.splits['train'].hash)
  assert few.notes[-1] == '3 training images of each class, drawn with seed 0'
  # Images go with their labels.
  whole = digits.splits['train']
  position = {row.tobytes(): i for i, row in enumerate(whole.digests)}
  for i in (0, 7, 29):
    original = position[train.digests[i].tobytes()]
    np.testing.assert_array_equal(train.read(i), whole.read(original))
    assert train.labels[i] == whole.labels[original]
    assert train.describe(i) == whole.describe(original)


def test_draws_are_nested_and_differ_by_seed(digits):
  draws = [
    digests(datasets.few_examples(digits, n, seed=1).splits['train'])
    for n in (1, 2, 8)
  ]
  assert draws[0] < draws[1] < draws[2]
  other = digests(datasets.few_examples(digits, 8, seed=2).splits['train'])
  assert len(other & draws[2]) < 20


def test_more_than_a_class_has(digits):
  with pytest.raises(errors.InputError, match='expected at least examples_per'):
    datasets.few_examples(digits, 1000, seed=0)


def test_config_is_the_small_data_protocol():
  config = few_examples.get_config('a,b,4')
  assert config.data.examples_per_class == 4
  tuned, fresh = config.fine_tuned, config.random_init
  assert (tuned.batch_size, fresh.batch_size) == (64, 16)
  rates = [t.learning_rate for t in search.grid(tuned)]
  assert (min(rates), max(rates)) == pytest.approx((2.5e-5, 0.025))
  rates = [t.learning_rate for t in search.grid(fresh)]
  assert (min(rates), max(rates)) == pytest.approx((1e-3 / 16, 1 / 16))
  # 100 epochs of 1,020 images in batches of 64, and of 40 images 1,000 steps.
  assert search.recipe(tuned, 1020).steps == 1594
  assert search.recipe(tuned, 40).steps == 1000
