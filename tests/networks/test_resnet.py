"""Tests of ResNets: strides, depths, and the outputs of each source."""

import pytest

from tests.networks import parity
from tf_transfer.networks import resnet


@pytest.mark.parametrize(
  ('stride_in', 'strided'),
  [
    ('first_3x3', {(2, 1), (3, 1), (4, 1)}),
    ('first_1x1', {(2, 1), (3, 1), (4, 1)}),
    ('last_3x3', {(1, 3), (2, 4), (3, 6)}),
  ],
)
def test_blocks_with_strides(stride_in, strided):
  model = resnet.ResNet(stride_in=stride_in)
  assert {
    (stage, block)
    for stage, depth in enumerate(resnet.DEPTHS_50, start=1)
    for block in range(1, depth + 1)
    if model._strides(stage, block) == 2
  } == strided


@pytest.mark.parametrize(
  ('depths', 'layers'),
  [
    (resnet.DEPTHS_50, 50),
    (resnet.DEPTHS_101, 101),
    (resnet.DEPTHS_152, 152),
  ],
)
def test_number_of_layers(depths, layers):
  """Three convolutions a bottleneck, the first one, and the logits."""
  assert 3 * sum(depths) + 2 == layers


@pytest.mark.parametrize(('source', 'network'), parity.cases(resnet.ResNet))
def test_golden_outputs(source, network, golden_input):
  parity.check_golden_outputs(source, network, golden_input)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('source', 'network', 'wrong'),
  [
    ('torchvision', 'resnet50', {'stride_in': 'first_1x1'}),
    ('torchvision', 'resnet50', {'stride_in': 'last_3x3'}),
    ('torchvision', 'resnet50', {'stem_pool': 'same'}),
  ],
)
def test_comparison_sees_a_wrong_option(source, network, wrong, golden_input):
  parity.check_wrong_option_is_seen(source, network, wrong, golden_input)
