"""Correlates the accuracies on each dataset with ImageNet accuracy.

The paper found that from random initialization r depends on the datasets: it is
smaller on those with fewer than 10,000 training images.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.stats

from tf_transfer import datasets
from tf_transfer.errors import InputError
from tf_transfer.study.analysis import (
  accuracy_table,
  correlations,
  dependent_correlations,
  paired_tests,
  statistics,
)

FEW_IMAGES = 10_000  # The paper calls datasets with fewer for training small.
_PERMUTATIONS = 10_000


@dataclasses.dataclass(frozen=True)
class DatasetCorrelation:
  """The correlation of a setting's accuracies with ImageNet accuracy.

  Attributes:
    name: of the dataset, or of several.
    num_datasets: over how many the log-odds were averaged.
    r: with its intervals over networks and over families.
    p: of a permutation test over networks, two-sided.
    holm: p adjusted for the number of datasets; NaN of several datasets.
    num_images: in train and val together; None where it is not known, or of
      several datasets.
  """

  name: str
  num_datasets: int
  r: correlations.ByFamily
  p: float
  holm: float
  num_images: int | None


@dataclasses.dataclass(frozen=True)
class SettingChange:
  """How the correlations of two settings differ, on the same cells.

  Attributes:
    settings: their names.
    datasets: over which log-odds were averaged.
    change: of r, the first setting's minus the second's.
  """

  settings: tuple[str, str]
  datasets: tuple[str, ...]
  change: dependent_correlations.Change


def num_training_images(record: accuracy_table.Record) -> int | None:
  """Returns the images in train and val; None where no table has their number.

  Args:
    record: of a cell; where it trained on a few images of each class, they are
      counted.
  """
  per_class = record.get('examples_per_class', 0)
  if per_class:
    return per_class * record['num_classes']
  row = datasets.row(record['dataset'])
  if row is None or row.counts is None:
    return None
  return row.counts['train'] + row.counts['val']


def permutation_p(x: np.ndarray, y: np.ndarray) -> float:
  """Returns the two-sided p that x and y are paired at random.

  All permutations are counted where there are no more than 10,000, else that
  many are drawn, with a fixed seed. Networks of one family are alike, so they
  are not exchangeable, and p is smaller than it should be.

  Args:
    x: [M].
    y: [M].
  """

  def coefficient(x: np.ndarray, axis: int) -> np.ndarray:
    """Returns |r|; values that differ by float noise alone are equal."""
    return np.round(np.abs(correlations.pearson(x, y, axis)), 12)

  return float(
    scipy.stats.permutation_test(
      (x,),
      coefficient,
      permutation_type='pairings',
      alternative='greater',
      vectorized=True,
      n_resamples=_PERMUTATIONS,
      rng=np.random.default_rng(0),
    ).pvalue
  )


def by_dataset(
  records: Sequence[accuracy_table.Record], setting: str
) -> list[DatasetCorrelation]:
  """Correlates each dataset's log-odds with those of ImageNet top-1.

  Args:
    records: of a ledger, or the paper's.
    setting: that is asked about.

  Returns:
    In the order of the records, those with three networks or more whose
    ImageNet top-1 is known and whose values vary.
  """
  table = accuracy_table.build(records, setting)
  images = _num_images(records, setting)
  rows = []
  for column, name in enumerate(table.datasets):
    known = ~np.isnan(table.imagenet_top1) & table.present[:, column]
    part = table.select_networks(known).select_datasets([name])
    row = _correlate(part, name, images[name])
    rows += [row] if row else []
  adjusted = paired_tests.holm([row.p for row in rows])
  return [
    dataclasses.replace(row, holm=float(p))
    for row, p in zip(rows, adjusted, strict=True)
  ]


def by_size(
  records: Sequence[accuracy_table.Record], setting: str
) -> list[DatasetCorrelation]:
  """Correlates the averages over small and over large datasets.

  They are of the networks and datasets that can be compared
  (`accuracy_table.select_comparable`), without those datasets whose number of
  training images is not known.

  Args:
    records: of a ledger, or the paper's.
    setting: that is asked about.

  Returns:
    Small, then large; nothing unless there are both.
  """
  table = accuracy_table.build(records, setting)
  table = accuracy_table.select_comparable(table).table
  images = _num_images(records, setting)
  known = [name for name in table.datasets if images[name] is not None]
  small = [name for name in known if images[name] < FEW_IMAGES]
  large = [name for name in known if name not in small]
  if not small or not large:
    return []
  rows = [
    _correlate(table.select_datasets(names), title, None)
    for title, names in (('small', small), ('large', large))
  ]
  return [row for row in rows if row]


def _num_images(
  records: Sequence[accuracy_table.Record], setting: str
) -> Mapping[str, int | None]:
  """Returns the number of training images of each dataset of a setting."""
  return {
    record['dataset']: num_training_images(record)
    for record in records
    if record['setting'] == setting
  }


def _correlate(
  table: accuracy_table.AccuracyTable, name: str, num_images: int | None
) -> DatasetCorrelation | None:
  """Correlates the mean log-odds of a table; None where that is impossible."""
  x = statistics.log_odds(table.imagenet_top1)
  y = table.log_odds.mean(axis=1)
  try:
    r = correlations.by_family(x, y, table.families)
  except InputError:
    return None
  p = permutation_p(x, y)
  return DatasetCorrelation(name, len(table.datasets), r, p, np.nan, num_images)


def between_settings(
  records: Sequence[accuracy_table.Record],
) -> list[SettingChange]:
  """Compares the correlations of each two settings, on the same cells.

  Args:
    records: of a ledger, or the paper's.

  Returns:
    Those with five networks or more on the same datasets.
  """
  settings = list(dict.fromkeys(record['setting'] for record in records))
  tables = {name: accuracy_table.build(records, name) for name in settings}
  changes = []
  for first, second in itertools.combinations(settings, 2):
    pair = _same_cells(tables[first], tables[second])
    try:
      change = dependent_correlations.compare(
        statistics.log_odds(pair[0].imagenet_top1),
        *(table.log_odds.mean(axis=1) for table in pair),
        pair[0].families,
      )
    except InputError:
      continue
    changes.append(SettingChange((first, second), pair[0].datasets, change))
  return changes


def _same_cells(
  first: accuracy_table.AccuracyTable, second: accuracy_table.AccuracyTable
) -> tuple[accuracy_table.AccuracyTable, accuracy_table.AccuracyTable]:
  """Returns two tables of the same networks and datasets, without a gap.

  The datasets are those of the first table's comparable part that the second
  has, too.
  """
  shared = [name for name in first.datasets if name in second.datasets]
  first = accuracy_table.select_comparable(first.select_datasets(shared)).table
  second = second.select_datasets(first.datasets)
  complete = second.present.all(axis=1)
  names = [
    name
    for name in first.networks
    if name in second.networks and complete[second.networks.index(name)]
  ]
  return first.order_networks(names), second.order_networks(names)
