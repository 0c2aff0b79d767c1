"""Draws how public weights of an architecture transfer, by their recipes."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import lines
from matplotlib.axes import Axes

from tf_transfer.errors import InputError
from tf_transfer.study.analysis import recipe_effects
from tf_transfer.study.figures import axes as axes_lib
from tf_transfer.study.figures import canvas, glyphs, labels, style

_MARKERS = 'osD^vP*X'
_RED, _BLUE = '#b2182b', '#2166ac'
# Whether weights have an ingredient -> how they are drawn, and called.
_LOOKS: Mapping[bool | None, Mapping[str, str]] = {
  True: {'color': _RED},
  False: {'color': _BLUE, 'markerfacecolor': 'white'},
  None: {'color': '0.7', 'markerfacecolor': 'none'},
}
_WORDS = {True: 'with', False: 'without', None: 'not known'}
# Ends most tags, and tells nothing apart.
_COMMON_ENDING = '_in1k'
_LETTERS = 30  # Of a label.
_NUM_COLUMNS = 3

_Checkpoints = Sequence[recipe_effects.Checkpoint]
_Effects = Sequence[recipe_effects.Effect]


def transfer_vs_top1(
  checkpoints: _Checkpoints,
  effects: _Effects,
  path: pathlib.Path,
) -> None:
  """Draws mean log-odds of features against ImageNet top-1.

  The first panel names the weights. Each other one shows which of them have an
  ingredient, of those that some have and some lack.

  Args:
    checkpoints: with a top-1 on ImageNet.
    effects: of the ingredients, in the order of the panels.
    path: of the files, without .png and .pdf.

  Raises:
    InputError: a file could not be written, or there is no checkpoint.
  """
  checkpoints = [one for one in checkpoints if not np.isnan(one.top1)]
  if not checkpoints:
    raise InputError('no weights have an ImageNet top-1')
  varied = [e for e in effects if e.num_with and e.num_without]
  architectures = list(dict.fromkeys(one.architecture for one in checkpoints))
  markers = {
    name: _MARKERS[number % len(_MARKERS)]
    for number, name in enumerate(architectures)
  }
  with canvas.style_context():
    figure, axes = canvas.subplots(1 + len(varied), _NUM_COLUMNS, 4.4, 3.6)
    first, *others = axes
    for axis in axes:
      _set_axes(axis, checkpoints)
    _draw_points(first, checkpoints, markers, None)
    first.set_title('weights of ' + ', '.join(map(style.name_text, markers)))
    for axis, effect in zip(others, varied, strict=True):
      _draw_points(axis, checkpoints, markers, effect.factor)
      axis.set_title(
        f'{recipe_effects.FACTORS[effect.factor]}\n{_count(effect)}'
      )
    if others:
      handles = _make_legend(markers)
      figure.legend(
        handles=handles, loc='outside lower center', ncols=6, fontsize=9
      )
    labels.place_all(figure, [_make_labels(first, checkpoints)])
    canvas.save(figure, path)


def _set_axes(axis: Axes, checkpoints: _Checkpoints) -> None:
  """Sets the scale and the names of a panel's axes."""
  axis.set_xscale('logit')
  top1 = [one.top1 for one in checkpoints]
  axes_lib.logit_axis(axis.xaxis, min(top1), max(top1), max_ticks=5)
  axis.set_xlabel('ImageNet top-1')
  axis.set_ylabel('Mean log-odds over datasets')
  axis.grid(alpha=0.2)


def _draw_points(
  axis: Axes,
  checkpoints: _Checkpoints,
  markers: Mapping[str, str],
  factor: str | None,
) -> None:
  """Draws the checkpoints, by whether they have a factor; None: all alike."""
  for one in checkpoints:
    look = {'color': style.INK}
    if factor is not None:
      look = _LOOKS[one.has(factor)]
    axis.errorbar(
      one.top1,
      one.mean_log_odds,
      yerr=one.error or None,
      fmt=markers[one.architecture],
      markersize=5.5,
      elinewidth=0.7,
      **look,
    )


