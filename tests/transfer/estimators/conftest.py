"""Examples for the estimators' tests."""

import numpy as np
import pytest

from tf_transfer.transfer import estimators


def make(num_examples, width, num_classes):
  """Examples whose values do not depend on NumPy's version."""
  # The legacy generator's numbers are frozen.
  random = np.random.RandomState(num_examples)
  labels = np.arange(num_examples) % num_classes
  shift = 0.6 * np.cos(np.outer(labels + 1, np.arange(width)))
  features = random.normal(size=(num_examples, width)) + shift
  logits = 2 * random.normal(size=(num_examples, 6))
  logits += 2 * (np.arange(6) == labels[:, None])
  theta = np.exp(logits)
  theta /= theta.sum(axis=1, keepdims=True)
  return estimators.Examples(
    np.maximum(features, 0).astype(np.float32),
    labels,
    num_classes,
    theta.astype(np.float32),
  )


@pytest.fixture
def tall():
  """60 examples of 8 features in 3 classes."""
  return make(60, 8, 3)


@pytest.fixture
def wide():
  """20 examples of 50 features in 4 classes."""
  return make(20, 50, 4)
