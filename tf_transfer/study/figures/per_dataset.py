"""Draws accuracy against ImageNet accuracy, a panel per dataset."""

import pathlib
from collections.abc import Collection, Sequence

import numpy as np
import scipy.special
from absl import logging
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from tf_transfer.study import top1_protocol
from tf_transfer.study.analysis import (
  accuracy_table,
  statistics,
  ties,
  uncertainty,
)
from tf_transfer.study.figures import averages, canvas, labels, style
from tf_transfer.study.figures import axes as axes_lib

_AVERAGES_WIDTH = 5.2  # Of the panel on the right of figure 2, in inches.
_PANEL_LETTERS = 24  # That a panel's title has room for, in figure 2.
_RUNS_REMARK = (
  'bars: 95 % intervals, of test images and runs\nwhere there are several runs'
)
_METRIC_TITLES = {
  'top1': 'Top-1 accuracy',
  'mean_per_class': 'Mean per-class accuracy',
  'map11': 'Mean average precision',
}


def accuracy_vs_imagenet(
  records: Sequence[accuracy_table.Record], path: pathlib.Path
) -> bool:
  """Draws accuracy on each dataset against ImageNet top-1 accuracy.

  Both axes are logit-scaled, as in the paper's figure 2; the bars are the 95 %
  intervals of the test accuracy (`uncertainty.interval`). Networks whose
  ImageNet accuracy is unknown are left out, with a warning.

  Args:
    records: of one or more networks and datasets, in one setting.
    path: of the files, without .png and .pdf.

  Returns:
    Whether there was anything to draw.

  Raises:
    InputError: a file could not be written.
  """
  known = [r for r in records if r['imagenet_top1'] is not None]
  for name in sorted({r['network'] for r in records if r not in known}):
    logging.warning('%s: ImageNet top-1 unknown, left out of the figure', name)
  if not known:
    return False
  datasets = list(dict.fromkeys(r['dataset'] for r in known))
  with canvas.style_context():
    figure, axes = canvas.subplots(
      len(datasets), 4, 5.2 if len(datasets) == 1 else 3.8, 3.9
    )
    panels = [
      _draw_intervals(axis, [r for r in known if r['dataset'] == name])
      for axis, name in zip(axes, datasets, strict=True)
    ]
    labels.place_all(figure, panels)
    canvas.save(figure, path)
  return True


def _draw_intervals(
  axis: Axes, records: Sequence[accuracy_table.Record]
) -> labels.Labels:
  """Draws the accuracies on one dataset with their 95 % intervals.

  Returns:
    The labels to place.
  """
  x = np.array([r['imagenet_top1'] for r in records])
  examples = records[0]['test']['examples']
  intervals = [uncertainty.interval(record) for record in records]
  y, low, high = (
    statistics.clip_to_half_example(np.array(values), examples)
    for values in (
      [record['test']['value'] for record in records],
      [one.low for one in intervals],
      [one.high for one in intervals],
    )
  )
  axis.set_xscale('logit')
  axis.set_yscale('logit')
  axis.errorbar(
    x, y, yerr=[y - low, high - y], fmt='o', color='#1f4e79', capsize=3
  )
  axes_lib.logit_axis(axis.xaxis, x.min(), x.max(), margin=0.25)
  axes_lib.logit_axis(axis.yaxis, low.min(), high.max())
  axis.set_xlabel('ImageNet top-1 accuracy')
  metric = _METRIC_TITLES[records[0]['metric']]
  axis.set_ylabel(f'{metric}, {examples:,} test images')
  if any(one.covers == uncertainty.IMAGES_AND_RUNS for one in intervals):
    style.write_remark(axis, _RUNS_REMARK)
  axis.set_title(
    f'{style.name_text(records[0]["dataset"])}: '
    f'{style.style_of(records[0]["setting"]).text.lower()}'
  )
  axis.grid(alpha=0.25)
  return labels.Labels(
    axis,
    x,
    y,
    [
      style.measured_text(
        style.name_text(r['network']), top1_protocol.measure(r)
      )
      for r in records
    ],
    labels.bar_obstacles(x, low, high),
  )


