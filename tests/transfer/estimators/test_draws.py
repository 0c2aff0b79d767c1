import dataclasses

import numpy as np

from tf_transfer.transfer.estimators import draws


def reorder(examples, order):
  return dataclasses.replace(
    examples, features=examples.features[order], labels=examples.labels[order]
  )


def test_a_tenth_of_each_class_and_at_least_one(tall):
  labels = np.array([0] * 40 + [1] * 17 + [2] * 3)
  drawn = draws.tenth_of_each_class(dataclasses.replace(tall, labels=labels))
  assert np.bincount(labels[drawn]).tolist() == [4, 2, 1]


def test_draws_do_not_depend_on_the_order_of_examples(tall):
  order = np.random.default_rng(0).permutation(60)
  want = draws.tenth_of_each_class(tall)
  got = draws.tenth_of_each_class(reorder(tall, order))
  np.testing.assert_array_equal(got, want[order])


def test_another_seed_draws_others(tall):
  others = dataclasses.replace(tall, seed=1)
  assert (draws.order(tall) != draws.order(others)).any()
