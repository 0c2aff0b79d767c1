"""Compares a network with the implementation of a source.

TF-Slim, Keras, torchvision, timm and pretrainedmodels were given weights that
are functions of their names (`tests/golden/rule.py`), and their outputs for
`golden_input` were recorded. Here the same weights go through the converter's
rules, and our outputs have to agree.
"""

import jax
import numpy as np
import pytest

from tests.golden import rule
from tf_transfer import convert_weights, networks
from tf_transfer.convert_weights import publishers, rules, sources
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
  ('torchvision', 'resnet18'),
  ('timm', 'efficientnet_b0'),
  ('torchvision', 'mobilenet_v3_large'),
  ('timm', 'convnext_tiny'),
  ('timm', 'vit_tiny'),
}


def pairs_of(*backbones):
  """The (source, network) with golden outputs, of these classes' networks."""
  return [
    (source, network)
    for source, network in PAIRS
    if networks.row(network).backbone.func in backbones
  ]


def cases(*backbones):
  """The same as parameters of a test, of which most are marked slow."""
  return [
    pytest.param(*pair, marks=() if pair in FAST else (pytest.mark.slow,))
    for pair in pairs_of(*backbones)
  ]


def image_size(source, network):
  """Of the golden input: the size of the source's images."""
  return sources.get_source(network, source).contract.image_size


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


def check_golden_outputs(source, network, golden_input):
  """Asserts that features and logits are those of the source."""
  x = golden_input(image_size(source, network))
  with np.load(rule.FOLDER / source / f'{network}.npz') as golden:
    for suffix, gain in rule.gains(source, network).items():
      model, variables = converted(source, network, gain)
      features, logits = outputs(model, variables, x)
      wanted = golden[f'features{suffix}']
      assert relative_difference(features, wanted) < LIMIT
      if model.num_classes:
        wanted = golden[f'logits{suffix}']
        assert relative_difference(logits, wanted) < LIMIT


def check_wrong_option_is_seen(source, network, option, golden_input):
  """Asserts that the features are others with another option."""
  ((suffix, gain), *_) = rule.gains(source, network).items()
  model, variables = converted(source, network, gain)
  model = model.clone(backbone=model.backbone.clone(**option))
  x = golden_input(image_size(source, network))
  features, _ = outputs(model, variables, x)
  with np.load(rule.FOLDER / source / f'{network}.npz') as golden:
    wanted = golden[f'features{suffix}']
    assert relative_difference(features, wanted) > 10 * LIMIT


def check_torchvision_input(network, golden_input):
  """Asserts that our contract scales images as a torchvision Inception does.

  Its two Inceptions undo the scaling that they are given, and scale again.
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


def parameters_of(test):
  """The pairs that a test is parametrized with."""
  (mark,) = (mark for mark in test.pytestmark if mark.name == 'parametrize')
  return [getattr(pair, 'values', pair) for pair in mark.args[1]]
