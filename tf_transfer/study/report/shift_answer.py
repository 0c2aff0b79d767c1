"""Says what published accuracies on shifted test sets show, in words."""

from collections.abc import Sequence

import numpy as np
import scipy.special

from tf_transfer.networks import published_timm, timm_pretraining
from tf_transfer.runtime.units import counted
from tf_transfer.study.analysis import (
  correlations,
  shift_correlations,
  shift_residuals,
  shift_results,
)
from tf_transfer.study.report import text_table

SCOPE = (
  'The classes are those of ImageNet and nothing is trained anew: this is how '
  'accuracy holds on shifted images, not transfer to new classes.'
)
MEANS = (
  'Above the curve of ImageNet-1k alone, mean of families in log-odds (0.5 is '
  f'from 50% to {scipy.special.expit(0.5):.0%}), 95 % interval over families:'
)
_NONE = '–'
_MOST_NAMED = 3  # checkpoints in a sentence


def text(results: shift_results.ShiftResults) -> str:
  """Returns the answer: a table of r, and below it sentences."""
  return '\n'.join(
    (
      heading(results),
      '',
      text_table.aligned(*correlation_rows(results), 'lr'),
      '',
      MEANS,
      '',
      text_table.aligned(*mean_rows(results), 'lr'),
      '',
      *sentences(results),
    )
  )


def heading(results: shift_results.ShiftResults) -> str:
  """Returns of what the numbers are."""
  table = results.table
  return (
    f'{counted(len(table.checkpoints), "checkpoint")} of '
    f'{counted(len(np.unique(table.families)), "family", "families")}, '
    f'{published_timm.SOURCE}; each at the image size of its best ImageNet '
    'top-1. r of log-odds with those of ImageNet top-1, 95 % interval over '
    'families:'
  )


def correlation_rows(
  results: shift_results.ShiftResults,
) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
  """Returns the rows and headers of the table of r.

  A group has a column if it has r on some test set.
  """
  high = f'above {shift_correlations.HIGH_TOP1:.0%}'
  columns = [
    ('all', shift_correlations.ALL, 0.0),
    (high, shift_correlations.ALL, shift_correlations.HIGH_TOP1),
    *((title, g, 0.0) for g, title in timm_pretraining.GROUPS.items()),
  ]
  columns = [
    column
    for column in columns
    if any(results.correlation(n, *column[1:]) for n in results.table.shifts)
  ]
  rows = [
    (
      shift.test_set.title,
      *(_cell(results.correlation(n, *keys)) for _, *keys in columns),
    )
    for n, shift in results.table.shifts.items()
  ]
  return rows, ('', *(title for title, *_ in columns))


def _cell(one: shift_correlations.ShiftCorrelation | None) -> str:
  """Returns '0.863 [0.831, 0.890]', without an interval where none is."""
  if one is None:
    return _NONE
  return f'{coefficient(one.r)}{brackets(one.over_families)}'


def coefficient(value: float) -> str:
  """Returns a coefficient to three decimals: here many are above 0.99."""
  return f'{value:.3f}'.replace('-', '−')


def brackets(one: correlations.Correlation) -> str:
  """Returns ' [0.831, 0.890]', '' where there is no interval."""
  if np.isnan(one.low):
    return ''
  return f' [{coefficient(one.low)}, {coefficient(one.high)}]'


def sentences(results: shift_results.ShiftResults) -> list[str]:
  """Returns the answer in sentences, what it does not say among them."""
  return [
    *_of_correlations(results),
    *_of_standouts(results),
    'ImageNet-A was chosen because a ResNet-50 of ImageNet-1k alone got its '
    'images wrong, so that networks like it are low there by choice.',
    SCOPE,
  ]


