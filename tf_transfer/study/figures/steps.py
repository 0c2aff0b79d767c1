"""Draws figure 8: accuracy against the number of training steps."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tf_transfer.study.analysis import statistics
from tf_transfer.study.figures import canvas, style


@dataclasses.dataclass(frozen=True)
class Curve:
  """Accuracy against the number of training steps, each point a run.

  Attributes:
    setting: its name, of one that trains.
    dataset: its name.
    steps: [S] ascending.
    accuracy: [S] in 0 to 1.
    steps_per_epoch: training images over the batch size.
  """

  setting: str
  dataset: str
  steps: np.ndarray
  accuracy: np.ndarray
  steps_per_epoch: float


def accuracy_vs_steps(curves: Sequence[Curve], path: pathlib.Path) -> None:
  """Draws figure 8: accuracy against training steps, below, and epochs, above.

  A dotted line marks where a curve reaches 90 % of its greatest odds.

  Args:
    curves: of one or more datasets.
    path: of the files, without .png and .pdf.

  Raises:
    InputError: a file could not be written.
  """
  datasets = list(dict.fromkeys(c.dataset for c in curves))
  steps = np.concatenate([c.steps for c in curves])
  with canvas.style_context():
    figure, axes = canvas.subplots(len(datasets), 4, 2.9, 2.6)
    for axis, name in zip(axes, datasets, strict=True):
      own_curves = [c for c in curves if c.dataset == name]
      for curve in own_curves:
        _draw_curve(axis, curve)
      axis.set_xscale('log')
      axis.set_xlim(steps.min() / 1.4, steps.max() * 1.4)
      axis.set_ylim(0, 1.02)
      axis.yaxis.set_major_formatter(ticker.PercentFormatter(1, decimals=0))
      axis.grid(alpha=0.25)
      axis.set_title(style.name_text(name))
      _add_epochs_axis(axis, own_curves[0].steps_per_epoch)
    _write_titles(figure, axes[0])
    canvas.save(figure, path)


def _draw_curve(axis: Axes, curve: Curve) -> None:
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
  reached = statistics.steps_to_share(curve.steps, curve.accuracy)
  accuracy = curve.accuracy[list(curve.steps).index(reached)]
  axis.plot(
    [reached, reached],
    [0, accuracy],
    color=look.color,
    linestyle=':',
    linewidth=1.3,
    zorder=1,
  )


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


def _write_titles(figure: Figure, first: Axes) -> None:
  """Writes the titles of all panels' axes, and a legend by the first panel."""
  figure.supxlabel('Training steps (above each panel: epochs)')
  figure.supylabel('Accuracy')
  handles, texts = first.get_legend_handles_labels()
  handles.append(plt.Line2D([], [], color='0.4', linestyle=':'))
  texts.append('90 % of its greatest odds')
  figure.legend(handles, texts, loc='outside upper center', ncols=len(texts))
