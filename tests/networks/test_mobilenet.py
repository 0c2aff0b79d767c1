"""Tests that MobileNet v1 and v2 compute what each source computes."""

import pytest

from tests.networks import parity
from tf_transfer.networks import mobilenet

BACKBONES = (mobilenet.MobileNetV1, mobilenet.MobileNetV2)


@pytest.mark.parametrize(('source', 'network'), parity.cases(*BACKBONES))
def test_golden_outputs(source, network, golden_input):
  parity.check_golden_outputs(source, network, golden_input)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('source', 'network', 'wrong'),
  [
    ('slim', 'mobilenet_v1', {'padding': 'symmetric'}),
    ('slim', 'mobilenet_v2', {'padding': 'symmetric'}),
    ('slim', 'mobilenet_v1', {'epsilon': 1e-5}),
  ],
)
def test_comparison_sees_a_wrong_option(source, network, wrong, golden_input):
  parity.check_wrong_option_is_seen(source, network, wrong, golden_input)
