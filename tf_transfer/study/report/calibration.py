"""Builds the section on calibration: a table and reliability diagrams."""

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
from absl import logging

from tf_transfer.errors import InputError
from tf_transfer.runtime.units import counted
from tf_transfer.study import predictions as predictions_lib
from tf_transfer.study.analysis import accuracy_table
from tf_transfer.study.analysis import calibration as calibration_lib
from tf_transfer.study.report import cells as cells_lib
from tf_transfer.study.report import charts, tables, vega
from tf_transfer.study.report.chart_data import OURS, TIED
from tf_transfer.transfer import settings

_ARRAYS = ('label', 'prediction', 'scores', 'val_label', 'val_scores')
_DIGITS = 3  # of numbers in the table
_SERIES = {
  'before': 'as the model has them',
  'after': 'divided by the temperature',
}
_INK = '#1b1b1b'
_BAR = '#cfe3f1'


@dataclasses.dataclass(frozen=True)
class Section:
  """What the page says of calibration.

  Attributes:
    table: a row per cell.
    chart: the specification of the reliability diagram, with a cell to choose.
    left_out: which cells are left out, and why; a line per reason.
    several_runs: whether some cells have several runs.
  """

  table: tables.Table
  chart: Mapping[str, Any]
  left_out: tuple[str, ...]
  several_runs: bool


def section(
  cells: Sequence[cells_lib.NamedCell], workdir: pathlib.Path
) -> Section | None:
  """Measures calibration and builds the section.

  Args:
    cells: of a ledger; those that count are measured.
    workdir: of the ledger, which holds the files of predictions.

  Returns:
    None where no cell has scores from which calibration can be computed.
  """
  measured, left_out = [], collections.defaultdict(list)
  current = [cell for cell in cells if cell.current]
  # Those with as many test images after each other: they share resamples.
  results = {
    cell.record['identity']: _measure(cell.record, workdir)
    for cell in sorted(current, key=lambda c: c.record['test']['examples'])
  }
  for cell in current:
    result = results[cell.record['identity']]
    if isinstance(result, str):
      left_out[result].append(cell)
    else:
      measured.append((cell, result))
  if not measured:
    return None
  return Section(
    _table(measured),
    _chart(measured),
    tuple(_left_out(*group) for group in left_out.items()),
    any(cell.record.get('runs') for cell, _ in measured),
  )


# Why a cell is left out; what follows is which settings or datasets.
_NO_LOGITS = 'whose scores are no log-probabilities'
_MULTI_LABEL = 'whose images have several labels'
_NO_SCORES = (
  'whose files of predictions hold no scores, as an earlier version wrote them'
)
_UNREADABLE = 'whose predictions cannot be read, as the log says'


def _measure(
  record: accuracy_table.Record, workdir: pathlib.Path
) -> calibration_lib.Calibration | str:
  """Measures a cell; returns why not where that is not possible."""
  row = settings.SETTINGS.get(record['setting'])
  if row is None or not row.scores_are_logits:
    return _NO_LOGITS
  if record['metric'] == 'map11':
    return _MULTI_LABEL
  try:
    arrays = predictions_lib.read(record, workdir)
  except InputError as error:
    logging.warning('cannot measure calibration: %s', error)
    return _UNREADABLE
  if not arrays.keys() >= set(_ARRAYS):
    return _NO_SCORES
  return calibration_lib.calibrate(*(arrays[name] for name in _ARRAYS))


def _left_out(reason: str, cells: Sequence[cells_lib.NamedCell]) -> str:
  """Says how many cells are left out for a reason, and which."""
  line = f'{counted(len(cells), "cell")} {reason}'
  which = {
    _NO_LOGITS: [cell.setting for cell in cells],
    _MULTI_LABEL: [cell.dataset for cell in cells],
  }.get(reason, ())
  return line + f' ({", ".join(dict.fromkeys(which))})' * bool(which)


# A cell and what was measured.
_Measured = tuple[cells_lib.NamedCell, calibration_lib.Calibration]


def _table(measured: Sequence[_Measured]) -> tables.Table:
  """Builds the table, a row per cell."""
  columns = (
    *('Network', 'Dataset', 'Setting', 'Top-1, %'),
    *_headings(''),
    'Temperature',
    *_headings(' scaled'),
    'Remark',
  )
  rows = [
    (
      *cell.name,
      round(100 * result.top1, 2),
      *_quality(result.before),
      round(result.temperature, _DIGITS),
      *_quality(result.after),
      'temperature at its bound' if result.at_bound else '',
    )
    for cell, result in measured
  ]
  # The last column is shown only where it says something.
  if not any(row[-1] for row in rows):
    columns, rows = columns[:-1], [row[:-1] for row in rows]
  return tables.Table(
    'calibration',
    'Calibration on the test images, before and after scaling',
    columns,
    rows,
    frozenset((3, 4, 6, 8, 10, 11, 13, 15)),
  )


def _headings(suffix: str) -> tuple[str, ...]:
  """Returns the headings of what `_quality` returns."""
  return (
    *(f'NLL{suffix}, nats', f'NLL{suffix}, 95 %'),
    *(f'Brier{suffix}', f'Brier{suffix}, 95 %'),
    *(f'ECE{suffix}, %', f'ECE{suffix}, 95 %'),
  )


