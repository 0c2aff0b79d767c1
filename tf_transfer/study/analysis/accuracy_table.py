"""Arranges the records of one setting as arrays: networks × datasets."""

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging

from tf_transfer import networks as networks_lib
from tf_transfer.runtime.units import counted
from tf_transfer.study import top1_protocol
from tf_transfer.study.analysis import statistics, variants
from tf_transfer.study.schema import Record

# A line of a ledger, as `study.ledger` documents it.

_HASH_LETTERS = 6  # They tell the weights of one network apart.
_MIN_NETWORKS = 3  # Fewer have no correlation.


@dataclasses.dataclass(frozen=True)
class AccuracyTable:
  """The accuracies of M networks on D datasets; NaN where there is no record.

  Attributes:
    networks: M names.
    datasets: D names.
    imagenet_top1: [M], NaN where unknown; 0 and 1, which have no log-odds, are
      moved by half an image of ImageNet's validation split.
    accuracy: [M, D] in 0 to 1, by each dataset's own metric.
    examples: [M, D] sizes of the test splits.
    families: M names of families of networks, as `networks.family`.
    top1_error: [M] standard errors of `imagenet_top1`, in 0 to 1; 0 where they
      are not known.
    run_error: [M, D] standard errors in log-odds that the runs of a cell show,
      of the mean over them; NaN where there is one run.
    measures: M times what `imagenet_top1` is of, as `top1_protocol.measure`.
  """

  networks: tuple[str, ...]
  datasets: tuple[str, ...]
  imagenet_top1: np.ndarray
  accuracy: np.ndarray
  examples: np.ndarray
  families: tuple[str, ...]
  top1_error: np.ndarray
  run_error: np.ndarray
  measures: tuple[str, ...]

  @property
  def log_odds(self) -> np.ndarray:
    """The log-odds [M, D] of the accuracies, with continuity correction."""
    return statistics.log_odds(self.accuracy, self.examples)

  @property
  def present(self) -> np.ndarray:
    """Whether there is a record: bool [M, D]."""
    return ~np.isnan(self.accuracy)

  def select_datasets(self, datasets: Sequence[str]) -> 'AccuracyTable':
    """Returns the table of these datasets, in this order."""
    columns = [self.datasets.index(name) for name in datasets]
    return dataclasses.replace(
      self,
      datasets=tuple(datasets),
      accuracy=self.accuracy[:, columns],
      examples=self.examples[:, columns],
      run_error=self.run_error[:, columns],
    )

  def select_networks(self, mask: np.ndarray) -> 'AccuracyTable':
    """Returns the table of the networks where `mask`, bool [M], is true."""
    return AccuracyTable(
      _where(self.networks, mask),
      self.datasets,
      self.imagenet_top1[mask],
      self.accuracy[mask],
      self.examples[mask],
      _where(self.families, mask),
      self.top1_error[mask],
      self.run_error[mask],
      _where(self.measures, mask),
    )

  def order_networks(self, networks: Sequence[str]) -> 'AccuracyTable':
    """Returns the table of these networks, in this order."""
    rows = [self.networks.index(name) for name in networks]
    return AccuracyTable(
      tuple(networks),
      self.datasets,
      self.imagenet_top1[rows],
      self.accuracy[rows],
      self.examples[rows],
      tuple(self.families[row] for row in rows),
      self.top1_error[rows],
      self.run_error[rows],
      tuple(self.measures[row] for row in rows),
    )


def labels(networks: Sequence[tuple[str, str, str]]) -> list[str]:
  """Returns a label, no two alike, for each network.

  The label is the name. Where several weights share a name, their tag is added
  if none of the others has it, and else the first letters of the hash.

  Args:
    networks: of each the name, the SHA-256 of its weights, and their tag. A
      network without weights has the hash '', and its name as label.
  """
  hashes, tagged = collections.defaultdict(set), collections.defaultdict(set)
  for name, sha256, tag in networks:
    if sha256:
      hashes[name].add(sha256)
      tagged[name, tag].add(sha256)
  return [
    name
    if len(hashes[name]) < 2
    else label_among_others(
      name, sha256, tag if len(tagged[name, tag]) == 1 else ''
    )
    for name, sha256, tag in networks
  ]


def label_among_others(name: str, sha256: str, tag: str = '') -> str:
  """Returns the label of a network whose name other weights share.

  Args:
    name: of the network.
    sha256: of its weights; '' without.
    tag: of its weights; '' where they have none of their own.
  """
  return f'{name} ({tag or sha256[:_HASH_LETTERS]})' if sha256 else name


def cell_names(records: Sequence[Record]) -> list[variants.Cell]:
  """Returns the network (as `labels`), dataset and setting of each record."""
  names = labels([weights_of(record) for record in records])
  return [
    (name, record['dataset'], record['setting'])
    for name, record in zip(names, records, strict=True)
  ]


def weights_of(record: Record) -> tuple[str, str, str]:
  """Returns the network, its weights and their tag of a record or a paper's."""
  fields = ('weights_sha256', 'weights_tag')
  return record['network'], *(record.get(name, '') for name in fields)


def select(records: Sequence[Record]) -> variants.Selection:
  """Selects the record of each network, dataset and setting that counts."""
  return variants.select(records, cell_names(records))


