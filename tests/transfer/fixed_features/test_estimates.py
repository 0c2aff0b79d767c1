import ml_collections
import numpy as np
import pytest

from tf_transfer.transfer import estimators
from tf_transfer.transfer.fixed_features import estimates, features


class Header:
  def __init__(self, num_classes):
    self.num_classes = num_classes


class Net:
  """A network of which only the head is asked."""

  def __init__(self, num_classes):
    self.header = Header(num_classes)

  def logits_from_features(self, values):
    return values[:, : self.header.num_classes]


def compute(net, layer='', names=('leep', 'logme')):
  rng = np.random.default_rng(0)
  labels = np.arange(40) % 4
  values = rng.normal(size=(40, 6)).astype(np.float32)
  digests = rng.integers(256, size=(40, 32), dtype=np.uint8)
  config = ml_collections.ConfigDict({'layer': layer, 'estimators': names})
  compute_estimates = estimates.estimator(net, 4, config)
  matrix = features.Features(values, labels, np.arange(40), (), 0)
  return compute_estimates(matrix, digests)


def test_nothing_is_computed_unless_asked_for():
  config = ml_collections.ConfigDict({'layer': '', 'estimators': ()})
  assert estimates.estimator(Net(3), 4, config) is None


def test_estimates_are_in_the_configs_order():
  results = compute(Net(3))
  assert list(results) == ['leep', 'logme']
  assert all(np.isfinite(one.value) for one in results.values())


@pytest.mark.parametrize(
  ('net', 'layer', 'reason'),
  [
    (Net(0), '', 'the weights file has no head'),
    (Net(3), 'mixed', 'the features are those of mixed'),
  ],
)
def test_why_the_head_says_nothing(net, layer, reason):
  results = compute(net, layer)
  assert reason in results['leep'].reason
  assert isinstance(results['logme'], estimators.Estimate)
  assert not results['logme'].reason
