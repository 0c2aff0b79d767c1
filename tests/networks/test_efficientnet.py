"""Tests of EfficientNet: the blocks, and the outputs of each source."""

import pytest

from tests.networks import parity
from tf_transfer.networks import efficientnet


@pytest.mark.parametrize(
  ('width', 'depth', 'repeats', 'features'),
  [
    (1.0, 1.0, (1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320)),
    (1.0, 1.1, (1, 3, 3, 4, 4, 5, 1), (16, 24, 40, 80, 112, 192, 320)),
    (1.1, 1.2, (1, 3, 3, 4, 4, 5, 1), (16, 24, 48, 88, 120, 208, 352)),
  ],
)
def test_blocks_of_each_stage_of_the_lite_networks(
  width, depth, repeats, features
):
  """The first and the last stage are not repeated more."""
  blocks = efficientnet.blocks(width, depth)
  stages = [
    [b for b in blocks if b.name.startswith(f'stage{stage}_')]
    for stage in range(1, 8)
  ]
  assert tuple(map(len, stages)) == repeats
  assert tuple(stage[0].features for stage in stages) == features
  assert [stage[0].strides for stage in stages] == [1, 2, 2, 2, 1, 2, 1]
  assert all(b.strides == 1 for stage in stages for b in stage[1:])


@pytest.mark.parametrize(
  ('number', 'repeats', 'features'),
  [
    (0, (1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320)),
    (1, (2, 3, 3, 4, 4, 5, 2), (16, 24, 40, 80, 112, 192, 320)),
    (4, (2, 4, 4, 6, 6, 8, 2), (24, 32, 56, 112, 160, 272, 448)),
  ],
)
def test_blocks_of_each_stage(number, repeats, features):
  multipliers = efficientnet.MULTIPLIERS[number]
  blocks = efficientnet.blocks(*multipliers, fixed_ends=False)
  stages = [
    [b for b in blocks if b.name.startswith(f'stage{stage}_')]
    for stage in range(1, 8)
  ]
  assert tuple(map(len, stages)) == repeats
  assert tuple(stage[0].features for stage in stages) == features


@pytest.mark.parametrize(
  ('source', 'network'), parity.cases(efficientnet.EfficientNet)
)
def test_golden_outputs(source, network, golden_input):
  parity.check_golden_outputs(source, network, golden_input)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('source', 'network', 'wrong'),
  [
    ('timm', 'efficientnet_b0', {'padding': 'same'}),
    ('timm_tf', 'efficientnet_b0', {'epsilon': 1e-5}),
  ],
)
def test_comparison_sees_a_wrong_option(source, network, wrong, golden_input):
  parity.check_wrong_option_is_seen(source, network, wrong, golden_input)
