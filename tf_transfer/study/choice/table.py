"""Formats the table of a choice for the console."""

import math
from collections.abc import Mapping, Sequence

from tf_transfer.runtime import units
from tf_transfer.study.choice import types, verdict

_HEADER = (
  'network',
  'accuracy',
  '95 % interval',
  'tied?',
  'parameters',
  'GFLOPs',
  'images/s at 1',
  'at 32',
  'file',
  'taken',
)


def render(
  candidates: Sequence[types.Candidate], decided: types.Verdict
) -> list[str]:
  """Returns the lines of the table, the most accurate network first.

  Args:
    candidates: in any order.
    decided: what is said of them.
  """
  ordered = sorted(
    candidates,
    key=lambda candidate: (
      -candidate.accuracy.value,
      -verdict.speed(candidate),
    ),
  )
  rows = [_row(candidate, decided) for candidate in ordered]
  return align([_HEADER, *rows])


def _row(candidate: types.Candidate, decided: types.Verdict) -> list[str]:
  """Formats what is known of a network."""
  accuracy, cost = candidate.accuracy, candidate.cost
  speeds = cost.images_per_second
  return [
    candidate.network,
    verdict.percent(accuracy.value),
    f'{100 * accuracy.low:.1f} to {100 * accuracy.high:.1f}',
    _tied(candidate.network, decided),
    f'{cost.parameters / 1e6:.1f} M' if cost.parameters else '–',
    '–' if math.isnan(cost.flops) else f'{cost.flops / 1e9:.2g}',
    _digits(speeds[min(speeds)]),
    _digits(speeds[max(speeds)]),
    f'{cost.file_size / 1e6:.1f} MB' if cost.file_size else '–',
    units.duration(cost.seconds, precise=True),
  ]


def _digits(value: float) -> str:
  """Formats a speed with two digits or more."""
  return f'{value:,.0f}' if value >= 10 else f'{value:.2g}'


def _tied(network: str, decided: types.Verdict) -> str:
  """Says whether a network is tied with the best."""
  if network == decided.best:
    return 'best'
  text = verdict.p_text(decided.p_values[network])
  return f'{"yes" if network in decided.tied else "no"}, {text}'


def render_estimates(
  estimates: Mapping[str, types.Estimate], estimator: str
) -> list[str]:
  """Returns the lines of a table of estimates, the largest first.

  Args:
    estimates: by network.
    estimator: its title.
  """
  known = {n: e for n, e in estimates.items() if math.isfinite(e.value)}
  ranked = sorted(known.items(), key=lambda item: -item[1].value)
  unknown = [(n, e) for n, e in estimates.items() if n not in known]
  return align(
    [
      ('network', estimator, 'taken'),
      *((n, f'{e.value:.4g}', f'{e.seconds:.2g} s') for n, e in ranked),
      *((n, '–', e.reason) for n, e in unknown),
    ]
  )


def align(rows: Sequence[Sequence[str]]) -> list[str]:
  """Aligns the columns of a table, each but the last with two spaces after."""
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  return [
    '  '.join(
      text.ljust(width) for text, width in zip(row, widths, strict=True)
    ).rstrip()
    for row in rows
  ]
