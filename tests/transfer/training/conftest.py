"""The tiny network as one of the table, for a module of tests."""

import pytest

from tests.transfer.training import searches
from tf_transfer import networks


@pytest.fixture(scope='module')
def tiny_net():
  """The tiny network with variables; it is in the table meanwhile."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(networks.TABLE, 'tiny', searches.ROW)
    yield searches.tiny_network()