def distinct(records: Sequence[Record]) -> list[dict[str, Any]]:
  """Returns the record of each network, dataset and setting that counts.

  Two weights of one architecture are two networks: their records get the
  `labels` as network names, and their own as `architecture`. Of several
  records of the same weights one counts, as `variants.select` says. A warning
  tells how many are left out whose place a later record takes, of other splits
  or another search. The order of first appearance is kept.

  Args:
    records: of a ledger, in the order in which they were added; or the
      paper's, which have no weights.
  """
  cells = cell_names(records)
  selection = variants.select(records, cells)
  num_replaced = collections.Counter(cells[i] for i in selection.replaced)
  for (network, dataset, setting), count in num_replaced.items():
    logging.warning(
      '%s on %s, %s: %s, of other splits or another search, left out',
      network,
      dataset,
      setting,
      counted(count, 'earlier record'),
    )
  return [
    {
      **records[i],
      'network': cells[i][0],
      'architecture': records[i].get('architecture', records[i]['network']),
    }
    for i in selection.main
  ]


def build(records: Sequence[Record], setting: str) -> AccuracyTable:
  """Builds the table of one setting, in the order of its records.

  Of several records of a cell one counts, as in `distinct`.
  """
  records = [r for r in distinct(records) if r['setting'] == setting]
  networks = tuple(dict.fromkeys(r['network'] for r in records))
  datasets = tuple(dict.fromkeys(r['dataset'] for r in records))
  top1, top1_error = np.full(len(networks), np.nan), np.zeros(len(networks))
  accuracy = np.full((len(networks), len(datasets)), np.nan)
  examples, run_error = np.full((2, *accuracy.shape), np.nan)
  families, measures = {}, {}
  for record in records:
    row = networks.index(record['network'])
    column = datasets.index(record['dataset'])
    families[row] = record.get('family') or networks_lib.family(
      record['architecture']
    )
    measures[row] = top1_protocol.measure(record)
    if record['imagenet_top1'] is not None:
      top1[row] = statistics.clip_to_half_example(
        record['imagenet_top1'], statistics.IMAGENET_IMAGES
      )
      top1_error[row] = record.get('imagenet_top1_error', 0)
    accuracy[row, column] = record['test']['value']
    examples[row, column] = record['test']['examples']
    run_error[row, column] = _run_error(record)
  return AccuracyTable(
    networks,
    datasets,
    top1,
    accuracy,
    examples,
    tuple(families[row] for row in range(len(networks))),
    top1_error,
    run_error,
    tuple(measures[row] for row in range(len(networks))),
  )


def _run_error(record: Record) -> float:
  """Returns the standard error of the mean over runs; NaN of one run."""
  runs = record.get('runs', ())
  if len(runs) < 2:
    return np.nan
  values = statistics.log_odds(
    [run['test']['value'] for run in runs], record['test']['examples']
  )
  return float(values.std(ddof=1) / np.sqrt(len(runs)))


@dataclasses.dataclass(frozen=True)
class Comparable:
  """The part of a table whose averages can be compared.

  Attributes:
    table: networks that all have a record on each of its datasets.
    without_imagenet: networks left out since their ImageNet top-1 is unknown.
    sparse_datasets: datasets left out since too few networks are on them.
    incomplete: networks left out since they lack one of the other datasets.
  """

  table: AccuracyTable
  without_imagenet: tuple[str, ...]
  sparse_datasets: tuple[str, ...]
  incomplete: tuple[str, ...]


def select_comparable(table: AccuracyTable) -> Comparable:
  """Selects networks and datasets whose averages can be compared.

  Averages over different datasets say nothing about networks, so a network
  must have a record on every dataset of the table. Where too few networks have
  that, as in a study that is half done, datasets that few networks have are
  left out instead; kept are those that give the largest table without a gap.

  All figures and sentences about averages use this selection, so that they
  speak of the same networks.
  """
  known = ~np.isnan(table.imagenet_top1)
  without_imagenet = _where(table.networks, ~known)
  table = table.select_networks(known)
  present = table.present
  kept = np.ones(len(table.datasets), bool)
  if present.any():
    kept = present.any(axis=0)
    if present[:, kept].all(axis=1).sum() < _MIN_NETWORKS:
      kept = _largest_complete_columns(present)
  sparse = _where(table.datasets, ~kept)
  table = table.select_datasets(_where(table.datasets, kept))
  complete = table.present.all(axis=1)
  return Comparable(
    table.select_networks(complete),
    without_imagenet,
    sparse,
    _where(table.networks, ~complete),
  )


def _where(names: Sequence[str], mask: np.ndarray) -> tuple[str, ...]:
  """Returns the names where a mask is true."""
  return tuple(n for n, is_true in zip(names, mask, strict=True) if is_true)


def _largest_complete_columns(present: np.ndarray) -> np.ndarray:
  """Returns a mask [D] of the columns that give the most complete cells.

  Columns are added in the order of how many rows they have; for each number of
  columns the cells of the rows that have all of them are counted.

  Args:
    present: bool [M, D].
  """
  order = np.argsort(-present.sum(axis=0), kind='stable')
  num_cells = [
    present[:, order[:count]].all(axis=1).sum() * count
    for count in range(1, len(order) + 1)
  ]
  kept = np.zeros(len(order), bool)
  kept[order[: int(np.argmax(num_cells)) + 1]] = True
  return kept
