"""Makes the page's figures 8 and 9: accuracy against steps and examples."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

from tf_transfer.study import names
from tf_transfer.study.analysis import learning_curves, learning_sentences
from tf_transfer.study.analysis.learning_curves import (
  ExamplesCurve,
  StepsCurve,
)
from tf_transfer.study.figures import style
from tf_transfer.study.paper import numbers
from tf_transfer.study.report import chart_data, tables, vega
from tf_transfer.study.schema import Record

PAPER = 'the paper: '
_GRAY = '#8a8a8a'

# A row of a chart's data: field -> value.
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class LearningChart:
  """One of the two figures on the page.

  Attributes:
    name: of its elements on the page.
    title: its heading.
    sentences: what it shows, in words.
    specification: of Vega-Lite.
    table: of its points.
  """

  name: str
  title: str
  sentences: Sequence[str]
  specification: Mapping[str, Any]
  table: tables.Table


def build(records: Sequence[Record]) -> list[LearningChart]:
  """Makes the figures that the records of a ledger are enough for.

  Args:
    records: of a ledger, in its order.
  """
  charts = []
  steps = learning_curves.steps_curves(records)
  if steps:
    charts.append(_steps_chart(steps))
  examples = learning_curves.examples_curves(records)
  if examples:
    charts.append(_examples_chart(examples))
  return charts


def _steps_chart(curves: Sequence[StepsCurve]) -> LearningChart:
  """Makes figure 8, with the paper's curves on the same datasets."""
  papers = numbers.accuracy_vs_steps()
  rows = []
  for curve in curves:
    rows += _steps_rows(curve, _place(curve), names.setting_text(curve.setting))
  for network, dataset in dict.fromkeys((c.network, c.dataset) for c in curves):
    for paper in papers:
      if paper.dataset == dataset:
        text = PAPER + names.setting_text(paper.setting).lower()
        place = _place_of(network, dataset)
        rows += _steps_rows(paper, place, text)
  return LearningChart(
    'steps',
    'Accuracy against training steps (figure 8)',
    learning_sentences.of_steps(curves, papers),
    _chart('Training steps', rows, 'steps'),
    _table('steps', 'Accuracy after so many training steps', 'Steps', rows),
  )


def _steps_rows(curve: StepsCurve, place: str, series: str) -> list[Row]:
  """Returns a row for each point of a curve."""
  low = curve.accuracy if curve.low is None else curve.low
  high = curve.accuracy if curve.high is None else curve.high
  known = curve.low is not None
  return [
    _row(
      *(place, curve.setting, series, int(x), y, one_low, one_high),
      f'95 % interval {chart_data.interval(one_low, one_high)}'
      if known
      else 'read off its figure',
    )
    for x, y, one_low, one_high in zip(
      curve.steps, curve.accuracy, low, high, strict=True
    )
  ]


def _examples_chart(curves: Sequence[ExamplesCurve]) -> LearningChart:
  """Makes figure 9."""
  rows = []
  for curve in curves:
    for x, y, error, draws in zip(
      curve.examples, curve.accuracy, curve.error, curve.draws, strict=True
    ):
      half = float(np.nan_to_num(error))
      text = f'± {100 * half:.2f} points (standard error), {draws} draws'
      rows.append(
        _row(
          *(_place(curve), curve.setting, names.setting_text(curve.setting)),
          *(int(x), y, y - half, y + half),
          text if draws > 1 else 'one draw: no error known',
        )
      )
  return LearningChart(
    'examples',
    'Accuracy against training images of each class (figure 9)',
    learning_sentences.of_examples(curves),
    _chart('Training images of each class', rows, 'examples'),
    _table(
      'examples',
      'Mean accuracy over draws of the training images',
      'Images a class',
      rows,
    ),
  )


def _place(curve: StepsCurve | ExamplesCurve) -> str:
  """Returns the network and dataset of a curve, as people write them."""
  return _place_of(curve.network, curve.dataset)


def _place_of(network: str, dataset: str) -> str:
  return f'{names.display_name(network)}, {names.display_name(dataset)}'


