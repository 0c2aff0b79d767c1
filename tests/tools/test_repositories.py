"""Converting repositories of a hub on loopback, from request to features.

They hold MobileNet v2 with weights made by a rule, of which there are golden
outputs.
"""

import concurrent.futures
import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy
from absl import flags
from absl.testing import flagsaver
from huggingface_hub import constants

from tests.golden import rule
from tests.networks import parity
from tests.tools import hub_server
from tf_transfer import convert_weights, errors, networks
from tf_transfer.convert_weights import __main__ as command
from tf_transfer.convert_weights import sources
from tf_transfer.networks import weights

NETWORK = 'mobilenet_v2'
NAME = 'timm/mobilenetv2_100.ra_in1k'
# Of the same architecture; nothing is published of it.
OTHER = 'timm/mobilenetv2_100.zzz'
CONFIG = hub_server.config('mobilenetv2_100', crop_pct=0.875)


@pytest.fixture(scope='module')
def checkpoint():
  """A model.safetensors."""
  return safetensors.numpy.save(rule.checkpoint('timm', NETWORK, 2.0))


@pytest.fixture
def hub(empty_hub, checkpoint):
  for name in (NAME, OTHER):
    empty_hub.files[name] = {
      'config.json': CONFIG,
      'model.safetensors': checkpoint,
    }
  return empty_hub


def test_repository_becomes_a_weights_file(
  hub, checkpoint, tmp_path, golden_input
):
  output = tmp_path / 'new' / f'{NAME}.safetensors'
  lines = []
  header = convert_weights.convert_repository(NAME, output, say=lines.append)
  row = sources.get_source(NETWORK, 'timm')
  assert header == weights.read_header(output)
  assert header.source == NAME
  assert header.source_sha256 == hashlib.sha256(checkpoint).hexdigest()
  assert header.contract == row.contract
  assert header.recipe == row.recipe
  assert header.imagenet_top1 == pytest.approx(row.imagenet_top1, abs=1e-9)
  assert lines == [f'{NAME}: converted to {output}']
  net = networks.load(output)
  with np.load(rule.FOLDER / 'timm' / f'{NETWORK}.npz') as golden:
    expected = golden['features']
  features = net.features(golden_input(224))
  assert parity.relative_difference(features, expected) < parity.LIMIT


def test_second_time_the_hub_is_not_asked(hub, tmp_path, monkeypatch):
  output = tmp_path / 'a.safetensors'
  first = convert_weights.convert_repository(OTHER, output, say=lambda _: None)
  written = output.stat().st_mtime_ns
  hub.requests.clear()
  monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'empty'))
  assert convert_weights.convert_repository(OTHER, output) == first
  assert not hub.requests
  assert output.stat().st_mtime_ns == written


def test_nothing_is_claimed_of_an_unknown_checkpoint(hub, tmp_path):
  lines = []
  header = convert_weights.convert_repository(
    OTHER, tmp_path / 'a.safetensors', say=lines.append
  )
  assert (header.imagenet_top1, header.license) == (None, '')
  # By the values of the scales.
  assert header.recipe.bn_scale is True
  assert header.recipe.label_smoothing is None
  assert 'publishes no ImageNet top-1' in lines[0]


def test_files_from_elsewhere(hub, checkpoint, tmp_path, monkeypatch):
  monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
  output = tmp_path / 'timm' / 'mobilenetv2_100.ra_in1k.safetensors'
  with pytest.raises(errors.InputError) as caught:
    convert_weights.convert_repository(NAME, output)
  directory = tmp_path / NAME
  assert str(caught.value).endswith(f'put them into {directory}')
  directory.mkdir(parents=True)
  (directory / 'config.json').write_bytes(CONFIG)
  (directory / 'model.safetensors').write_bytes(checkpoint)
  lines = []
  header = convert_weights.convert_repository(NAME, output, say=lines.append)
  assert header.source == NAME
  assert 'with no hash to check' in lines[0]


def test_weights_of_another_network(hub, tmp_path):
  hub.files[NAME]['config.json'] = hub_server.config('resnet50')
  output = tmp_path / 'a.safetensors'
  with pytest.raises(errors.InputError, match='looks like mobilenet_v2'):
    convert_weights.convert_repository(NAME, output)
  assert not output.exists()


def test_two_at_once_fetch_and_convert_once(hub, tmp_path, monkeypatch):
  """Threads here: a lock of one file that is opened twice excludes them too."""
  conversions = []
  original = convert_weights.convert

  def convert(*arguments, **options):
    conversions.append(arguments)
    return original(*arguments, **options)

  monkeypatch.setattr(convert_weights, 'convert', convert)
  output = tmp_path / 'a.safetensors'

  def work(_):
    return convert_weights.convert_repository(NAME, output, say=lambda _: None)

  with concurrent.futures.ThreadPoolExecutor(3) as pool:
    headers = list(pool.map(work, range(3)))
  assert headers == [weights.read_header(output)] * 3
  assert len(conversions) == 1
  gets = [r for r in hub.requests if r.startswith('GET') and 'stored' in r]
  assert sum(hub.requests[r] for r in gets) == 2


@pytest.mark.slow
def test_two_processes_at_once(hub, tmp_path):
  """As a user starts them, who names the hub with HF_ENDPOINT."""
  output = tmp_path / 'a.safetensors'
  program = (
    'import sys; from tf_transfer import convert_weights; '
    'print(convert_weights.convert_repository(*sys.argv[1:]).source)'
  )
  environment = {
    **os.environ,
    'HF_ENDPOINT': hub.endpoint,
    'HF_HUB_CACHE': str(tmp_path / 'their_cache'),
  }
  processes = [
    subprocess.Popen(
      [sys.executable, '-c', program, NAME, str(output)],
      env=environment,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for _ in range(2)
  ]
  for process in processes:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert out.splitlines()[-1] == NAME
  gets = [r for r in hub.requests if r.startswith('GET') and 'stored' in r]
  assert sum(hub.requests[r] for r in gets) == 2


def run_command(**values):
  """Runs the converter with these flags."""
  with flagsaver.flagsaver():
    flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(**values):
      command.main(['tf-transfer-convert'])


def test_converter_makes_the_same_file(hub, tmp_path):
  """--source=timm, --source=timm/NAME, and a repository's name in a config."""
  files = [tmp_path / f'{name}.safetensors' for name in ('a', 'b', 'c')]
  convert_weights.convert_repository(NAME, files[0], say=lambda _: None)
  for source, output in zip(('timm', NAME), files[1:], strict=True):
    run_command(network=NETWORK, source=source, output=str(output))
  assert len({file.read_bytes() for file in files}) == 1
