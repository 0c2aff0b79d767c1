"""Reads the predictions of a cell, and checks that they are this cell's.

A ledger may be from elsewhere, and files may be exchanged or damaged. So the
size of a file is checked before it is unpacked, and what it holds must give the
accuracy that the record states.
"""

import math
import os
import pathlib
import stat
from collections.abc import Mapping

import numpy as np

from tf_transfer import datasets, errors
from tf_transfer.runtime import files
from tf_transfer.study.schema import Record
from tf_transfer.transfer import metrics

# Kinds of NumPy's types, for messages.
_KINDS = {'b': 'bool', 'i': 'int', 'u': 'uint', 'f': 'float', 'U': 'str'}
_DIGEST_SIZE = 32
_HEADERS = 2**16  # bytes: of the archive and of its arrays
# Zeros unpack to a thousand times as much. Of a file of ours, most is scores
# where each example has one vote among thousands of classes: 250 times among
# 1,000 classes, 500 times among 4,000.
_MAX_RATIO = 512
_NAME_SIZE = 2048  # bytes, of a name in UCS-4
_ROUNDING = 1e-6  # of a mean, on another machine


def path_of(record: Record, workdir: pathlib.Path) -> pathlib.Path:
  """Returns the file with the predictions of a record, below a workdir.

  Raises:
    InputError: the record names a place outside.
  """
  return files.contained(workdir, record['predictions'], 'predictions')


def read(record: Record, workdir: pathlib.Path) -> Mapping[str, np.ndarray]:
  """Reads what a cell predicted.

  Args:
    record: of the cell.
    workdir: of the ledger.

  Returns:
    Arrays as `CellResult.predictions` documents them; digest, label, prediction
    and correct are always there. Files of earlier versions lack the others.

  Raises:
    InputError: the file is missing, damaged, or of another cell.
  """
  path = path_of(record, workdir)
  try:
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
      raise ValueError('it is no file')
    return _read(path, status.st_size, record)
  except FileNotFoundError as error:
    raise errors.InputError(
      f'{path}: the predictions of {_cell(record)} are missing: find the file, '
      f'or remove its record {record["identity"]} from {workdir} and run the '
      'cell again'
    ) from error
  except (ValueError, OSError, MemoryError) as error:
    reason = str(error) or type(error).__name__
    raise errors.InputError(
      f'{path}: no predictions of {_cell(record)} as its record '
      f'{record["identity"]} in {workdir} states them: {reason}. Find the '
      'right file, or remove the record and run the cell again'
    ) from error


def _cell(record: Record) -> str:
  """Names the cell of a record."""
  return f'{record["network"]} on {record["dataset"]}, {record["setting"]}'


def _read(
  path: pathlib.Path, size: int, record: Record
) -> Mapping[str, np.ndarray]:
  """Reads a file of some size and checks that it is what the record states.

  Raises:
    ValueError: it is not; the text says why.
  """
  metric, num_classes = record['metric'], record['num_classes']
  arrays = files.load_arrays(
    path, min(_max_size(record), _MAX_RATIO * size + _HEADERS)
  )
  _check_arrays(arrays, metric, num_classes, record['test']['examples'])
  labels = arrays['label']
  # Without those test images that were left out of the split nothing is known
  # of the order. What a folder leaves out is in none of its splits.
  num_test = record.get('split_sizes', {}).get('test')
  if not record['skipped'] or len(labels) == num_test:
    split = datasets.Split('test', labels, arrays['digest'], _no_image, str)
    if split.hash != record['splits_sha256']['test']:
      raise ValueError('they are of other test images or labels')
  runs = record.get('runs')
  stated = (runs[0]['test'] if runs else record['test'])['value']
  _check_value(metric, labels, arrays['prediction'], stated)
  _check_scores(arrays, record)
  if runs:
    _check_runs(arrays, record)
  if 'folds' in record:
    _check_folds(arrays, record)
  return arrays


def _max_size(record: Record) -> int:
  """Returns how many bytes the predictions of a record unpack to at most."""
  num_classes, num_examples = record['num_classes'], record['test']['examples']
  width = num_classes if record['metric'] == 'map11' else 1
  per_example = 2 * _DIGEST_SIZE + _NAME_SIZE + 32 * width + 4 * num_classes
  per_example += 8 * ('folds' in record)
  per_example += 8 * width * len(record.get('runs', ()))
  per_val_example = 8 * width + 8 * num_classes
  num_val = record['validation']['examples']
  return num_examples * per_example + num_val * per_val_example + _HEADERS


def _check_value(
  metric: str, labels: np.ndarray, predicted: np.ndarray, stated: float
) -> None:
  """Checks that predictions give the accuracy that the record states.

  Raises:
    ValueError: they do not.
  """
  value = metrics.METRICS[metric](labels, predicted)
  if not math.isclose(value, stated, rel_tol=_ROUNDING, abs_tol=_ROUNDING):
    raise ValueError(
      f'their {metric} is {value:.6g}, and the record states {stated:.6g}'
    )


