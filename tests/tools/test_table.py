"""Tests of the table of public checkpoints."""

import pytest

from tf_transfer import networks
from tf_transfer.convert_weights import table

# Trained on images of another size than the authors' network was.
OTHER_SIZES = {
  ('timm', 'efficientnet_b2'): 256,
  ('torchvision', 'efficientnet_b2'): 288,
  ('timm', 'efficientnet_b3'): 288,
  ('timm', 'efficientnet_b4'): 320,
  ('timm_384', 'vit_base'): 384,
}


@pytest.mark.parametrize('network', table.SOURCES)
def test_contract_has_the_size_of_the_table(network):
  size = networks.row(network).image_size
  for source in table.SOURCES[network]:
    wanted = OTHER_SIZES.get((source.name, network), size)
    assert source.contract.image_size == wanted


@pytest.mark.parametrize('network', table.SOURCES)
def test_names_of_a_networks_sources_differ(network):
  names = [source.name for source in table.SOURCES[network]]
  assert len(set(names)) == len(names)


def test_files_are_named_once():
  files = [s.file for sources in table.SOURCES.values() for s in sources]
  assert all(files)
  # Both NASNets of TF-Slim have archives of their own.
  assert len(set(files)) == len(files)
