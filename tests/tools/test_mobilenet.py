"""Tests of the rules that rename the variables of MobileNets."""

import pytest

from tests.networks import parity
from tests.tools import golden_files
from tf_transfer.networks import mobilenet

BACKBONES = (mobilenet.MobileNetV1, mobilenet.MobileNetV2)


@pytest.mark.parametrize(('source', 'network'), parity.pairs_of(*BACKBONES))
def test_rules_give_the_network_all_it_needs(source, network):
  golden_files.check_rules(source, network)


@pytest.mark.parametrize(('source', 'network'), golden_files.cases(*BACKBONES))
def test_golden_outputs_of_a_file(tmp_path, source, network, golden_input):
  golden_files.check_conversion(tmp_path, source, network, golden_input)
