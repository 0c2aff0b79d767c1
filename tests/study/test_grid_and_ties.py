import numpy as np
import pytest

from tf_transfer import errors
from tf_transfer.study import grid, ties


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
  found = grid.of(
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
  other = found.keep(np.array([True, False])).on(['dtd'])
  assert (other.networks, other.datasets) == (('a',), ('dtd',))
  np.testing.assert_array_equal(other.accuracy, [[0.75]])


def test_two_records_of_one_cell():
  with pytest.raises(errors.InputError, match='more than one record of a on'):
    grid.of([record('a'), record('a', value=0.6)], 'fine_tuned')


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
  assert ties.of(records, tmp_path) == {key: {'b', 'c'}}
  assert ties.of(records, tmp_path, correct_with_holm=True) == {
    key: {'a', 'b', 'c'}
  }


def test_ties_of_other_images(tmp_path):
  records = [
    predictions(tmp_path, 'a', 90),
    predictions(tmp_path, 'b', 90, digests=range(1, 101)),
  ]
  with pytest.raises(errors.InputError, match='a and b were not tested on the'):
    ties.of(records, tmp_path)


def test_predictions_that_are_not_there(tmp_path):
  with pytest.raises(errors.InputError, match='a_pets.npz: no predictions'):
    ties.of([record('a')], tmp_path)


def test_predictions_that_are_cut_short(tmp_path):
  records = [predictions(tmp_path, 'a', 90)]
  path = tmp_path / records[0]['predictions']
  path.write_bytes(path.read_bytes()[:-60])
  with pytest.raises(errors.InputError, match='a_pets.npz: no predictions'):
    ties.of(records, tmp_path)
