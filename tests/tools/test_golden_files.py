"""Tests of which golden checkpoints are converted, and by which test file."""

import importlib

from tests.networks import parity
from tests.tools import golden_files
from tf_transfer import networks

MODULES = (
  *('convnext', 'densenet', 'efficientnet', 'efficientnet_v2', 'inception'),
  *('mobilenet', 'mobilenet_v3', 'nasnet', 'resnet', 'vit'),
)
PAIRS = [pair for pair in parity.PAIRS if pair[0] != 'keras']


def test_each_family_and_each_source_is_chosen():
  chosen = golden_files.CHOSEN
  assert set(PAIRS) >= chosen
  assert {source for source, _ in chosen} == {source for source, _ in PAIRS}
  families = {networks.row(network).backbone.func for _, network in chosen}
  others = {networks.row(n).backbone.func for _, n in PAIRS} - families
  assert others == {networks.row('inception_resnet_v2').backbone.func}


def test_each_pair_is_in_one_test_file():
  files, rules = [], []
  for name in MODULES:
    module = importlib.import_module(f'tests.tools.test_{name}')
    files += parity.parameters_of(module.test_golden_outputs_of_a_file)
    rules += parity.parameters_of(
      module.test_rules_give_the_network_all_it_needs
    )
  assert sorted(files) == PAIRS
  assert sorted(rules) == parity.PAIRS
