"""Which networks are as good as the best, from a ledger's predictions."""

import collections
import pathlib
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np
from absl import logging

from tf_transfer.errors import InputError
from tf_transfer.study.analysis import accuracy_table, statistics


def of(
  records: Sequence[accuracy_table.Record],
  workdir: pathlib.Path,
  *,
  correct_with_holm: bool = False,
) -> dict[tuple[str, str], frozenset[str]]:
  """(setting, dataset) -> the networks tied with the best, itself included.

  McNemar's exact test on what each test example was predicted to be, or the
  permutation test (see `statistics.compare`), p > 0.05. Where predictions are
  missing, or networks were not tested on the same examples, nothing is known:
  that dataset is left out, and it is said why.

  Args:
    records: of a ledger; of several of a cell that counts which
      `grid.distinct` says, and networks are called as there.
    workdir: of the ledger, where the predictions lie.
    correct_with_holm: whether p-values are adjusted for the number of networks.
  """
  groups = collections.defaultdict(list)
  for record in accuracy_table.distinct(records):
    groups[record['setting'], record['dataset']].append(record)
  found = {}
  for key, group in groups.items():
    try:
      found[key] = _tied(group, workdir, correct_with_holm)
    except InputError as error:
      logging.warning('not known who is tied with the best: %s', error)
  return found


def _predictions(
  record: accuracy_table.Record, workdir: pathlib.Path
) -> Mapping[str, np.ndarray]:
  path = workdir / record['predictions']
  try:
    with open(path, 'rb') as opened, np.load(opened) as file:
      return {name: file[name] for name in ('digest', 'label', 'correct')}
  except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
    raise InputError(
      f'{path}: no predictions that can be read ({error}), so '
      f'{record["network"]} on {record["dataset"]} cannot be compared; remove '
      'its record and run the cell again'
    ) from error


def _tied(
  records: Sequence[accuracy_table.Record], workdir: pathlib.Path, holm: bool
) -> frozenset[str]:
  found = [_predictions(record, workdir) for record in records]
  for record, one in zip(records, found, strict=True):
    if not np.array_equal(one['digest'], found[0]['digest']):
      raise InputError(
        f'{record["dataset"]}: {records[0]["network"]} and '
        f'{record["network"]} were not tested on the same images in the same '
        'order, so they cannot be compared; their splits or what was left out '
        'as corrupt differ'
      )
  tied = statistics.tied_with_best(
    records[0]['metric'],
    found[0]['label'],
    [one['correct'] for one in found],
    [record['test']['value'] for record in records],
    correct_with_holm=holm,
  )
  return frozenset(
    record['network']
    for record, is_tied in zip(records, tied, strict=True)
    if is_tied
  )
