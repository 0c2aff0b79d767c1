"""Tests of MobileNet v3: its activations, and the outputs of each source."""

import jax
import numpy as np
import pytest

from tests.networks import parity
from tf_transfer.networks import mobilenet_v3


def test_hard_swish_and_its_gate():
  x = np.float32([-4, -3, -1.5, 0, 1.5, 3, 4])
  gate = np.float32([0, 0, 0.25, 0.5, 0.75, 1, 1])
  np.testing.assert_allclose(mobilenet_v3.hard_sigmoid(x), gate)
  np.testing.assert_allclose(mobilenet_v3.hard_swish(x), x * gate)
  slopes = np.asarray(jax.vmap(jax.grad(mobilenet_v3.hard_swish))(x))
  # (2 x + 3) / 6 between the bounds.
  np.testing.assert_allclose(slopes[[0, 2, 3, 4, 6]], [0, 0, 0.5, 1, 1])


@pytest.mark.parametrize(
  ('source', 'network'), parity.cases(mobilenet_v3.MobileNetV3Large)
)
def test_golden_outputs(source, network, golden_input):
  parity.check_golden_outputs(source, network, golden_input)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('source', 'network', 'wrong'),
  [
    ('torchvision', 'mobilenet_v3_large', {'padding': 'same'}),
    ('torchvision', 'mobilenet_v3_large', {'epsilon': 1e-5}),
  ],
)
def test_comparison_sees_a_wrong_option(source, network, wrong, golden_input):
  parity.check_wrong_option_is_seen(source, network, wrong, golden_input)
