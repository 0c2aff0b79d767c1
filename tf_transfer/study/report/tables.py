"""Builds the tables of the page."""

import base64
import dataclasses
from collections.abc import Sequence
from typing import Any

from tf_transfer.runtime import csv_text
from tf_transfer.runtime.units import counted
from tf_transfer.study import failures, names, top1_protocol
from tf_transfer.study.analysis import accuracy_table, uncertainty
from tf_transfer.study.paper import differences
from tf_transfer.study.report import cells as cells_lib
from tf_transfer.study.report import text_table

_NONE = '–'
_MAX_FILES = 5  # Corrupt images that are named one by one.
_METRICS = {
  'top1': 'top-1',
  'mean_per_class': 'mean per class',
  'map11': '11-point mAP',
}


@dataclasses.dataclass(frozen=True)
class Table:
  """A table of the page.

  Attributes:
    name: in the page's addresses, and of the file that is downloaded.
    caption: what it shows.
    columns: headings; a unit where one is needed.
    rows: of cells; a number, a text or a list of texts each.
    numbers: which columns hold numbers.
    folded: which hold lists of 'topic: text' that open to their texts.
  """

  name: str
  caption: str
  columns: tuple[str, ...]
  rows: Sequence[Sequence[Any]]
  numbers: frozenset[int] = frozenset()
  folded: frozenset[int] = frozenset()

  @property
  def download(self) -> str:
    """The table as a data URL of a CSV file."""
    rows = [
      ['; '.join(v) if isinstance(v, (list, tuple)) else v for v in row]
      for row in self.rows
    ]
    return data_url('text/csv', csv_text.render([self.columns, *rows]))


def data_url(media_type: str, text: str) -> str:
  """Returns a URL that holds a text itself."""
  encoded = base64.b64encode(text.encode()).decode()
  return f'data:{media_type};charset=utf-8;base64,{encoded}'


def _percent(share: float | None) -> float | str:
  """Returns a share in percent, to two decimals."""
  return _NONE if share is None else round(100 * share, 2)


def all_cells(cells: Sequence[cells_lib.NamedCell]) -> Table:
  """Builds the table of every cell, beside the paper's number."""
  columns = (
    *('Network', 'Dataset', 'Setting', 'Ours, %', '95 % interval, %'),
    *('Interval of', 'Paper, %', 'Difference, points'),
    *('Paper in interval of images', 'Could be training variance'),
    *('Why they may differ', 'ImageNet top-1, %', 'Test images', 'Metric'),
    'Counts',
  )
  rows = [_comparison_row(cell) for cell in cells]
  # The last column is shown only where some records do not count.
  if all(cell.current for cell in cells):
    columns, rows = columns[:-1], [row[:-1] for row in rows]
  return Table(
    'cells',
    'Every cell: ours beside the paper',
    columns,
    rows,
    frozenset((3, 6, 7, 11, 12)),
    frozenset((10,)),
  )


def _comparison_row(cell: cells_lib.NamedCell) -> tuple[Any, ...]:
  """Returns a cell's row in the table of every cell."""
  record, comparison = cell.record, cell.comparison
  test, interval = record['test'], uncertainty.interval(record)
  return (
    *cell.name,
    _percent(test['value']),
    f'{100 * interval.low:.2f} to {100 * interval.high:.2f}',
    interval.covers,
    _percent(comparison.paper),
    _percent(comparison.difference),
    *_verdicts(comparison),
    tuple(f'{r.topic}: {r.text}' for r in comparison.reasons),
    _percent(record['imagenet_top1']),
    test['examples'],
    _METRICS[record['metric']],
    _counts(cell),
  )


def _verdicts(comparison: differences.Comparison) -> tuple[str, str]:
  """Returns where the paper's number lies: among images, among runs."""
  if comparison.paper is None:
    return _NONE, _NONE
  answers = 'no', 'yes'
  runs = comparison.within_runs
  return (
    answers[comparison.within_sampling],
    'cannot be judged' if runs is None else answers[runs],
  )


