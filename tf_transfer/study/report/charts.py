"""Figures for a browser, as Vega-Lite specifications made by Altair.

Everything is computed here: the browser only shows what is chosen. Both axes of
figure 2 are in log-odds, labeled with the accuracies that have them.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import altair as alt
import ml_collections
import numpy as np
import scipy.special

from tf_transfer import networks
from tf_transfer.errors import InputError
from tf_transfer.study.analysis import accuracy_table, statistics
from tf_transfer.study.figures import axes as axes_lib
from tf_transfer.study.figures import panels
from tf_transfer.study.report import answer
from tf_transfer.transfer.fixed_features import classifiers

# The choice of all datasets together; a dataset's name is never empty.
AVERAGE = ''
# Whose points these are. Okabe and Ito's colors, told apart in gray too, and
# each has a mark of its own.
OURS, TIED, PAPER = 'ours', 'ours, tied with the best', 'the paper'
_COLOURS = {OURS: '#0072b2', TIED: '#d55e00', PAPER: '#767676'}
_MARKS = {OURS: 'circle', TIED: 'diamond', PAPER: 'circle'}
# Fields of a point, and what they are called when it is pointed at.
_TOOLTIP = {
  'Network': 'Network',
  'kind': 'Whose',
  'Accuracy': 'Accuracy',
  'Interval': 'Interval',
  'ImageNet top-1': 'ImageNet top-1',
  'Parameters': 'Parameters',
}
# The grid's own value, by which parameters shrink at the first step: training
# divides it by the learning rate, and the rate multiplies it again.
_DECAY = 'Weight decay at the first step'
_FEW = 6  # Networks that are all named on the figure.
_PLACES = 30  # On a regression line.
_PERCENT = "format(1 / (1 + exp(-datum.value)), '.3~%')"

_ALIGN = (
  "datum.x < 0.8 * view.x[0] + 0.2 * view.x[1] ? 'left' : "
  "datum.x > 0.2 * view.x[0] + 0.8 * view.x[1] ? 'right' : 'center'"
)


@dataclasses.dataclass(frozen=True)
class Names:
  """How networks and datasets are called on a page.

  Attributes:
    network: record's network -> as people write it.
    dataset: record's dataset -> as people write it.
    table_name: record's network -> its name in the table of networks.
  """

  network: Mapping[str, str]
  dataset: Mapping[str, str]
  table_name: Mapping[str, str]


def percent(share: float) -> str:
  return f'{100 * share:.2f} %'


def interval(low: float, high: float) -> str:
  return f'{100 * low:.2f} to {percent(high)}'


def parameters(name: str) -> str:
  """A network's parameters without the head, in millions."""
  if name not in networks.TABLE:
    return 'unknown'
  return f'{networks.TABLE[name].parameters / 1e6:.1f} million'


def _point(
  setting: str,
  dataset: str,
  network: str,
  names: Names,
  kind: str,
  x: float,
  y: tuple[float, float, float],
  shown: tuple[str, str],
) -> dict[str, Any]:
  """A row of figure 2's data; x and y (value, low, high) in log-odds."""
  title = names.network.get(network) or panels.display_name(network)
  top1 = percent(scipy.special.expit(x))
  size = parameters(names.table_name.get(network, network))
  accuracy, spread = shown
  return {
    'setting': setting,
    'dataset': dataset,
    'series': PAPER if kind == PAPER else OURS,
    'kind': kind,
    'Network': title,
    'Accuracy': accuracy,
    'Interval': spread,
    'ImageNet top-1': top1,
    'Parameters': size,
    'x': round(float(x), 5),
    'y': round(float(y[0]), 5),
    'low': round(float(y[1]), 5),
    'high': round(float(y[2]), 5),
    'text': f'{title}, {kind}: {accuracy}; {spread}; ImageNet top-1 {top1}; '
    f'{size} parameters',
  }


