"""Draws figures 6 and 7, which compare settings."""

import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import scipy.special
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tf_transfer.errors import InputError
from tf_transfer.study.analysis import accuracy_table
from tf_transfer.study.figures import axes as axes_lib
from tf_transfer.study.figures import canvas, style

_PANEL_LETTERS = 20  # That a panel's title has room for, in figure 6.
_NUM_COLORS = 12  # Of the paper's datasets, in figure 7.


def settings_by_dataset(
  records: Sequence[accuracy_table.Record],
  previous_best: Mapping[str, float],
  path: pathlib.Path,
) -> None:
  """Draws figure 6: the settings on each dataset.

  A mark is a network. A bar is the mean, taken in log-odds, of the networks
  that all of the dataset's settings have: means of different networks say
  nothing about settings. Marks of other networks are gray. The axes are
  logit-scaled, so bars start where their panel does.

  Args:
    records: of one or more of the paper's settings; others are not drawn.
    previous_best: dataset -> best result before, a dashed line; may lack some.
    path: of the files, without .png and .pdf.

  Raises:
    InputError: a file could not be written.
  """
  records = [r for r in records if r['setting'] in style.STYLES]
  present = {r['setting'] for r in records}
  settings = [name for name in style.STYLES if name in present]
  datasets = list(dict.fromkeys(r['dataset'] for r in records))
  with canvas.style_context():
    figure, axes = canvas.subplots(len(datasets), 6, 2.0, 2.9)
    for axis, name in zip(axes, datasets, strict=True):
      _draw_bars(
        axis,
        [r for r in records if r['dataset'] == name],
        settings,
        previous_best.get(name),
      )
      axis.set_title(style.name_text(name, _PANEL_LETTERS))
    figure.supylabel(style.accuracy_text(datasets), fontsize=9)
    _add_settings_legend(
      figure,
      settings,
      num_panels=len(axes),
      has_previous=any(name in previous_best for name in datasets),
    )
    canvas.save(figure, path)


def _add_settings_legend(
  figure: Figure,
  settings: Sequence[str],
  *,
  num_panels: int,
  has_previous: bool,
) -> None:
  """Adds the legend of figure 6 below its panels."""
  handles = [
    plt.Rectangle(
      (0, 0), 1, 1, facecolor=style.STYLES[name].color, edgecolor=style.INK
    )
    for name in settings
  ]
  texts = [style.STYLES[name].text for name in settings]
  if has_previous:
    handles.append(plt.Line2D([], [], color=style.INK, linestyle='--'))
    texts.append('Previous best')
  # An entry is as wide as a panel.
  num_columns = min(len(texts), num_panels)
  figure.legend(handles, texts, loc='outside lower center', ncols=num_columns)


def _draw_bars(
  axis: Axes,
  records: Sequence[accuracy_table.Record],
  settings: Sequence[str],
  previous_best: float | None,
) -> None:
  """Draws one dataset of figure 6."""
  axis.set_yscale('logit')
  tables = [accuracy_table.build(records, name) for name in settings]
  values = [scipy.special.expit(t.log_odds.reshape(-1)) for t in tables]
  shown = np.concatenate(
    [*values, [] if previous_best is None else [previous_best]]
  )
  axes_lib.logit_axis(axis.yaxis, shown.min(), shown.max(), max_ticks=7)
  shared = set.intersection(*(set(t.networks) for t in tables if t.networks))
  for position, (setting, table, accuracy) in enumerate(
    zip(settings, tables, values, strict=True)
  ):
    if table.networks:
      is_shared = np.array([name in shared for name in table.networks])
      _draw_bar(axis, position, accuracy, is_shared, style.STYLES[setting])
  if previous_best is not None:
    axis.axhline(previous_best, color=style.INK, linestyle='--', linewidth=1)
  axis.set_xticks([])


def _draw_bar(
  axis: Axes,
  position: int,
  accuracy: np.ndarray,
  is_shared: np.ndarray,
  look: style.Style,
) -> None:
  """Draws one setting's bar, if any network is shared, and its marks.

  Args:
    axis: the panel, whose limits are set.
    position: of the bar on the x axis.
    accuracy: [M].
    is_shared: bool [M], whether all settings of the dataset have the network.
    look: of the setting.
  """
  floor = axis.get_ylim()[0]
  if is_shared.any():
    log_odds = scipy.special.logit(accuracy[is_shared])
    axis.bar(
      position,
      scipy.special.expit(log_odds.mean()) - floor,
      bottom=floor,
      color=look.color,
      edgecolor=style.INK,
      linewidth=0.6,
      alpha=0.75,
    )
  spread = np.linspace(-0.25, 0.25, len(accuracy)) if len(accuracy) > 1 else 0
  axis.scatter(
    position + spread,
    accuracy,
    s=9,
    marker=look.marker,
    facecolor='white',
    edgecolor=np.where(is_shared, style.INK, '0.6'),
    linewidths=0.6,
    zorder=3,
  )


