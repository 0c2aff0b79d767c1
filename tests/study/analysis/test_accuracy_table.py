import numpy as np

from tf_transfer.study.analysis import accuracy_table, ties


def record(network, dataset='pets', value=0.5, setting='fine_tuned', **more):
  return {
    'identity': f'{network}_{dataset}',
    'setting': setting,
    'network': network,
    'dataset': dataset,
    'metric': 'top1',
    'imagenet_top1': 0.75,
    'test': {'value': value, 'examples': 100},
    'predictions': f'predictions/{network}_{dataset}.npz',
    **more,
  }


def test_grid():
  found = accuracy_table.build(
    [
      record('a', 'pets', 0.5),
      record('b', 'dtd', 1.0, imagenet_top1=None),
      record('a', 'dtd', 0.75),
      record('a', 'pets', 0.1, setting='random_init'),
    ],
    'fine_tuned',
  )
  assert found.networks == ('a', 'b')
  assert found.datasets == ('pets', 'dtd')
  np.testing.assert_array_equal(found.accuracy, [[0.5, 0.75], [np.nan, 1]])
  np.testing.assert_array_equal(found.imagenet_top1, [0.75, np.nan])
  np.testing.assert_allclose(
    found.log_odds, [[0, np.log(3)], [np.nan, np.log(199)]]
  )
  first = found.select_networks(np.array([True, False]))
  other = first.select_datasets(['dtd'])
  assert (other.networks, other.datasets) == (('a',), ('dtd',))
  np.testing.assert_array_equal(other.accuracy, [[0.75]])


def test_two_records_of_one_cell(caplog):
  """The one that was added last counts, and the other is said."""
  found = accuracy_table.build(
    [record('a'), record('a', value=0.6)], 'fine_tuned'
  )
  np.testing.assert_array_equal(found.accuracy, [[0.6]])
  assert 'a on pets, fine_tuned: 1 earlier records' in caplog.text


def test_two_weights_of_one_network_are_two_networks(caplog):
  records = [
    record('a', value=0.5, weights_sha256='aaaaaaaa'),
    record('a', value=0.6, weights_sha256='bbbbbbbb', imagenet_top1=0.8),
    record('b', value=0.7, weights_sha256='cccccccc'),
  ]
  found = accuracy_table.build(records, 'fine_tuned')
  assert found.networks == ('a (aaaaaa)', 'a (bbbbbb)', 'b')
  np.testing.assert_array_equal(found.accuracy[:, 0], [0.5, 0.6, 0.7])
  np.testing.assert_array_equal(found.imagenet_top1, [0.75, 0.8, 0.75])
  assert not caplog.text


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


def predictions(tmp_path, name, right, digests=range(100)):
  (tmp_path / 'predictions').mkdir(exist_ok=True)
  correct = np.arange(100) < right
  np.savez(
    tmp_path / 'predictions' / f'{name}_pets.npz',
    digest=np.array([str(d) for d in digests]),
    label=np.zeros(100, int),
    correct=correct,
  )
  return record(name, value=right / 100)


def test_ties(tmp_path):
  # 94 and 100 right: 6 differ, p = 2/64. 95: p = 2/32.
  records = [
    predictions(tmp_path, name, right)
    for name, right in (('a', 94), ('b', 100), ('c', 95))
  ]
  key = ('fine_tuned', 'pets')
  assert ties.find_ties(records, tmp_path) == {key: {'b', 'c'}}
  assert ties.find_ties(records, tmp_path, correct_with_holm=True) == {
    key: {'a', 'b', 'c'}
  }


def test_ties_of_other_images(tmp_path, caplog):
  records = [
    predictions(tmp_path, 'a', 90),
    predictions(tmp_path, 'b', 90, digests=range(1, 101)),
  ]
  assert ties.find_ties(records, tmp_path) == {}
  assert 'a and b were not tested on the same images' in caplog.text


def test_predictions_that_are_not_there(tmp_path, caplog):
  """Nothing is known of their dataset; others are not touched by it."""
  records = [
    predictions(tmp_path, 'b', 100),
    record('b', 'dtd'),
    record('c', 'dtd'),
  ]
  assert ties.find_ties(records, tmp_path) == {('fine_tuned', 'pets'): {'b'}}
  assert 'b_dtd.npz: no predictions' in caplog.text


def test_predictions_that_are_cut_short(tmp_path, caplog):
  records = [predictions(tmp_path, 'a', 90)]
  path = tmp_path / records[0]['predictions']
  path.write_bytes(path.read_bytes()[:-60])
  assert ties.find_ties(records, tmp_path) == {}
  assert 'a_pets.npz: no predictions' in caplog.text
