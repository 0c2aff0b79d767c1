"""Makes the tables of networks: accuracy and cost, and the estimators."""

import dataclasses
import math
from collections.abc import Sequence

from tf_transfer.study.choice import types
from tf_transfer.transfer.estimators import ESTIMATORS


@dataclasses.dataclass(frozen=True)
class Cell:
  """A cell of a table.

  Attributes:
    text: what it says.
    key: what the column is sorted by.
    note: said below the text.
  """

  text: str
  key: float
  note: str = ''


@dataclasses.dataclass(frozen=True)
class Row:
  """A row of a table.

  Attributes:
    name: of the network.
    kind: 'recommended', 'tied' or 'other'.
    cells: of the other columns.
  """

  name: str
  kind: str
  cells: Sequence[Cell]


@dataclasses.dataclass(frozen=True)
class Table:
  """A table with a row for each network.

  Attributes:
    columns: their titles, but for the first, which is the network's.
    rows: one for each network.
  """

  columns: Sequence[str]
  rows: Sequence[Row]


def kind(choice: types.Choice, network: str) -> str:
  """Returns what the verdict says of a network."""
  if network == choice.verdict.recommended:
    return 'recommended'
  return 'tied' if network in choice.verdict.tied else 'other'


def networks(choice: types.Choice) -> Table:
  """Makes the table of accuracies and costs, in the order of the candidates."""
  batches = sorted(
    {size for c in choice.candidates for size in c.cost.images_per_second}
  )
  columns = (
    'Accuracy, %',
    '95 % interval',
    'Tied with the best?',
    'Parameters, M',
    'GFLOPs',
    *(f'Images/s, batch {size}' for size in batches),
    'File, MB',
    'Tried in, s',
  )
  rows = [
    Row(c.title, kind(choice, c.network), _network_cells(choice, c, batches))
    for c in choice.candidates
  ]
  return Table(columns, rows)


def _network_cells(
  choice: types.Choice, candidate: types.Candidate, batches: Sequence[int]
) -> list[Cell]:
  """Makes the cells of a network."""
  accuracy, cost = candidate.accuracy, candidate.cost
  low, high = 100 * accuracy.low, 100 * accuracy.high
  return [
    _accuracy(candidate),
    Cell(f'{low:.1f} to {high:.1f}', accuracy.low)
    if math.isfinite(low)
    else number(low),
    _tied(choice, candidate.network),
    number(cost.parameters / 1e6 or math.nan),
    number(cost.flops / 1e9),
    *(number(cost.images_per_second.get(b, math.nan)) for b in batches),
    number(cost.file_size / 1e6 or math.nan),
    number(cost.seconds),
  ]


def _accuracy(candidate: types.Candidate) -> Cell:
  """Returns the accuracy of a network; '–' where it was not measured."""
  value = candidate.accuracy.value
  if not math.isfinite(value):
    return number(value)
  return Cell(f'{100 * value:.1f}', value)


def _tied(choice: types.Choice, network: str) -> Cell:
  """Says whether a network is tied with the best, and the test's p-value."""
  verdict = choice.verdict
  if network == verdict.best:
    return Cell('the best', 2.0)
  p = verdict.p_values.get(network)
  if p is None or not math.isfinite(p):
    return Cell('yes' if network in verdict.tied else 'no', -1.0)
  text = 'p < 0.001' if p < 0.001 else f'p = {p:.2g}'
  return Cell(f'{"yes" if network in verdict.tied else "no"}, {text}', p)


def estimators(choice: types.Choice) -> Table | None:
  """Makes the table of estimates; None where there are none."""
  names = list(
    dict.fromkeys(name for c in choice.candidates for name in c.estimates)
  )
  if not names:
    return None
  rows = [
    Row(
      c.title,
      kind(choice, c.network),
      [
        _accuracy(c),
        *(_estimate(c.estimates.get(name)) for name in names),
      ],
    )
    for c in choice.candidates
  ]
  titles = [
    ESTIMATORS[name].title if name in ESTIMATORS else name for name in names
  ]
  return Table(('Accuracy, %', *titles), rows)


def _estimate(estimate: types.Estimate | None) -> Cell:
  """Returns the value of an estimate and its time, or why there is none."""
  if estimate is None:
    return Cell('–', -math.inf)
  if not math.isfinite(estimate.value):
    return Cell('–', -math.inf, estimate.reason)
  seconds = number(estimate.seconds).text
  return Cell(f'{estimate.value:.4g}', estimate.value, f'{seconds} s')


def number(value: float) -> Cell:
  """Returns the cell of a number, with three digits; '–' if there is none."""
  if not math.isfinite(value):
    return Cell('–', -1.0)
  if value and abs(value) < 100:
    digits = 2 - math.floor(math.log10(abs(value)))
    return Cell(f'{value:.{min(max(digits, 0), 3)}f}', value)
  return Cell(f'{value:,.0f}', value)
