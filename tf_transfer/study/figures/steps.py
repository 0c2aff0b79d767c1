"""Draws figure 8: accuracy against the number of training steps."""

import pathlib
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tf_transfer.study.analysis.learning_curves import StepsCurve
from tf_transfer.study.figures import canvas, style

_BEHIND = '0.6'  # the gray of the paper's curves
_MAX_TICKS = 6  # labels that fit below a panel


def accuracy_vs_steps(
  curves: Sequence[StepsCurve],
  path: pathlib.Path,
  *,
  behind: Sequence[StepsCurve] = (),
  remarks: Sequence[str] = (),
) -> None:
  """Draws figure 8: accuracy against training steps, below, and epochs, above.

  A dotted line marks where a curve reaches 90 % of its greatest odds.

  Args:
    curves: of one or more datasets, and of one network or several.
    path: of the files, without .png and .pdf.
    behind: the paper's curves, drawn in gray on the same datasets.
    remarks: lines that are written below the panels.

  Raises:
    InputError: a file could not be written.
  """
  panels = list(dict.fromkeys((c.network, c.dataset) for c in curves))
  several = len({network for network, _ in panels}) > 1
  shown = {dataset for _, dataset in panels}
  behind = [c for c in behind if c.dataset in shown]
  steps = np.concatenate([c.steps for c in (*curves, *behind)])
  with canvas.style_context():
    figure, axes = open_panels(len(panels))
    for axis, (network, dataset) in zip(axes, panels, strict=True):
      for curve in behind:
        if curve.dataset == dataset:
          _draw_behind(axis, curve)
      own_curves = [
        c for c in curves if (c.network, c.dataset) == (network, dataset)
      ]
      for curve in own_curves:
        _draw_curve(axis, curve)
      axis.set_xscale('log')
      axis.set_xlim(steps.min() / 1.4, steps.max() * 1.4)
      set_ticks(axis, np.unique(np.concatenate([c.steps for c in curves])))
      axis.set_ylim(0, 1.02)
      axis.yaxis.set_major_formatter(ticker.PercentFormatter(1, decimals=0))
      axis.grid(alpha=0.25)
      axis.set_title(panel_title(network if several else '', dataset))
      if np.isfinite(own_curves[0].steps_per_epoch):
        _add_epochs_axis(axis, own_curves[0].steps_per_epoch)
    _write_titles(figure, axes, [*remarks], bool(behind))
    canvas.save(figure, path)


def open_panels(count: int) -> tuple[Figure, list[Axes]]:
  """Opens a figure of `count` panels; of one or two, larger ones."""
  width, height = (2.9, 2.6) if count > 2 else (5.2 / count + 0.4, 3.4)
  return canvas.subplots(count, 4, width, height)


def set_ticks(axis: Axes, values: np.ndarray) -> None:
  """Sets the ticks of a logarithmic x-axis to values that were run.

  Args:
    axis: of the panel.
    values: [S] ascending; a few of them, evenly spaced, are labeled.
  """
  axis.xaxis.set_major_locator(
    ticker.FixedLocator(values[:: -(-len(values) // _MAX_TICKS)])
  )
  axis.xaxis.set_major_formatter(ticker.StrMethodFormatter('{x:,g}'))
  axis.xaxis.set_minor_locator(ticker.NullLocator())


def panel_title(network: str, dataset: str) -> str:
  """Returns the title of a panel: its dataset, below its network if any."""
  titles = [style.name_text(name) for name in (network, dataset) if name]
  return '\n'.join(titles)


def _draw_behind(axis: Axes, curve: StepsCurve) -> None:
  """Draws one of the paper's curves."""
  look = style.style_of(curve.setting)
  axis.plot(
    curve.steps,
    curve.accuracy,
    color=_BEHIND,
    linestyle=look.line,
    linewidth=1,
    marker=look.marker,
    markersize=2.5,
    zorder=1,
  )


def _draw_curve(axis: Axes, curve: StepsCurve) -> None:
  """Draws a curve, and where it reaches 90 % of its greatest odds."""
  look = style.style_of(curve.setting)
  axis.plot(
    curve.steps,
    curve.accuracy,
    color=look.color,
    linestyle=look.line,
    marker=look.marker,
    markersize=4,
    markeredgecolor=style.INK,
    markeredgewidth=0.5,
    label=look.text,
  )
  reached = curve.steps_to_share
  accuracy = curve.accuracy[list(curve.steps).index(reached)]
  axis.plot(
    [reached, reached],
    [0, accuracy],
    color=look.color,
    linestyle=':',
    linewidth=1.3,
    zorder=1,
  )
  if curve.low is not None and curve.high is not None:
    axis.vlines(curve.steps, curve.low, curve.high, color=look.color, lw=1)


def _add_epochs_axis(axis: Axes, steps_per_epoch: float) -> None:
  """Adds an axis of epochs above a panel."""
  above = axis.secondary_xaxis(
    'top',
    functions=(lambda s: s / steps_per_epoch, lambda e: e * steps_per_epoch),
  )
  above.xaxis.set_major_formatter(ticker.StrMethodFormatter('{x:,g}'))
  above.xaxis.set_minor_locator(ticker.NullLocator())
  above.tick_params(labelsize=7, colors='0.35')
  above.spines['top'].set_color('0.7')


def _write_titles(
  figure: Figure,
  axes: Sequence[Axes],
  remarks: Sequence[str],
  papers: bool,
) -> None:
  """Writes the titles of all panels' axes, remarks, and a legend.

  Args:
    figure: the figure.
    axes: of its panels.
    remarks: lines below the panels.
    papers: whether the paper's curves are drawn.
  """
  label = 'Training steps (above each panel: epochs)'
  if not any(axis.child_axes for axis in axes):
    label = 'Training steps'
  figure.supxlabel(label)
  figure.supylabel('Accuracy')
  entries = {}
  for axis in axes:
    for handle, text in zip(*axis.get_legend_handles_labels(), strict=True):
      entries.setdefault(text, handle)
  entries['90 % of its greatest odds'] = plt.Line2D(
    [], [], color='0.4', linestyle=':'
  )
  if papers:
    entries['the paper: Inception v4'] = plt.Line2D(
      [], [], color=_BEHIND, marker='.'
    )
  add_legend(figure, entries)
  write_remarks(figure, remarks)


def add_legend(figure: Figure, entries: Mapping[str, Any]) -> None:
  """Adds a legend above all panels, as wide as the figure allows.

  Args:
    figure: the figure.
    entries: text -> what it explains.
  """
  inches = [0.5 + 0.075 * len(text) for text in entries]
  num_columns = max(1, int(figure.get_figwidth() / max(inches)))
  figure.legend(
    list(entries.values()),
    list(entries),
    loc='outside upper center',
    ncols=min(num_columns, len(entries)),
  )


def write_remarks(figure: Figure, remarks: Sequence[str]) -> None:
  """Writes lines below all panels, broken to the width of the figure."""
  if not remarks:
    return
  width = int(figure.get_figwidth() * 15)  # letters
  lines = [part for text in remarks for part in textwrap.wrap(text, width)]
  figure.set_figheight(figure.get_figheight() + 0.15 * len(lines))
  figure.supxlabel(
    '\n'.join([figure.get_supxlabel(), *lines]), fontsize=8, x=0.5
  )