def _cell_points(
  records: Sequence[accuracy_table.Record],
  names: Names,
  theirs: bool,
  tied: Collection[str],
) -> list[dict[str, Any]]:
  """Of one setting and dataset."""
  points = []
  for record in records:
    if record['imagenet_top1'] is None:
      continue
    test = record['test']
    values = [test[key] for key in ('value', 'low', 'high')]
    spread = interval(test['low'], test['high'])
    what = 'read off the figure' if theirs else '95 %'
    is_tied = record['network'] in tied
    points.append(
      _point(
        record['setting'],
        record['dataset'],
        record['network'],
        names,
        PAPER if theirs else TIED if is_tied else OURS,
        statistics.log_odds(record['imagenet_top1']).item(),
        tuple(
          statistics.log_odds(value, test['examples']).item()
          for value in np.clip(values, 0, 1)
        ),
        (percent(test['value']), f'{spread} ({what})'),
      )
    )
  return points


def _average_points(
  found: accuracy_table.Grid, setting: str, names: Names, theirs: bool
) -> list[dict[str, Any]]:
  if not found.networks:
    return []
  mean, error = statistics.averages(found.log_odds)
  points = []
  for network, x, y, half in zip(
    found.networks,
    statistics.log_odds(found.imagenet_top1),
    mean,
    np.nan_to_num(error),
    strict=True,
  ):
    spread = f'± {half:.2f} (Morey’s error)' if half else 'no error known'
    points.append(
      _point(
        setting,
        AVERAGE,
        network,
        names,
        PAPER if theirs else OURS,
        x,
        (y, y - half, y + half),
        (
          f'log-odds {answer.number(y)}, that of '
          f'{percent(scipy.special.expit(y))}',
          spread,
        ),
      )
    )
  return points


def _line(points: Sequence[Mapping[str, Any]]) -> tuple[list[dict], str]:
  """The regression line with its band, and r in words."""
  x, y = (np.array([p[key] for p in points]) for key in 'xy')
  shared = {key: points[0][key] for key in ('setting', 'dataset', 'series')}
  try:
    found = statistics.correlation(x, y)
    margin = 0.05 * np.ptp(x)
    places = np.linspace(x.min() - margin, x.max() + margin, _PLACES)
    line = statistics.regression(x, y, places)
  except InputError as error:
    return [], str(error)
  rows = [
    {
      **shared,
      'x': round(float(place), 5),
      'y': round(float(middle), 5),
      'low': None if np.isnan(low) else round(float(low), 5),
      'high': None if np.isnan(high) else round(float(high), 5),
    }
    for place, middle, low, high in zip(
      places, line.y, line.low, line.high, strict=True
    )
  ]
  return rows, _short(found)


def _short(found: statistics.Correlation) -> str:
  """A coefficient in as few letters as a phone has room for."""
  text = f'r = {answer.number(found.r)}'
  if not np.isnan(found.low):
    text += f' [{answer.number(found.low)}, {answer.number(found.high)}]'
  return f'{text}, {found.points} networks'


@dataclasses.dataclass
class _Data:
  """What figure 2 is made of.

  Attributes:
    points: a row per network, setting, dataset and series.
    lines: rows of the regression lines.
    views: 'setting|dataset' -> its axes and what is written above.
  """

  points: list[dict[str, Any]]
  lines: list[dict[str, Any]]
  views: dict[str, dict[str, Any]]


def _view(title: str, groups: Mapping[str, list[dict[str, Any]]]):
  """The axes of a choice, what is written above it, and its lines."""
  points = [point for group in groups.values() for point in group]
  remarks, lines = [], []
  for series, group in groups.items():
    if group:
      rows, text = _line(group)
      lines += rows
      remarks.append(f'{series}: {text}' if len(groups) > 1 else text)
  if not points:
    remarks = ['no network here whose ImageNet top-1 is known']
    points = [{'x': 0.0, 'low': -1.0, 'high': 1.0}]
  share = scipy.special.expit
  view = {'above': _above([title, *remarks], groups)}
  for axis, low, high, ticks in (
    ('x', min(p['x'] for p in points), max(p['x'] for p in points), 5),
    ('y', min(p['low'] for p in points), max(p['high'] for p in points), 7),
  ):
    ends, places = axes_lib.percent_ticks(share(low), share(high), ticks=ticks)
    for name, values in ((axis, ends), (f'{axis}_ticks', places)):
      view[name] = np.round(scipy.special.logit(values), 5).tolist()
  return view, lines


