"""Tests of the rules that rename the variables of the Inceptions."""

import pytest

from tests.networks import parity
from tests.tools import golden_files
from tf_transfer.networks import (
  bn_inception,
  inception_resnet_v2,
  inception_v1,
  inception_v3,
  inception_v4,
)

BACKBONES = (
  inception_v1.InceptionV1,
  inception_v3.InceptionV3,
  inception_v4.InceptionV4,
  inception_resnet_v2.InceptionResNetV2,
  bn_inception.BNInception,
)


@pytest.mark.parametrize(('source', 'network'), parity.pairs_of(*BACKBONES))
def test_rules_give_the_network_all_it_needs(source, network):
  golden_files.check_rules(source, network)


@pytest.mark.parametrize(('source', 'network'), golden_files.cases(*BACKBONES))
def test_golden_outputs_of_a_file(tmp_path, source, network, golden_input):
  golden_files.check_conversion(tmp_path, source, network, golden_input)


@pytest.mark.parametrize(
  ('source', 'network', 'part'),
  [
    ('torchvision', 'inception_v1', r'aux[12]\..*'),
    ('torchvision', 'inception_v3', r'AuxLogits\..*'),
    ('slim', 'inception_v4', r'.*/AuxLogits/.*'),
  ],
)
def test_variables_that_may_be_absent(source, network, part):
  golden_files.check_may_be_absent(source, network, part)
