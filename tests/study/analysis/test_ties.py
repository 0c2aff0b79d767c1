import numpy as np

from tests.study import made_records
from tf_transfer.study.analysis import ties


def record(name, dataset='pets', right=50, seed=0):
  arrays = made_records.predictions(right / 100, seed=seed)
  splits = {'train': 64 * '0', 'val': 64 * '1'}
  splits['test'] = made_records.hash_of_test(arrays)
  fields = made_records.record(
    f'{name} {dataset}', right / 100, dataset=dataset, splits_sha256=splits
  )
  weights = made_records.sha256(name)
  return {**fields, 'network': name, 'weights_sha256': weights}


def predictions(tmp_path, name, right, seed=0):
  fields = record(name, right=right, seed=seed)
  (tmp_path / 'predictions').mkdir(exist_ok=True)
  np.savez(
    tmp_path / fields['predictions'],
    **made_records.predictions(right / 100, seed=seed),
  )
  return fields


def test_ties(tmp_path):
  # 94 and 100 right: 6 differ, p = 2/64. 95: p = 2/32.
  records = [
    predictions(tmp_path, name, right)
    for name, right in (('a', 94), ('b', 100), ('c', 95))
  ]
  key = ('ridge', 'pets')
  assert ties.find_ties(records, tmp_path) == {key: {'b', 'c'}}
  assert ties.find_ties(records, tmp_path, correct_with_holm=True) == {
    key: {'a', 'b', 'c'}
  }


def test_ties_of_other_images(tmp_path, caplog):
  records = [
    predictions(tmp_path, 'a', 90),
    predictions(tmp_path, 'b', 90, seed=1),
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
  assert ties.find_ties(records, tmp_path) == {('ridge', 'pets'): {'b'}}
  assert 'the predictions of b on dtd, ridge are missing' in caplog.text


def test_predictions_that_are_cut_short(tmp_path, caplog):
  records = [predictions(tmp_path, 'a', 90)]
  path = tmp_path / records[0]['predictions']
  path.write_bytes(path.read_bytes()[:-60])
  assert ties.find_ties(records, tmp_path) == {}
  assert 'no predictions of a on pets, ridge' in caplog.text


def test_predictions_of_another_network(tmp_path, caplog):
  """Two files are exchanged: both networks would seem what they are not."""
  records = [predictions(tmp_path, 'a', 90), predictions(tmp_path, 'b', 60)]
  first, second = (tmp_path / one['predictions'] for one in records)
  first.rename(tmp_path / 'other')
  second.rename(first)
  (tmp_path / 'other').rename(second)
  assert ties.find_ties(records, tmp_path) == {}
  assert 'their top1 is 0.6, and the record states 0.9' in caplog.text
