"""Draws accuracy on shifted test sets against ImageNet top-1."""

import pathlib

import numpy as np
import scipy.special
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from tf_transfer.networks import timm_pretraining
from tf_transfer.study.analysis import (
  shift_correlations,
  shift_residuals,
  shift_results,
)
from tf_transfer.study.figures import axes as axes_lib
from tf_transfer.study.figures import canvas, style

# Okabe and Ito's colors; each group has a mark of its own too.
COLORS = {
  timm_pretraining.IMAGENET_1K: '#8a8f96',
  timm_pretraining.MORE_LABELS: '#0072b2',
  timm_pretraining.HASHTAGS: '#b8860b',
  timm_pretraining.SELF_SUPERVISED: '#008060',
  timm_pretraining.LANGUAGE: '#d55e00',
  timm_pretraining.UNKNOWN: '#1b1b1b',
}
_MARKS = {
  timm_pretraining.IMAGENET_1K: 'o',
  timm_pretraining.MORE_LABELS: 'o',
  timm_pretraining.HASHTAGS: 'D',
  timm_pretraining.SELF_SUPERVISED: 's',
  timm_pretraining.LANGUAGE: '^',
  timm_pretraining.UNKNOWN: 'x',
}
_FEW = 100  # checkpoints; the points of so small a group are larger.
_NUM_CURVE_POINTS = 200


def accuracy_under_shift(
  results: shift_results.ShiftResults, path: pathlib.Path
) -> None:
  """Draws a panel for each test set, colored by pretraining data.

  The curve is that of checkpoints on ImageNet-1k alone, from the lowest to the
  highest of them.

  Args:
    results: of the checkpoints.
    path: of the files, without .png and .pdf.

  Raises:
    InputError: a file could not be written.
  """
  names = list(results.table.shifts)
  with canvas.style_context():
    figure, axes = canvas.subplots(len(names) + 1, 3, 4.3, 3.9)
    for axis, name in zip(axes, names, strict=False):
      _draw_panel(axis, results, name)
    _draw_key(axes[-1], results)
    canvas.save(figure, path)


def _draw_panel(
  axis: Axes, results: shift_results.ShiftResults, name: str
) -> None:
  """Draws one test set."""
  table = results.table
  shift = table.shifts[name]
  groups = table.groups
  axis.set_xscale('logit')
  axis.set_yscale('logit')
  # In the space of log-odds, with half an example as the smallest accuracy.
  x, y = scipy.special.expit(shift.x), scipy.special.expit(shift.y)
  for group, color in COLORS.items():
    rows = shift.known & (groups == group)
    axis.plot(
      x[rows],
      y[rows],
      _MARKS[group],
      color=color,
      markersize=2.6 if rows.sum() > _FEW else 3.8,
      markeredgewidth=0,
      alpha=0.55 if group == timm_pretraining.IMAGENET_1K else 0.85,
      rasterized=True,
      zorder=2,
    )
  baseline = shift.known & (groups == shift_residuals.BASELINE)
  positions = np.linspace(
    shift.x[baseline].min(), shift.x[baseline].max(), _NUM_CURVE_POINTS
  )
  axis.plot(
    scipy.special.expit(positions),
    scipy.special.expit(shift_residuals.curve(table, name, positions)),
    color=style.INK,
    linewidth=1.2,
    zorder=3,
  )
  known = shift.known
  axes_lib.logit_axis(
    axis.xaxis, x[known].min(), x[known].max(), max_ticks=7, margin=0.05
  )
  axes_lib.logit_axis(
    axis.yaxis, y[known].min(), y[known].max(), max_ticks=8, margin=0.08
  )
  axis.set_title(shift.test_set.title)
  axis.set_xlabel(shift.test_set.x_title)
  axis.set_ylabel('Top-1')
  axis.grid(alpha=0.2)
  style.write_remark(axis, _remark(results, name))


def _remark(results: shift_results.ShiftResults, name: str) -> str:
  """Returns r of all checkpoints and of ImageNet-1k alone."""
  lines = []
  for group, title in (
    (shift_correlations.ALL, 'all'),
    (shift_residuals.BASELINE, 'ImageNet-1k alone'),
  ):
    one = results.correlation(name, group)
    if one is not None:
      low, high = one.over_families.low, one.over_families.high
      lines.append(f'r = {one.r:.3f} [{low:.3f}, {high:.3f}], {title}')
  return '\n'.join(lines)


def _draw_key(axis: Axes, results: shift_results.ShiftResults) -> None:
  """Draws what colors and the curve mean into a panel of its own."""
  groups = results.table.groups
  axis.set_axis_off()
  handles = [
    Line2D(
      [],
      [],
      linestyle='',
      marker=_MARKS[group],
      color=color,
      markersize=6,
      markeredgewidth=0,
      label=f'{timm_pretraining.GROUPS[group]} ({(groups == group).sum()})',
    )
    for group, color in COLORS.items()
    if (groups == group).any()
  ]
  handles.append(
    Line2D([], [], color=style.INK, label='curve of ImageNet-1k alone')
  )
  axis.legend(
    handles=handles,
    title='Pretrained on',
    alignment='left',
    loc='upper left',
    fontsize=9,
  )
  axis.text(
    0.02,
    0.02,
    f'{len(groups):,} checkpoints of timm, as published, of '
    f'{len(np.unique(results.table.families))} families;\neach at the image '
    'size of its best ImageNet top-1.\nAxes: log-odds. Brackets: 95 % interval '
    'over families.\nThe classes are those of ImageNet, and nothing is\n'
    'trained anew: this is not transfer to new classes.',
    transform=axis.transAxes,
    va='bottom',
    fontsize=8,
  )