def _over(datasets: Sequence[str]) -> str:
  return (
    f'Mean log-odds over {len(datasets)} dataset{"s" * (len(datasets) != 1)}'
  )


def _above(
  lines: list[str], groups: Mapping[str, list[dict[str, Any]]]
) -> dict[str, list[str]]:
  """What is written above the figure, by the network that is marked."""
  above = {'': lines}
  for point in (point for group in groups.values() for point in group):
    above.setdefault(point['Network'], list(lines)).extend(
      (
        f'{point["Network"]}, {point["kind"]}: {point["Accuracy"]}',
        point['Interval'],
        f'ImageNet top-1 {point["ImageNet top-1"]}; '
        f'{point["Parameters"]} parameters',
      )
    )
  return above


def _data(
  records: Sequence[accuracy_table.Record],
  theirs: Sequence[accuracy_table.Record],
  names: Names,
  tied: Mapping[tuple[str, str], Collection[str]],
) -> _Data:
  data = _Data([], [], {})
  datasets = list(dict.fromkeys(r['dataset'] for r in records))
  settings = list(dict.fromkeys(r['setting'] for r in records))
  for setting in settings:
    for dataset in (AVERAGE, *datasets):
      groups = {}
      for series, every in ((OURS, records), (PAPER, theirs)):
        if dataset == AVERAGE:
          own = accuracy_table.usable(accuracy_table.of(records, setting)).found
          if series == PAPER:
            own = _on_the_same(accuracy_table.of(every, setting), own.datasets)
          groups[series] = _average_points(own, setting, names, series == PAPER)
        else:
          groups[series] = _cell_points(
            [
              r
              for r in every
              if (r['setting'], r['dataset']) == (setting, dataset)
            ],
            names,
            series == PAPER,
            tied.get((setting, dataset), ()),
          )
      groups = {name: group for name, group in groups.items() if group}
      what = (
        _over(
          accuracy_table.usable(
            accuracy_table.of(records, setting)
          ).found.datasets
        )
        if dataset == AVERAGE
        else names.dataset[dataset]
      )
      title = f'{what}, {panels.setting_text(setting).lower()}'
      view, lines = _view(title, groups)
      data.views[f'{setting}|{dataset}'] = view
      data.lines += lines
      data.points += [point for group in groups.values() for point in group]
  return data


def _on_the_same(
  theirs: accuracy_table.Grid, datasets: Sequence[str]
) -> accuracy_table.Grid:
  """The paper's networks, if it has all these datasets; else none of them."""
  if all(name in theirs.datasets for name in datasets):
    return theirs.on(datasets)
  return theirs.keep(np.zeros(len(theirs.networks), bool))


def _axis(channel, field: str, title: str, axis: str):
  """A channel in log-odds whose ends and ticks are those of the choice."""
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


