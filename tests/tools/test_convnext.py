"""Tests of the rules that rename the variables of ConvNeXt."""

import numpy as np
import pytest

from tests.networks import parity
from tests.tools import golden_files
from tf_transfer.networks import convnext

KERAS_BLOCK = 'convnext_tiny_stage_0_block_0'


@pytest.mark.parametrize(
  ('source', 'network'), parity.pairs_of(convnext.ConvNeXt)
)
def test_rules_give_the_network_all_it_needs(source, network):
  golden_files.check_rules(source, network)


@pytest.mark.parametrize(
  ('source', 'network'), golden_files.cases(convnext.ConvNeXt)
)
def test_golden_outputs_of_a_file(tmp_path, source, network, golden_input):
  golden_files.check_conversion(tmp_path, source, network, golden_input)


def test_kernel_of_a_linear_layer_becomes_a_1x1_convolution():
  """PyTorch has outputs by inputs, Keras inputs by outputs."""
  kernel = np.arange(384 * 96, dtype=np.float32).reshape(384, 96)
  path = 'params/backbone/stage1_block1/expand/kernel'
  for source, name, array in (
    ('timm', 'stages.0.blocks.0.mlp.fc1.weight', kernel),
    ('torchvision', 'features.1.0.block.3.weight', kernel),
    ('keras', f'{KERAS_BLOCK}_pointwise_conv_1/kernel', kernel.T),
  ):
    arrays, problems = golden_files.convert(
      source, 'convnext_tiny', {name: array}
    )
    assert not problems
    np.testing.assert_array_equal(arrays[path][0, 0], kernel.T)
