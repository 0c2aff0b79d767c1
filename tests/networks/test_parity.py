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
  'vit',
)
# Other weights of the same variables, trained on images scaled otherwise: the
# source with golden outputs, and the others.
TWINS = {
  'inception_v3': ('timm', 'timm_gluon'),
  'efficientnet_v2_b3': ('timm', 'timm_in21k'),
  'resnet50': ('torchvision', 'torchvision_v2'),
  'resnet101': ('torchvision', 'torchvision_v2'),
  'resnet152': ('torchvision', 'torchvision_v2'),
  'vit_tiny': ('timm', 'timm_deit'),
  'vit_small': ('timm', 'timm_deit', 'timm_dino'),
  'vit_base': ('timm', 'timm_deit', 'timm_dino'),
}
# Variants in one thing that tests of its own compare: the grid of the position
# embedding, a head that is left out, and what both versions of SigLIP are.
VARIANTS = {
  ('timm_384', 'vit_base'),
  ('timm_laion2b', 'clip_vit_base'),
  ('timm_v1', 'siglip_vit_base'),
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
  twins = set()
  for network, names in TWINS.items():
    first, *others = (sources.get_source(network, name) for name in names)
    for other in others:
      assert first.rules == other.rules
      assert first.options == other.options
      assert first.contract != other.contract
      twins.add((other.name, network))
  assert known == {*parity.PAIRS, *twins, *VARIANTS}


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
  # DINOv2 differs from other vision transformers in a default.
  names = {network for _, network in parity.FAST}
  names |= {'efficientnet_lite0', 'dinov2_small'}
  backbones = {networks.row(name).backbone.func for name in names}
  assert backbones == {
    networks.row(name).backbone.func for name in table.SOURCES
  }