def _check_scores(arrays: Mapping[str, np.ndarray], record: Record) -> None:
  """Checks names of images, and scores on test and val, where there are some.

  Raises:
    ValueError: they are not of this record.
  """
  num_examples, num_classes = record['test']['examples'], record['num_classes']
  multi_label = record['metric'] == 'map11'
  num_val = record['validation']['examples']
  val_scores_shape = (num_val, num_classes)
  for name, kinds, shape in (
    ('name', 'U', (num_examples,)),
    ('scores', 'f', (num_examples, num_classes)),
    ('val_label', 'iu', val_scores_shape if multi_label else (num_val,)),
    ('val_scores', 'f', val_scores_shape),
  ):
    if name in arrays:
      _check_type(arrays[name], name, kinds, shape)
      if kinds == 'f' and not np.isfinite(arrays[name]).all():
        raise ValueError(f'{name} are not all finite')
  if ('val_label' in arrays) != ('val_scores' in arrays):
    raise ValueError('val_label and val_scores do not come alone')
  if 'val_scores' in arrays and not multi_label:
    labels, scores = arrays['val_label'], arrays['val_scores']
    if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
      raise ValueError(f'val_label is beyond the {num_classes:,} classes')
    if np.any(scores.max(axis=1) != 0):
      raise ValueError('val_scores are not relative to the largest of each row')
  if 'scores' in arrays:
    scores = arrays['scores']
    best = scores[np.arange(num_examples), arrays['prediction']]
    if scores.max(initial=0) > 0 or np.any(best != 0):
      raise ValueError('prediction is not where scores are largest')


def _check_runs(arrays: Mapping[str, np.ndarray], record: Record) -> None:
  """Checks the predictions of several runs.

  Raises:
    ValueError: they are not of this record.
  """
  name, runs = 'run_predictions', record['runs']
  if name not in arrays:
    raise ValueError(f'there is no array {name}')
  predicted = arrays['prediction']
  kinds = 'f' if predicted.dtype.kind == 'f' else 'iu'
  _check_type(arrays[name], name, kinds, (len(runs), *predicted.shape))
  if not np.array_equal(arrays[name][0], predicted):
    raise ValueError('prediction is not that of the first run')
  for run, of_run in zip(runs, arrays[name], strict=True):
    stated = run['test']['value']
    _check_value(record['metric'], arrays['label'], of_run, stated)


def _check_folds(arrays: Mapping[str, np.ndarray], record: Record) -> None:
  """Checks in which fold each example was tested.

  Raises:
    ValueError: it is not as the record states it.
  """
  if 'fold' not in arrays:
    raise ValueError('there is no array fold')
  labels, fold = arrays['label'], arrays['fold']
  _check_type(fold, 'fold', 'iu', (len(labels),))
  numbers = {one['fold'] for one in record['folds']}
  if not set(np.unique(fold).tolist()) <= numbers:
    raise ValueError('fold is beyond those of the record')
  if 'runs' in record:
    return  # The values of folds are means over runs.
  for one in record['folds']:
    inside = fold == one['fold']
    if np.count_nonzero(inside) != one['examples']:
      raise ValueError(f'fold {one["fold"]} has not {one["examples"]} examples')
    predicted = arrays['prediction'][inside]
    _check_value(record['metric'], labels[inside], predicted, one['value'])


def _no_image(i: int) -> np.ndarray:
  """Raises a LookupError: only the hashes of images are known."""
  raise LookupError(i)


def _check_arrays(
  arrays: Mapping[str, np.ndarray],
  metric: str,
  num_classes: int,
  num_examples: int,
) -> None:
  """Checks names, types, shapes and ranges.

  Raises:
    ValueError: one is wrong.
  """
  one_label = (num_examples,)
  many = (num_examples, num_classes) if metric == 'map11' else one_label
  for name, kinds, shape in (
    ('digest', 'u', (num_examples, _DIGEST_SIZE)),
    ('label', 'iu', many),
    ('prediction', 'f' if metric == 'map11' else 'iu', many),
    ('correct', 'b', many),
  ):
    if name not in arrays:
      raise ValueError(f'there is no array {name}')
    _check_type(arrays[name], name, kinds, shape)
  labels, predicted = arrays['label'], arrays['prediction']
  if metric == 'map11':
    if (
      not np.isin(labels, (-1, 0, 1)).all() or not np.isfinite(predicted).all()
    ):
      raise ValueError('labels are not -1, 0 or 1, or scores are not finite')
    correct = (predicted > 0) == (labels == 1)
  else:
    for name, array in (('label', labels), ('prediction', predicted)):
      if array.size and not 0 <= array.min() <= array.max() < num_classes:
        raise ValueError(f'{name} is beyond the {num_classes:,} classes')
    correct = predicted == labels
  if not np.array_equal(correct, arrays['correct']):
    raise ValueError('correct disagrees with label and prediction')


def _check_type(
  array: np.ndarray, name: str, kinds: str, shape: tuple[int, ...]
) -> None:
  """Checks the type and the shape of an array.

  Raises:
    ValueError: one is wrong.
  """
  if array.dtype.kind not in kinds or array.shape != shape:
    words = ' or '.join(_KINDS[kind] for kind in kinds)
    raise ValueError(
      f'{name} is {array.dtype} {list(array.shape)}, where {words} '
      f'{list(shape)} is expected'
    )
