"""Tests of the rules that rename the variables of ResNets."""

import pytest

from tests.networks import parity
from tests.tools import golden_files
from tf_transfer.networks import resnet


@pytest.mark.parametrize(('source', 'network'), parity.pairs_of(resnet.ResNet))
def test_rules_give_the_network_all_it_needs(source, network):
  golden_files.check_rules(source, network)


@pytest.mark.parametrize(
  ('source', 'network'), golden_files.cases(resnet.ResNet)
)
def test_golden_outputs_of_a_file(tmp_path, source, network, golden_input):
  golden_files.check_conversion(tmp_path, source, network, golden_input)


@pytest.mark.parametrize(
  ('source', 'network', 'part'),
  [('torchvision', 'resnet50', r'.*num_batches_tracked')],
)
def test_variables_that_may_be_absent(source, network, part):
  golden_files.check_may_be_absent(source, network, part)
