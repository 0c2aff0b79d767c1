"""Figures made of records."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from absl import logging

matplotlib.use('Agg')

import numpy as np
import scipy.special
from matplotlib import pyplot as plt
from matplotlib import ticker

from tf_transfer.runtime import files

_PERCENT_TICKS = np.array(
  [
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9),
    *(0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.992, 0.994, 0.995),
    *(0.996, 0.997, 0.998, 0.999, 0.9995, 0.9999),
  ]
)


def _off_the_ends(value: float, examples: int) -> float:
  """Keeps 0 and 1, whose log-odds are infinite, half an example away."""
  half = 0.5 / examples
  return min(max(value, half), 1 - half)


def _logit_axis(axis, low: float, high: float) -> None:
  """A logit scale from low to high with a few percent ticks."""
  log_odds = scipy.special.logit([low, high])
  margin = 0.12 * max(log_odds[1] - log_odds[0], 0.05)
  ends = scipy.special.expit([log_odds[0] - margin, log_odds[1] + margin])
  axis.set_view_interval(*ends, ignore=True)
  ticks = _PERCENT_TICKS[
    (ends[0] <= _PERCENT_TICKS) & (ends[1] >= _PERCENT_TICKS)
  ]
  if len(ticks) < 3:
    ticks = ticker.MaxNLocator(4).tick_values(*ends)
    ticks = ticks[(ticks >= ends[0]) & (ticks <= ends[1])]
  digits = max(0, int(np.ceil(-np.log10(np.diff(ticks).min()) - 2 - 1e-9)))
  axis.set_major_locator(ticker.FixedLocator(ticks))
  axis.set_major_formatter(ticker.PercentFormatter(1, decimals=digits))
  axis.set_minor_locator(ticker.NullLocator())


def accuracy_vs_imagenet(
  records: Sequence[Mapping[str, Any]], path: pathlib.Path
) -> bool:
  """Draws accuracy on each dataset against ImageNet top-1 accuracy.

  Both axes are logit-scaled, as in the paper's figure 2; the bars are the 95 %
  intervals of the test accuracy.

  Args:
    records: of one or more networks and datasets.
    path: of the PNG file.

  Returns:
    Whether there was anything to draw: networks whose ImageNet accuracy is
    unknown are left out, and said.

  Raises:
    InputError: the file could not be written.
  """
  known = [r for r in records if r['imagenet_top1'] is not None]
  for name in sorted({r['network'] for r in records if r not in known}):
    logging.warning('%s: ImageNet top-1 unknown, left out of the figure', name)
  if not known:
    return False
  datasets = list(dict.fromkeys(r['dataset'] for r in known))
  columns = min(4, len(datasets))
  rows = -(-len(datasets) // columns)
  with plt.rc_context(
    {'font.size': 10, 'axes.spines.top': False, 'axes.spines.right': False}
  ):
    figure, axes = plt.subplots(
      rows,
      columns,
      figsize=(max(5.2, 3.8 * columns), 3.9 * rows),
      squeeze=False,
      layout='constrained',
    )
    for axis, name in zip(axes.flat, datasets, strict=False):
      _panel(axis, [r for r in known if r['dataset'] == name])
    for axis in axes.flat[len(datasets) :]:
      axis.set_axis_off()
    try:
      with files.atomic_write(path) as file:
        figure.savefig(file, format='png', dpi=150)
    finally:
      plt.close(figure)
  return True


def _panel(axis, records: Sequence[Mapping[str, Any]]) -> None:
  """One dataset: a point with its interval and name per network."""
  x = np.array([r['imagenet_top1'] for r in records])
  examples = records[0]['test']['examples']
  y, low, high = (
    np.array([_off_the_ends(r['test'][key], examples) for r in records])
    for key in ('value', 'low', 'high')
  )
  axis.set_xscale('logit')
  axis.set_yscale('logit')
  axis.errorbar(
    x, y, yerr=[y - low, high - y], fmt='o', color='#1f4e79', capsize=3
  )
  _logit_axis(axis.xaxis, x.min(), x.max())
  _logit_axis(axis.yaxis, low.min(), high.max())
  middle = np.median(x)
  for record, left, top in zip(records, x, y, strict=True):
    on_left = left > middle
    axis.annotate(
      record['network'],
      (left, top),
      xytext=(-7 if on_left else 7, 4),
      textcoords='offset points',
      ha='right' if on_left else 'left',
      fontsize=8,
    )
  metric = {
    'top1': 'Top-1 accuracy',
    'mean_per_class': 'Mean per-class accuracy',
    'map11': 'Mean average precision',
  }[records[0]['metric']]
  axis.set_xlabel('ImageNet top-1 accuracy')
  axis.set_ylabel(f'{metric}, {examples:,} test images')
  axis.set_title(f'{records[0]["dataset"]}: logistic regression')
  axis.grid(alpha=0.25)