def _quality(quality: calibration_lib.Quality) -> tuple[float | str, ...]:
  """Returns three measures, each with its interval."""
  cells = []
  for estimate, scale, digits in (
    (quality.nll, 1, _DIGITS),
    (quality.brier, 1, _DIGITS),
    (quality.ece, 100, 2),
  ):
    low, high = (scale * end for end in (estimate.low, estimate.high))
    cells.append(round(scale * estimate.value, digits))
    cells.append(f'{low:.{digits}f} to {high:.{digits}f}')
  return tuple(cells)


def _chart(measured: Sequence[_Measured]) -> dict[str, Any]:
  """Makes the reliability diagram, with a cell to choose."""
  names = cells_lib.unique_names([cell for cell, _ in measured])
  rows, above = [], {}
  for i, (name, (_, result)) in enumerate(zip(names, measured, strict=True)):
    for series in _SERIES:
      quality = getattr(result, series)
      key = f'{i} {series}'
      above[key] = [*name.split(', '), _headline(result, series)]
      rows += [{'key': key, **_row(one)} for one in quality.bins]
  chart = alt.layer(*_layers()).properties(
    title=alt.TitleParams(
      # All lines in one: a subtitle cannot follow a choice.
      text=alt.expr("above[cell + ' ' + series]"),
      fontSize=13,
      fontWeight='normal',
      anchor='start',
      frame='bounds',
    ),
    height=340,
    description=(
      'Accuracy against confidence in bins of confidence; the measures are in '
      'the table of calibration'
    ),
  )
  cells = {str(i): name for i, name in enumerate(names)}
  return vega.specification(
    chart,
    {'rows': rows, 'ends': [{'x': 0, 'y': 0}, {'x': 1, 'y': 1}]},
    [
      vega.select('cell', 'Cell', cells, '0'),
      vega.select('series', 'Logits', _SERIES, 'before'),
      alt.param(name='above', value=above),
    ],
  )


def _headline(result: calibration_lib.Calibration, series: str) -> str:
  """Says what is written above the diagram of a cell."""
  ece = getattr(result, series).ece
  low, high = 100 * ece.low, 100 * ece.high
  line = f'ECE {100 * ece.value:.2f} % ({low:.2f} to {high:.2f})'
  scaled = series == 'after'
  return line + f', temperature {result.temperature:.3g}' * scaled


def _row(one: calibration_lib.Bin) -> dict[str, Any]:
  """Returns the row of a bin."""
  accuracy = one.accuracy
  ends = {
    'left': one.low,
    'right': one.high,
    'confidence': one.confidence,
    'accuracy': accuracy.value,
    'low': accuracy.low,
    'high': accuracy.high,
  }
  return {
    **{name: round(value, 4) for name, value in ends.items()},
    'images': accuracy.examples,
    'Bin': f'{100 * one.low:.1f} to {100 * one.high:.1f} %',
    'Interval': f'{100 * accuracy.low:.1f} to {100 * accuracy.high:.1f} %',
  }


def _axis(field: str, kind: type[alt.X] | type[alt.Y]) -> Any:
  """Returns a channel from 0 to 100 %."""
  return kind(
    f'{field}:Q',
    title='Confidence: probability of the predicted class'
    if kind is alt.X
    else 'Accuracy in the bin',
    scale=alt.Scale(domain=[0, 1], nice=False),
    axis=alt.Axis(format='.0%', tickCount=5, gridOpacity=0.5),
  )


def _tooltip() -> list[alt.Tooltip]:
  """Returns what a bar or point says of its bin."""
  return [
    alt.Tooltip('Bin:N', title='Confidence'),
    alt.Tooltip('confidence:Q', title='Mean confidence', format='.1%'),
    alt.Tooltip('accuracy:Q', title='Accuracy', format='.1%'),
    alt.Tooltip('Interval:N', title='Its 95 % interval'),
    alt.Tooltip('images:Q', title='Images', format=','),
  ]


def _layers() -> list[alt.Chart]:
  """Returns the layers of the diagram.

  Bars of accuracy with their number of images, the line of perfect calibration,
  and points at the mean confidence with the interval of the accuracy.
  """
  base = alt.Chart(alt.NamedData('rows')).transform_filter(
    "datum.key == cell + ' ' + series"
  )
  x = _axis('confidence', alt.X)
  bars = base.mark_rect(color=_BAR, stroke='white', aria=False).encode(
    _axis('left', alt.X),
    alt.X2('right:Q'),
    _axis('accuracy', alt.Y),
    alt.Y2Datum(0),
    tooltip=_tooltip(),
  )
  diagonal = alt.Chart(alt.NamedData('ends')).mark_line(
    strokeDash=[5, 4], color=charts.COLORS[TIED], aria=False
  )
  intervals = base.mark_rule(strokeWidth=1.5, color=_INK, aria=False).encode(
    x, _axis('low', alt.Y), alt.Y2('high:Q')
  )
  points = base.mark_point(
    filled=True, size=55, opacity=1, color=charts.COLORS[OURS]
  ).encode(x, _axis('accuracy', alt.Y), tooltip=_tooltip())
  # On end: a phone leaves each bin the width of one line.
  counts = (
    base.transform_calculate(middle='(datum.left + datum.right) / 2')
    .mark_text(angle=270, align='left', dx=4, fontSize=10, color=_INK)
    .encode(
      _axis('middle', alt.X),
      alt.YDatum(0),
      text=alt.Text('images:Q', format=','),
    )
  )
  return [
    bars,
    diagonal.encode(_axis('x', alt.X), _axis('y', alt.Y)),
    intervals,
    points,
    counts,
  ]
