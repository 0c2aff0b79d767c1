"""Fixtures for the tests of several formats."""

import functools

import pytest

from tests.tools import checkpoint_files, hub_server
from tf_transfer import networks

# Failures of the shared comparisons show their values.
pytest.register_assert_rewrite(
  'tests.networks.parity', 'tests.tools.golden_files'
)


@pytest.fixture
def fake_torch():
  with checkpoint_files.fake_torch() as torch:
    yield torch


@pytest.fixture(scope='module')
def traced_once():
  """Traces each network once, which takes longer than converting it."""
  original = networks.expected_variables
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(networks, 'expected_variables', functools.cache(original))
    yield


@pytest.fixture
def empty_hub(tmp_path):
  """A hub on loopback without repositories, and the client's empty cache."""
  with hub_server.connected(tmp_path / 'cache') as hub:
    yield hub
