"""Records of one setting as arrays: networks × datasets."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_transfer.errors import InputError
from tf_transfer.study import statistics

Record = Mapping[str, Any]


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


def of(records: Sequence[Record], setting: str) -> Grid:
  """The grid of a setting, in the records' order.

  Raises:
    InputError: a network has two records on one dataset.
  """
  records = [r for r in records if r['setting'] == setting]
  cells = collections.Counter((r['network'], r['dataset']) for r in records)
  twice = [f'{n} on {d}' for (n, d), count in cells.items() if count > 1]
  if twice:
    raise InputError(
      f'{setting}: more than one record of {", ".join(twice)}, of different '
      'weights, splits or search; choose one of each'
    )
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
