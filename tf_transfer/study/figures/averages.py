"""Draws figure 1: average accuracy against ImageNet accuracy, by network."""

import pathlib
from collections.abc import Sequence

import numpy as np
import scipy.special
from absl import logging
from matplotlib.axes import Axes

from tf_transfer.errors import InputError
from tf_transfer.study.analysis import (
  accuracy_table,
  correlations,
  evidence,
  statistics,
  ties,
)
from tf_transfer.study.figures import axes as axes_lib
from tf_transfer.study.figures import canvas, glyphs, labels, style


def averages_vs_imagenet(
  series: style.Series,
  settings: Sequence[str],
  path: pathlib.Path,
  tied: ties.Ties | None = None,
) -> None:
  """Draws figure 1: mean log-odds over datasets against ImageNet top-1.

  Bars are Morey's errors, lines least squares with 95 % bootstrap bands; r is
  Pearson's with its intervals over networks and over families.

  Args:
    series: records by owner.
    settings: a panel each.
    path: of the files, without .png and .pdf.
    tied: (setting, AVERAGE) -> the networks of the first series that are not
      significantly worse than the best on average, drawn as green diamonds;
      None: unknown.

  Raises:
    InputError: a file could not be written, or the series share no dataset.
  """
  with canvas.style_context():
    figure, axes = canvas.subplots(len(settings), 3, 5.2, 4.6)
    figure.get_layout_engine().set(w_pad=0.12)
    panels = [
      draw_panel(axis, series, name, tied)
      for axis, name in zip(axes, settings, strict=True)
    ]
    labels.place_all(figure, [panel for panel in panels if panel])
    canvas.save(figure, path)


def draw_panel(
  axis: Axes,
  series: style.Series,
  setting: str,
  tied: ties.Ties | None = None,
) -> labels.Labels | None:
  """Draws the averages of one setting.

  Args:
    axis: the panel.
    series: records by owner.
    setting: its name.
    tied: as `averages_vs_imagenet` takes it.

  Returns:
    The labels to place; None where there is nothing to average, which the
    panel then says.
  """
  look = style.style_of(setting)
  axis.set_title(look.text)
  tables = _comparable_tables(series, setting)
  if not tables:
    axis.set_axis_off()
    style.write_remark(axis, _why_empty(series, setting))
    return None
  axis.set_xscale('logit')
  remarks, obstacles = [], []
  for number, (name, table) in enumerate(tables):
    prefix = f'{name}: ' if len(tables) > 1 else ''
    remark, covered = _draw_series(axis, table, look, name, behind=number > 0)
    remarks.append(prefix + remark)
    obstacles += covered
  table = tables[0][1]
  mean, _ = statistics.averages(table.log_odds)
  best = (tied or {}).get((setting, ties.AVERAGE), ())
  is_tied = np.array([name in best for name in table.networks])
  _draw_tied(axis, table, mean, is_tied)
  if any(table.measures):
    _draw_hollow(axis, table, mean, look)
    remarks.append('hollow: top-1 that is not of a trained head')
  if statistics.uses_sample_sd(len(table.datasets)) and len(table.datasets) > 1:
    remarks.append('bars: Morey’s error, SD by n − 1')
  style.write_remark(axis, '\n'.join(remarks))
  _set_axes(axis, [table for _, table in tables])
  if len(tables) > 1 or is_tied.any():
    axis.legend(loc='lower right', fontsize=8)
  texts = [
    style.measured_text(style.name_text(name), measure)
    for name, measure in zip(table.networks, table.measures, strict=True)
  ]
  return labels.Labels(axis, table.imagenet_top1, mean, texts, obstacles)


def known_networks(
  records: Sequence[accuracy_table.Record], setting: str
) -> accuracy_table.AccuracyTable:
  """Returns the table of the networks whose ImageNet accuracy is known.

  The others are named in warnings.
  """
  table = accuracy_table.build(records, setting)
  known = ~np.isnan(table.imagenet_top1)
  for name, is_known in zip(table.networks, known, strict=True):
    if not is_known:
      logging.warning('%s: ImageNet top-1 unknown, left out of figures', name)
  return table.select_networks(known)


