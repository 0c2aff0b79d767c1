"""Tests of the blocks of EfficientNet-Lite."""

import pytest

from tf_transfer.networks import efficientnet


@pytest.mark.parametrize(
  ('width', 'depth', 'repeats', 'features'),
  [
    (1.0, 1.0, (1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320)),
    (1.0, 1.1, (1, 3, 3, 4, 4, 5, 1), (16, 24, 40, 80, 112, 192, 320)),
    (1.1, 1.2, (1, 3, 3, 4, 4, 5, 1), (16, 24, 48, 88, 120, 208, 352)),
  ],
)
def test_blocks_of_each_stage(width, depth, repeats, features):
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