def _make_legend(markers: Mapping[str, str]) -> list[lines.Line2D]:
  """Returns the entries of the legend: what colors and marks mean."""
  looks = [
    {'marker': 'o', 'label': word, **_LOOKS[value]}
    for value, word in _WORDS.items()
  ]
  if len(markers) > 1:
    looks += [
      {'marker': marker, 'label': style.name_text(name), 'color': style.INK}
      for name, marker in markers.items()
    ]
  return [lines.Line2D([], [], linestyle='', **look) for look in looks]


def _make_labels(axis: Axes, checkpoints: _Checkpoints) -> labels.Labels:
  """Returns the names of the weights, to be placed on a panel."""
  x = np.array([one.top1 for one in checkpoints])
  y = np.array([one.mean_log_odds for one in checkpoints])
  error = np.array([one.error for one in checkpoints])
  return labels.Labels(
    axis,
    x,
    y,
    [
      glyphs.drawable(one.label.removesuffix(_COMMON_ENDING), _LETTERS)
      for one in checkpoints
    ],
    labels.bar_obstacles(x, y - error, y + error),
  )


def effects(
  estimated: _Effects,
  paper: Mapping[str, recipe_effects.Estimate],
  path: pathlib.Path,
) -> None:
  """Draws the effect of each ingredient, beside the paper's.

  Args:
    estimated: of these weights.
    paper: of the paper's five networks, by factor.
    path: of the files, without .png and .pdf.

  Raises:
    InputError: a file could not be written.
  """
  shown = [e for e in estimated if e.num_with and e.num_without]
  shown += [e for e in estimated if e.factor in paper and e not in shown]
  rows = {effect.factor: -number for number, effect in enumerate(shown)}
  with canvas.style_context():
    figure, (axis,) = canvas.subplots(1, 1, 8.4, 1.4 + 0.52 * len(rows))
    series = (
      (
        'difference',
        0.2,
        'o',
        style.INK,
        {e.factor: e.difference for e in shown},
      ),
      (
        'at equal ImageNet top-1',
        0,
        's',
        _RED,
        {e.factor: e.at_equal_top1 for e in shown},
      ),
      (
        "the paper's difference, on its twelve datasets",
        -0.2,
        'D',
        _BLUE,
        paper,
      ),
    )
    for name, offset, marker, color, values in series:
      _draw_series(axis, values, rows, offset, marker, color, name)
    axis.set_title('What goes with it: recipes differ in many things at once')
    axis.axvline(0, color='0.5', linewidth=0.8)
    axis.set_yticks(
      list(rows.values()),
      [f'{recipe_effects.FACTORS[e.factor]}\n{_count(e)}' for e in shown],
    )
    axis.set_ylim(min(rows.values(), default=0) - 0.6, 0.6)
    axis.set_xlabel(
      'Mean log-odds with it, minus without, within architectures; bars: 95 %'
    )
    figure.legend(loc='outside lower center', ncols=3, fontsize=8)
    canvas.save(figure, path)


def _count(effect: recipe_effects.Effect) -> str:
  """Says how many weights have an ingredient."""
  text = f'{effect.num_with} with, {effect.num_without} without'
  if effect.num_unknown:
    text += f', {effect.num_unknown} not known'
  return text


def _draw_series(
  axis: Axes,
  estimates: Mapping[str, recipe_effects.Estimate],
  rows: Mapping[str, int],
  offset: float,
  marker: str,
  color: str,
  name: str,
) -> None:
  """Draws those estimates of a series that there are, a row each."""
  known = {f: e for f, e in estimates.items() if not e.problem}
  axis.errorbar(
    [e.value for e in known.values()],
    [rows[factor] + offset for factor in known],
    xerr=[
      [e.value - e.low for e in known.values()],
      [e.high - e.value for e in known.values()],
    ],
    fmt=marker,
    color=color,
    markersize=5,
    elinewidth=1,
    capsize=2,
    label=name,
  )
