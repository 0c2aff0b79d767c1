"""Tests of EfficientNetV2: drop path, widths, and each source's outputs."""

import functools

import jax
import numpy as np
import pytest

from tests.networks import parity
from tf_transfer.networks import efficientnet_v2


def test_drop_path_leaves_out_whole_examples():
  block = efficientnet_v2.Block(1, 1, True, 8, 1, 1)
  x = np.float32(np.random.default_rng(0).normal(size=(32, 6, 6, 8)))
  variables = jax.jit(efficientnet_v2.FusedInvertedResidual(block, 0.0).init)(
    jax.random.key(0), x
  )

  @functools.partial(jax.jit, static_argnums=0)
  def branch(rate):
    y, _ = efficientnet_v2.FusedInvertedResidual(block, rate).apply(
      variables,
      x,
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.key(1)},
    )
    return y - x

  plain, dropped = branch(0.0), branch(0.75)
  gone = np.abs(dropped).max(axis=(1, 2, 3)) == 0
  assert 16 < gone.sum() < 32
  np.testing.assert_allclose(dropped[~gone], 4 * plain[~gone], atol=1e-5)


def test_scaled_widths_may_fall_below_nine_tenths():
  # 16 channels × 1.2 are 16, where the first EfficientNets would have 24.
  stages = efficientnet_v2.B3.stages
  assert [stage.features for stage in stages] == [16, 40, 56, 112, 136, 232]
  assert [stage.repeats for stage in stages] == [2, 3, 3, 5, 7, 12]
  assert (efficientnet_v2.B3.stem, efficientnet_v2.B3.top) == (40, 1536)


@pytest.mark.parametrize(
  ('source', 'network'), parity.cases(efficientnet_v2.EfficientNetV2)
)
def test_golden_outputs(source, network, golden_input):
  parity.check_golden_outputs(source, network, golden_input)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('source', 'network', 'wrong'),
  [('keras', 'efficientnet_v2_b0', {'epsilon': 1e-5})],
)
def test_comparison_sees_a_wrong_option(source, network, wrong, golden_input):
  parity.check_wrong_option_is_seen(source, network, wrong, golden_input)
