"""Tests of DenseNets: widths, and the outputs of each source."""

import pytest

from tests.networks import parity
from tf_transfer import networks
from tf_transfer.networks import densenet


@pytest.mark.parametrize(
  ('name', 'depths', 'layers'),
  [
    ('densenet121', densenet.DEPTHS_121, 121),
    ('densenet169', densenet.DEPTHS_169, 169),
    ('densenet201', densenet.DEPTHS_201, 201),
  ],
)
def test_depths_give_layers_and_features(name, depths, layers):
  """A layer adds 32 channels in two convolutions; transitions halve them."""
  assert 2 * sum(depths) + len(depths) - 1 + 2 == layers
  width = 64
  for block, depth in enumerate(depths):
    width += 32 * depth
    if block < len(depths) - 1:
      width //= 2
  assert networks.row(name).feature_dim == width


@pytest.mark.parametrize(('source', 'network'), parity.cases(densenet.DenseNet))
def test_golden_outputs(source, network, golden_input):
  parity.check_golden_outputs(source, network, golden_input)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('source', 'network', 'wrong'),
  [('keras', 'densenet121', {'epsilon': 1e-3})],
)
def test_comparison_sees_a_wrong_option(source, network, wrong, golden_input):
  parity.check_wrong_option_is_seen(source, network, wrong, golden_input)