def draw_line(
  axis: Axes, x: np.ndarray, y: np.ndarray, color: str, line_style: str
) -> np.ndarray:
  """Draws a regression line with its band.

  Args:
    axis: the panel; its x axis is of accuracies, its y axis of accuracies if
      its scale is logit, else of log-odds.
    x: [N] log-odds.
    y: [N] log-odds.
    color: of the line and its band.
    line_style: as matplotlib's.

  Returns:
    [K, 2] points of the line; none where too few networks give no line.
  """
  margin = 0.05 * np.ptp(x)
  positions = np.linspace(x.min() - margin, x.max() + margin, 60)
  try:
    line = correlations.regression(x, y, positions)
  except InputError:
    return np.empty((0, 2))
  accuracy = scipy.special.expit(positions)
  middle, low, high = line.y, line.low, line.high
  if axis.get_yscale() == 'logit':
    middle, low, high = map(scipy.special.expit, (middle, low, high))
  axis.plot(
    accuracy, middle, color=color, linewidth=1.2, linestyle=line_style, zorder=1
  )
  axis.fill_between(
    accuracy, low, high, color=color, alpha=0.18, linewidth=0, zorder=0
  )
  return np.column_stack([accuracy, middle])


def _comparable_tables(
  series: style.Series, setting: str
) -> list[tuple[str, accuracy_table.AccuracyTable]]:
  """Returns each series on the same datasets, without a gap.

  The datasets are those of `accuracy_table.select_comparable` in the first
  series, among the datasets that all series have. Networks that are not on all
  of them are left out. Warnings name what is left out.

  Raises:
    InputError: the series have no dataset in common.
  """
  tables = {
    name: known_networks(records, setting) for name, records in series.items()
  }
  tables = {name: table for name, table in tables.items() if table.networks}
  if not tables:
    return []
  first, *others = tables.values()
  shared = [
    name for name in first.datasets if all(name in o.datasets for o in others)
  ]
  if not shared:
    raise InputError(
      f'{" and ".join(tables)} have no dataset in common in {setting}, so '
      'their averages cannot be compared: draw them apart'
    )
  comparable = accuracy_table.select_comparable(first.select_datasets(shared))
  if comparable.sparse_datasets:
    logging.warning(
      '%s: too few networks on them, left out of the averages',
      ', '.join(comparable.sparse_datasets),
    )
  if not comparable.table.networks:
    return []
  datasets = comparable.table.datasets
  complete = {
    name: _complete_networks(table.select_datasets(datasets))
    for name, table in tables.items()
  }
  return [(name, table) for name, table in complete.items() if table.networks]


def _complete_networks(
  table: accuracy_table.AccuracyTable,
) -> accuracy_table.AccuracyTable:
  """Returns the networks that are on all datasets; warns of the others."""
  complete = table.present.all(axis=1)
  for network, is_complete in zip(table.networks, complete, strict=True):
    if not is_complete:
      logging.warning(
        '%s: not on all of %s, left out of the averages',
        network,
        ', '.join(table.datasets),
      )
  return table.select_networks(complete)


def _why_empty(series: style.Series, setting: str) -> str:
  """Returns why a panel of averages is empty."""
  records = [
    record
    for records in series.values()
    for record in records
    if record['setting'] == setting
  ]
  if not records:
    return style.NO_RECORDS
  if all(record['imagenet_top1'] is None for record in records):
    return 'no network with a known ImageNet top-1'
  return 'no network with a known ImageNet top-1\non the datasets of all'


def _draw_series(
  axis: Axes,
  table: accuracy_table.AccuracyTable,
  look: style.Style,
  name: str,
  *,
  behind: bool,
) -> tuple[str, list[np.ndarray]]:
  """Draws the averages of one series, with their regression line.

  Returns:
    The correlation in words, and points that labels should not cover.
  """
  top1 = table.imagenet_top1
  mean, error = statistics.averages(table.log_odds)
  error = np.nan_to_num(error)
  _draw_points(axis, (top1, mean, error), look, name, behind=behind)
  obstacles = labels.bar_obstacles(top1, mean - error, mean + error)
  x = statistics.log_odds(top1)
  color = '0.5' if behind else look.color
  obstacles.append(draw_line(axis, x, mean, color, look.line))
  return _correlation_text(table), obstacles


