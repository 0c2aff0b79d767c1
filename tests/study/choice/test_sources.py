"""Tests of listing the networks of a choice."""

import pathlib

import numpy as np

from tf_transfer.configs import choose
from tf_transfer.study.choice import sources


def test_networks_are_listed_cheapest_first_and_once(tiny_config, tmp_path):
  config = choose.get_config('digits')
  config.weights_dir = tiny_config.weights_dir
  other = tmp_path / 'weights' / 'other.safetensors'
  copy = tmp_path / 'copy.safetensors'
  copy.write_bytes(other.read_bytes())
  config.networks = (str(copy), str(other), 'tiny', 'resnet50')
  found, skipped = sources.list_sources(config, tmp_path)
  assert [one.weights for one in found] == [str(copy), 'tiny']
  assert [one.network for one in skipped] == ['resnet50']
  assert found[0].operations <= found[1].operations


def test_functions_are_listed_and_features_are_not(tmp_path):
  (tmp_path / 'stored').mkdir()
  np.save(tmp_path / 'stored' / 'val.npy', np.ones((2, 2)))
  examples = pathlib.Path(__file__).parents[3] / 'docs' / 'examples'
  config = choose.get_config('digits')
  names = [f'{examples}/own_flax.py:patches', f'features:{tmp_path}/stored']
  config.networks = (*names, f'{examples}/none.py:net')
  (found,), skipped = sources.list_sources(config, tmp_path)
  assert (found.network, found.weights) == ('patches', names[0])
  # Two convolutions of 3 × 3, 3 to 16 to 64 channels.
  parameters = 9 * 3 * 16 + 16 + 9 * 16 * 64 + 64
  assert found.operations == parameters * 32**2
  assert 'have no cost' in skipped[0].reason
  assert 'there is no such file' in skipped[1].reason
  config.image_size = 16
  (found,), _ = sources.list_sources(config, tmp_path)
  assert found.contract.image_size == 16
