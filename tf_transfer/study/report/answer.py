"""The study's question, answered in a sentence, or why it cannot be.

Do networks that are better on ImageNet transfer better? Pearson's r between
the log-odds of ImageNet top-1 and the mean log-odds over datasets (section 6
of the protocol) says so once its 95 % interval lies on one side of zero.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tf_transfer.errors import InputError
from tf_transfer.study.analysis import accuracy_table, statistics
from tf_transfer.study.figures import panels
from tf_transfer.study.paper import numbers

YES, NO, CANNOT_SAY = 'Yes', 'No', 'Cannot say'


@dataclasses.dataclass(frozen=True)
class Answer:
  """What a setting's records say.

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
  correlation: statistics.Correlation | None
  networks: tuple[str, ...]
  datasets: tuple[str, ...]


def number(value: float) -> str:
  """A coefficient to two decimals, with a real minus sign."""
  return f'{value:.2f}'.replace('-', '−')


def _count(count: int, what: str) -> str:
  return f'{count} {what}{"s" * (count != 1)}'


def coefficient(found: statistics.Correlation, symbol: str = 'r') -> str:
  """'r = 0.99, 95 % interval 0.97 to 1.00', or without the interval."""
  text = f'{symbol} = {number(found.r)}'
  if not np.isnan(found.low):
    text += f', 95 % interval {number(found.low)} to {number(found.high)}'
  return text


def _left_out(selected: accuracy_table.Usable) -> list[str]:
  """What of a setting the answer does not speak of, and why."""
  return [
    f'Left out, {reason}: {", ".join(map(panels.display_name, names))}.'
    for names, reason in (
      (selected.unknown, 'their ImageNet top-1 being unknown'),
      (selected.thin, 'too few networks being on them'),
      (selected.partial, 'not being on all of the datasets'),
    )
    if names
  ]


def of(records: Sequence[accuracy_table.Record], setting: str) -> Answer:
  """The answer of the records of one setting.

  Args:
    records: of several of a cell that counts which `grid.distinct` says.
    setting: that is asked about.
  """
  selected = accuracy_table.usable(accuracy_table.of(records, setting))
  found, remarks = selected.found, _left_out(selected)
  text = panels.setting_text(setting)
  correlation = None
  try:
    correlation = _correlation(found)
  except InputError as error:
    verdict, reason = CANNOT_SAY, f'{error}.'
  else:
    verdict, reason = _verdict(correlation, len(found.datasets))
    ranks = coefficient(_correlation(found, ranks=True), 'ρ')
    remarks.append(f"By ranks alone, Spearman's {ranks}.")
  return Answer(
    setting,
    verdict,
    f'{text}: {reason}',
    (*remarks, *_of_the_paper(setting, found.datasets)),
    correlation,
    found.networks,
    found.datasets,
  )


def _correlation(
  found: accuracy_table.Grid, *, ranks: bool = False
) -> statistics.Correlation:
  return statistics.correlation(
    statistics.log_odds(found.imagenet_top1),
    found.log_odds.mean(axis=1),
    ranks=ranks,
  )


def _verdict(found: statistics.Correlation, datasets: int) -> tuple[str, str]:
  over = f'over {_count(found.points, "network")} and '
  over += _count(datasets, 'dataset')
  if np.isnan(found.low):
    return CANNOT_SAY, (
      f'{coefficient(found)} {over}, without an interval: so few networks '
      'show nothing, however well they line up.'
    )
  if found.low > 0:
    meaning = 'networks that are better on ImageNet transfer better'
    return YES, f'{meaning}, {coefficient(found)}, {over}.'
  if found.high < 0:
    meaning = 'networks that are better on ImageNet transfer worse'
    return NO, f'{meaning}, {coefficient(found)}, {over}.'
  return CANNOT_SAY, f'{coefficient(found)}, {over}: zero is not excluded.'


def _of_the_paper(setting: str, datasets: Sequence[str]) -> list[str]:
  """What the paper's networks show on those datasets that it has too."""
  if setting not in numbers.SETTINGS:
    return []
  theirs = accuracy_table.of(numbers.records(), setting)
  shared = [name for name in datasets if name in theirs.datasets]
  if not shared:
    return []
  found = _correlation(theirs.on(shared))
  where = 'the same' if len(shared) == len(datasets) else 'the shared'
  return [
    f"The paper's {_count(found.points, 'network')} on {where} "
    f'{_count(len(shared), "dataset")}: {coefficient(found)}.'
  ]
