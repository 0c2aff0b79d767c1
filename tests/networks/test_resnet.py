"""Tests of ResNets: strides, depths, and the outputs of each source."""

import jax
import numpy as np
import pytest

from tests.networks import arrays, parity
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


@pytest.mark.parametrize(
  ('depths', 'layers'), [(resnet.DEPTHS_18, 18), (resnet.DEPTHS_34, 34)]
)
def test_number_of_layers_of_basic_blocks(depths, layers):
  """Two convolutions a block."""
  assert 2 * sum(depths) + 2 == layers


def test_basic_blocks_have_one_place_for_strides():
  with pytest.raises(ValueError, match="stride_in: .*got 'first_1x1'"):
    resnet.ResNet(block=resnet.Basic, stride_in='first_1x1')


@pytest.mark.parametrize('kind', [resnet.Basic, resnet.Bottleneck])
def test_drop_path_leaves_the_input(kind):
  x = np.abs(arrays.random((2, 4, 4, 32)))
  features = 32 if kind is resnet.Basic else 8
  model = kind(features, 1, 3, drop_rate=1.0)
  variables = model.init(jax.random.key(0), x)
  assert 'shortcut' not in variables['params']
  y, _ = model.apply(
    variables,
    x,
    train=True,
    mutable=['batch_stats'],
    rngs={'dropout': jax.random.key(1)},
  )
  np.testing.assert_array_equal(y, x)
  assert np.abs(model.apply(variables, x) - x).max() > 0.1


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
    ('torchvision', 'resnet18', {'stem_pool': 'same'}),
  ],
)
def test_comparison_sees_a_wrong_option(source, network, wrong, golden_input):
  parity.check_wrong_option_is_seen(source, network, wrong, golden_input)
