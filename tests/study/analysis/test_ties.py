import numpy as np

from tests.study.analysis.table_records import record
from tf_transfer.study.analysis import ties


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
