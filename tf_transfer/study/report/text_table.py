"""Prints tables as text, those of records among them."""

from collections.abc import Mapping, Sequence
from typing import Any

import tabulate

from tf_transfer import errors
from tf_transfer.study.analysis import recipes, uncertainty

_HEADERS = (
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
_ALIGNMENT = 'lllr'  # The first three hold text, the others numbers.
_METRIC_NAMES = {
  'top1': 'top-1 accuracy',
  'mean_per_class': 'mean per-class accuracy',
  'map11': '11-point mean average precision',
}
# Tabulate's 'simple' makes each column two letters wider than its header.
_FORMAT = tabulate.TableFormat(
  lineabove=None,
  linebelowheader=tabulate.Line('', '-', '  ', ''),
  linebetweenrows=None,
  linebelow=None,
  headerrow=tabulate.DataRow('', '  ', ''),
  datarow=tabulate.DataRow('', '  ', ''),
  padding=0,
  with_header_hide=None,
)


def aligned(
  rows: Sequence[Sequence[str]],
  headers: Sequence[str],
  alignment: str = 'lr',
) -> str:
  """Returns a table with its columns aligned and a rule below its headers.

  Args:
    rows: of cells.
    headers: one per column.
    alignment: 'l' (left) or 'r' (right) for each column, header included; the
      last letter holds for all further columns.
  """
  letters = alignment.ljust(len(headers), alignment[-1])
  rows = [[_printable(cell) for cell in row] for row in rows]
  return tabulate.tabulate(
    # As a row, so that a header is aligned as its column is.
    [headers, tabulate.SEPARATING_LINE, *rows],
    tablefmt=_FORMAT,
    colalign=[{'l': 'left', 'r': 'right'}[letter] for letter in letters],
    disable_numparse=True,
  )


def _printable(cell: str) -> str:
  """Returns a cell on one line, without what a terminal would obey."""
  if not isinstance(cell, str):
    return cell
  return errors.printable(cell).replace('\n', r'\n').replace('\t', r'\t')


def chosen(record: Mapping[str, Any]) -> str:
  """Returns the hyperparameters that did best on val, in words.

  Where folds chose different ones, their ranges or names are listed.
  """
  choices = [fold['chosen'] for fold in record.get('folds', ())]
  texts = []
  for name, value in record['chosen'].items():
    values = {choice[name] for choice in choices if name in choice} or {value}
    if any(isinstance(one, str) for one in values):
      texts.append(f'{name} {" or ".join(sorted(map(str, values)))}')
    elif len(values) == 1:
      texts.append(f'{name} {values.pop():.3g}')
    else:
      texts.append(f'{name} {min(values):.3g} to {max(values):.3g}')
  return ', '.join(texts) or 'nothing to choose'


def _row(record: Mapping[str, Any]) -> tuple[str, ...]:
  """Returns the cells of a record."""
  top1, test = record['imagenet_top1'], record['test']
  interval = uncertainty.interval(record)
  return (
    record['network'],
    record['dataset'],
    record['setting'],
    'unknown' if top1 is None else f'{top1:.1%}',
    f'{record["validation"]["value"]:.2%}',
    f'{test["value"]:.2%}',
    f'{interval.low:.2%} to {interval.high:.2%}',
    f'{test["examples"]:,}',
    chosen(record),
    _converged(record['solver']),
  )


def intervals_text(records: Sequence[Mapping[str, Any]]) -> str:
  """Returns what the 95 % intervals of some records cover."""
  covered = {uncertainty.interval(record).covers for record in records}
  folds = uncertainty.IMAGES_AND_TRAINING_SETS in covered
  of_folds = 'of the draw of images, trained on and tested in folds'
  covered -= {uncertainty.IMAGES_AND_TRAINING_SETS}
  if not covered:
    return of_folds
  if covered == {uncertainty.IMAGES}:
    text = 'of the draw of test images alone, not of training runs'
  else:
    text = 'of the draw of test images and of training runs'
    if len(covered) > 1:
      text += '; where there is one run of test images alone'
  return f'{text}; of cross-validation {of_folds}' if folds else text


def _converged(solver: Mapping[str, Any]) -> str:
  """Returns whether all fits converged; '-' for settings without a solver."""
  if not solver:
    return '-'
  converged = solver['converged'] and not solver['unconverged_penalties']
  return 'yes' if converged else 'NO'


def render(records: Sequence[Mapping[str, Any]]) -> str:
  """Returns a table with one record per row.

  Below it stand the metrics, what intervals cover, and a warning where the
  networks were trained by different recipes and can therefore not be compared.
  """
  metrics = sorted({record['metric'] for record in records})
  names = ' or '.join(_METRIC_NAMES[metric] for metric in metrics)
  return '\n'.join(
    (
      aligned([_row(record) for record in records], _HEADERS, _ALIGNMENT),
      f'val and test: {names}',
      f'interval: {intervals_text(records)}',
      *recipes.warning(records).splitlines(),
    )
  )
