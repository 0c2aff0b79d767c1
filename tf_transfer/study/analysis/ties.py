"""Finds the networks that are as good as the best: on a dataset, on average.

On a dataset the tests are on the predictions of each test image, on average
they are over datasets. A network is tied with the best where the test does not
tell them apart, p > 0.05, which may be for lack of test images or datasets: so
each comparison says what difference its test can resolve.
"""

import collections
import dataclasses
import pathlib
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from absl import logging

from tf_transfer.errors import InputError
from tf_transfer.study import predictions as predictions_lib
from tf_transfer.study.analysis import (
  accuracy_table,
  paired_tests,
  power,
  run_tests,
)
from tf_transfer.transfer import cross_validation, result

_LEVEL = 0.05
AVERAGE = ''  # Stands for the mean over datasets; no dataset's name is empty.
MCNEMAR, PERMUTATION = 'McNemar', 'permutation of test images'
RUNS, T_TEST = 'test images and runs', 't-test over datasets'
FOLDS = 'corrected for cross-validation'

# (setting, dataset or AVERAGE) -> the networks that are tied with the best.
Ties = Mapping[tuple[str, str], Collection[str]]


@dataclasses.dataclass(frozen=True)
class Pair:
  """How a network compares with the best one.

  Attributes:
    p: two-sided, that they are equally good; adjusted if that was asked for.
    test: MCNEMAR, PERMUTATION, RUNS, FOLDS or T_TEST.
    resolution: what the test can resolve, in 0 to 1; of averages in log-odds,
      without a discordance (NaN).
  """

  p: float
  test: str
  resolution: power.Resolution

  @property
  def tied(self) -> bool:
    """Whether the test does not tell the network from the best."""
    return self.p > _LEVEL


@dataclasses.dataclass(frozen=True)
class Comparison:
  """How the networks of a setting compare with the best on a dataset.

  Attributes:
    setting: its name.
    dataset: its name, or AVERAGE.
    metric: of the dataset; '' of averages.
    best: the network with the highest number.
    pairs: by network, all but the best.
    count: of test images, or of the datasets averaged over.
    alone: what a test against another network could resolve, by assumption,
      where there is a single network on a dataset; else None.
  """

  setting: str
  dataset: str
  metric: str
  best: str
  pairs: Mapping[str, Pair]
  count: int
  alone: power.Resolution | None = None

  @property
  def tied(self) -> frozenset[str]:
    """The networks that are tied with the best, which is one of them."""
    others = (name for name, pair in self.pairs.items() if pair.tied)
    return frozenset((self.best, *others))


def find_ties(
  records: Sequence[accuracy_table.Record],
  workdir: pathlib.Path,
  *,
  correct_with_holm: bool = False,
) -> Ties:
  """Finds the networks tied with the best, on each dataset and on average.

  Args and what is left out are those of `compare_all`.
  """
  comparisons = compare_all(
    records, workdir, correct_with_holm=correct_with_holm
  )
  return by_cell(comparisons)


def by_cell(comparisons: Sequence[Comparison]) -> Ties:
  """Returns the networks tied with the best, by setting and dataset."""
  return {(one.setting, one.dataset): one.tied for one in comparisons}


def compare_all(
  records: Sequence[accuracy_table.Record],
  workdir: pathlib.Path,
  *,
  correct_with_holm: bool = False,
) -> list[Comparison]:
  """Compares networks with the best, on each dataset and on average.

  Args:
    records: as for `on_datasets`.
    workdir: of the ledger, which holds the files of predictions.
    correct_with_holm: whether p-values are adjusted for the number of networks.

  Returns:
    The averages of each setting, if there are any to compare, then datasets.
  """
  options = {'correct_with_holm': correct_with_holm}
  return [
    *on_averages(records, **options),
    *on_datasets(records, workdir, **options),
  ]


