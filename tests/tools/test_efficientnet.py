"""Tests of the rules that rename the variables of EfficientNet-Lite.

test_network.py of tests/networks compares the outputs of the real weights.
"""

import numpy as np
import pytest

from tf_transfer.convert_weights import efficientnet, rules


def paths(names, width=1.0, depth=1.0):
  """Our paths of convolution kernels, and the problems."""
  tensors = {name: np.zeros((1, 1, 1, 1), np.float32) for name in names}
  arrays, problems = rules.apply_rules(
    tensors, efficientnet.pytorch(width, depth)
  )
  return list(arrays), problems


@pytest.mark.parametrize(
  ('name', 'path'),
  [
    ('_conv_stem.weight', 'params/backbone/stem/conv/kernel'),
    ('_bn0.running_mean', 'batch_stats/backbone/stem/bn/mean'),
    ('_conv_head.weight', 'params/backbone/top/conv/kernel'),
    (
      '_blocks.0._depthwise_conv.weight',
      'params/backbone/stage1_block1/depthwise/conv/kernel',
    ),
    # The first block does not expand, but its batch norms are 1 and 2 too.
    (
      '_blocks.0._bn1.weight',
      'params/backbone/stage1_block1/depthwise/bn/scale',
    ),
    (
      '_blocks.0._bn2.running_var',
      'batch_stats/backbone/stage1_block1/project/bn/var',
    ),
    (
      '_blocks.2._expand_conv.weight',
      'params/backbone/stage2_block2/expand/conv/kernel',
    ),
    ('_blocks.2._bn0.bias', 'params/backbone/stage2_block2/expand/bn/bias'),
    (
      '_blocks.15._project_conv.weight',
      'params/backbone/stage7_block1/project/conv/kernel',
    ),
    ('_fc.bias', 'params/head/bias'),
  ],
)
def test_paths(name, path):
  assert paths([name]) == ([path], [])


def test_counters_are_dropped():
  assert paths(['_blocks.3._bn2.num_batches_tracked']) == ([], [])


@pytest.mark.parametrize(
  'name',
  ['_blocks.0._expand_conv.weight', '_blocks.0._bn0.bias', '_blocks.16.x'],
)
def test_unknown_names(name):
  assert paths([name]) == ([], [f'unknown variable {name} (1, 1, 1, 1)'])


def test_deeper_network_has_its_last_block_at_another_number():
  """At a depth of 1.1 stages 2 to 6 have 3, 3, 4, 4 and 5 blocks."""
  names = ['_blocks.20._project_conv.weight']
  path = 'params/backbone/stage7_block1/project/conv/kernel'
  assert paths(names, depth=1.1) == ([path], [])
  assert paths(names)[0] == []