def _counts(cell: cells_lib.NamedCell) -> str:
  """Says whether a cell's record is the one that averages are of."""
  if cell.current:
    return 'yes'
  if cell.variant:
    return f'on curves alone: {cell.variant}'
  return 'no, a later record does'


def hyperparameters(cells: Sequence[cells_lib.NamedCell]) -> Table:
  """Builds the table of the hyperparameters that were chosen."""
  return Table(
    'hyperparameters',
    'What did best on validation, and was then tested',
    (
      *('Network', 'Dataset', 'Setting', 'Chosen', 'Validation, %'),
      *('Values tried', 'At the end of the search'),
    ),
    [
      (
        *cell.name,
        text_table.chosen(cell.record),
        _percent(cell.record['validation']['value']),
        len(cell.record['validation_curve']),
        tuple(differences.at_the_end(cell.record)) or 'no',
      )
      for cell in cells
    ],
    frozenset((4, 5)),
  )


def failed_cells(failed: Sequence[failures.Failure]) -> Table:
  """Builds the table of the cells that have no result."""
  return Table(
    'failures',
    'Cells that failed: they have no result',
    ('Network', 'Dataset', 'Setting', 'Why', 'When (UTC)'),
    [
      (
        names.display_name(failure['network']),
        names.display_name(failure['dataset']),
        names.setting_text(failure['setting']),
        failure['error'],
        failure['time'],
      )
      for failure in failed
    ],
  )


def doubtful_cells(cells: Sequence[cells_lib.NamedCell]) -> Table:
  """Builds the table of cells whose result is to be read with care."""
  rows = [(*cell.name, tuple(_doubts(cell.record))) for cell in cells]
  return Table(
    'remarks',
    'Cells whose result is to be read with care',
    ('Network', 'Dataset', 'Setting', 'Why'),
    [row for row in rows if row[-1]],
  )


def _doubts(record: accuracy_table.Record) -> list[str]:
  """Returns why a result is to be read with care; nothing if it is not."""
  doubts = differences.unconverged(record)
  skipped = record['skipped']
  if skipped:
    listed = ', '.join(skipped[:_MAX_FILES])
    listed += ', …' * (len(skipped) > _MAX_FILES)
    doubts.append(
      f'{counted(len(skipped), "corrupt image")} left out: {listed}'
    )
  return [*doubts, *record['notes']]


def provenance(cells: Sequence[cells_lib.NamedCell]) -> Table:
  """Builds the table of where each number comes from."""
  return Table(
    'provenance',
    'Where each number comes from',
    (
      *('Network', 'Dataset', 'Setting', 'Weights, SHA-256'),
      *('ImageNet top-1 by', 'Splits, SHA-256', 'Seeds', 'Versions', 'Device'),
      *('Wall time, s', 'Finished (UTC)', 'Identity'),
    ),
    [(*cell.name, *_origin(cell.record)) for cell in cells],
    frozenset((9,)),
  )


def _origin(record: accuracy_table.Record) -> tuple[Any, ...]:
  """Returns weights, splits, seeds, versions, device and time of a record."""
  return (
    record['weights_sha256'],
    _top1_origin(record),
    tuple(f'{n} {h}' for n, h in record['splits_sha256'].items()),
    _seeds(record),
    tuple(f'{n} {v}' for n, v in record['versions'].items()),
    record['device'],
    record['seconds'],
    record['finished'],
    record['identity'],
  )


def _top1_origin(record: accuracy_table.Record) -> str:
  """Says who measured the ImageNet top-1, and how."""
  protocol = top1_protocol.of(record)
  if protocol is None:
    return _NONE
  return f'{record["imagenet_top1_source"] or "unknown"}; {protocol}'


def _seeds(record: accuracy_table.Record) -> tuple[str, ...]:
  """Returns the seeds of a record in words."""
  seeds = [f'splits {record["split_seed"]}']
  if 'seed' in record['search']:
    seeds.append(f'training {record["search"]["seed"]}')
  return tuple(seeds)
