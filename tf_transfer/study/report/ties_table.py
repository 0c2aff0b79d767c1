"""Builds the page's table of networks that are tied with the best."""

from collections.abc import Sequence

import numpy as np

from tf_transfer.runtime.units import counted
from tf_transfer.study import names as names_lib
from tf_transfer.study.analysis import ties
from tf_transfer.study.report import chart_data, tables

_NONE = '–'


def build(
  compared: Sequence[ties.Comparison], names: chart_data.Names
) -> tables.Table:
  """Builds the table, with a row for each setting and dataset.

  Args:
    compared: as `ties.compare_all` returns them.
    names: of networks and datasets.
  """
  return tables.Table(
    'ties',
    'Which networks are tied with the best, and what the tests can resolve',
    (
      *('Setting', 'Dataset', 'Best', 'Tied with it', 'Worse', 'Test'),
      *('Number of', 'Differ on', 'Smallest difference'),
    ),
    [_row(one, names) for one in compared],
  )


def _row(one: ties.Comparison, names: chart_data.Names) -> tuple[object, ...]:
  """Returns the row of a comparison."""
  tied, worse = (
    tuple(
      f'{_network(name, names)}, p = {pair.p:.2g}'
      for name, pair in one.pairs.items()
      if pair.tied == is_tied
    )
    for is_tied in (True, False)
  )
  average = one.dataset == ties.AVERAGE
  tests = dict.fromkeys(pair.test for pair in one.pairs.values())
  return (
    names_lib.setting_text(one.setting),
    'mean over datasets' if average else names.dataset[one.dataset],
    _network(one.best, names),
    tied or (_NONE if one.pairs else 'no other network'),
    worse or _NONE,
    ', '.join(tests) or _NONE,
    counted(one.count, 'dataset' if average else 'test image'),
    *_resolution(one),
  )


def _network(name: str, names: chart_data.Names) -> str:
  """Returns a network as people write it."""
  return names.network.get(name) or names_lib.display_name(name)


def _resolution(one: ties.Comparison) -> tuple[str, str]:
  """Returns on how many labels networks differ, and what can be resolved."""
  resolutions = [pair.resolution for pair in one.pairs.values()]
  assumed = ''
  if one.alone is not None:
    resolutions, assumed = [one.alone], ', assumed'
  if all(np.isnan(r.difference) for r in resolutions):
    return _NONE, 'none can be resolved'
  if one.dataset == ties.AVERAGE:
    smallest = _range([r.difference for r in resolutions], 2)
    return _NONE, f'{smallest} in log-odds'
  differ = _range([100 * r.discordance for r in resolutions], 1)
  smallest = _range([100 * r.difference for r in resolutions], 2)
  more = _some_unresolved([r.difference for r in resolutions])
  return f'{differ} %{assumed}', f'{smallest} points{assumed}{more}'


def _range(values: Sequence[float], decimals: int) -> str:
  """Returns '1.2 to 3.4' or '1.2' of values that are not NaN."""
  known = [value for value in values if not np.isnan(value)]
  texts = [f'{value:.{decimals}f}' for value in (min(known), max(known))]
  return ' to '.join(dict.fromkeys(texts))


def _some_unresolved(differences: Sequence[float]) -> str:
  """Returns of how many pairs no difference can be resolved, if of some."""
  num_pairs = sum(np.isnan(value) for value in differences)
  return f'; none for {counted(num_pairs, "pair")}' if num_pairs else ''