def accuracy_vs_imagenet(
  records: Sequence[accuracy_table.Record],
  theirs: Sequence[accuracy_table.Record],
  names: Names,
  tied: Mapping[tuple[str, str], Collection[str]],
) -> dict[str, Any] | None:
  """Figure 2, with the setting, the dataset and a network to choose.

  Args:
    records: at most one of each cell.
    theirs: the paper's.
    names: of the networks and datasets of `records`.
    tied: as for `figures.datasets_vs_imagenet`.

  Returns:
    The Vega-Lite specification; None where no network's ImageNet top-1 is
    known.
  """
  data = _data(records, theirs, names, tied)
  if not any(point['series'] == OURS for point in data.points):
    return None
  x = _axis(alt.X, 'x', 'ImageNet top-1 accuracy (log-odds scale)', axis='x')
  y = _axis(alt.Y, 'y', 'Accuracy (log-odds scale)', axis='y')
  chosen = (
    'datum.setting == setting && datum.dataset == dataset'
    f" && (paper || datum.series != '{PAPER}')"
  )
  kinds = [k for k in _COLOURS if any(p['kind'] == k for p in data.points)]
  color = alt.Color(
    'kind:N',
    title=None,
    scale=alt.Scale(domain=kinds, range=[_COLOURS[k] for k in kinds]),
    legend=alt.Legend(orient='bottom', direction='horizontal', columns=2),
  )
  shape = alt.Shape(
    'kind:N',
    title=None,
    scale=alt.Scale(domain=kinds, range=[_MARKS[k] for k in kinds]),
  )
  line_color = alt.condition(
    f"datum.series == '{PAPER}'",
    alt.value(_COLOURS[PAPER]),
    alt.value(_COLOURS[OURS]),
  )
  lines = alt.Chart(alt.NamedData('lines')).transform_filter(chosen)
  points = alt.Chart(alt.NamedData('points')).transform_filter(chosen)
  marked = points.transform_filter('datum.Network == network')
  chart = alt.layer(
    lines.mark_area(opacity=0.15, aria=False, clip=True).encode(
      x,
      _axis(alt.Y, 'low', 'Accuracy (log-odds scale)', axis='y'),
      alt.Y2('high:Q'),
      color=line_color,
      detail='series:N',
    ),
    lines.mark_line(aria=False, clip=True, strokeWidth=1.5).encode(
      x, y, color=line_color, detail='series:N'
    ),
    points.mark_rule(aria=False, opacity=0.6).encode(
      x,
      _axis(alt.Y, 'low', 'Accuracy (log-odds scale)', axis='y'),
      alt.Y2('high:Q'),
      color,
    ),
    marked.mark_point(
      size=420, strokeWidth=2, color='#1b1b1b', shape='circle', aria=False
    ).encode(x, y),
    points.mark_point(size=85, filled=True, fillOpacity=0.9).encode(
      x,
      y,
      color,
      shape,
      fillOpacity=alt.condition(
        f"datum.kind == '{PAPER}'", alt.value(0.6), alt.value(0.95)
      ),
      tooltip=[
        alt.Tooltip(f'{name}:N', title=_TOOLTIP[name]) for name in _TOOLTIP
      ],
      description='text:N',
    ),
    points.transform_filter(
      f"datum.Network == network || (named && datum.series != '{PAPER}')"
    )
    .mark_text(align='center', dy=-14, fontSize=11, color='#1b1b1b', aria=False)
    .encode(x, y, text='Network:N'),
  )
  return _specification(
    chart.properties(
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
    ),
    {'points': data.points, 'lines': data.lines},
    _choices(records, names, data),
  )


def _select(name: str, label: str, options: Mapping[str, str], value: str):
  """A parameter that a labeled <select> sets."""
  return alt.param(
    name=name,
    value=value,
    bind=alt.binding_select(
      options=list(options), labels=list(options.values()), name=f'{label} '
    ),
  )


def _choices(records, names: Names, data: _Data) -> list[alt.Parameter]:
  settings = {r['setting']: panels.setting_text(r['setting']) for r in records}
  datasets = {
    AVERAGE: 'All: mean log-odds',
    **{r['dataset']: names.dataset[r['dataset']] for r in records},
  }
  ours = sorted({p['Network'] for p in data.points if p['series'] == OURS})
  theirs = sorted({p['Network'] for p in data.points} - set(ours))
  return [
    _select('setting', 'Setting', settings, next(iter(settings))),
    _select(
      'dataset',
      'Dataset',
      datasets,
      AVERAGE if len(datasets) > 2 else list(datasets)[-1],
    ),
    _select(
      'network',
      'Mark network',
      {'': 'none', **{name: name for name in (*ours, *theirs)}},
      '',
    ),
    alt.param(
      name='paper',
      value=True,
      bind=alt.binding_checkbox(name="The paper's numbers "),
    )
    if any(p['series'] == PAPER for p in data.points)
    else alt.param(name='paper', value=True),
    alt.param(name='named', value=len(ours) <= _FEW),
    alt.param(name='views', value=data.views),
    alt.param(name='view', expr="views[setting + '|' + dataset]"),
  ]


