"""Answers the study's question in a sentence, or says why it cannot.

Do networks that are better on ImageNet transfer better? Pearson's r between
the log-odds of ImageNet top-1 and the mean log-odds over datasets (section 6
of the protocol) says so once each of its 95 % intervals lies on the same side
of zero: over networks, over families of networks, over these and datasets, and
given the recipe. Where only some do, the sentence says what the answer depends
on.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tf_transfer.errors import InputError
from tf_transfer.runtime.units import counted
from tf_transfer.study import names
from tf_transfer.study.analysis import (
  accuracy_table,
  correlations,
  evidence,
  recipes,
  statistics,
)
from tf_transfer.study.paper import numbers
from tf_transfer.study.report import conditions
from tf_transfer.study.report.conditions import number
from tf_transfer.transfer import settings

YES, NO, CANNOT_SAY = 'Yes', 'No', 'Cannot say'
DEPENDS = 'It depends'


@dataclasses.dataclass(frozen=True)
class Answer:
  """The answer that the records of a setting give.

  Attributes:
    setting: its name.
    verdict: YES, NO, DEPENDS or CANNOT_SAY.
    sentence: that stands alone.
    remarks: what was left out, further intervals, what r is without one family
      and given the recipe, what errors do to it, the correlation of the ranks,
      and what the paper found on the same datasets.
    correlation: of these networks, with its interval over networks; None where
      there is none.
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

  @property
  def text(self) -> str:
    """The verdict and the sentence, and below them the remarks."""
    lines = f'{self.verdict}. {self.sentence}', *self.remarks
    return '\n  '.join(lines)


def _of_ranks(ranks: correlations.Correlation) -> str:
  """Returns what Spearman's coefficient is, with its interval if it has one."""
  text = f"By ranks alone, Spearman's ρ = {number(ranks.r)}"
  if not np.isnan(ranks.low):
    low, high = number(ranks.low), number(ranks.high)
    text += f', 95 % interval {low} to {high} over networks'
  return f'{text}.'


def _left_out(comparable: accuracy_table.Comparable) -> list[str]:
  """Returns which networks and datasets are left out, and why."""
  return [
    f'Left out, {reason}: {", ".join(map(names.display_name, left_out))}.'
    for left_out, reason in (
      (comparable.without_imagenet, 'their ImageNet top-1 being unknown'),
      (
        comparable.sparse_datasets,
        'too few networks being on these and the others',
      ),
      (comparable.incomplete, 'not being on all of the datasets'),
    )
    if left_out
  ]


def from_records(
  records: Sequence[accuracy_table.Record],
  setting: str,
  *,
  beside_paper: bool = True,
) -> Answer:
  """Returns the answer that the records of one setting give.

  Args:
    records: of several of a cell the last one counts, as in
      `accuracy_table.distinct`.
    setting: that is asked about.
    beside_paper: whether a remark says what the paper found.
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
    facts = evidence.from_table(
      table, recipes.of_networks(records, setting, table.networks)
    )
    verdict, reason = _verdict(facts, _needs_weights(setting))
    remarks += conditions.remarks(facts)
    remarks.append(_of_ranks(_correlation(table, ranks=True)))
  count, _ = accuracy_table.select(records).draw
  if beside_paper:
    remarks += _papers_correlation(setting, table.datasets, few=bool(count))
  return Answer(
    setting,
    verdict,
    f'{names.setting_text(setting)}{_examples(count)}: {reason}',
    tuple(remarks),
    correlation,
    table.networks,
    table.datasets,
  )


def _examples(count: int) -> str:
  """Returns on how few examples networks were trained; '' if on all."""
  if not count:
    return ''
  return f' on {counted(count, "training image")} of each class'


def _needs_weights(setting: str) -> bool:
  """Returns whether networks start from pretrained weights in a setting."""
  row = settings.SETTINGS.get(setting)
  return row is None or row.needs_weights


def _correlation(
  table: accuracy_table.AccuracyTable, *, ranks: bool = False
) -> correlations.Correlation:
  """Returns the correlation of ImageNet top-1 with the mean log-odds."""
  return correlations.correlation(
    statistics.log_odds(table.imagenet_top1),
    table.log_odds.mean(axis=1),
    ranks=ranks,
  )


def _verdict(facts: evidence.Evidence, needs_weights: bool) -> tuple[str, str]:
  """Returns the verdict that evidence allows, and the reason in words."""
  over_networks = facts.interval(evidence.NETWORKS)
  text = conditions.coefficient(facts)
  if over_networks is None:
    return CANNOT_SAY, (
      f'{text}, without an interval: so few networks show nothing, however '
      'well they line up.'
    )
  sign = over_networks.sign
  if not sign:
    return CANNOT_SAY, f'{text}: zero is not excluded.'
  meaning = _meaning(sign, needs_weights)
  unmet = conditions.unmet(facts)
  if unmet:
    text = conditions.coefficient(facts, [evidence.NETWORKS])
    return DEPENDS, f'{meaning} ({text}), {"; ".join(unmet)}.'
  scope = conditions.scope(facts)
  return YES if sign > 0 else NO, f'{meaning}, {text}{scope}.'


def _meaning(sign: int, needs_weights: bool) -> str:
  """Returns what a correlation means that is above or below zero."""
  how = 'better' if sign > 0 else 'worse'
  if needs_weights:
    return f'networks that are better on ImageNet transfer {how}'
  return (
    'architectures that are better on ImageNet '
    f'{"also " if sign > 0 else ""}do {how} when trained from random values on '
    'the dataset'
  )


def _papers_correlation(
  setting: str, datasets: Sequence[str], *, few: bool
) -> list[str]:
  """Returns the paper's correlation on those of the datasets that it has.

  Args:
    setting: that is asked about.
    datasets: of the answer.
    few: whether the answer is of a few examples of each class; the paper's is
      of all.
  """
  table = accuracy_table.build(numbers.records(), setting)
  shared = [name for name in datasets if name in table.datasets]
  if not shared:
    return []
  facts = evidence.from_table(table.select_datasets(shared))
  which = 'the same' if len(shared) == len(datasets) else 'the shared'
  noun = 'dataset' if len(shared) == 1 else 'datasets'
  which = f'all training images of {which}' if few else which
  return [f'The paper, on {which} {noun}: {conditions.coefficient(facts)}.']
