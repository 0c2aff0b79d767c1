"""Tests that BN-Inception computes what each source computes."""

import pytest

from tests.networks import parity
from tf_transfer.networks import bn_inception


@pytest.mark.parametrize(
  ('source', 'network'), parity.cases(bn_inception.BNInception)
)
def test_golden_outputs(source, network, golden_input):
  parity.check_golden_outputs(source, network, golden_input)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('source', 'network', 'wrong'),
  [
    ('slim', 'bn_inception', {'padding': 'symmetric'}),
    ('slim', 'bn_inception', {'count_padding': True}),
  ],
)
def test_comparison_sees_a_wrong_option(source, network, wrong, golden_input):
  parity.check_wrong_option_is_seen(source, network, wrong, golden_input)
