"""Tests of listing the networks of a choice."""

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
