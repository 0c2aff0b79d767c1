"""Tests of the rules that rename the variables of EfficientNetV2."""

import pytest

from tests.networks import parity
from tests.tools import golden_files
from tf_transfer.networks import efficientnet_v2


@pytest.mark.parametrize(
  ('source', 'network'), parity.pairs_of(efficientnet_v2.EfficientNetV2)
)
def test_rules_give_the_network_all_it_needs(source, network):
  golden_files.check_rules(source, network)


@pytest.mark.parametrize(
  ('source', 'network'), golden_files.cases(efficientnet_v2.EfficientNetV2)
)
def test_golden_outputs_of_a_file(tmp_path, source, network, golden_input):
  golden_files.check_conversion(tmp_path, source, network, golden_input)