def fine_tuned_vs_random(series: style.Series, path: pathlib.Path) -> None:
  """Draws figure 7: fine-tuned against random initialization.

  A point is a network on a dataset.

  Args:
    series: records by owner; of all but the first only what is on
      the first's datasets is drawn.
    path: of the files, without .png and .pdf.

  Raises:
    InputError: a file could not be written, or no network was run in both
      settings on one dataset.
  """
  with canvas.style_context():
    figure, (axis,) = canvas.subplots(1, 1, 6, 6)
    axis.set_xscale('logit')
    axis.set_yscale('logit')
    ends, numbers = [], {}
    for order, records in enumerate(series.values()):
      for dataset, x, y in _pairs(records):
        if order and dataset not in numbers:
          continue
        number = numbers.setdefault(dataset, len(numbers))
        _draw_pairs(axis, x, y, dataset, number, behind=order > 0)
        ends += [x.min(), x.max(), y.min(), y.max()]
    if not ends:
      plt.close(figure)
      raise InputError(
        'no network was both fine-tuned and trained from random '
        'initialization on the same dataset'
      )
    _set_equal_axes(axis, min(ends), max(ends))
    _add_pairs_legend(axis, list(series))
    canvas.save(figure, path)


def _draw_pairs(
  axis: Axes,
  x: np.ndarray,
  y: np.ndarray,
  dataset: str,
  number: int,
  *,
  behind: bool,
) -> None:
  """Draws the networks of one dataset, of the number-th color and mark."""
  color = plt.get_cmap('turbo')(
    0.05 + 0.9 * (number % _NUM_COLORS) / (_NUM_COLORS - 1)
  )
  axis.scatter(
    x,
    y,
    s=26,
    marker=style.MARKERS[number % len(style.MARKERS)],
    facecolor='none' if behind else color,
    edgecolor='0.5' if behind else style.INK,
    linewidths=0.5,
    label='_' if behind else style.name_text(dataset),
    zorder=2 if behind else 3,
  )


def _set_equal_axes(axis: Axes, low: float, high: float) -> None:
  """Gives both axes of figure 7 the same ends, and draws the diagonal."""
  for one in (axis.xaxis, axis.yaxis):
    axes_lib.logit_axis(one, low, high, max_ticks=12, margin=0.04)
  ends = axis.get_xlim()
  axis.plot(ends, ends, color='0.4', linewidth=0.8, linestyle='--', zorder=1)
  axis.set_xlim(ends)
  axis.set_ylim(ends)
  axis.set_box_aspect(1)
  axis.grid(alpha=0.2)
  axis.set_xlabel('Accuracy from random initialization')
  axis.set_ylabel('Accuracy fine-tuned')


def _add_pairs_legend(axis: Axes, series: Sequence[str]) -> None:
  """Adds the legend of figure 7, of datasets and of whose points are hollow."""
  handles, texts = axis.get_legend_handles_labels()
  if len(series) > 1:
    texts = [f'{text} ({series[0]})' for text in texts]
    handles.append(plt.Line2D([], [], ls='', marker='o', mfc='none', mec='0.5'))
    texts.append(' and '.join(series[1:]))
  axis.legend(handles, texts, loc='lower right', fontsize=8.5)


def _pairs(
  records: Sequence[accuracy_table.Record],
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
  """Yields for each dataset the networks that were run in both settings.

  Yields:
    The dataset, and the accuracies [K] from random initialization and
    fine-tuned.
  """
  random = _cell_accuracies(accuracy_table.build(records, 'random_init'))
  tuned = _cell_accuracies(accuracy_table.build(records, 'fine_tuned'))
  for dataset in dict.fromkeys(dataset for _, dataset in tuned):
    pairs = [
      (random[cell], accuracy)
      for cell, accuracy in tuned.items()
      if cell[1] == dataset and cell in random
    ]
    if pairs:
      x, y = np.transpose(pairs)
      yield dataset, x, y


def _cell_accuracies(
  table: accuracy_table.AccuracyTable,
) -> dict[tuple[str, str], float]:
  """Returns (network, dataset) -> accuracy, held off 0 and 1."""
  accuracy, present = scipy.special.expit(table.log_odds), table.present
  return {
    (table.networks[row], table.datasets[column]): accuracy[row, column]
    for column in range(len(table.datasets))
    for row in range(len(table.networks))
    if present[row, column]
  }