def _row(
  place: str,
  setting: str,
  series: str,
  x: int,
  y: float,
  low: float,
  high: float,
  spread: str,
) -> Row:
  """Returns a point.

  Args:
    place: network and dataset.
    setting: its name.
    series: whose point it is.
    x: steps or examples.
    y: the accuracy.
    low: the lower end of its bar.
    high: the upper end.
    spread: what the bar is, in words.
  """
  accuracy = chart_data.percent(y)
  return {
    'place': place,
    'setting': setting,
    'series': series,
    'x': x,
    'y': round(float(y), 5),
    'low': round(float(low), 5),
    'high': round(float(high), 5),
    'Accuracy': accuracy,
    'Spread': spread,
    'text': f'{place}, {series}, {x:,}: {accuracy}; {spread}',
  }


def _table(name: str, caption: str, unit: str, rows: Sequence[Row]) -> Any:
  """Returns the table of a figure's points."""
  return tables.Table(
    f'{name}-table',
    caption,
    ('Network and dataset', 'Setting', unit, 'Accuracy, %', 'Spread'),
    [
      (
        *(row['place'], row['series'], row['x']),
        *(round(100 * row['y'], 2), row['Spread']),
      )
      for row in rows
    ],
    frozenset((2, 3)),
    frozenset(),
  )


def _chart(title: str, rows: Sequence[Row], name: str) -> dict[str, Any]:
  """Makes a chart with a network and dataset to choose.

  Args:
    title: of the x-axis.
    rows: all points.
    name: of the figure; no parameter of the page has it twice.
  """
  places = list(dict.fromkeys(row['place'] for row in rows))
  parameter = f'{name}_place'
  x_values = sorted({row['x'] for row in rows})
  x = alt.X(
    'x:Q',
    title=f'{title} (log scale)',
    scale=alt.Scale(type='log', nice=False, padding=14),
    axis=alt.Axis(
      values=x_values, format=',d', labelOverlap='greedy', gridOpacity=0.5
    ),
  )
  y = alt.Y(
    'y:Q',
    title='Accuracy on test',
    scale=alt.Scale(zero=False, nice=True, padding=8),
    axis=alt.Axis(format='.0%', gridOpacity=0.5),
  )
  encoding = [x, y, _color(rows), _dash(rows)]
  tooltip = [
    alt.Tooltip('series:N', title='Setting'),
    alt.Tooltip('x:Q', title=title, format=',d'),
    alt.Tooltip('Accuracy:N'),
    alt.Tooltip('Spread:N'),
  ]
  base = alt.Chart(alt.NamedData('rows')).transform_filter(
    f'datum.place == {parameter}'
  )
  chart = alt.layer(
    base.mark_line(strokeWidth=2, aria=False).encode(*encoding),
    base.mark_rule(strokeWidth=1.5, aria=False).encode(
      x, alt.Y('low:Q'), alt.Y2('high:Q'), _color(rows)
    ),
    base.mark_point(filled=True, size=55, opacity=1).encode(
      x, y, _color(rows), tooltip=tooltip, description='text:N'
    ),
  ).properties(
    title=alt.TitleParams(
      text=alt.expr(f"split({parameter}, ', ')"),  # A phone is narrow.
      fontSize=13,
      anchor='start',
      frame='bounds',
    ),
    height=300,
    description=f'Accuracy against {title.lower()}',
  )
  choice = vega.select(
    parameter, 'Network and dataset', {p: p for p in places}, places[0]
  )
  return vega.specification(chart, {'rows': rows}, [choice])


def _series(rows: Sequence[Row]) -> dict[str, str]:
  """Returns the setting of each series, in order."""
  return {row['series']: row['setting'] for row in rows}


def _legend() -> alt.Legend:
  """Returns the legend of colors and dashes, which Vega joins if equal."""
  return alt.Legend(
    orient='bottom', columns=1, labelLimit=320, symbolType='stroke'
  )


def _color(rows: Sequence[Row]) -> alt.Color:
  """Returns the colors of the series; the paper's are gray."""
  colors = {
    series: _GRAY if series.startswith(PAPER) else style.style_of(name).color
    for series, name in _series(rows).items()
  }
  return alt.Color(
    'series:N',
    title=None,
    scale=alt.Scale(domain=list(colors), range=list(colors.values())),
    legend=_legend(),
  )


def _dash(rows: Sequence[Row]) -> alt.StrokeDash:
  """Returns the dashes of the series, which tell the gray ones apart."""
  dashes = {
    series: [1, 0] if style.style_of(name).line == '-' else [6, 4]
    for series, name in _series(rows).items()
  }
  return alt.StrokeDash(
    'series:N',
    title=None,
    scale=alt.Scale(domain=list(dashes), range=list(dashes.values())),
    legend=_legend(),
  )