def on_averages(
  records: Sequence[accuracy_table.Record], *, correct_with_holm: bool = False
) -> list[Comparison]:
  """Compares networks with the best on average, in each setting.

  Args:
    records: of a ledger, or the paper's.
    correct_with_holm: whether p-values are adjusted for the number of networks.
  """
  settings = dict.fromkeys(record['setting'] for record in records)
  compared = (
    on_average(records, name, correct_with_holm=correct_with_holm)
    for name in settings
  )
  return [one for one in compared if one]


def on_average(
  records: Sequence[accuracy_table.Record],
  setting: str,
  *,
  correct_with_holm: bool = False,
) -> Comparison | None:
  """Compares networks by their mean log-odds, with a t-test over datasets.

  They are those of which figures and answers speak
  (`accuracy_table.select_comparable`).

  Args:
    records: of a ledger, or the paper's.
    setting: that is asked about.
    correct_with_holm: whether p-values are adjusted for the number of networks.

  Returns:
    None where fewer than two networks or two datasets can be compared.
  """
  table = accuracy_table.build(records, setting)
  table = accuracy_table.select_comparable(table).table
  if min(len(table.networks), len(table.datasets)) < 2:
    return None
  values = table.log_odds
  best = int(np.argmax(values.mean(axis=1)))
  pairs = {}
  for name, row in zip(table.networks, values, strict=True):
    if name != table.networks[best]:
      smallest = power.t_test(values[best] - row)
      pairs[name] = Pair(
        paired_tests.paired_t_test(values[best], row),
        T_TEST,
        power.Resolution(smallest, np.nan),
      )
  return Comparison(
    setting,
    AVERAGE,
    '',
    table.networks[best],
    _adjusted(pairs, correct_with_holm),
    len(table.datasets),
  )


def _adjusted(pairs: Mapping[str, Pair], holm: bool) -> Mapping[str, Pair]:
  """Returns pairs with p adjusted for their number, if that is asked for."""
  if not holm:
    return pairs
  p_values = paired_tests.holm([pair.p for pair in pairs.values()])
  return {
    name: dataclasses.replace(pair, p=float(p))
    for (name, pair), p in zip(pairs.items(), p_values, strict=True)
  }


def on_datasets(
  records: Sequence[accuracy_table.Record],
  workdir: pathlib.Path,
  *,
  correct_with_holm: bool = False,
) -> list[Comparison]:
  """Compares networks on the test images of each dataset, in each setting.

  The test is McNemar's exact one, or the permutation test (see
  `paired_tests.compare`); where one of the two networks has several runs,
  `run_tests.compare`; of folds `cross_validation.paired_p`, where neither has
  several runs. A dataset is left out, with a warning, where predictions
  are missing or not those of the record, or where networks were not tested on
  the same examples and folds.

  Args:
    records: of a ledger; of several of a cell the last one counts, and
      networks are named as by `accuracy_table.distinct`.
    workdir: of the ledger, which holds the files of predictions.
    correct_with_holm: whether p-values are adjusted for the number of networks.
  """
  groups = collections.defaultdict(list)
  for record in accuracy_table.distinct(records):
    groups[record['setting'], record['dataset']].append(record)
  comparisons = []
  for group in groups.values():
    try:
      comparisons.append(_on_dataset(group, workdir, correct_with_holm))
    except InputError as error:
      logging.warning(
        'cannot tell which networks are tied with the best: %s', error
      )
  return comparisons


def _on_dataset(
  records: Sequence[accuracy_table.Record], workdir: pathlib.Path, holm: bool
) -> Comparison:
  """Compares the networks of one setting and dataset.

  Raises:
    InputError: predictions are missing, of another cell, or of different
      examples.
  """
  labels, folds, runs = _read(records, workdir)
  metric = records[0]['metric']
  values = [record['test']['value'] for record in records]
  best = int(np.argmax(values))
  pairs = {
    record['network']: _pair(metric, labels, folds, runs[best], own)
    for record, own in zip(records, runs, strict=True)
    if record is not records[best]
  }
  alone = None
  if not pairs:
    correct = runs[0][0]
    scores = paired_tests.example_scores(metric, labels, correct)
    factor = 1.0 if folds is None else cross_validation.variance_factor(folds)
    alone = power.alone(metric, labels, correct, scores, factor)
  return Comparison(
    records[0]['setting'],
    records[0]['dataset'],
    metric,
    records[best]['network'],
    _adjusted(pairs, holm),
    len(labels),
    alone,
  )


