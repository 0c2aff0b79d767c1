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
_KINDS = {'b': 'bool', 'i': 'int', 'u': 'uint', 'f': 'float'}
_DIGEST_SIZE = 32
_HEADERS = 2**16  # bytes: of the archive and of its arrays
# Digests do not compress, so no file of ours unpacks to as much.
_MAX_RATIO = 16
_ROUNDING = 1e-6  # of a mean, on another machine


def path_of(record: Record, workdir: pathlib.Path) -> pathlib.Path:
  """Returns the file with the predictions of a record, below a workdir.

  Raises:
    InputError: the record names a place outside.
  """
  return files.contained(workdir, record['predictions'], 'predictions')


def read(record: Record, workdir: pathlib.Path) -> Mapping[str, np.ndarray]:
  """Reads what a cell predicted: digest, label, prediction and correct.

  Args:
    record: of the cell.
    workdir: of the ledger.

  Returns:
    Arrays as `CellResult.predictions` documents them.

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
  num_examples, stated = (record['test'][n] for n in ('examples', 'value'))
  width = num_classes if metric == 'map11' else 1
  expected = num_examples * (2 * _DIGEST_SIZE + 32 * width) + _HEADERS
  arrays = files.load_arrays(path, min(expected, _MAX_RATIO * size + _HEADERS))
  _check_arrays(arrays, metric, num_classes, num_examples)
  labels = arrays['label']
  # Without the images that were left out nothing is known of their order.
  if not record['skipped']:
    split = datasets.Split('test', labels, arrays['digest'], _no_image, str)
    if split.hash != record['splits_sha256']['test']:
      raise ValueError('they are of other test images or labels')
  value = metrics.METRICS[metric](labels, arrays['prediction'])
  if not math.isclose(value, stated, rel_tol=_ROUNDING, abs_tol=_ROUNDING):
    raise ValueError(
      f'their {metric} is {value:.6g}, and the record states {stated:.6g}'
    )
  return arrays


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
    array = arrays[name]
    if array.dtype.kind not in kinds or array.shape != shape:
      words = ' or '.join(_KINDS[kind] for kind in kinds)
      raise ValueError(
        f'{name} is {array.dtype} {list(array.shape)}, where {words} '
        f'{list(shape)} is expected'
      )
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
