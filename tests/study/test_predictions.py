"""Predictions of each example, checked against their record."""

import dataclasses
import io
import os
import re
import tracemalloc
import zipfile

import numpy as np
import pytest

from tests.study import made_records
from tf_transfer import datasets, errors
from tf_transfer.study import ledger, predictions
from tf_transfer.transfer import metrics
from tf_transfer.transfer import result as result_lib


@pytest.fixture
def cell(tmp_path):
  """A record in a ledger, and the path of its predictions."""
  record = made_records.record('a', 0.75)
  ledger.Ledger(tmp_path).add(record, made_records.predictions(0.75))
  return record, tmp_path / record['predictions']


def test_predictions_as_they_were_written(cell, tmp_path):
  record, _ = cell
  read = predictions.read(record, tmp_path)
  assert read.keys() == made_records.predictions(0.75).keys()
  for name, array in made_records.predictions(0.75).items():
    np.testing.assert_array_equal(read[name], array)


def refused(record, tmp_path):
  with pytest.raises(errors.InputError) as raised:
    predictions.read(record, tmp_path)
  text = str(raised.value)
  assert '\n' not in text
  # Both files are named: that of the predictions and the ledger's.
  assert text.startswith(str(tmp_path / record['predictions']))
  assert record['identity'] in text
  return text


def changed(**arrays):
  """Predictions of which some arrays are others; None leaves one out."""
  made = {**made_records.predictions(0.75), **arrays}
  return {name: array for name, array in made.items() if array is not None}


def wrong(dtype):
  return np.zeros(100, dtype)


@pytest.mark.parametrize(
  ('arrays', 'message'),
  [
    (made_records.predictions(0.5), 'their top1 is 0.5, and the record'),
    (made_records.predictions(0.75, seed=1), 'of other test images'),
    (made_records.predictions(0.75, 99), r'digest is uint8 \[99, 32\]'),
    (changed(correct=np.array(['yes'] * 100)), r'correct is <U3 \[100\]'),
    (changed(correct=np.zeros(100, bool)), 'correct disagrees'),
    (changed(prediction=wrong(float) + np.nan), 'prediction is float64'),
    (changed(prediction=wrong(int) + 7), 'prediction is beyond the 5 classes'),
    (changed(label=wrong(int) - 1), 'label is beyond the 5 classes'),
    (changed(label=wrong(complex)), 'label is complex128 .*where int or uint'),
    (changed(label=np.zeros((100, 1), int)), r'label is int64 \[100, 1\]'),
    (changed(digest=None), 'there is no array digest'),
    (changed(correct=np.array([None] * 100)), 'allow_pickle'),
    ({}, 'there is no array digest'),
  ],
)
def test_what_is_not_of_the_record(cell, tmp_path, arrays, message):
  record, path = cell
  np.savez(path, **arrays)
  assert re.search(message, refused(record, tmp_path))


def test_predictions_of_another_cell(cell, tmp_path):
  """As if two files had been exchanged."""
  _, path = cell
  other = made_records.record('b', 0.5)
  ledger.Ledger(tmp_path).add(other, made_records.predictions(0.5))
  path.rename(tmp_path / other['predictions'])
  assert 'their top1 is 0.75, and the record states 0.5' in refused(
    other, tmp_path
  )


@pytest.mark.parametrize('metric', ['mean_per_class', 'map11'])
def test_other_metrics(tmp_path, metric):
  rng = np.random.default_rng(0)
  if metric == 'map11':
    labels = rng.integers(-1, 2, (100, 5), dtype=np.int32)
    predicted = rng.normal(size=(100, 5)).astype(np.float32)
  else:
    labels = rng.integers(0, 5, 100, dtype=np.int32)
    predicted = rng.integers(0, 5, 100)
  split = datasets.Split(
    'test', labels, rng.integers(256, size=(100, 32)), None, str
  )
  arrays = result_lib.per_example(split, np.arange(100), labels, predicted)
  measured = metrics.measure(metric, labels, predicted)
  record = made_records.record(
    'a',
    metric=metric,
    test=dataclasses.asdict(measured),
    splits_sha256={'train': 64 * '0', 'val': 64 * '1', 'test': split.hash},
  )
  ledger.Ledger(tmp_path).add(record, arrays)
  assert predictions.read(record, tmp_path)
  record['test']['value'] -= 0.01
  assert f'their {metric} is' in refused(record, tmp_path)