def _of_correlations(results: shift_results.ShiftResults) -> list[str]:
  """Returns whether top-1 holds on all test sets, and within groups."""
  shifts = results.table.shifts
  both = [(n, results.correlation(n, shift_correlations.ALL)) for n in shifts]
  lowest = min(both, key=lambda pair: pair[1].r)
  highest = max(both, key=lambda pair: pair[1].r)
  ends = [one.over_families.low for _, one in both]
  agree = not np.isnan(ends).any() and min(ends) > 0
  verdict = (
    'Better on ImageNet is better on shifted images'
    if agree
    else 'Whether better on ImageNet is better on shifted images is open'
  )
  return [
    f'{verdict}: r is {coefficient(lowest[1].r)} ('
    f'{shifts[lowest[0]].test_set.title}) to {coefficient(highest[1].r)} ('
    f'{shifts[highest[0]].test_set.title})'
    + (
      f', and every interval over families is above {_rounded_down(min(ends))}.'
      if agree
      else '.'
    )
  ]


def _rounded_down(value: float) -> str:
  """Returns a value rounded down to two decimals."""
  return f'{np.floor(100 * value) / 100:.2f}'


def _of_standouts(results: shift_results.ShiftResults) -> list[str]:
  """Returns how many checkpoints beat their top-1, and which most clearly."""
  standouts, checkpoints = results.standouts, results.table.checkpoints
  compared = (
    f'Holm, {shift_residuals.LEVEL:g} of {results.num_compared:,} comparisons'
  )
  if not len(standouts):
    return [f'No checkpoint does better than its top-1 says ({compared}).']
  groups = results.table.groups
  by_group = ', '.join(
    f'{title} {(groups[standouts] == g).sum()} of {(groups == g).sum()}'
    for g, title in timm_pretraining.GROUPS.items()
    if (groups == g).any()
  )
  named = ', '.join(checkpoints[i].name for i in standouts[:_MOST_NAMED])
  where = ', '.join(
    f'{one.better.sum()} on {results.table.shifts[n].test_set.title}'
    for n, one in results.residuals.items()
    if one.better.any()
  )
  total = (groups == shift_residuals.BASELINE).sum()
  worse = [one.worse for one in results.residuals.values()]
  num_worse = np.any(worse, axis=0).sum()
  return [
    f'{counted(len(standouts), "checkpoint does", "checkpoints do")} better '
    f'than top-1 says: further above the curve of the {total} on ImageNet-1k '
    f'alone than their spread allows ({where}; {compared}). By pretraining: '
    f'{by_group}. The clearest are {named}. '
    f'{counted(int(num_worse), "checkpoint does", "checkpoints do")} worse.',
    f'Not compared are, on each test set, '
    f'{_range([one.num_beyond for one in results.residuals.values()])} '
    'checkpoints whose accuracy on plain images is beyond that of all on '
    'ImageNet-1k alone.',
  ]


def _range(values: Sequence[int]) -> str:
  """Returns '72 to 103'."""
  low, high = min(values), max(values)
  return f'{low} to {high}' if low < high else str(low)


def mean_rows(
  results: shift_results.ShiftResults,
) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
  """Returns the rows and headers of the table of mean residuals."""
  groups = [
    group
    for group in timm_pretraining.GROUPS
    if group != shift_residuals.BASELINE
    and any(results.mean(n, group) for n in results.table.shifts)
  ]
  rows = [
    (
      shift.test_set.title,
      *(_mean_text(results.mean(n, group)) for group in groups),
    )
    for n, shift in results.table.shifts.items()
  ]
  return rows, ('', *(timm_pretraining.GROUPS[group] for group in groups))


def _mean_text(one: shift_residuals.GroupMean | None) -> str:
  """Returns '+0.12 [+0.06, +0.17]', without an interval where none is."""
  if one is None:
    return _NONE
  text = signed(one.mean)
  if np.isnan(one.low):
    return f'{text} ({counted(one.num_families, "family", "families")})'
  return f'{text} [{signed(one.low)}, {signed(one.high)}]'


def signed(value: float) -> str:
  """Returns a value to two decimals with its sign, a real minus."""
  return f'{round(value, 2) + 0.0:+.2f}'.replace('-', '−')
