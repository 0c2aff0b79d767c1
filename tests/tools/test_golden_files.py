"""Tests of whole conversions: a source's file gives the golden outputs.

The comparisons of tests/networks give the converter's rules the arrays; here
the file is written, converted, and loaded as a user does. Keras's files are
in test_keras_files.py, which Keras writes itself.
"""

import pathlib

import numpy as np
import pytest

from tests.golden import rule
from tests.tools import checkpoint_files
from tf_transfer import convert_weights, networks
from tf_transfer.convert_weights import sources

LIMIT = 1e-5
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
}
PAIRS = [pair for pair in rule.pairs() if pair[0] != 'keras']


def file_of(directory, row):
  """Where a source's file would be, by the name that it was published under.

  TF-Slim's archives of 2016 hold checkpoints of TensorFlow's first format.
  """
  if row.name == 'slim':
    return directory / ('v1.ckpt' if '2016' in row.file else 'v2.ckpt')
  if row.name == 'timm':
    folder = f'models--{row.file.replace("/", "--")}'
    return directory / folder / 'snapshots' / 'main' / 'model.safetensors'
  return directory / pathlib.Path(row.file).name


def relative_difference(ours, golden):
  return np.abs(np.asarray(ours) - golden).max() / np.abs(golden).max()


@pytest.mark.parametrize(
  ('source', 'network'),
  [
    pytest.param(
      *pair, marks=pytest.mark.slow if pair in CHOSEN else pytest.mark.slower
    )
    for pair in PAIRS
  ],
)
def test_golden_outputs_of_a_file(tmp_path, source, network, golden_input):
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
  assert relative_difference(net.features(x), features) < LIMIT
  assert relative_difference(net.logits(x), logits) < LIMIT


def test_each_family_and_each_source_is_chosen():
  assert set(PAIRS) >= CHOSEN
  assert {source for source, _ in CHOSEN} == {source for source, _ in PAIRS}
  families = {networks.row(network).backbone.func for _, network in CHOSEN}
  others = {networks.row(n).backbone.func for _, n in PAIRS} - families
  assert others == {networks.row('inception_resnet_v2').backbone.func}
