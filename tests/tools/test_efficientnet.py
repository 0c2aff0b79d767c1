"""Tests of the rules that rename the variables of EfficientNets.

Of the Lite networks test_network.py of tests/networks compares the outputs of
the real weights.
"""

import numpy as np
import pytest

from tests.golden import rule
from tests.networks import parity
from tests.tools import checkpoint_files, golden_files
from tf_transfer import convert_weights, errors
from tf_transfer.convert_weights import efficientnet, rules, sources
from tf_transfer.networks import efficientnet as efficientnet_lib


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


BACKBONE = efficientnet_lib.EfficientNet


@pytest.mark.parametrize(('source', 'network'), parity.pairs_of(BACKBONE))
def test_rules_give_the_network_all_it_needs(source, network):
  golden_files.check_rules(source, network)


@pytest.mark.parametrize(('source', 'network'), golden_files.cases(BACKBONE))
def test_golden_outputs_of_a_file(tmp_path, source, network, golden_input):
  golden_files.check_conversion(tmp_path, source, network, golden_input)


@pytest.mark.usefixtures('traced_once')
def test_padding_of_a_file_of_timm_is_told_by_its_name(tmp_path):
  """Both kinds have the same variables; the network is not the same."""
  tensors = rule.checkpoint('timm', 'efficientnet_b0', 2.0)
  output = tmp_path / 'out.safetensors'
  for name, source in (
    ('efficientnet_b0.ra_in1k', 'timm'),
    ('tf_efficientnet_b0.ns_jft_in1k', 'timm_tf'),
  ):
    path = tmp_path / f'{name}.safetensors'
    checkpoint_files.write(path, tensors)
    header = convert_weights.convert('efficientnet_b0', path, output)
    row = sources.get_source('efficientnet_b0', source)
    assert header.options == row.options
    assert header.imagenet_top1 == row.imagenet_top1
  path = path.rename(tmp_path / 'model.safetensors')
  with pytest.raises(errors.InputError, match='--source=timm_tf'):
    convert_weights.convert('efficientnet_b0', path, output)