def _draw_points(
  axis: Axes,
  values: tuple[np.ndarray, np.ndarray, np.ndarray],
  look: style.Style,
  name: str,
  *,
  behind: bool,
) -> None:
  """Draws averages with their errors, hollow and gray where behind.

  Args:
    axis: the panel.
    values: ImageNet top-1, mean log-odds and error, [M] each.
    look: of the setting.
    name: of the series.
    behind: whether it is not the first series.
  """
  x, mean, error = values
  axis.errorbar(
    x,
    mean,
    yerr=error,
    fmt=look.marker,
    color='0.45' if behind else look.color,
    markerfacecolor='none' if behind else look.color,
    markeredgecolor='0.45' if behind else style.INK,
    markeredgewidth=0.6,
    ecolor='0.6' if behind else '0.35',
    elinewidth=0.8,
    capsize=2,
    markersize=5,
    label=name,
    zorder=2 if behind else 3,
  )


def _draw_hollow(
  axis: Axes,
  table: accuracy_table.AccuracyTable,
  mean: np.ndarray,
  look: style.Style,
) -> None:
  """Marks the networks whose ImageNet top-1 is not of a trained head.

  Args:
    axis: the panel.
    table: of the first series.
    mean: [M] log-odds.
    look: of the setting.
  """
  rows = np.array([bool(measure) for measure in table.measures])
  axis.plot(
    table.imagenet_top1[rows],
    mean[rows],
    look.marker,
    markerfacecolor='white',
    markeredgecolor=look.color,
    markersize=5,
    zorder=5,
  )


def _draw_tied(
  axis: Axes,
  table: accuracy_table.AccuracyTable,
  mean: np.ndarray,
  is_tied: np.ndarray,
) -> None:
  """Marks the networks that are tied with the best, as figure 2 does.

  Args:
    axis: the panel.
    table: of the first series.
    mean: [M] log-odds.
    is_tied: bool [M].
  """
  if not is_tied.any():
    return
  axis.plot(
    table.imagenet_top1[is_tied],
    mean[is_tied],
    'D',
    color=style.TIED_COLOR,
    markeredgecolor=style.INK,
    markeredgewidth=0.6,
    markersize=6,
    label=f'tied with the best (t-test over {len(table.datasets)} datasets)',
    zorder=4,
  )


def _correlation_text(table: accuracy_table.AccuracyTable) -> str:
  """Returns r with its intervals, or why there is no correlation."""
  try:
    facts = evidence.from_table(table)
  except InputError as error:
    return glyphs.drawable(str(error), 200)
  text = f'r = {facts.r:.2f}'
  over_networks = facts.interval(evidence.NETWORKS)
  if over_networks is None:
    return f'{text} ({facts.num_networks} networks)'
  text += f' [{over_networks.low:.2f}, {over_networks.high:.2f}]'
  over_families = facts.interval(evidence.FAMILIES)
  if over_families is not None:
    low, high = over_families.low, over_families.high
    text += f', over families [{low:.2f}, {high:.2f}]'
  return text


def _set_axes(
  axis: Axes, tables: Sequence[accuracy_table.AccuracyTable]
) -> None:
  """Sets ends, ticks and titles of a panel of averages."""
  top1 = np.concatenate([table.imagenet_top1 for table in tables])
  axes_lib.logit_axis(axis.xaxis, top1.min(), top1.max(), max_ticks=7)
  axis.margins(y=0.12)
  axis.set_xlabel('ImageNet top-1 accuracy')
  datasets = tables[0].datasets
  axis.set_ylabel(
    f'Mean log-odds over {len(datasets)} datasets'
    if len(datasets) > 1
    else f'Log-odds on {style.name_text(datasets[0])}'
  )
  axis.grid(alpha=0.2)
  _add_accuracy_axis(axis)


def _add_accuracy_axis(axis: Axes) -> None:
  """Adds an axis on the right: the accuracies that have these log-odds."""
  ends = scipy.special.expit(np.array(axis.get_ylim()))
  right = axis.twinx()
  right.set_yscale('logit')
  right.spines['right'].set_visible(True)
  axes_lib.logit_axis(right.yaxis, *ends, margin=0)
  right.set_ylim(*ends)
  right.tick_params(colors='0.35', labelsize=8)
  right.set_ylabel('the same as accuracy', color='0.35', fontsize=8)
  right.spines['right'].set_color('0.7')
