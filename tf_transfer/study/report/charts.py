"""Makes figure 2 of the page, with a setting, dataset and network to choose."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from tf_transfer.study import names as names_lib
from tf_transfer.study.analysis import accuracy_table, ties
from tf_transfer.study.report import chart_data, vega
from tf_transfer.study.report.chart_data import OURS, PAPER, TIED

# Okabe and Ito's colors, told apart in gray too; each has a mark of its own.
COLORS = {OURS: '#0072b2', TIED: '#d55e00', PAPER: '#767676'}
_MARKS = {OURS: 'circle', TIED: 'diamond', PAPER: 'circle'}
_INK = '#1b1b1b'
# Field of a point -> what it is called when the point is pointed at.
_TOOLTIP = {
  'Network': 'Network',
  'kind': 'Whose',
  'Accuracy': 'Accuracy',
  'Interval': 'Interval',
  'ImageNet top-1': 'ImageNet top-1',
  'Parameters': 'Parameters',
}
_MAX_NAMED = 6  # Of more networks, only the marked one is named.
_PERCENT = "format(1 / (1 + exp(-datum.value)), '.3~%')"
# Vega's expression for which points are shown.
_IS_CHOSEN = f"datum.choice == choice && (paper || datum.series != '{PAPER}')"


def accuracy_vs_imagenet(
  records: Sequence[accuracy_table.Record],
  papers: Sequence[accuracy_table.Record],
  names: chart_data.Names,
  tied: ties.Ties,
) -> dict[str, Any] | None:
  """Makes figure 2, with the setting, the dataset and a network to choose.

  Args:
    records: at most one of each cell.
    papers: the paper's records.
    names: of the networks and datasets of `records`.
    tied: (setting, dataset or AVERAGE) -> networks tied with the best.

  Returns:
    The Vega-Lite specification; None where no network's ImageNet top-1 is
    known.
  """
  data = chart_data.build(records, papers, names, tied)
  if not any(point['series'] == OURS for point in data.points):
    return None
  kinds = [k for k in COLORS if any(p['kind'] == k for p in data.points)]
  chart = alt.layer(*_line_layers(), *_point_layers(kinds)).properties(
    title=alt.TitleParams(
      # All lines in one: a subtitle cannot follow a choice.
      text=alt.expr("view.above[network] || view.above['']"),
      fontWeight='normal',
      fontSize=13,
      anchor='start',
      frame='bounds',
      offset=10,
    ),
    height=400,
    description=(
      'Accuracy after transfer against ImageNet top-1 accuracy; the same '
      'numbers are in the table of all cells'
    ),
  )
  return vega.specification(
    chart,
    {'points': data.points, 'lines': data.lines},
    _choices(records, names, data),
  )


def _x() -> alt.X:
  """Returns the x channel: ImageNet top-1 in log-odds."""
  title = 'ImageNet top-1 accuracy (log-odds scale)'
  return _log_odds_channel(alt.X, 'x', title, 'x')


def _y(field: str = 'y') -> alt.Y:
  """Returns the y channel: a field in log-odds of accuracy."""
  return _log_odds_channel(alt.Y, field, 'Accuracy (log-odds scale)', 'y')


def _log_odds_channel(
  channel: type[alt.X] | type[alt.Y], field: str, title: str, axis: str
) -> alt.X | alt.Y:
  """Returns a channel whose ends and ticks are those of the chosen view."""
  return channel(
    f'{field}:Q',
    title=title,
    scale=alt.Scale(domain=alt.expr(f'view.{axis}'), zero=False, nice=False),
    axis=alt.Axis(
      values=alt.expr(f'view.{axis}_ticks'),
      labelExpr=_PERCENT,
      labelOverlap=True,
      gridOpacity=0.5,
    ),
  )


def _line_layers() -> list[alt.Chart]:
  """Returns the layers of the regression lines and their bands."""
  lines = alt.Chart(alt.NamedData('lines')).transform_filter(_IS_CHOSEN)
  color = alt.condition(
    f"datum.series == '{PAPER}'",
    alt.value(COLORS[PAPER]),
    alt.value(COLORS[OURS]),
  )
  return [
    lines.mark_area(opacity=0.15, aria=False, clip=True).encode(
      _x(), _y('low'), alt.Y2('high:Q'), color=color, detail='series:N'
    ),
    lines.mark_line(aria=False, clip=True, strokeWidth=1.5).encode(
      _x(), _y(), color=color, detail='series:N'
    ),
  ]


def _point_layers(kinds: Sequence[str]) -> list[alt.Chart]:
  """Returns the layers of points: bars, ring of the marked one, marks, names.

  Args:
    kinds: of points that there are.
  """
  color = alt.Color(
    'kind:N',
    title=None,
    scale=alt.Scale(domain=kinds, range=[COLORS[k] for k in kinds]),
    legend=alt.Legend(orient='bottom', direction='horizontal', columns=2),
  )
  shape = alt.Shape(
    'kind:N',
    title=None,
    scale=alt.Scale(domain=kinds, range=[_MARKS[k] for k in kinds]),
  )
  points = alt.Chart(alt.NamedData('points')).transform_filter(_IS_CHOSEN)
  marked = points.transform_filter('datum.Network == network')
  named = points.transform_filter(
    f"datum.Network == network || (named && datum.series != '{PAPER}')"
  )
  return [
    points.mark_rule(aria=False, opacity=0.6).encode(
      _x(), _y('low'), alt.Y2('high:Q'), color
    ),
    marked.mark_point(
      size=420, strokeWidth=2, color=_INK, shape='circle', aria=False
    ).encode(_x(), _y()),
    points.mark_point(size=85, filled=True, fillOpacity=0.9).encode(
      _x(),
      _y(),
      color,
      shape,
      fillOpacity=alt.condition(
        f"datum.kind == '{PAPER}'", alt.value(0.6), alt.value(0.95)
      ),
      tooltip=[
        alt.Tooltip(f'{field}:N', title=title)
        for field, title in _TOOLTIP.items()
      ],
      description='text:N',
    ),
    named.mark_text(
      align='center', dy=-14, fontSize=11, color=_INK, aria=False
    ).encode(_x(), _y(), text='Network:N'),
  ]


def _choices(
  records: Sequence[accuracy_table.Record],
  names: chart_data.Names,
  data: chart_data.FigureData,
) -> list[alt.Parameter]:
  """Returns what is chosen on the page, and what follows from it."""
  settings = {
    r['setting']: names_lib.setting_text(r['setting']) for r in records
  }
  datasets = {
    chart_data.AVERAGE: 'All: mean log-odds',
    **{r['dataset']: names.dataset[r['dataset']] for r in records},
  }
  ours = sorted({p['Network'] for p in data.points if p['series'] == OURS})
  papers = sorted({p['Network'] for p in data.points} - set(ours))
  return [
    vega.select('setting', 'Setting', settings, next(iter(settings))),
    vega.select(
      'dataset',
      'Dataset',
      datasets,
      chart_data.AVERAGE if len(datasets) > 2 else list(datasets)[-1],
    ),
    vega.select(
      'network',
      'Mark network',
      {'': 'none', **{name: name for name in (*ours, *papers)}},
      '',
    ),
    alt.param(
      name='paper',
      value=True,
      bind=alt.binding_checkbox(name="The paper's numbers "),
    )
    if any(p['series'] == PAPER for p in data.points)
    else alt.param(name='paper', value=True),
    alt.param(name='named', value=len(ours) <= _MAX_NAMED),
    alt.param(name='views', value=data.views),
    # As `chart_data.choice_key`.
    alt.param(name='choice', expr="setting + '|' + dataset"),
    alt.param(name='view', expr='views[choice]'),
  ]