def _read(
  records: Sequence[accuracy_table.Record], workdir: pathlib.Path
) -> tuple[np.ndarray, np.ndarray | None, list[np.ndarray]]:
  """Reads the labels of a dataset, and where each run was right.

  Returns:
    labels; the folds [N], None without; and for each record bool
    [R, *labels.shape] of its R runs.

  Raises:
    InputError: as for `_on_dataset`.
  """
  labels, digests, folds, correct = None, None, None, []
  # The scores of all networks together could fill the memory.
  for record in records:
    arrays = predictions_lib.read(record, workdir)
    if labels is None:
      labels, digests = arrays['label'], arrays['digest']
      folds = arrays.get('fold')
    if not np.array_equal(arrays['digest'], digests):
      raise InputError(
        f'{record["dataset"]}: {records[0]["network"]} and '
        f'{record["network"]} were not tested on the same images in the same '
        'order, so they cannot be compared; their splits or what was left out '
        'as corrupt differ'
      )
    if not _equal_folds(folds, arrays.get('fold')):
      raise InputError(
        f'{record["dataset"]}: {records[0]["network"]} and '
        f'{record["network"]} were not tested in the same folds, so they '
        'cannot be compared'
      )
    correct.append(_correct_by_run(labels, arrays))
  return labels, folds, correct


def _equal_folds(first: np.ndarray | None, second: np.ndarray | None) -> bool:
  """Returns whether two records have the same folds, or both have none."""
  if first is None or second is None:
    return first is second
  return np.array_equal(first, second)


def _correct_by_run(
  labels: np.ndarray, arrays: Mapping[str, np.ndarray]
) -> np.ndarray:
  """Returns where each run was right: bool [R, *labels.shape]."""
  if 'run_predictions' not in arrays:
    return arrays['correct'][None]
  return np.array(
    [result.is_correct(labels, run) for run in arrays['run_predictions']]
  )


def _pair(
  metric: str,
  labels: np.ndarray,
  folds: np.ndarray | None,
  first: np.ndarray,
  second: np.ndarray,
) -> Pair:
  """Compares two networks on the same test images.

  Args:
    metric: of the dataset.
    labels: [N]; of map11 [N, C].
    folds: [N]; None without cross-validation.
    first: bool [R, *labels.shape], where each run of the first was right.
    second: the same of the second network.
  """
  shares = first.mean(axis=0), second.mean(axis=0)
  differ = shares[0] * (1 - shares[1]) + shares[1] * (1 - shares[0])
  counts = labels >= 0  # Difficult labels of VOC do not count.
  discordance = float(differ[counts].mean())
  factor = 1.0 if folds is None else cross_validation.variance_factor(folds)
  if max(len(first), len(second)) > 1:
    test = run_tests.compare(
      metric, labels, first, second, variance_factor=factor
    )
    smallest = power.with_runs(test.sampling, test.runs, test.degrees)
    return Pair(test.p, RUNS, power.Resolution(smallest, discordance))
  scores = [
    paired_tests.example_scores(metric, labels, one[0])
    for one in (first, second)
  ]
  if folds is not None:
    return Pair(
      cross_validation.paired_p(metric, labels, first[0], second[0], folds),
      FOLDS,
      power.cross_validated(*scores, discordance, factor),
    )
  p = paired_tests.compare(metric, labels, first[0], second[0])
  return Pair(
    p,
    MCNEMAR if metric == 'top1' else PERMUTATION,
    power.paired(metric, *scores, discordance),
  )
