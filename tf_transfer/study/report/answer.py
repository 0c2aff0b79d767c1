"""Answers the study's question in a sentence, or says why it cannot.

Do networks that are better on ImageNet transfer better? Pearson's r between
the log-odds of ImageNet top-1 and the mean log-odds over datasets (section 6
of the protocol) says so once its 95 % interval lies on one side of zero.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tf_transfer.errors import InputError
from tf_transfer.study import names
from tf_transfer.study.analysis import (
  accuracy_table,
  correlations,
  statistics,
)
from tf_transfer.study.paper import numbers

YES, NO, CANNOT_SAY = 'Yes', 'No', 'Cannot say'


@dataclasses.dataclass(frozen=True)
class Answer:
  """The answer that the records of a setting give.

  Attributes:
    setting: its name.
    verdict: YES, NO or CANNOT_SAY.
    sentence: that stands alone.
    remarks: what was left out, the correlation of the ranks, and what the
      paper found on the same datasets.
    correlation: of these networks; None where there is none.
    networks: of which it is, as the records name them.
    datasets: over which accuracies were averaged.
  """

  setting: str
  verdict: str
  sentence: str
  remarks: tuple[str, ...]
  correlation: correlations.Correlation | None
  networks: tuple[str, ...]
  datasets: tuple[str, ...]


def number(value: float) -> str:
  """Returns a coefficient to two decimals, with a real minus sign."""
  return f'{value:.2f}'.replace('-', '−')


def _count(count: int, noun: str) -> str:
  """Returns a count with its noun, as '1 network' or '2 networks'."""
  return f'{count} {noun}{"s" * (count != 1)}'


def coefficient(
  correlation: correlations.Correlation, symbol: str = 'r'
) -> str:
  """Returns 'r = 0.99, 95 % interval 0.97 to 1.00', or without the interval."""
  text = f'{symbol} = {number(correlation.r)}'
  if not np.isnan(correlation.low):
    low, high = number(correlation.low), number(correlation.high)
    text += f', 95 % interval {low} to {high}'
  return text


def _left_out(comparable: accuracy_table.Comparable) -> list[str]:
  """Returns which networks and datasets are left out, and why."""
  return [
    f'Left out, {reason}: {", ".join(map(names.display_name, left_out))}.'
    for left_out, reason in (
      (comparable.without_imagenet, 'their ImageNet top-1 being unknown'),
      (comparable.sparse_datasets, 'too few networks being on them'),
      (comparable.incomplete, 'not being on all of the datasets'),
    )
    if left_out
  ]


def from_records(
  records: Sequence[accuracy_table.Record], setting: str
) -> Answer:
  """Returns the answer that the records of one setting give.

  Args:
    records: of several of a cell the last one counts, as in
      `accuracy_table.distinct`.
    setting: that is asked about.
  """
  comparable = accuracy_table.select_comparable(
    accuracy_table.build(records, setting)
  )
  table, remarks = comparable.table, _left_out(comparable)
  correlation = None
  try:
    correlation = _correlation(table)
  except InputError as error:
    verdict, reason = CANNOT_SAY, f'{error}.'
  else:
    verdict, reason = _verdict(correlation, len(table.datasets))
    ranks = coefficient(_correlation(table, ranks=True), 'ρ')
    remarks.append(f"By ranks alone, Spearman's {ranks}.")
  return Answer(
    setting,
    verdict,
    f'{names.setting_text(setting)}: {reason}',
    (*remarks, *_papers_correlation(setting, table.datasets)),
    correlation,
    table.networks,
    table.datasets,
  )


def _correlation(
  table: accuracy_table.AccuracyTable, *, ranks: bool = False
) -> correlations.Correlation:
  """Returns the correlation of ImageNet top-1 with the mean log-odds."""
  return correlations.correlation(
    statistics.log_odds(table.imagenet_top1),
    table.log_odds.mean(axis=1),
    ranks=ranks,
  )


def _verdict(
  correlation: correlations.Correlation, num_datasets: int
) -> tuple[str, str]:
  """Returns the verdict by a correlation, and the reason in words."""
  over = f'over {_count(correlation.num_points, "network")} and '
  over += _count(num_datasets, 'dataset')
  text = coefficient(correlation)
  if np.isnan(correlation.low):
    return CANNOT_SAY, (
      f'{text} {over}, without an interval: so few networks '
      'show nothing, however well they line up.'
    )
  if correlation.low > 0:
    meaning = 'networks that are better on ImageNet transfer better'
    return YES, f'{meaning}, {text}, {over}.'
  if correlation.high < 0:
    meaning = 'networks that are better on ImageNet transfer worse'
    return NO, f'{meaning}, {text}, {over}.'
  return CANNOT_SAY, f'{text}, {over}: zero is not excluded.'


def _papers_correlation(setting: str, datasets: Sequence[str]) -> list[str]:
  """Returns the paper's correlation on those of the datasets that it has."""
  table = accuracy_table.build(numbers.records(), setting)
  shared = [name for name in datasets if name in table.datasets]
  if not shared:
    return []
  correlation = _correlation(table.select_datasets(shared))
  which = 'the same' if len(shared) == len(datasets) else 'the shared'
  return [
    f"The paper's {_count(correlation.num_points, 'network')} on {which} "
    f'{_count(len(shared), "dataset")}: {coefficient(correlation)}.'
  ]
