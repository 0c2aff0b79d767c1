"""Builds the table of estimators, for the page and the console."""

from collections.abc import Sequence

import numpy as np

from tf_transfer.study import names as names_lib
from tf_transfer.study.analysis import estimator_ranks
from tf_transfer.study.report import chart_data, tables, text_table
from tf_transfer.transfer.estimators import ESTIMATORS

_NONE = '–'


def build(
  ranks: Sequence[estimator_ranks.EstimatorRank], names: chart_data.Names
) -> tables.Table:
  """Builds the page's table, with a row for each estimator and dataset.

  Args:
    ranks: as `estimator_ranks.rank` returns them.
    names: of datasets.
  """
  return tables.Table(
    'estimators',
    'How well estimators rank networks, and what they take',
    (
      *('Setting', 'Dataset', 'Estimator', 'Networks', 'Seconds'),
      *('Of the full fit', 'Weighted τ', '95 %', 'Spearman’s ρ', '95 %'),
      'Without an estimate',
    ),
    [
      (
        names_lib.setting_text(one.setting),
        _dataset(one, names.dataset.get(one.dataset, one.dataset)),
        _title(one.estimator),
        one.num_networks,
        *_times(one),
        *_correlation(one.tau, one),
        *_correlation(one.rho, one),
        one.reasons or _NONE,
      )
      for one in ranks
    ],
    numbers=frozenset({3, 4, 5, 6, 8}),
  )


def text(ranks: Sequence[estimator_ranks.EstimatorRank]) -> str:
  """Returns a short table for the console; '' where there is nothing.

  Of several datasets only their mean is shown.
  """
  averaged = {one.setting for one in ranks if not one.dataset}
  rows = [
    (
      one.setting,
      _dataset(one, one.dataset),
      one.estimator,
      str(one.num_networks),
      *_times(one),
      ' '.join(_correlation(one.tau, one)),
      ' '.join(_correlation(one.rho, one)),
    )
    for one in ranks
    if not one.dataset or one.setting not in averaged
  ]
  if not rows:
    return ''
  headers = (
    *('setting', 'dataset', 'estimator', 'networks', 'seconds', 'of the fit'),
    *('weighted tau, 95 %', "Spearman's rho, 95 %"),
  )
  return text_table.aligned(rows, headers, 'lllrrrll')


def _dataset(one: estimator_ranks.EstimatorRank, name: str) -> str:
  """Returns the dataset in words."""
  return name or f'mean over {one.num_datasets} datasets'


def _title(name: str) -> str:
  """Returns an estimator's title; for an unknown name, the name."""
  return ESTIMATORS[name].title if name in ESTIMATORS else name


def _times(one: estimator_ranks.EstimatorRank) -> tuple[str, str]:
  """Returns the seconds, alone and as a share of the full fit's."""
  return (
    _NONE if np.isnan(one.seconds) else f'{one.seconds:.2g}',
    _NONE if np.isnan(one.of_fit) else f'{100 * one.of_fit:.2g} %',
  )


def _correlation(
  one: estimator_ranks.Correlation, of: estimator_ranks.EstimatorRank
) -> tuple[str, str]:
  """Returns a correlation and its interval."""
  value = _NONE if np.isnan(one.value) else f'{one.value:.2f}'
  if not np.isnan(one.low):
    return value, f'{one.low:.2f} to {one.high:.2f}'
  fewest = estimator_ranks.FEWEST_NETWORKS
  few = of.num_networks < fewest
  return value, f'cannot say: fewer than {fewest} networks' if few else _NONE
