"""Merging two ledgers, and the shards of one study."""

import numpy as np
import pytest

from tests.jobs.test_merge import load, values, write_ledger
from tests.study import made_records
from tests.study.made_records import record
from tf_transfer import errors
from tf_transfer.study import failures, ledger, merge, predictions, shards
from tf_transfer.transfer import result


def test_merge_counts_new_records_and_conflicts(tmp_path):
  source = write_ledger(tmp_path / 'a', record('x', 0.1), record('y', 0.2))
  into = write_ledger(tmp_path / 'b', record('x', 0.4))
  count, conflicts = merge.merge(source, into)
  assert count == 1
  (conflict,) = conflicts
  assert conflict.kept['test']['value'] == 0.4
  assert conflict.other['test']['value'] == 0.1
  assert values(tmp_path / 'b') == {'x': 0.4, 'y': 0.2}
  assert load(tmp_path / 'b', 'y')['correct'].sum() == 20


@pytest.mark.parametrize('version', ['old', 'present'])
def test_merged_predictions_hold_all_arrays(tmp_path, version):
  """Files of earlier versions lack names and scores."""
  arrays = made_records.predictions(0.5)
  scores = result.compress(np.eye(made_records.NUM_CLASSES))
  arrays['scores'] = scores[arrays['prediction']]
  arrays |= {'val_label': arrays['label'], 'val_scores': arrays['scores']}
  if version == 'old':
    old = ('digest', 'label', 'prediction', 'correct')
    arrays = {name: arrays[name] for name in old}
  one = record('x', 0.5)
  source = ledger.Ledger(tmp_path / 'a')
  source.add(one, arrays)
  merge.merge(source, ledger.Ledger(tmp_path / 'b'))
  merged = predictions.read(one, tmp_path / 'b')
  assert merged.keys() == arrays.keys()
  for name, array in arrays.items():
    np.testing.assert_array_equal(merged[name], array)


def test_replace_takes_the_source(tmp_path):
  source = write_ledger(tmp_path / 'a', record('x', 0.1))
  into = write_ledger(tmp_path / 'b', record('x', 0.4))
  merge.merge(source, into, replace=True)
  assert values(tmp_path / 'b') == {'x': 0.1}


def test_absorb_shards_keeps_the_first_of_two_results(tmp_path):
  write_ledger(tmp_path, record('x', 0.1), part=shards.Shard(1, 2))
  write_ledger(tmp_path, record('x', 0.4), part=shards.Shard(2, 2))
  failures.Failures(tmp_path, shards.Shard(2, 2)).add(
    ('network_z', 'pets', 'ridge'), 'no weights'
  )
  (conflict,) = merge.absorb_shards(tmp_path)
  assert values(tmp_path) == {'x': 0.1}
  (failure,) = failures.Failures(tmp_path).read()
  assert failure['error'] == 'no weights'
  # The shards' own files stay.
  assert ledger.Ledger(tmp_path, shards.Shard(2, 2)).path.exists()
  with pytest.raises(errors.InputError, match='1 cell has different'):
    merge.raise_conflicts([conflict])


def test_no_conflicts_raise_nothing():
  merge.raise_conflicts([])
