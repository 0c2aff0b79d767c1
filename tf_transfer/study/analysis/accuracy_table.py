"""Records of one setting as arrays: networks × datasets."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from tf_transfer.study.analysis import statistics

Record = Mapping[str, Any]

_HASH_SHOWN = 6  # digits that tell two weights of one network apart
_FEWEST = 3  # Networks that have a correlation.


@dataclasses.dataclass(frozen=True)
class Grid:
  """What M networks reached on D datasets; NaN where there is no record.

  Attributes:
    networks: M names.
    datasets: D names.
    imagenet_top1: [M], NaN where unknown.
    accuracy: [M, D] in 0 to 1, by each dataset's own metric.
    examples: [M, D] of the test splits.
  """

  networks: tuple[str, ...]
  datasets: tuple[str, ...]
  imagenet_top1: np.ndarray
  accuracy: np.ndarray
  examples: np.ndarray

  @property
  def log_odds(self) -> np.ndarray:
    """[M, D], with the continuity correction."""
    return statistics.log_odds(self.accuracy, self.examples)

  def on(self, datasets: Sequence[str]) -> 'Grid':
    """The grid of these datasets, in this order."""
    columns = [self.datasets.index(name) for name in datasets]
    return dataclasses.replace(
      self,
      datasets=tuple(datasets),
      accuracy=self.accuracy[:, columns],
      examples=self.examples[:, columns],
    )

  def keep(self, rows: np.ndarray) -> 'Grid':
    """The grid of the networks for which `rows`, bool [M], is true."""
    return Grid(
      tuple(n for n, r in zip(self.networks, rows, strict=True) if r),
      self.datasets,
      self.imagenet_top1[rows],
      self.accuracy[rows],
      self.examples[rows],
    )


def labels(networks: Sequence[tuple[str, str]]) -> list[str]:
  """Labels each of (name, SHA-256 of its weights).

  The label is the name; where several weights go by it, with the first digits
  of the hash. A network without weights, whose hash is '', keeps its name.
  """
  weights = collections.defaultdict(set)
  for name, sha256 in networks:
    if sha256:
      weights[name].add(sha256)
  return [
    label_among_others(name, sha256)
    if sha256 and len(weights[name]) > 1
    else name
    for name, sha256 in networks
  ]


def label_among_others(name: str, sha256: str) -> str:
  """Labels a network where others go by its name."""
  return f'{name} ({sha256[:_HASH_SHOWN]})' if sha256 else name


def distinct(records: Sequence[Record]) -> list[dict[str, Any]]:
  """One record for each network, dataset and setting, in the order given.

  Several weights of one architecture are several networks: `labels` says what
  they are called. Of several records of the same weights (of other splits, or
  another search) the last counts; that others are left out is said.

  Args:
    records: of a ledger, in the order in which they were added; or the
      paper's, which have no weights.
  """
  names = labels([(r['network'], r.get('weights_sha256', '')) for r in records])
  found, left_out = {}, {}
  for record, name in zip(records, names, strict=True):
    cell = name, record['dataset'], record['setting']
    if cell in found:
      left_out[cell] = left_out.get(cell, 0) + 1
    found[cell] = {**record, 'network': name}
  for (network, dataset, setting), count in left_out.items():
    logging.warning(
      '%s on %s, %s: %d earlier records, of other splits or another search, '
      'are left out',
      network,
      dataset,
      setting,
      count,
    )
  return list(found.values())


def of(records: Sequence[Record], setting: str) -> Grid:
  """The grid of a setting, in the records' order.

  Of several records of a cell, that counts which `distinct` says.
  """
  records = distinct([r for r in records if r['setting'] == setting])
  networks = tuple(dict.fromkeys(r['network'] for r in records))
  datasets = tuple(dict.fromkeys(r['dataset'] for r in records))
  top1 = np.full(len(networks), np.nan)
  accuracy = np.full((len(networks), len(datasets)), np.nan)
  examples = np.full_like(accuracy, np.nan)
  for record in records:
    row = networks.index(record['network'])
    column = datasets.index(record['dataset'])
    if record['imagenet_top1'] is not None:
      top1[row] = record['imagenet_top1']
    accuracy[row, column] = record['test']['value']
    examples[row, column] = record['test']['examples']
  return Grid(networks, datasets, top1, accuracy, examples)


@dataclasses.dataclass(frozen=True)
class Usable:
  """The networks of a grid whose averages can be compared.

  Attributes:
    found: their grid, without a gap.
    unknown: networks that were left out, their ImageNet top-1 being unknown.
    thin: datasets that were left out, too few networks being on them.
    partial: networks that were left out, not being on all of the others.
  """

  found: Grid
  unknown: tuple[str, ...]
  thin: tuple[str, ...]
  partial: tuple[str, ...]


def usable(found: Grid) -> Usable:
  """The networks whose averages can be compared, and what is left out.

  Averages over different datasets say nothing about networks, so a network
  has to be on every dataset of the grid. Where that leaves too few of them,
  as in a study that is half done, datasets that few networks have are left out
  instead: those are kept on which the most cells stand side by side.

  Whoever averages asks here, so that figures and sentences are of the same.
  """
  known = ~np.isnan(found.imagenet_top1)
  unknown, found = _without(found.networks, known), found.keep(known)
  there = ~np.isnan(found.accuracy)
  kept = np.ones(len(found.datasets), bool)
  if there.any():
    kept = there.any(axis=0)
    if there[:, kept].all(axis=1).sum() < _FEWEST:
      kept = _side_by_side(there)
  thin = _without(found.datasets, kept)
  found = found.on([name for name in found.datasets if name not in thin])
  whole = there[:, kept].all(axis=1)
  partial = _without(found.networks, whole)
  return Usable(found.keep(whole), unknown, thin, partial)


def _without(names: Sequence[str], kept: np.ndarray) -> tuple[str, ...]:
  return tuple(n for n, keep in zip(names, kept, strict=True) if not keep)


def _side_by_side(there: np.ndarray) -> np.ndarray:
  """The columns of bool [M, D] on which rows without a gap fill the most."""
  order = np.argsort(-there.sum(axis=0), kind='stable')
  filled = [
    there[:, order[:count]].all(axis=1).sum() * count
    for count in range(1, len(order) + 1)
  ]
  kept = np.zeros(len(order), bool)
  kept[order[: int(np.argmax(filled)) + 1]] = True
  return kept
