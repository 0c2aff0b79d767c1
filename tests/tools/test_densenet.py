"""Tests of the rules that rename the variables of DenseNets."""

import re

import pytest

from tests.golden import rule
from tests.networks import parity
from tests.tools import golden_files
from tf_transfer.networks import densenet


@pytest.mark.parametrize(
  ('source', 'network'), parity.pairs_of(densenet.DenseNet)
)
def test_rules_give_the_network_all_it_needs(source, network):
  golden_files.check_rules(source, network)


@pytest.mark.parametrize(
  ('source', 'network'), golden_files.cases(densenet.DenseNet)
)
def test_golden_outputs_of_a_file(tmp_path, source, network, golden_input):
  golden_files.check_conversion(tmp_path, source, network, golden_input)


def test_keys_of_older_files():
  tensors = rule.checkpoint('torchvision', 'densenet121', 2.0)
  old = {
    re.sub(r'(denselayer\d+\.(?:norm|conv))([12])\.', r'\1.\2.', name): array
    for name, array in tensors.items()
  }
  assert old.keys() != tensors.keys()
  new, problems = golden_files.convert('torchvision', 'densenet121', tensors)
  assert not problems
  again, problems = golden_files.convert('torchvision', 'densenet121', old)
  assert not problems
  golden_files.check_same(new, again)