def test_images_left_out_leave_the_rest(tmp_path):
  """The hash is of all test images, so it says nothing of those that remain."""
  record = {
    **made_records.record('a', 0.5),
    'splits_sha256': {name: 64 * '0' for name in ('train', 'val', 'test')},
  }
  ledger.Ledger(tmp_path).add(record, made_records.predictions(0.5))
  assert 'of other test images' in refused(record, tmp_path)
  skipping = {**record, 'skipped': ['a.png'], 'split_sizes': {'test': 101}}
  assert predictions.read(skipping, tmp_path)
  # What was left out was in no split, or in another than test.
  skipping['split_sizes'] = {'test': 100}
  assert 'of other test images' in refused(skipping, tmp_path)


@pytest.mark.parametrize('kind', ['none', 'text', 'cut', 'directory', 'pipe'])
def test_what_is_no_archive(cell, tmp_path, kind):
  record, path = cell
  data = path.read_bytes()
  path.unlink()
  if kind == 'text':
    path.write_text('version https://git-lfs.github.com/spec/v1')
  elif kind == 'cut':
    path.write_bytes(data[:-60])
  elif kind == 'directory':
    path.mkdir()
  elif kind == 'pipe':
    os.mkfifo(path)
  refused(record, tmp_path)


def test_any_byte_that_is_changed_is_noticed(cell, tmp_path):
  record, path = cell
  data = bytearray(path.read_bytes())
  expected = predictions.read(record, tmp_path)
  for position in range(0, len(data), 97):
    broken = data.copy()
    broken[position] ^= 0x15
    path.write_bytes(broken)
    try:
      read = predictions.read(record, tmp_path)
    except errors.InputError:
      continue
    # A date, or another field that means nothing.
    for name, array in expected.items():
      np.testing.assert_array_equal(read[name], array)


