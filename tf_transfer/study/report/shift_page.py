"""Writes the page to find a checkpoint in: one HTML file, without a network.

A panel for each test set has all checkpoints as dots of an SVG. Pointing at
one, or searching for its name, marks it in all panels.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.special

import tf_transfer
from tf_transfer.networks import published_timm, timm_pretraining
from tf_transfer.runtime import files
from tf_transfer.study import html
from tf_transfer.study.analysis import (
  shift_residuals,
  shift_results,
  shift_table,
)
from tf_transfer.study.figures import axes as axes_lib
from tf_transfer.study.report import shift_answer

PAGE = 'timm_results.html'
WIDTH, HEIGHT = 380, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 42, 374, 8, 288
_NUM_CURVE_POINTS = 60


@dataclasses.dataclass(frozen=True)
class Tick:
  """A tick of an axis: where it is, in pixels, and what it says."""

  position: float
  text: str


@dataclasses.dataclass(frozen=True)
class Panel:
  """The figure of a test set.

  Attributes:
    name: of the test set.
    test_set: what it is.
    x: [M] pixels of the checkpoints, NaN where there is no accuracy.
    y: [M] pixels.
    x_ticks: of ImageNet top-1.
    y_ticks: of top-1 on the test set.
    dots: group -> the commands of a path with a dot for each checkpoint.
    curve: the commands of the curve of ImageNet-1k alone.
    num_points: of checkpoints.
  """

  name: str
  test_set: shift_table.TestSet
  x: np.ndarray
  y: np.ndarray
  x_ticks: Sequence[Tick]
  y_ticks: Sequence[Tick]
  dots: Mapping[str, str]
  curve: str
  num_points: int


def write(
  results: shift_results.ShiftResults, workdir: pathlib.Path, table: str
) -> pathlib.Path:
  """Writes the page, and returns its path.

  Args:
    results: of the checkpoints.
    workdir: where it is written.
    table: the name of the CSV beside it.

  Raises:
    InputError: it could not be written.
  """
  path = workdir / PAGE
  with files.atomic_write(path) as file:
    file.write(render(results, table).encode())
  return path


def render(results: shift_results.ShiftResults, table: str) -> str:
  """Returns the page as HTML.

  Args:
    results: of the checkpoints.
    table: the name of the CSV beside it.
  """
  panels = [panel(results, name) for name in results.table.shifts]
  groups = results.table.groups
  rows, headers = shift_answer.correlation_rows(results)
  mean_rows = shift_answer.mean_rows(results)
  template = html.environment(__package__).get_template('shift_page.html.jinja')
  return template.render(
    panels=panels,
    box={'left': _LEFT, 'right': _RIGHT, 'top': _TOP, 'bottom': _BOTTOM},
    width=WIDTH,
    height=HEIGHT,
    groups={
      group: (title, int((groups == group).sum()))
      for group, title in timm_pretraining.GROUPS.items()
      if (groups == group).any()
    },
    heading=shift_answer.heading(results),
    sentences=shift_answer.sentences(results),
    tables=[
      ('Correlations', shift_answer.heading(results), rows, headers),
      ('Pretraining data', shift_answer.MEANS, *mean_rows),
    ],
    standouts=_standouts(results),
    num_compared=results.num_compared,
    data=_data(results, panels),
    table=table,
    source=published_timm.SOURCE,
    rates=published_timm.RATES_DEVICE,
    version=tf_transfer.__version__,
  )


def panel(results: shift_results.ShiftResults, name: str) -> Panel:
  """Lays out the figure of a test set."""
  table = results.table
  shift = table.shifts[name]
  known = shift.known
  across, x_ticks = _axis(shift.x[known], (_LEFT, _RIGHT), 6)
  up, y_ticks = _axis(shift.y[known], (_BOTTOM, _TOP), 8)
  x, y = across(shift.x), up(shift.y)
  baseline = known & (table.groups == shift_residuals.BASELINE)
  positions = np.linspace(
    shift.x[baseline].min(), shift.x[baseline].max(), _NUM_CURVE_POINTS
  )
  curve = shift_residuals.curve(table, name, positions)
  return Panel(
    name,
    shift.test_set,
    x,
    y,
    x_ticks,
    y_ticks,
    {
      group: ''.join(
        f'M{a:g} {b:g}h0' for a, b in zip(x[rows], y[rows], strict=True)
      )
      for group in timm_pretraining.GROUPS
      if (rows := known & (table.groups == group)).any()
    },
    'M'
    + 'L'.join(
      f'{a:g} {b:g}' for a, b in zip(across(positions), up(curve), strict=True)
    ),
    int(known.sum()),
  )


def _axis(
  values: np.ndarray, ends: tuple[float, float], max_ticks: int
) -> tuple[Any, list[Tick]]:
  """Returns the map from log-odds to pixels, to a tenth, and the ticks."""
  shares = scipy.special.expit([values.min(), values.max()])
  limits, ticks = axes_lib.percent_ticks(
    *shares, max_ticks=max_ticks, margin=0.05
  )
  low, high = scipy.special.logit(limits)

  def position(log_odds: np.ndarray) -> np.ndarray:
    share = (log_odds - low) / (high - low)
    return np.round(ends[0] + share * (ends[1] - ends[0]), 1)

  decimals = axes_lib.percent_decimals(ticks)
  return position, [
    Tick(float(at), f'{100 * tick:.{decimals}f}%')
    for at, tick in zip(
      position(scipy.special.logit(ticks)), ticks, strict=True
    )
  ]


def _standouts(results: shift_results.ShiftResults) -> list[tuple[Any, ...]]:
  """Returns a row for each checkpoint that beats its top-1 somewhere."""
  rows = []
  for i in results.standouts:
    one = results.table.checkpoints[i]
    cells = []
    for residuals in results.residuals.values():
      is_known = residuals.compared[i]
      text = shift_answer.signed(residuals.value[i]) if is_known else '–'
      cells.append((text, bool(residuals.better[i])))
    rows.append(
      (one.name, one.pretraining.title, f'{one.imagenet.value:.1%}', cells)
    )
  return rows


def _data(
  results: shift_results.ShiftResults, panels: Sequence[Panel]
) -> dict[str, Any]:
  """Returns what the script says of checkpoints, an entry each."""
  table = results.table
  groups = list(timm_pretraining.GROUPS)
  return {
    'names': [one.name for one in table.checkpoints],
    'facts': [_facts(one) for one in table.checkpoints],
    'group_names': groups,
    'groups': [groups.index(group) for group in table.groups],
    'panels': [
      {
        'title': one.test_set.title,
        'x': _numbers(one.x, 1),
        'y': _numbers(one.y, 1),
        'top1': _numbers(100 * table.shifts[one.name].accuracy, 1),
        'above': _numbers(results.residuals[one.name].value, 2),
      }
      for one in panels
    ],
  }


def _facts(one: shift_table.Checkpoint) -> str:
  """Returns what is known of a checkpoint in a line."""
  imagenet = one.imagenet
  parts = [
    f'ImageNet top-1 {imagenet.value:.1%} at {imagenet.image_size} px, crop '
    f'{imagenet.crop_fraction:g}',
    one.family,
    '; '.join((one.pretraining.title, *one.pretraining.data)),
    f'{imagenet.parameters:,.1f} M parameters',
  ]
  if one.images_per_second is not None:
    parts.append(f'{one.images_per_second:,.0f} images/s')
  return ' · '.join(parts)


def _numbers(values: np.ndarray, digits: int) -> list[float | None]:
  """Returns numbers that JSON can hold, None for NaN."""
  return [None if np.isnan(v) else round(float(v), digits) for v in values]
