"""Tests of the tables in which the Inceptions are written."""

from tf_transfer.networks import inception_blocks
from tf_transfer.networks.inception_blocks import Pool, Split, conv

SPLIT = Split((conv(4, (1, 3)), conv(4, (3, 1))))
BRANCHES = (
  (conv(8),),
  (conv(8), conv(4, 3), SPLIT),
  (Pool('max'), conv(2)),
)


def test_branch_convs_have_their_positions():
  convs = list(inception_blocks.branch_convs(BRANCHES))
  assert [(c.name, c.branch, c.number) for c in convs] == [
    ('branch1_1_1x1', 1, 1),
    ('branch2_1_1x1', 2, 1),
    ('branch2_2_3x3', 2, 2),
    ('branch2_3_1x3', 2, 3),
    ('branch2_4_3x1', 2, 4),
    ('branch3_1_1x1', 3, 1),
  ]
  assert [c.alone for c in convs] == [True, *[False] * 5]
  assert [c.after_pool for c in convs] == [*[False] * 5, True]


def test_conv_paths_leave_out_poolings():
  blocks = (
    ('conv_1a', conv(8, 3)),
    ('pool_2a', Pool('max')),
    ('mixed_3a', BRANCHES[:1]),
  )
  assert list(inception_blocks.conv_paths(blocks)) == [
    'conv_1a',
    'mixed_3a/branch1_1_1x1',
  ]
