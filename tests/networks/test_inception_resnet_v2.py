"""Tests that Inception-ResNet v2 computes what each source computes."""

import pytest

from tests.networks import parity
from tf_transfer.networks import inception_resnet_v2


@pytest.mark.parametrize(
  ('source', 'network'), parity.cases(inception_resnet_v2.InceptionResNetV2)
)
def test_golden_outputs(source, network, golden_input):
  parity.check_golden_outputs(source, network, golden_input)
