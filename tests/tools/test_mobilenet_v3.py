"""Tests of the rules that rename the variables of MobileNet v3."""

import pytest

from tests.networks import parity
from tests.tools import golden_files
from tf_transfer.networks import mobilenet_v3

BACKBONE = mobilenet_v3.MobileNetV3Large


@pytest.mark.parametrize(('source', 'network'), parity.pairs_of(BACKBONE))
def test_rules_give_the_network_all_it_needs(source, network):
  golden_files.check_rules(source, network)


@pytest.mark.parametrize(('source', 'network'), golden_files.cases(BACKBONE))
def test_golden_outputs_of_a_file(tmp_path, source, network, golden_input):
  golden_files.check_conversion(tmp_path, source, network, golden_input)
