import numpy as np
import pytest

from tests.study.analysis.table_records import record
from tf_transfer.study.analysis import accuracy_table


def test_grid():
  table = accuracy_table.build(
    [
      record('a', 'pets', 0.5),
      record('b', 'dtd', 1.0, imagenet_top1=None),
      record('a', 'dtd', 0.75),
      record('a', 'pets', 0.1, setting='random_init'),
    ],
    'fine_tuned',
  )
  assert table.networks == ('a', 'b')
  assert table.datasets == ('pets', 'dtd')
  np.testing.assert_array_equal(table.accuracy, [[0.5, 0.75], [np.nan, 1]])
  np.testing.assert_array_equal(table.imagenet_top1, [0.75, np.nan])
  np.testing.assert_allclose(
    table.log_odds, [[0, np.log(3)], [np.nan, np.log(199)]]
  )
  first = table.select_networks(np.array([True, False]))
  other = first.select_datasets(['dtd'])
  assert (other.networks, other.datasets) == (('a',), ('dtd',))
  np.testing.assert_array_equal(other.accuracy, [[0.75]])


def test_two_records_of_one_cell(caplog):
  """The one that was added last counts, and the other is said."""
  table = accuracy_table.build(
    [record('a'), record('a', value=0.6)], 'fine_tuned'
  )
  np.testing.assert_array_equal(table.accuracy, [[0.6]])
  assert 'a on pets, fine_tuned: 1 earlier record, of' in caplog.text


def test_two_weights_of_one_network_are_two_networks(caplog):
  records = [
    record('a', value=0.5, weights_sha256='aaaaaaaa'),
    record('a', value=0.6, weights_sha256='bbbbbbbb', imagenet_top1=0.8),
    record('b', value=0.7, weights_sha256='cccccccc'),
  ]
  table = accuracy_table.build(records, 'fine_tuned')
  assert table.networks == ('a (aaaaaa)', 'a (bbbbbb)', 'b')
  np.testing.assert_array_equal(table.accuracy[:, 0], [0.5, 0.6, 0.7])
  np.testing.assert_array_equal(table.imagenet_top1, [0.75, 0.8, 0.75])
  assert not caplog.text


@pytest.mark.parametrize(
  ('tags', 'labels'),
  [
    (('a1_in1k', 'a2_in1k', ''), ('a (a1_in1k)', 'a (a2_in1k)', 'a (cccccc)')),
    # One tag of two is none of their own.
    (('a1', 'a1', 'a2'), ('a (aaaaaa)', 'a (bbbbbb)', 'a (a2)')),
  ],
)
def test_weights_are_told_apart_by_their_tags(tags, labels):
  hashes = [letter * 8 for letter in 'abc']
  networks = list(zip('aaa', hashes, tags, strict=True))
  assert accuracy_table.labels(networks) == list(labels)
  # Alone, it is the network. Without weights it never has a tag.
  assert accuracy_table.labels(networks[:1]) == ['a']
  assert accuracy_table.labels([*networks, ('a', '', '')])[-1] == 'a'
  records = [
    {**record('a', weights_sha256=sha256), 'weights_tag': tag}
    for _, sha256, tag in networks
  ]
  table = accuracy_table.build(records, 'fine_tuned')
  assert table.networks == labels


def test_datasets_of_networks_of_unknown_accuracy_only_do_not_count():
  """They would else be thin, and take others with them."""
  records = [
    *(record(n, d) for n in 'abc' for d in ('pets', 'dtd')),
    *(record(n, 'pets') for n in 'defghij'),
    record('u', 'cars', imagenet_top1=None),
  ]
  selected = accuracy_table.select_comparable(
    accuracy_table.build(records, 'fine_tuned')
  )
  assert selected.table.networks == tuple('abc')
  assert selected.table.datasets == ('pets', 'dtd')
  assert selected.without_imagenet == ('u',)
  assert selected.sparse_datasets == ('cars',)
  assert selected.incomplete == tuple('defghij')
  known = accuracy_table.select_comparable(
    accuracy_table.build(records[:-1], 'fine_tuned')
  )
  assert known.table.networks == selected.table.networks
  none = accuracy_table.select_comparable(
    accuracy_table.build([record('u', imagenet_top1=None)], 'fine_tuned')
  )
  assert (none.table.networks, none.table.datasets) == ((), ('pets',))
