"""Records as a table of text."""

from collections.abc import Mapping, Sequence
from typing import Any

from tf_transfer.study.analysis import recipes


def chosen(record: Mapping[str, Any]) -> str:
  """The hyperparameters that did best on val, in words."""
  return ', '.join(
    f'{name} {value}' if isinstance(value, str) else f'{name} {value:.3g}'
    for name, value in record['chosen'].items()
  )


def _row(record: Mapping[str, Any]) -> tuple[str, ...]:
  top1, test = record['imagenet_top1'], record['test']
  return (
    record['network'],
    record['dataset'],
    record['setting'],
    'unknown' if top1 is None else f'{top1:.1%}',
    f'{record["validation"]["value"]:.2%}',
    f'{test["value"]:.2%}',
    f'{test["low"]:.2%} to {test["high"]:.2%}',
    f'{test["examples"]:,}',
    chosen(record),
    _converged(record['solver']),
  )


def _converged(solver: Mapping[str, Any]) -> str:
  if not solver:
    return '-'
  converged = solver['converged'] and not solver['unconverged_penalties']
  return 'yes' if converged else 'NO'


_HEADINGS = (
  'network',
  'dataset',
  'setting',
  'ImageNet',
  'val',
  'test',
  '95 % interval',
  'images',
  'chosen',
  'converged',
)
_METRIC_NAMES = {
  'top1': 'top-1 accuracy',
  'mean_per_class': 'mean per-class accuracy',
  'map11': '11-point mean average precision',
}
_TEXT_COLUMNS = 3  # left-aligned; the others hold numbers


def render(records: Sequence[Mapping[str, Any]]) -> str:
  """A line per record; below them, whether the networks can be compared."""
  rows = [_HEADINGS, *(_row(record) for record in records)]
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  lines = [
    '  '.join(
      text.ljust(width) if i < _TEXT_COLUMNS else text.rjust(width)
      for i, (text, width) in enumerate(zip(row, widths, strict=True))
    )
    for row in rows
  ]
  lines.insert(1, '  '.join('-' * width for width in widths))
  metrics = sorted({record['metric'] for record in records})
  lines.append(
    'val and test: ' + ' or '.join(_METRIC_NAMES[metric] for metric in metrics)
  )
  lines += recipes.warning(records).splitlines()
  return '\n'.join(line.rstrip() for line in lines)
