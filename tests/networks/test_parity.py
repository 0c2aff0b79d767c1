"""Tests of every network beside the implementation of each source.

TF-Slim, Keras, torchvision, timm and pretrainedmodels were given weights that
are functions of their names (`tests/golden/rule.py`), and their outputs for
`golden_input` were recorded. Here the same weights go through the converter's
rules, and our outputs have to agree.
"""

import pathlib

import jax
import numpy as np
import pytest

from tests.golden import rule
from tests.networks import drawn
from tf_transfer import convert_weights, networks
from tf_transfer.convert_weights import (
  publishers,
  rules,
  sources,
  table,
)
from tf_transfer.networks import weights

LIMIT = 1e-5
PAIRS = rule.pairs()
# Of each family one case at least, small; the others are marked slow.
FAST = {
  ('keras', 'resnet50'),
  ('slim', 'mobilenet_v1'),
  ('torchvision', 'mobilenet_v2'),
  ('keras', 'densenet121'),
  ('torchvision', 'inception_v1'),
  ('slim', 'bn_inception'),
  ('torchvision', 'inception_v3'),
  ('slim', 'inception_v4'),
  ('keras', 'inception_resnet_v2'),
  ('keras', 'nasnet_mobile'),
  ('timm', 'efficientnet_v2_b0'),
}


def relative_difference(ours, golden):
  return np.abs(np.asarray(ours) - golden).max() / np.abs(golden).max()


def converted(source_name, network, gain):
  """The module and the variables of a golden checkpoint."""
  source = convert_weights.get_source(network, source_name)
  tensors = rule.checkpoint(source_name, network, gain)
  arrays, problems = rules.apply_rules(tensors, source.rules)
  assert not problems
  model = networks.build(
    network, num_classes=source.num_classes, **source.options
  )
  return model, weights.unflatten(arrays)


# Compiling takes most of the time; so it takes a third less.
@jax.jit(
  static_argnums=0, compiler_options={'xla_backend_optimization_level': 0}
)
def outputs(model, variables, x):
  """Returns features and logits, of which the network is traced once."""
  logits, captured = model.apply(
    variables,
    x,
    capture_intermediates=lambda module, method: method == 'features',
    mutable=['intermediates'],
  )
  return captured['intermediates']['features'][0], logits


CASES = [
  pytest.param(*pair, marks=() if pair in FAST else (pytest.mark.slow,))
  for pair in PAIRS
]


@pytest.mark.parametrize(('source', 'network'), CASES)
def test_golden_outputs(source, network, golden_input):
  x = golden_input(networks.row(network).image_size)
  with np.load(rule.FOLDER / source / f'{network}.npz') as golden:
    for suffix, gain in rule.gains(source, network).items():
      model, variables = converted(source, network, gain)
      features, logits = outputs(model, variables, x)
      wanted = golden[f'features{suffix}']
      assert relative_difference(features, wanted) < LIMIT
      assert relative_difference(logits, golden[f'logits{suffix}']) < LIMIT


@pytest.mark.parametrize('network', ['inception_v1', 'inception_v3'])
def test_contract_has_what_torchvision_does_to_the_input(network, golden_input):
  """Its two Inceptions undo the scaling that they are given, and scale again.

  With our contract both have to come to the same.
  """
  (mean, std, _), size = publishers.TORCH, networks.row(network).image_size
  pixels = golden_input(size) * np.float32(std) + np.float32(mean)
  x = sources.get_source(network, 'torchvision').contract.scale(pixels)
  model, variables = converted('torchvision', network, 2.0)
  features, logits = outputs(model, variables, x)
  file = rule.FOLDER / 'torchvision' / f'{network}.npz'
  with np.load(file) as golden:
    wanted = golden['features_transform_input']
    assert relative_difference(features, wanted) < LIMIT
    wanted = golden['logits_transform_input']
    assert relative_difference(logits, wanted) < LIMIT


def blank(source, network):
  return {
    name: np.broadcast_to(np.float32(0), shape)
    for name, shape in rule.shapes(source, network).items()
  }


