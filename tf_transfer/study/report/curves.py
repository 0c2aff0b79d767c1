"""Makes the page's curves of the metric on val against a hyperparameter."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import ml_collections
import numpy as np

from tf_transfer.study.analysis import accuracy_table
from tf_transfer.study.report import chart_data, charts, vega
from tf_transfer.transfer.fixed_features import classifiers

# The grid's own value, by which parameters shrink at the first step: training
# divides it by the learning rate, and the rate multiplies it again.
_DECAY = 'Weight decay at the first step'


def validation_curves(
  records: Sequence[accuracy_table.Record], cell_names: Sequence[str]
) -> dict[str, dict[str, Any]]:
  """Makes a chart for each hyperparameter that was searched.

  Args:
    records: of a ledger.
    cell_names: of the records, no two alike.

  Returns:
    The hyperparameter -> a Vega-Lite specification with a cell to choose.
  """
  rows: dict[str, list[dict[str, Any]]] = {}
  for record, cell in zip(records, cell_names, strict=True):
    name, curve = _curve(record)
    rows.setdefault(name, []).extend({'cell': cell, **row} for row in curve)
  return {name: _chart(name, of_name) for name, of_name in rows.items()}


def _curve(record: accuracy_table.Record) -> tuple[str, list[dict[str, Any]]]:
  """Returns the hyperparameter, and a row for each value: x, line, y, chosen.

  A line is a weight decay where there is one.
  """
  chosen, values = record['chosen'], record['validation_curve']
  if record['trials']:
    best = chosen['learning_rate'], chosen['weight_decay']
    return 'learning rate', [
      {
        'x': trial['learning_rate'],
        'line': f'{trial["weight_decay"]:.2g}',
        'y': value,
        'chosen': (trial['learning_rate'], trial['weight_decay']) == best,
      }
      for trial, value in zip(record['trials'], values, strict=True)
    ]
  classifier = classifiers.CLASSIFIERS[record['setting']]
  grid = classifier.grid(ml_collections.ConfigDict(record['search']))
  name = classifier.hyperparameter
  return name, [
    {
      'x': float(x),
      'line': '',
      'y': value,
      'chosen': bool(np.isclose(x, chosen[name], atol=0)),
    }
    for x, value in zip(grid, values, strict=True)
  ]


def _chart(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
  """Makes the chart of one hyperparameter.

  Args:
    name: of the hyperparameter.
    rows: as of `_curve`, each with its cell.
  """
  cells = list(dict.fromkeys(row['cell'] for row in rows))
  rows = [
    {
      **row,
      'Validation': 'diverged'
      if row['y'] is None
      else chart_data.percent(row['y']),
      'Value': f'{row["x"]:.3g}',
    }
    for row in rows
  ]
  chart = alt.layer(*_layers(name, rows)).properties(
    title=alt.TitleParams(
      text=alt.expr("split(cell, ', ')"),  # A phone is narrow.
      fontSize=13,
      subtitle='the diamond is what was chosen',
      anchor='start',
      frame='bounds',
    ),
    height=260,
    description=f'The metric on validation against {name}',
  )
  choice = vega.select('cell', 'Cell', {c: c for c in cells}, cells[0])
  return vega.specification(chart, {'rows': rows}, [choice])


def _layers(name: str, rows: Sequence[Mapping[str, Any]]) -> list[alt.Chart]:
  """Returns the layers of a chart: lines, points and what was chosen."""
  x = alt.X(
    'x:Q',
    title=f'{name.capitalize()} (log scale)',
    scale=alt.Scale(type='log', nice=False, padding=12),
    axis=alt.Axis(
      format='.0e' if name != 'neighbors' else 'd',
      tickCount=6,
      labelOverlap=True,
      gridOpacity=0.5,
    ),
  )
  y = alt.Y(
    'y:Q',
    title='Metric on validation',
    scale=alt.Scale(zero=False, nice=True, padding=8),
    axis=alt.Axis(format='.3~%', gridOpacity=0.5),
  )
  encoding = [x, y]
  tooltip = [
    alt.Tooltip('Value:N', title=name.capitalize()),
    alt.Tooltip('Validation:N'),
  ]
  lines = {row['line'] for row in rows}
  if len(lines) > 1:
    encoding.append(
      alt.Color(
        'line:O',
        title=_DECAY,
        sort=sorted(lines, key=float),
        scale=alt.Scale(scheme='viridis'),
        legend=alt.Legend(orient='bottom', columns=4, titleLimit=300),
      )
    )
    tooltip.append(alt.Tooltip('line:N', title=_DECAY))
  base = alt.Chart(alt.NamedData('rows')).transform_filter(
    'datum.cell == cell && isValid(datum.y)'
  )
  chosen = base.transform_filter('datum.chosen')
  return [
    base.mark_line(strokeWidth=1.5, aria=False).encode(*encoding),
    base.mark_point(filled=True, size=45).encode(*encoding, tooltip=tooltip),
    chosen.mark_point(
      shape='diamond',
      size=260,
      strokeWidth=2.5,
      color=charts.COLORS[chart_data.TIED],
    ).encode(x, y, tooltip=tooltip),
  ]
