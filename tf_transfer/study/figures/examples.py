"""Draws figure 9: accuracy against the number of training examples."""

import pathlib
from collections.abc import Sequence

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes

from tf_transfer.study.analysis.learning_curves import ExamplesCurve
from tf_transfer.study.figures import canvas, steps, style


def accuracy_vs_examples(
  curves: Sequence[ExamplesCurve],
  path: pathlib.Path,
  *,
  remarks: Sequence[str] = (),
) -> None:
  """Draws figure 9: a panel for each network and dataset, a line a setting.

  Bars are standard errors of the means over draws.

  Args:
    curves: of one or more networks and datasets.
    path: of the files, without .png and .pdf.
    remarks: lines that are written below the panels.

  Raises:
    InputError: a file could not be written.
  """
  panels = list(dict.fromkeys((c.network, c.dataset) for c in curves))
  several = len({network for network, _ in panels}) > 1
  sizes = np.unique(np.concatenate([c.examples for c in curves]))
  with canvas.style_context():
    figure, axes = steps.open_panels(len(panels))
    entries = {}
    for axis, (network, dataset) in zip(axes, panels, strict=True):
      for curve in curves:
        if (curve.network, curve.dataset) == (network, dataset):
          _draw_curve(axis, curve)
      _set_axes(axis, sizes)
      axis.set_title(steps.panel_title(network if several else '', dataset))
      for handle, text in zip(*axis.get_legend_handles_labels(), strict=True):
        entries.setdefault(text, handle)
    figure.supxlabel('Training images of each class')
    figure.supylabel('Accuracy')
    steps.add_legend(figure, entries)
    steps.write_remarks(figure, remarks)
    canvas.save(figure, path)


def _draw_curve(axis: Axes, curve: ExamplesCurve) -> None:
  """Draws a curve with its standard errors."""
  look = style.style_of(curve.setting)
  axis.errorbar(
    curve.examples,
    curve.accuracy,
    np.nan_to_num(curve.error),
    color=look.color,
    linestyle=look.line,
    marker=look.marker,
    markersize=4,
    markeredgecolor=style.INK,
    markeredgewidth=0.5,
    elinewidth=1.2,
    capsize=2,
    label=look.text,
  )


def _set_axes(axis: Axes, sizes: np.ndarray) -> None:
  """Sets the scales of a panel; the sizes that were run are its ticks."""
  axis.set_xscale('log')
  axis.set_xlim(sizes.min() / 1.3, sizes.max() * 1.3)
  steps.set_ticks(axis, sizes)
  axis.set_ylim(0, 1.02)
  axis.yaxis.set_major_formatter(ticker.PercentFormatter(1, decimals=0))
  axis.grid(alpha=0.25)
