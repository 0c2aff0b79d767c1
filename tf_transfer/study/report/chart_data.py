"""Computes what figure 2 of the page shows: points, lines and views.

Everything is computed here: the browser only shows what is chosen. Both axes
are in log-odds, labeled with the accuracies that have them.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.special

from tf_transfer import networks
from tf_transfer.errors import InputError
from tf_transfer.study import names as names_lib
from tf_transfer.study.analysis import (
  accuracy_table,
  correlations,
  evidence,
  statistics,
  ties,
  uncertainty,
)
from tf_transfer.study.figures import axes as axes_lib
from tf_transfer.study.report import conditions

AVERAGE = ties.AVERAGE  # The choice of all datasets together.
# Whose points these are.
OURS, TIED, PAPER = 'ours', 'ours, tied with the best', 'the paper'
_NUM_LINE_POINTS = 30
_DIGITS = 5  # Of coordinates.

# A row of data for Vega: field -> value.
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Names:
  """The names of networks and datasets on the page.

  Attributes:
    network: record's network -> as people write it.
    dataset: record's dataset -> as people write it.
    table_name: record's network -> its name in the table of networks.
    measure: record's network -> what its ImageNet top-1 is of, where that is
      not the trained head.
  """

  network: Mapping[str, str]
  dataset: Mapping[str, str]
  table_name: Mapping[str, str]
  measure: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class FigureData:
  """The data of figure 2.

  Attributes:
    points: a row per network, setting, dataset and series.
    lines: rows of the regression lines.
    views: choice (see `choice_key`) -> its axes and what is written above.
  """

  points: Sequence[Row]
  lines: Sequence[Row]
  views: Mapping[str, Mapping[str, Any]]


def choice_key(setting: str, dataset: str) -> str:
  """Returns the key of a choice of setting and dataset, as in the browser."""
  return f'{setting}|{dataset}'


def percent(share: float) -> str:
  """Returns a share as '12.34 %'."""
  return f'{100 * share:.2f} %'


def interval(low: float, high: float) -> str:
  """Returns an interval as '12.34 to 23.45 %'."""
  return f'{100 * low:.2f} to {percent(high)}'


def parameters_text(name: str) -> str:
  """Returns the parameters of a network without its head, in millions."""
  if name not in networks.TABLE:
    return 'unknown'
  return f'{networks.TABLE[name].parameters / 1e6:.1f} million'


def build(
  records: Sequence[accuracy_table.Record],
  papers: Sequence[accuracy_table.Record],
  names: Names,
  tied: ties.Ties,
) -> FigureData:
  """Computes the data of figure 2, for every choice of setting and dataset.

  Args:
    records: at most one of each cell.
    papers: the paper's records.
    names: of the networks and datasets of `records`.
    tied: (setting, dataset or AVERAGE) -> networks that are tied with the best.
  """
  points, lines, views = [], [], {}
  datasets = list(dict.fromkeys(r['dataset'] for r in records))
  settings = list(dict.fromkeys(r['setting'] for r in records))
  choices = [(s, d) for s in settings for d in (AVERAGE, *datasets)]
  for setting, dataset in choices:
    texts = {}
    if dataset == AVERAGE:
      best = tied.get((setting, AVERAGE), ())
      title, groups, texts = _averages(records, papers, setting, names, best)
    else:
      title = names.dataset[dataset]
      groups = {
        series: _cell_points(
          _cell_records(of_series, setting, dataset),
          names,
          papers=series == PAPER,
          tied=tied.get((setting, dataset), ()),
        )
        for series, of_series in ((OURS, records), (PAPER, papers))
      }
    groups = {series: group for series, group in groups.items() if group}
    title = f'{title}, {names_lib.setting_text(setting).lower()}'
    view, view_lines = _view(title, groups, texts)
    views[choice_key(setting, dataset)] = view
    lines += view_lines
    points += [point for group in groups.values() for point in group]
  return FigureData(points, lines, views)


def _cell_records(
  records: Sequence[accuracy_table.Record], setting: str, dataset: str
) -> list[accuracy_table.Record]:
  """Returns the records of one setting and dataset."""
  cell = setting, dataset
  return [r for r in records if (r['setting'], r['dataset']) == cell]


def _averages(
  records: Sequence[accuracy_table.Record],
  papers: Sequence[accuracy_table.Record],
  setting: str,
  names: Names,
  tied: Collection[str],
) -> tuple[str, dict[str, list[Row]], dict[str, list[str]]]:
  """Returns the title of a setting's averages, their points, and r in words.

  The paper's networks are shown if it has all of our datasets.

  Args:
    records: at most one of each cell.
    papers: the paper's records.
    setting: that is averaged.
    names: of networks and datasets.
    tied: networks of ours that are tied with the best on average.

  Returns:
    The title; series -> points; series -> lines that say r as the answer does.
  """
  table = accuracy_table.build(records, setting)
  table = accuracy_table.select_comparable(table).table
  count = len(table.datasets)
  title = f'Mean log-odds over {count} dataset{"s" * (count != 1)}'
  tables = {OURS: table}
  papers_table = accuracy_table.build(papers, setting)
  if set(table.datasets) <= set(papers_table.datasets):
    tables[PAPER] = papers_table.select_datasets(table.datasets)
  return (
    title,
    {
      series: _average_points(
        one,
        setting,
        names,
        papers=series == PAPER,
        tied=tied if series == OURS else (),
      )
      for series, one in tables.items()
    },
    {series: _correlation_lines(one) for series, one in tables.items()},
  )


def _correlation_lines(table: accuracy_table.AccuracyTable) -> list[str]:
  """Returns the r of averages with its intervals, or why there is none."""
  try:
    return conditions.short(evidence.from_table(table))
  except InputError as error:
    return _reason_lines(error)


def _reason_lines(error: InputError) -> list[str]:
  """Returns why there is no r, in lines for which a phone has room."""
  first, _, rest = str(error).partition(': ')
  return [f'{first}:', rest] if rest else [first]


def _average_points(
  table: accuracy_table.AccuracyTable,
  setting: str,
  names: Names,
  *,
  papers: bool = False,
  tied: Collection[str] = (),
) -> list[Row]:
  """Returns a row for each network's mean log-odds, with Morey's error.

  Args:
    table: of the networks and datasets.
    setting: that is averaged.
    names: of networks and datasets.
    papers: whether these are the paper's records.
    tied: networks that are tied with the best of ours.
  """
  if not table.networks:
    return []
  mean, error = statistics.averages(table.log_odds)
  few = ', n − 1' * statistics.uses_sample_sd(len(table.datasets))
  points = []
  for network, x, y, half in zip(
    table.networks,
    statistics.log_odds(table.imagenet_top1),
    mean,
    np.nan_to_num(error),
    strict=True,
  ):
    accuracy = percent(scipy.special.expit(y))
    interval_text = (
      f'± {half:.2f} (Morey’s error{few})' if half else 'no error known'
    )
    points.append(
      _point(
        (setting, AVERAGE, network),
        names,
        PAPER if papers else TIED if network in tied else OURS,
        (x, y, y - half, y + half),
        f'log-odds {conditions.number(y)}, that of {accuracy}',
        interval_text,
      )
    )
  return points


def _cell_points(
  records: Sequence[accuracy_table.Record],
  names: Names,
  *,
  papers: bool,
  tied: Collection[str],
) -> list[Row]:
  """Returns a row for each network on one dataset, in one setting.

  Args:
    records: of that setting and dataset.
    names: of networks and datasets.
    papers: whether these are the paper's records.
    tied: networks that are tied with the best of ours.
  """
  points = []
  for record in records:
    if record['imagenet_top1'] is None:
      continue
    test = record['test']
    interval_of = uncertainty.interval(record)
    accuracies = test['value'], interval_of.low, interval_of.high
    log_odds = [
      statistics.log_odds(accuracy, test['examples']).item()
      for accuracy in np.clip(accuracies, 0, 1)
    ]
    interval_text = interval(interval_of.low, interval_of.high)
    meaning = f'95 %, of {interval_of.covers}'
    meaning = 'read off the figure' if papers else meaning
    top1 = statistics.log_odds(
      record['imagenet_top1'], statistics.IMAGENET_IMAGES
    )
    is_tied = record['network'] in tied
    points.append(
      _point(
        (record['setting'], record['dataset'], record['network']),
        names,
        PAPER if papers else TIED if is_tied else OURS,
        (top1.item(), *log_odds),
        percent(test['value']),
        f'{interval_text} ({meaning})',
      )
    )
  return points


def _point(
  cell: tuple[str, str, str],
  names: Names,
  kind: str,
  log_odds: tuple[float, float, float, float],
  accuracy_text: str,
  interval_text: str,
) -> Row:
  """Returns a row of figure 2's data.

  Args:
    cell: setting, dataset and network.
    names: of networks and datasets.
    kind: OURS, TIED or PAPER.
    log_odds: of ImageNet top-1; of the accuracy, and the ends of its interval.
    accuracy_text: what is shown as accuracy.
    interval_text: what is shown as its interval.
  """
  setting, dataset, network = cell
  title = names.network.get(network) or names_lib.display_name(network)
  x, y, low, high = (round(float(value), _DIGITS) for value in log_odds)
  top1 = percent(scipy.special.expit(log_odds[0]))
  if network in names.measure:
    top1 += f' ({names.measure[network]})'
  size = parameters_text(names.table_name.get(network, network))
  return {
    'choice': choice_key(setting, dataset),
    'series': PAPER if kind == PAPER else OURS,
    'kind': kind,
    'Network': title,
    'Accuracy': accuracy_text,
    'Interval': interval_text,
    'ImageNet top-1': top1,
    'Parameters': size,
    'x': x,
    'y': y,
    'low': low,
    'high': high,
    'text': f'{title}, {kind}: {accuracy_text}; {interval_text}; '
    f'ImageNet top-1 {top1}; {size} parameters',
  }


def _view(
  title: str,
  groups: Mapping[str, Sequence[Row]],
  texts: Mapping[str, Sequence[str]],
) -> tuple[dict[str, Any], list[Row]]:
  """Computes the axes of a choice, what is written above it, and its lines.

  Args:
    title: of the choice.
    groups: the points of each series, none of them empty.
    texts: what is written of a series, where it is not r over networks alone.
  """
  points = [point for group in groups.values() for point in group]
  remarks, lines = [], []
  for series, group in groups.items():
    rows, own_texts = _line(group)
    lines += rows
    prefix = f'{series}: ' if len(groups) > 1 else ''
    remarks += [f'{prefix}{one}' for one in texts.get(series, own_texts)]
  if not points:
    remarks = ['no network here whose ImageNet top-1 is known']
    points = [{'x': 0.0, 'low': -1.0, 'high': 1.0}]
  share = scipy.special.expit
  view = {'above': _text_above([title, *remarks], groups)}
  for axis, low, high, max_ticks in (
    ('x', min(p['x'] for p in points), max(p['x'] for p in points), 5),
    ('y', min(p['low'] for p in points), max(p['high'] for p in points), 7),
  ):
    ends, ticks = axes_lib.percent_ticks(
      share(low), share(high), max_ticks=max_ticks
    )
    for name, values in ((axis, ends), (f'{axis}_ticks', ticks)):
      view[name] = np.round(scipy.special.logit(values), _DIGITS).tolist()
  return view, lines


def _line(points: Sequence[Row]) -> tuple[list[Row], list[str]]:
  """Computes the regression line with its band, and r in words."""
  x, y = (np.array([p[key] for p in points]) for key in 'xy')
  shared = {key: points[0][key] for key in ('choice', 'series')}
  try:
    correlation = correlations.correlation(x, y)
    margin = 0.05 * np.ptp(x)
    positions = np.linspace(
      x.min() - margin, x.max() + margin, _NUM_LINE_POINTS
    )
    line = correlations.regression(x, y, positions)
  except InputError as error:
    return [], _reason_lines(error)
  rows = [
    {
      **shared,
      'x': round(float(position), _DIGITS),
      'y': round(float(middle), _DIGITS),
      'low': None if np.isnan(low) else round(float(low), _DIGITS),
      'high': None if np.isnan(high) else round(float(high), _DIGITS),
    }
    for position, middle, low, high in zip(
      positions, line.y, line.low, line.high, strict=True
    )
  ]
  return rows, [_short_text(correlation)]


def _short_text(correlation: correlations.Correlation) -> str:
  """Returns a coefficient in as few letters as a phone has room for."""
  text = f'r = {conditions.number(correlation.r)}'
  if not np.isnan(correlation.low):
    low, high = correlation.low, correlation.high
    text += f' [{conditions.number(low)}, {conditions.number(high)}]'
  return f'{text}, {correlation.num_points} networks'


def _text_above(
  lines: Sequence[str], groups: Mapping[str, Sequence[Row]]
) -> dict[str, list[str]]:
  """Returns the lines above the figure, by the network that is marked.

  They are `lines` where none is ('').
  """
  above = {'': list(lines)}
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
