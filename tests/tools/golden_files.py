"""Applies a source's rules to its golden checkpoint, and converts its file.

The comparisons of tests/networks give the converter's rules the arrays; here
the file is written, converted, and loaded as a user does. Keras's files are
in test_keras_files.py, which Keras writes itself.
"""

import pathlib
import re

import jax
import numpy as np
import pytest

from tests.golden import rule
from tests.networks import drawn, parity
from tests.tools import checkpoint_files
from tf_transfer import convert_weights, networks
from tf_transfer.convert_weights import rules, sources
from tf_transfer.networks import weights

# Of each family one, and each source; the others are for one's own machine.
# Inception-ResNet v2 takes a quarter of the time of all: Keras's file of it is
# compared in test_keras_files.py.
CHOSEN = {
  ('torchvision', 'inception_v1'),
  ('pretrainedmodels', 'bn_inception'),
  ('timm', 'inception_v3'),
  ('slim', 'inception_v4'),
  ('slim', 'resnet50'),
  ('torchvision', 'densenet121'),
  ('slim', 'mobilenet_v1'),
  ('torchvision', 'mobilenet_v2'),
  ('pretrainedmodels', 'nasnet_mobile'),
  ('timm', 'efficientnet_v2_b0'),
  ('torchvision', 'resnet18'),
  ('timm_tf', 'efficientnet_b0'),
  ('timm', 'mobilenet_v3_large'),
  ('timm', 'convnext_tiny'),
  ('timm', 'vit_tiny'),
  ('timm', 'dinov2_small'),
  ('timm_openai', 'clip_vit_base'),
}


def pairs_of(*backbones):
  """The (source, network) of these classes' networks, but for Keras's."""
  return [pair for pair in parity.pairs_of(*backbones) if pair[0] != 'keras']


def cases(*backbones):
  """The same as parameters of a test, marked slow or slower."""
  return [
    pytest.param(
      *pair, marks=pytest.mark.slow if pair in CHOSEN else pytest.mark.slower
    )
    for pair in pairs_of(*backbones)
  ]


def file_of(directory, row):
  """Where a source's file would be, by the name that it was published under.

  TF-Slim's archives of 2016 hold checkpoints of TensorFlow's first format.
  """
  if row.name == 'slim':
    return directory / ('v1.ckpt' if '2016' in row.file else 'v2.ckpt')
  if row.file.startswith('timm/'):
    folder = f'models--{row.file.replace("/", "--")}'
    return directory / folder / 'snapshots' / 'main' / 'model.safetensors'
  return directory / pathlib.Path(row.file).name


def check_conversion(tmp_path, source, network, golden_input):
  """Asserts that a source's file gives the golden outputs."""
  row = sources.get_source(network, source)
  path, output = file_of(tmp_path, row), tmp_path / 'out.safetensors'
  path.parent.mkdir(parents=True, exist_ok=True)
  # Of the gains the least, under which every late bias can be seen.
  suffix, gain = min(
    rule.gains(source, network).items(), key=lambda item: item[1]
  )
  checkpoint_files.write(path, rule.checkpoint(source, network, gain))
  # Named only where a hash would have to tell it from timm's.
  named = 'torchvision' if source == 'torchvision' else None
  convert_weights.convert(network, path, output, named)
  net = networks.load(output)
  assert net.contract == row.contract
  x = golden_input(net.contract.image_size)
  with np.load(rule.FOLDER / source / f'{network}.npz') as golden:
    features, logits = (golden[f'{k}{suffix}'] for k in ('features', 'logits'))
  difference = parity.relative_difference
  assert difference(net.features(x), features) < parity.LIMIT
  if row.num_classes:
    assert difference(net.logits(x), logits) < parity.LIMIT


def blank(source, network, value):
  """A checkpoint's arrays, all of one value, but for what scales images."""
  return {
    name: np.broadcast_to(
      np.float32(rule.SCALING.get(name.split('/')[-1], value)), shape
    )
    for name, shape in rule.shapes(source, network).items()
  }


def expected_variables(source, network):
  """Shapes of all variables of a network as a source has it."""
  matter = ('use_scale', 'stem', 'wide_pools')
  options = {k: v for k, v in source.options.items() if k in matter}
  width = networks.row(network).feature_dim
  classes = source.num_classes
  shapes = drawn.shapes(network, **options)
  head = {
    'params/head/kernel': jax.ShapeDtypeStruct((width, classes), np.float32),
    'params/head/bias': jax.ShapeDtypeStruct((classes,), np.float32),
  }
  return {
    **{path: s for path, s in shapes.items() if '/backbone/' in path},
    **(head if classes else {}),
  }


def check_rules(source, network):
  """Asserts that the rules give all variables in their shapes, no others."""
  row = sources.get_source(network, source)
  arrays, problems = rules.apply_rules(blank(source, network, 0), row.rules)
  expected = expected_variables(row, network)
  assert problems + weights.mismatches(arrays, expected) == []


def convert(source, network, tensors):
  """Applies a source's rules: the arrays by path, and the problems."""
  row = sources.get_source(network, source)
  return rules.apply_rules(tensors, row.rules)


def check_same(arrays, others):
  """Asserts that arrays are equal, path by path."""
  assert arrays.keys() == others.keys()
  for path in arrays:
    np.testing.assert_array_equal(arrays[path], others[path])


def check_may_be_absent(source, network, pattern):
  """Asserts that a file without the variables of a pattern gives the same."""
  tensors = blank(source, network, 1)
  less = {n: a for n, a in tensors.items() if not re.fullmatch(pattern, n)}
  assert len(less) < len(tensors)
  arrays, problems = convert(source, network, tensors)
  assert not problems
  check_same(arrays, convert(source, network, less)[0])
