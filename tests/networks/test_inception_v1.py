"""Tests that Inception v1 computes what each source computes."""

import pytest

from tests.networks import parity
from tf_transfer.networks import inception_v1


@pytest.mark.parametrize(
  ('source', 'network'), parity.cases(inception_v1.InceptionV1)
)
def test_golden_outputs(source, network, golden_input):
  parity.check_golden_outputs(source, network, golden_input)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('source', 'network', 'wrong'),
  [('slim', 'inception_v1', {'padding': 'symmetric'})],
)
def test_comparison_sees_a_wrong_option(source, network, wrong, golden_input):
  parity.check_wrong_option_is_seen(source, network, wrong, golden_input)


def test_contract_has_what_torchvision_does_to_the_input(golden_input):
  parity.check_torchvision_input('inception_v1', golden_input)
