import pytest

from benchmarks import peers, throughput
from tf_transfer import errors, networks


def test_all_networks_are_timed_where_none_is_named():
  assert throughput.names([]) == list(networks.TABLE)
  assert throughput.names(['resnet50']) == ['resnet50']
  with pytest.raises(errors.InputError, match='did you mean resnet50'):
    throughput.names(['resnet5'])


def test_peers_are_of_the_table():
  """A network without an entry is timed alone."""
  alone = set(networks.TABLE) - set(peers.PEERS)
  assert alone >= {'bn_inception', 'inception_small'}
  assert set(peers.PEERS) <= set(networks.TABLE)
