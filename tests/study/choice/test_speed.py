"""What networks cost: operations, parameters, speed."""

import jax
import numpy as np
import pytest

from tests.transfer.training import killable, small
from tf_transfer import networks
from tf_transfer.networks import weights
from tf_transfer.study.choice import speed
from tf_transfer.transfer.fixed_features import feature_cache, features
from tf_transfer.transfer.training import train_step


@pytest.fixture
def tiny(tiny_config):
  """A tiny network; `tiny_config` puts it into the table."""
  model = networks.build('tiny', num_classes=3)
  variables = train_step.initial_variables(model, small.SIZE, seed=0)
  header = weights.Header('tiny', {}, killable.CONTRACT, num_classes=3)
  return networks.Network(
    header, model, weights.unflatten(weights.flatten(variables)), 'a' * 64
  )


def test_a_matrix_product_counts_two_operations_a_multiplication():
  a = np.zeros((8, 32), np.float32)
  b = np.zeros((32, 16), np.float32)
  jaxpr = jax.make_jaxpr(lambda x, y: x @ y)(a, b).jaxpr
  assert speed.count_flops(jaxpr) == 2 * 8 * 32 * 16


def test_operations_of_resnet50_are_those_that_are_known():
  """4.09e9 multiplications and additions at 224 px (fvcore, torchvision)."""
  net = networks.untrained('resnet50')
  shapes = networks.expected_variables(net.model, 224)
  variables = weights.unflatten(shapes)
  pixels = np.zeros((1, 224, 224, 3), np.uint8)
  size224 = networks.Network(net.header, net.model, variables, '')
  traced = speed.trace_single(size224, pixels)
  flops = speed.count_flops(traced.jaxpr.jaxpr)
  assert flops == pytest.approx(2 * 4.09e9, rel=0.005)
  assert speed.count_parameters(size224) == 23_508_032


def test_speed_is_measured_at_both_batch_sizes(tiny, tmp_path):
  cache = feature_cache.FeatureCache(tmp_path, 2**30)
  extract = features.Extractor(tiny, cache, batch_size=32)
  measured = speed.measure(extract, tiny)
  assert set(measured.images_per_second) == {1, 32}
  assert all(value > 0 for value in measured.images_per_second.values())
  assert measured.flops > 0


def test_the_fastest_call_counts_and_the_first_does_not(monkeypatch):
  seconds = iter([0, 2, 2, 6, 6, 7])  # Three calls of 2, 4 and 1 seconds.
  monkeypatch.setattr(speed, '_MAX_REPEATS', 3)
  monkeypatch.setattr(speed.time, 'perf_counter', lambda: next(seconds))
  calls = []

  def call():
    calls.append(None)
    return np.zeros(1)

  assert speed._fastest_seconds(call) == 1
  assert len(calls) == 4
