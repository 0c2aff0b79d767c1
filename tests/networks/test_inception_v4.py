"""Tests that Inception v4 computes what each source computes."""

import pytest

from tests.networks import parity
from tf_transfer.networks import inception_v4


@pytest.mark.parametrize(
  ('source', 'network'), parity.cases(inception_v4.InceptionV4)
)
def test_golden_outputs(source, network, golden_input):
  parity.check_golden_outputs(source, network, golden_input)