def expected_backbone(network, **options):
  """Returns the shapes of the backbone's variables."""
  expected = drawn.shapes(network, **options)
  return {p: v for p, v in expected.items() if '/backbone/' in p}


def expected_of(source, network):
  """Shapes of all variables of a network as a source has it."""
  matter = ('use_scale', 'stem', 'wide_pools')
  options = {k: v for k, v in source.options.items() if k in matter}
  width = networks.row(network).feature_dim
  classes = source.num_classes
  return {
    **expected_backbone(network, **options),
    'params/head/kernel': jax.ShapeDtypeStruct((width, classes), np.float32),
    'params/head/bias': jax.ShapeDtypeStruct((classes,), np.float32),
  }


@pytest.mark.parametrize(('source', 'network'), PAIRS)
def test_rules_give_the_network_all_it_needs(source, network):
  found = convert_weights.get_source(network, source)
  arrays, problems = rules.apply_rules(blank(source, network), found.rules)
  expected = expected_of(found, network)
  assert problems + weights.mismatches(arrays, expected) == []


# Other weights of the same variables, trained on images scaled otherwise.
TWINS = {
  'inception_v3': ('timm', 'timm_gluon'),
  'efficientnet_v2_b3': ('timm', 'timm_in21k'),
}
SUFFIX = {'timm': '.safetensors', 'keras': '.h5', 'slim': '.ckpt'}


@pytest.mark.parametrize(('source', 'network'), PAIRS)
def test_source_is_told_by_its_variables(source, network):
  """Or, where those are of two sources, by the published name and hash."""
  row = sources.get_source(network, source)
  path = pathlib.Path('file').with_suffix(SUFFIX.get(source, '.pth'))
  sha256 = ''
  if source == 'timm':
    path = pathlib.Path(row.file) / path
  elif source == 'torchvision':
    sha256 = row.file.removesuffix('.pth').rpartition('-')[2]
  names = rule.shapes(source, network)
  assert sources.recognize(network, names, path, sha256).name == source


@pytest.mark.slow
@pytest.mark.parametrize(
  ('source', 'network', 'wrong'),
  [
    ('torchvision', 'resnet50', {'stride_in': 'first_1x1'}),
    ('torchvision', 'resnet50', {'stride_in': 'last_3x3'}),
    ('torchvision', 'resnet50', {'stem_pool': 'same'}),
    ('slim', 'mobilenet_v1', {'padding': 'symmetric'}),
    ('slim', 'mobilenet_v2', {'padding': 'symmetric'}),
    ('slim', 'mobilenet_v1', {'epsilon': 1e-5}),
    ('keras', 'densenet121', {'epsilon': 1e-3}),
    ('slim', 'inception_v1', {'padding': 'symmetric'}),
    ('slim', 'bn_inception', {'padding': 'symmetric'}),
    ('slim', 'bn_inception', {'count_padding': True}),
    ('torchvision', 'inception_v3', {'count_padding': False}),
    ('slim', 'nasnet_mobile', {'reduction_pools': 'zeros_average'}),
    ('keras', 'nasnet_mobile', {'reduction_pools': 'zeros_average'}),
    ('keras', 'efficientnet_v2_b0', {'epsilon': 1e-5}),
  ],
)
def test_comparison_sees_a_wrong_option(source, network, wrong, golden_input):
  model, variables = converted(source, network, 2.0)
  model = model.clone(backbone=model.backbone.clone(**wrong))
  x = golden_input(networks.row(network).image_size)
  features, _ = outputs(model, variables, x)
  with np.load(rule.FOLDER / source / f'{network}.npz') as golden:
    assert relative_difference(features, golden['features']) > 10 * LIMIT


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
    *PAIRS,
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
  backbones = {networks.row(network).backbone.func for _, network in FAST} | {
    networks.row('efficientnet_lite0').backbone.func
  }
  assert backbones == {
    networks.row(name).backbone.func for name in table.SOURCES
  }