def datasets_vs_imagenet(
  series: style.Series,
  settings: Sequence[str],
  path: pathlib.Path,
  tied: ties.Ties | None = None,
) -> None:
  """Draws figure 2: each dataset in each setting, with averages on the right.

  Args:
    series: records by owner.
    settings: a row of panels each.
    path: of the files, without .png and .pdf.
    tied: (setting, dataset or AVERAGE) -> the networks of the first series that
      are not significantly worse than the best, drawn as green diamonds; None:
      unknown.

  Raises:
    InputError: as for figure 1.
  """
  first = next(iter(series.values()))
  datasets = list(dict.fromkeys(r['dataset'] for r in first))
  num_rows = min(2, len(datasets))
  num_columns = -(-len(datasets) // num_rows)
  width = max(1.75 * num_columns, 3.0)
  with canvas.style_context(font_size=8):
    figure = plt.figure(
      figsize=(width + _AVERAGES_WIDTH, 4.5 * len(settings)),
      layout='constrained',
    )
    rows = figure.subfigures(len(settings), 1, squeeze=False, hspace=0.02)
    panels = []
    for setting, row in zip(settings, rows.flat, strict=True):
      left, right = row.subfigures(1, 2, width_ratios=(width, _AVERAGES_WIDTH))
      axes = left.subplots(num_rows, num_columns, squeeze=False)
      for axis in axes.flat[len(datasets) :]:
        axis.remove()
      for axis, dataset in zip(axes.flat, datasets, strict=False):
        best = (tied or {}).get((setting, dataset), ())
        _draw_small_panel(axis, series, setting, dataset, best)
      _write_titles(left, setting, datasets)
      axis = right.subplots()
      panels.append(averages.draw_panel(axis, series, setting, tied))
      axis.set_title('Average')
    labels.place_all(figure, [panel for panel in panels if panel])
    canvas.save(figure, path)


def _write_titles(
  row: SubFigure, setting: str, datasets: Sequence[str]
) -> None:
  """Writes above, below and beside the datasets' panels what they show."""
  row.suptitle(style.style_of(setting).text, fontsize=11, fontweight='bold')
  row.supxlabel('ImageNet top-1 accuracy', fontsize=8)
  row.supylabel(style.accuracy_text(datasets), fontsize=8)


def _cell_records(
  records: Sequence[accuracy_table.Record], setting: str, dataset: str
) -> list[accuracy_table.Record]:
  """Returns the records of one setting and dataset."""
  cell = setting, dataset
  return [r for r in records if (r['setting'], r['dataset']) == cell]


def _draw_small_panel(
  axis: Axes,
  series: style.Series,
  setting: str,
  dataset: str,
  tied: Collection[str],
) -> None:
  """Draws one dataset of figure 2."""
  axis.set_title(style.name_text(dataset, _PANEL_LETTERS), fontsize=8)
  xs, ys = [], []
  for number, records in enumerate(series.values()):
    table = averages.known_networks(
      _cell_records(records, setting, dataset), setting
    )
    if not table.networks:
      continue
    _draw_cell(axis, table, setting, tied, behind=number > 0)
    xs.append(table.imagenet_top1)
    ys.append(scipy.special.expit(table.log_odds[:, 0]))
  if not xs:
    axis.set_axis_off()
    if not any(_cell_records(own, setting, dataset) for own in series.values()):
      style.write_remark(axis, style.NO_RECORDS)
    return
  x, y = np.concatenate(xs), np.concatenate(ys)
  axes_lib.logit_axis(axis.xaxis, x.min(), x.max(), max_ticks=4)
  axes_lib.logit_axis(axis.yaxis, y.min(), y.max(), max_ticks=5)
  axis.tick_params(labelsize=6.5, length=2, pad=1.5)


def _draw_cell(
  axis: Axes,
  table: accuracy_table.AccuracyTable,
  setting: str,
  tied: Collection[str],
  *,
  behind: bool,
) -> None:
  """Draws the networks of one series on one dataset, and their line."""
  log_y = table.log_odds[:, 0]
  x, y = table.imagenet_top1, scipy.special.expit(log_y)
  axis.set_xscale('logit')
  axis.set_yscale('logit')
  look = style.style_of(setting)
  color = '0.6' if behind else look.color
  averages.draw_line(axis, statistics.log_odds(x), log_y, color, look.line)
  best = np.array([name in tied and not behind for name in table.networks])
  ink = '0.6' if behind else style.INK
  of_head = np.array([not measure for measure in table.measures])
  for rows, options in (
    (~best & of_head, {'marker': 'o', 's': 9, 'color': ink}),
    (~best & ~of_head, {'marker': 'o', 's': 9, 'ec': ink, 'fc': 'none'}),
    (
      best,
      {
        'marker': 'D',
        's': 16,
        'color': style.TIED_COLOR,
        'edgecolors': style.INK,
      },
    ),
  ):
    if rows.any():
      axis.scatter(x[rows], y[rows], linewidths=0.5, zorder=3, **options)
