"""Builds the tables of correlations: on each dataset, and between settings."""

from collections.abc import Mapping, Sequence

import numpy as np

from tf_transfer.study import names as names_lib
from tf_transfer.study.analysis import (
  accuracy_table,
  correlations,
  dataset_correlations,
)
from tf_transfer.study.report import conditions, tables, text_table

_NONE = '–'


def by_dataset(
  records: Sequence[accuracy_table.Record], titles: Mapping[str, str]
) -> tables.Table:
  """Builds the table of r on each dataset, in each setting.

  Args:
    records: of a ledger, those that count.
    titles: dataset -> as people write it.
  """
  rows = []
  for setting in dict.fromkeys(record['setting'] for record in records):
    text = names_lib.setting_text(setting)
    for one in dataset_correlations.by_dataset(records, setting):
      images = one.num_images
      rows.append(
        (
          *(text, titles[one.name], _NONE if images is None else images),
          *_size_and_r(one),
          *(_p_text(one.p), _p_text(one.holm)),
        )
      )
    rows += [
      (
        *(text, _group_text(one), _NONE),
        *_size_and_r(one),
        *(_p_text(one.p), _NONE),
      )
      for one in dataset_correlations.by_size(records, setting)
    ]
  return tables.Table(
    'correlations',
    'Correlation with ImageNet top-1 on each dataset',
    (
      *('Setting', 'Dataset', 'Training images', 'Networks', 'r'),
      *('Interval over networks', 'Interval over families', 'p', 'p, Holm'),
    ),
    rows,
    frozenset((2, 3, 4, 7, 8)),
  )


def _size_and_r(
  one: dataset_correlations.DatasetCorrelation,
) -> tuple[int, str, str, str]:
  """Returns the number of networks, r and both intervals."""
  return (
    one.r.over_networks.num_points,
    conditions.number(one.r.over_networks.r),
    _interval(one.r.over_networks),
    _interval(one.r.over_families),
  )


def _interval(correlation: correlations.Correlation) -> str:
  """Returns the interval of a correlation in words."""
  return _ends(correlation.low, correlation.high)


def _ends(low: float, high: float) -> str:
  """Returns '0.12 to 0.34', or a dash where there is no interval."""
  if np.isnan(low):
    return _NONE
  return f'{conditions.number(low)} to {conditions.number(high)}'


def _p_text(p: float) -> str:
  """Returns p to two digits; fewer permutations than 10,000 say no less."""
  return f'{p:.2g}' if p >= 0.001 else '< 0.001'


def _group_text(one: dataset_correlations.DatasetCorrelation) -> str:
  """Returns 'mean of 7 small datasets'."""
  plural = 's' * (one.num_datasets != 1)
  return f'mean of {one.num_datasets} {one.name} dataset{plural}'


def between_settings(
  records: Sequence[accuracy_table.Record],
) -> tables.Table:
  """Builds the table of how r differs between settings, on the same cells.

  Args:
    records: of a ledger, those that count.
  """
  rows = []
  for one in dataset_correlations.between_settings(records):
    change = one.change
    rows.append(
      (
        *map(names_lib.setting_text, one.settings),
        *(change.num_networks, len(one.datasets)),
        *map(conditions.number, (change.first, change.second, change.between)),
        conditions.number(change.first - change.second),
        _p_text(change.p),
        _ends(change.low, change.high),
        _ends(change.family_low, change.family_high),
      )
    )
  return tables.Table(
    'changes',
    'Difference of r between settings, on the same networks and datasets',
    (
      *('Setting', 'Other setting', 'Networks', 'Datasets', 'r', 'Other r'),
      *('r of the two', 'Difference', 'p, Williams'),
      *('Interval over networks', 'Interval over families'),
    ),
    rows,
    frozenset((2, 3, 4, 5, 6, 7, 8)),
  )


def as_text(records: Sequence[accuracy_table.Record]) -> str:
  """Returns r on each dataset as text: a row each, two columns a setting.

  Args:
    records: whose settings have the same datasets, as the paper's.
  """
  settings = list(dict.fromkeys(record['setting'] for record in records))
  columns = {
    setting: {
      _text_name(one): one
      for one in (
        *dataset_correlations.by_dataset(records, setting),
        *dataset_correlations.by_size(records, setting),
      )
    }
    for setting in settings
  }
  rows = [
    (
      name,
      *(
        text
        for setting in settings
        for text in (
          _r_text(columns[setting][name].r.over_networks),
          _interval(columns[setting][name].r.over_families),
        )
      ),
    )
    for name in columns[settings[0]]
  ]
  headers = [
    text
    for setting in settings
    for text in (names_lib.setting_text(setting), 'over families')
  ]
  return text_table.aligned(rows, ('r with ImageNet', *headers), 'l')


def _r_text(correlation: correlations.Correlation) -> str:
  """Returns '0.29, −0.23 to 0.64', or r alone."""
  text = conditions.number(correlation.r)
  if np.isnan(correlation.low):
    return text
  return f'{text}, {_interval(correlation)}'


def _text_name(one: dataset_correlations.DatasetCorrelation) -> str:
  """Returns the title of a dataset, or of a mean over several."""
  if one.num_datasets > 1 or one.name in ('small', 'large'):
    return _group_text(one)
  return names_lib.display_name(one.name)
