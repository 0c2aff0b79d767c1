"""Tests of vision transformers."""

import pytest

from tests.networks import parity
from tf_transfer.networks import vit


@pytest.mark.parametrize(
  ('source', 'network'), parity.cases(vit.VisionTransformer, vit.DINOv2)
)
def test_golden_outputs(source, network, golden_input):
  parity.check_golden_outputs(source, network, golden_input)
