"""Finds the networks that are as good as the best, by their predictions."""

import collections
import pathlib
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from absl import logging

from tf_transfer.errors import InputError
from tf_transfer.study import predictions as predictions_lib
from tf_transfer.study.analysis import (
  accuracy_table,
  paired_tests,
)

# (setting, dataset) -> the networks that are tied with the best.
Ties = Mapping[tuple[str, str], Collection[str]]


def find_ties(
  records: Sequence[accuracy_table.Record],
  workdir: pathlib.Path,
  *,
  correct_with_holm: bool = False,
) -> Ties:
  """Finds the networks tied with the best, for each setting and dataset.

  The best network is among them. The test is McNemar's exact one, or the
  permutation test (see `paired_tests.compare`), on the predictions of each test
  example; networks with p > 0.05 are tied. A dataset is left out, with a
  warning, where predictions are missing or not those of the record, or where
  networks were not tested on the same examples.

  Args:
    records: of a ledger; of several of a cell the last one counts, and
      networks are named as by `accuracy_table.distinct`.
    workdir: of the ledger, which holds the files of predictions.
    correct_with_holm: whether p-values are adjusted for the number of networks.
  """
  groups = collections.defaultdict(list)
  for record in accuracy_table.distinct(records):
    groups[record['setting'], record['dataset']].append(record)
  ties = {}
  for key, group in groups.items():
    try:
      ties[key] = _tied_with_best(group, workdir, correct_with_holm)
    except InputError as error:
      logging.warning(
        'cannot tell which networks are tied with the best: %s', error
      )
  return ties


def _tied_with_best(
  records: Sequence[accuracy_table.Record], workdir: pathlib.Path, holm: bool
) -> frozenset[str]:
  """Returns the networks tied with the best, of one setting and dataset.

  Raises:
    InputError: predictions are missing, of another cell, or of different
      examples.
  """
  predictions = [predictions_lib.read(record, workdir) for record in records]
  first = predictions[0]
  for record, arrays in zip(records, predictions, strict=True):
    if not np.array_equal(arrays['digest'], first['digest']):
      raise InputError(
        f'{record["dataset"]}: {records[0]["network"]} and '
        f'{record["network"]} were not tested on the same images in the same '
        'order, so they cannot be compared; their splits or what was left out '
        'as corrupt differ'
      )
  tied = paired_tests.tied_with_best(
    records[0]['metric'],
    first['label'],
    [arrays['correct'] for arrays in predictions],
    [record['test']['value'] for record in records],
    correct_with_holm=holm,
  )
  return frozenset(
    record['network']
    for record, is_tied in zip(records, tied, strict=True)
    if is_tied
  )