def _specification(
  chart: alt.LayerChart,
  data: Mapping[str, Sequence[Mapping[str, Any]]],
  parameters: Sequence[alt.Parameter] = (),
) -> dict[str, Any]:
  """The specification of a chart as wide as the page, with its data inside."""
  chart = chart.add_params(*parameters).properties(
    width='container',
    autosize=alt.AutoSizeParams(type='fit-x', contains='padding'),
  )
  chart = chart.configure(font='system-ui, sans-serif').configure_axis(
    labelFontSize=12, titleFontSize=12, titleFontWeight='normal'
  )
  chart = chart.configure_title(fontSize=14, subtitleFontSize=12)
  chart = chart.configure_legend(labelFontSize=12, titleFontSize=12)
  chart = chart.configure_view(stroke='#bbbbbb')
  specification = chart.to_dict()
  specification['datasets'] = {name: list(rows) for name, rows in data.items()}
  return specification


def curves(
  records: Sequence[accuracy_table.Record], cell_names: Sequence[str]
) -> dict[str, dict[str, Any]]:
  """The metric on val against each hyperparameter that was searched.

  Args:
    records: of a ledger.
    cell_names: what each is called, no two alike.

  Returns:
    The hyperparameter -> a Vega-Lite specification with a cell to choose.
  """
  rows: dict[str, list[dict[str, Any]]] = {}
  for record, cell in zip(records, cell_names, strict=True):
    name, found = _curve(record)
    rows.setdefault(name, []).extend({'cell': cell, **row} for row in found)
  return {name: _curve_chart(name, found) for name, found in rows.items()}


def _curve(record: accuracy_table.Record) -> tuple[str, list[dict[str, Any]]]:
  """The hyperparameter, and a row for each value: x, line, value, chosen."""
  chosen = record['chosen']
  if record['trials']:
    return 'learning rate', [
      {
        'x': trial['learning_rate'],
        'line': f'{trial["weight_decay"]:.2g}',
        'y': value,
        'chosen': (trial['learning_rate'], trial['weight_decay'])
        == (chosen['learning_rate'], chosen['weight_decay']),
      }
      for trial, value in zip(
        record['trials'], record['validation_curve'], strict=True
      )
    ]
  classifier = classifiers.CLASSIFIERS[record['setting']]
  places = classifier.grid(ml_collections.ConfigDict(record['search']))
  name = classifier.hyperparameter
  return name, [
    {
      'x': float(place),
      'line': '',
      'y': value,
      'chosen': bool(np.isclose(place, chosen[name], atol=0)),
    }
    for place, value in zip(places, record['validation_curve'], strict=True)
  ]


def _curve_chart(
  name: str, rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
  cells = list(dict.fromkeys(row['cell'] for row in rows))
  lines = list(dict.fromkeys(row['line'] for row in rows))
  rows = [
    {
      **row,
      'Validation': 'diverged' if row['y'] is None else percent(row['y']),
      'Value': f'{row["x"]:.3g}',
    }
    for row in rows
  ]
  base = alt.Chart(alt.NamedData('rows')).transform_filter(
    'datum.cell == cell && isValid(datum.y)'
  )
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
  tooltip = [
    alt.Tooltip('Value:N', title=name.capitalize()),
    alt.Tooltip('Validation:N'),
  ]
  if len(lines) > 1:
    tooltip.append(alt.Tooltip('line:N', title=_DECAY))
  chart = alt.layer(
    base.mark_line(strokeWidth=1.5, aria=False).encode(*encoding),
    base.mark_point(filled=True, size=45).encode(*encoding, tooltip=tooltip),
    base.transform_filter('datum.chosen')
    .mark_point(
      shape='diamond', size=260, strokeWidth=2.5, color=_COLOURS[TIED]
    )
    .encode(x, y, tooltip=tooltip),
  ).properties(
    title=alt.TitleParams(
      text=alt.expr("split(cell, ', ')"),  # a phone is narrow
      fontSize=13,
      subtitle='the diamond is what was chosen',
      anchor='start',
      frame='bounds',
    ),
    height=260,
    description=f'The metric on validation against {name}',
  )
  select = _select('cell', 'Cell', {c: c for c in cells}, cells[0])
  return _specification(chart, {'rows': rows}, [select])