def bomb(path, size, written):
  """Writes an archive of some kilobytes that unpacks to gigabytes."""
  header = io.BytesIO()
  np.lib.format.write_array_header_1_0(
    header, {'descr': '|u1', 'fortran_order': False, 'shape': (size,)}
  )
  with (
    zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive,
    archive.open('digest.npy', 'w', force_zip64=True) as file,
  ):
    file.write(header.getvalue())
    for _ in range(written // 2**22):
      file.write(bytes(2**22))


@pytest.mark.parametrize(('size', 'written'), [(2**26, 2**26), (2**60, 0)])
def test_archives_that_would_fill_the_memory(cell, tmp_path, size, written):
  """Some array is as large, or says that it is."""
  record, path = cell
  bomb(path, size, written)
  tracemalloc.start()
  refused({**record, 'test': {**record['test'], 'examples': 10**8}}, tmp_path)
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert peak < 16 * 2**20


SCORES = result_lib.compress(
  np.eye(5)[made_records.predictions(0.75)['prediction']]
)


def on_val(labels, added=0):
  """What a file has of val."""
  return {'val_label': labels, 'val_scores': SCORES + np.float16(added)}


@pytest.mark.parametrize(
  ('arrays', 'message'),
  [
    ({'scores': SCORES[:, :4]}, r'scores is float16 \[100, 4\]'),
    ({'scores': np.roll(SCORES, 1, axis=1)}, 'prediction is not where scores'),
    ({'scores': np.where(SCORES < 0, -np.inf, 0)}, 'scores are not all finite'),
    ({'name': np.arange(100)}, r'name is int64 \[100\], where str'),
    ({'val_label': np.zeros(100, int)}, 'val_label and val_scores'),
    ({'val_scores': SCORES}, 'val_label and val_scores'),
    (on_val(np.full(100, 5)), 'val_label is beyond the 5 classes'),
    (on_val(np.full(100, -1)), 'val_label is beyond the 5 classes'),
    (on_val(np.zeros(100, int), 1), 'val_scores are not relative to'),
  ],
)
def test_scores_that_are_not_of_the_record(cell, tmp_path, arrays, message):
  record, path = cell
  np.savez(path, **changed(**arrays))
  assert re.search(message, refused(record, tmp_path))


def test_scores_that_compress_well_are_read(tmp_path):
  """One vote for each example among a thousand classes, as of neighbors."""
  arrays = made_records.predictions(0.75)
  votes = np.eye(1000)[np.arange(3000) % 1000]
  arrays |= {
    'scores': result_lib.compress(votes[arrays['prediction']]),
    **result_lib.on_val(np.arange(3000) % 1000, votes),
  }
  measured = metrics.measure('top1', arrays['val_label'], votes.argmax(1))
  record = made_records.record(
    'a', 0.75, num_classes=1000, validation=dataclasses.asdict(measured)
  )
  ledger.Ledger(tmp_path).add(record, arrays)
  path = tmp_path / record['predictions']
  assert sum(x.nbytes for x in arrays.values()) > 64 * path.stat().st_size
  assert predictions.read(record, tmp_path)['val_scores'].shape == (3000, 1000)


def several_runs(tmp_path, **changes):
  """A record of two runs, and its arrays."""
  arrays = made_records.predictions(0.75)
  second = made_records.predictions(0.5)['prediction']
  arrays['run_predictions'] = np.stack([arrays['prediction'], second])
  measured = [
    dataclasses.asdict(metrics.measure('top1', arrays['label'], predicted))
    for predicted in arrays['run_predictions']
  ]
  runs = [{'seed': i, 'test': x} for i, x in enumerate(measured)]
  test = {**measured[0], 'value': 0.625, 'low': 0.5}
  record = made_records.record('a', 0.75, runs=runs, test=test)
  ledger.Ledger(tmp_path).add(record, {**arrays, **changes})
  return record


def test_several_runs_are_read(tmp_path):
  record = several_runs(tmp_path)
  assert predictions.read(record, tmp_path)['run_predictions'].shape == (2, 100)


@pytest.mark.parametrize(
  ('runs', 'message'),
  [
    (np.zeros((1, 100), int), r'run_predictions is int64 \[1, 100\]'),
    (np.zeros((2, 100), int), 'prediction is not that of the first run'),
  ],
)
def test_runs_that_are_not_of_the_record(tmp_path, runs, message):
  record = several_runs(tmp_path, run_predictions=runs)
  assert re.search(message, refused(record, tmp_path))


def of_folds(num_folds=4):
  """A record of folds in a ledger's form, and its arrays."""
  arrays = made_records.predictions(0.75)
  fold = np.arange(100) % num_folds
  fields = [
    {
      'fold': number,
      'examples': int(np.sum(fold == number)),
      'value': float(np.mean(arrays['correct'][fold == number])),
      'chosen': {'penalty': 0.1},
    }
    for number in range(num_folds)
  ]
  record = made_records.record('a', 0.75, folds=fields, num_folds=num_folds)
  return record, {**arrays, 'fold': fold}


def test_folds_of_predictions_are_read(tmp_path):
  record, arrays = of_folds()
  ledger.Ledger(tmp_path).add(record, arrays)
  read = predictions.read(record, tmp_path)
  np.testing.assert_array_equal(read['fold'], arrays['fold'])


@pytest.mark.parametrize(
  ('fold', 'message'),
  [
    (None, 'there is no array fold'),
    (np.full(100, 4), 'fold is beyond those of the record'),
    (np.arange(100) // 50, 'fold 0 has not 25 examples'),
    (np.arange(100) // 25, 'their top1 is 1, and the record states 0.76'),
    (np.zeros(99, int), 'fold'),
    (np.zeros(100), 'fold'),
  ],
)
def test_folds_that_are_not_the_records(tmp_path, fold, message):
  record, arrays = of_folds()
  arrays = {**arrays, 'fold': fold}
  if fold is None:
    del arrays['fold']
  ledger.Ledger(tmp_path).add(record, arrays)
  assert message in refused(record, tmp_path)
