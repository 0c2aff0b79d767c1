"""Tests that every source is compared, and in the file of its architecture."""

import importlib

import numpy as np

from tests.golden import rule
from tests.networks import parity
from tf_transfer import networks
from tf_transfer.convert_weights import sources, table

MODULES = (
  *('bn_inception', 'convnext', 'densenet', 'efficientnet'),
  *('efficientnet_v2', 'inception_resnet_v2', 'inception_v1', 'inception_v3'),
  *('inception_v4', 'mobilenet', 'mobilenet_v3', 'nasnet', 'resnet'),
)
# Other weights of the same variables, trained on images scaled otherwise.
TWINS = {
  'inception_v3': ('timm', 'timm_gluon'),
  'efficientnet_v2_b3': ('timm', 'timm_in21k'),
}


def test_each_pair_is_in_one_test_file():
  pairs = []
  for name in MODULES:
    module = importlib.import_module(f'tests.networks.test_{name}')
    pairs += parity.parameters_of(module.test_golden_outputs)
  assert sorted(pairs) == parity.PAIRS


def test_every_source_has_golden_outputs():
  known = {
    (source.name, network)
    for network, rows in table.SOURCES.items()
    for source in rows
    if not source.package
  }
  for network, names in TWINS.items():
    first, second = (sources.get_source(network, name) for name in names)
    assert first.rules == second.rules
    assert first.options == second.options
    assert first.contract != second.contract
  assert known == {
    *parity.PAIRS,
    *((names[1], network) for network, names in TWINS.items()),
  }


def test_every_packaged_source_has_real_golden_outputs():
  """Whose weights can be had; test_network.py compares them."""
  packaged = {
    network
    for network, rows in table.SOURCES.items()
    for source in rows
    if source.package
  }
  files = {path.stem: path for path in rule.FOLDER.glob('*.npz')}
  assert packaged == files.keys()
  for network, path in files.items():
    source = sources.get_source(network)
    width = networks.row(network).feature_dim
    with np.load(path) as golden:
      assert golden['features'].shape == (2, width)
      assert golden['logits'].shape == (2, source.num_classes)


def test_every_network_has_a_source_and_every_family_a_fast_case():
  # The small Inception is ours: nobody publishes weights of it.
  assert set(table.SOURCES) == set(networks.TABLE) - {'inception_small'}
  names = {network for _, network in parity.FAST} | {'efficientnet_lite0'}
  backbones = {networks.row(name).backbone.func for name in names}
  assert backbones == {
    networks.row(name).backbone.func for name in table.SOURCES
  }
