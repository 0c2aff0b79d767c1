"""The config of a few examples of each class."""

import pytest
from tf_transfer.configs import few_examples

from tf_transfer.transfer.training import search


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
