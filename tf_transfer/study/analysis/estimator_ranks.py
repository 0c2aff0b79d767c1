"""Says how well estimators rank networks, as the measured accuracy does.

Two rank correlations over the networks of a study, on each dataset and as the
mean over datasets:

  weighted Kendall's τ   a pair of networks at ranks r and s by accuracy, the
                         best at 0, weighs 1 / (r + 1) + 1 / (s + 1): SciPy's
                         `weightedtau`; mistakes among the best count most
  Spearman's ρ           all networks count alike

Both have 95 % percentile intervals of a bootstrap over networks; that of the
mean draws datasets as well. Resamples in which a correlation has no value,
such as those of one network alone, do not count.

Letters in shapes: R resamples, M networks, D datasets.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tf_transfer.study.analysis import accuracy_table
from tf_transfer.study.schema import Record

FEWEST_NETWORKS = 5  # With fewer there is no interval.
_FEWEST_FOR_RANKS = 3  # Of two networks a correlation is 1 or -1.
_RESAMPLES = 2000
_LEAST_VALID = 0.9  # of the resamples, for an interval


@dataclasses.dataclass(frozen=True)
class Correlation:
  """A rank correlation with its 95 % interval; NaN where it has none."""

  value: float
  low: float
  high: float


@dataclasses.dataclass(frozen=True)
class EstimatorRank:
  """Holds how well an estimator ranks the networks of a setting.

  Attributes:
    setting: whose accuracy was measured.
    dataset: the dataset's name; '' for the mean over datasets.
    estimator: its name.
    num_networks: that have an estimate; on each of the datasets, for the mean.
    num_datasets: 1, or those of the mean.
    seconds: mean over cells.
    of_fit: the sum of the seconds divided by that of the full fits'.
    tau: weighted Kendall's τ.
    rho: Spearman's ρ.
    reasons: why networks have no estimate.
  """

  setting: str
  dataset: str
  estimator: str
  num_networks: int
  num_datasets: int
  seconds: float
  of_fit: float
  tau: Correlation
  rho: Correlation
  reasons: tuple[str, ...]


def rank(records: Sequence[Record]) -> list[EstimatorRank]:
  """Ranks the networks of each setting by each estimator.

  Args:
    records: of a ledger; those without estimates do not count.

  Returns:
    By setting and dataset in the order of the records, the mean over datasets
    last where there are several; then by estimator.
  """
  records = [
    record
    for record in accuracy_table.distinct(records)
    if record.get('estimates')
  ]
  results = []
  for setting in dict.fromkeys(record['setting'] for record in records):
    of_setting = [r for r in records if r['setting'] == setting]
    names = dict.fromkeys(n for r in of_setting for n in r['estimates'])
    datasets = list(dict.fromkeys(r['dataset'] for r in of_setting))
    for selected in (
      *([dataset] for dataset in datasets),
      *([datasets] if len(datasets) > 1 else ()),
    ):
      results += [
        _rank([r for r in of_setting if r['dataset'] in selected], name)
        for name in names
      ]
  return results


def _rank(records: Sequence[Record], name: str) -> EstimatorRank:
  """Ranks networks by an estimator on the datasets of the records."""
  records = [r for r in records if name in r['estimates']]
  datasets = list(dict.fromkeys(r['dataset'] for r in records))
  networks = list(dict.fromkeys(r['network'] for r in records))
  accuracy, estimate = np.full((2, len(networks), len(datasets)), np.nan)
  for record in records:
    cell = networks.index(record['network']), datasets.index(record['dataset'])
    value = record['estimates'][name]['value']
    accuracy[cell] = record['test']['value']
    estimate[cell] = np.nan if value is None else value
  complete = ~np.isnan(estimate).any(axis=1)
  accuracy, estimate = accuracy[complete], estimate[complete]
  tau, rho = _correlations(accuracy, estimate)
  timed = [r for r in records if r['estimates'][name]['value'] is not None]
  seconds = sum(r['estimates'][name]['seconds'] for r in timed)
  fits = sum(r.get('fit_seconds', np.nan) for r in timed)
  reasons = {r['estimates'][name]['reason'] for r in records}
  return EstimatorRank(
    records[0]['setting'] if records else '',
    datasets[0] if len(datasets) == 1 else '',
    name,
    len(accuracy),
    len(datasets),
    seconds / len(timed) if timed else np.nan,
    seconds / fits if fits > 0 else np.nan,
    tau,
    rho,
    tuple(sorted(reasons - {''})),
  )


def _correlations(
  accuracy: np.ndarray, estimate: np.ndarray
) -> tuple[Correlation, Correlation]:
  """Computes τ and ρ, the means over datasets, with intervals.

  Args:
    accuracy: [M, D].
    estimate: [M, D].
  """
  num_networks, num_datasets = accuracy.shape
  if num_networks < _FEWEST_FOR_RANKS:
    none = Correlation(np.nan, np.nan, np.nan)
    return none, none
  values = rank_correlations(accuracy.T, estimate.T).mean(axis=1)
  ends = np.full((2, 2), np.nan)
  if num_networks >= FEWEST_NETWORKS:
    rng = np.random.default_rng(0)
    rows = rng.integers(num_networks, size=(_RESAMPLES, num_networks))
    columns = rng.integers(num_datasets, size=(_RESAMPLES, num_datasets))
    each = np.stack(
      [
        rank_correlations(accuracy[rows, d], estimate[rows, d])
        for d in range(num_datasets)
      ],
      axis=-1,
    )
    drawn = np.take_along_axis(each, columns[None], axis=2).mean(axis=2)
    ends = np.array([_interval(one) for one in drawn])
  tau, rho = (
    Correlation(float(value), float(low), float(high))
    for value, (low, high) in zip(values, ends, strict=True)
  )
  return tau, rho


def _interval(resampled: np.ndarray) -> tuple[float, float]:
  """Returns the percentiles 2.5 and 97.5 of the resamples with a value [R]."""
  valid = resampled[~np.isnan(resampled)]
  if len(valid) < _LEAST_VALID * len(resampled):
    return np.nan, np.nan
  low, high = np.percentile(valid, [2.5, 97.5])
  return low, high


def rank_correlations(accuracy: np.ndarray, estimate: np.ndarray) -> np.ndarray:
  """Computes weighted Kendall's τ and Spearman's ρ of many samples at once.

  Args:
    accuracy: [R, M], by which pairs weigh.
    estimate: [R, M].

  Returns:
    [2, R], τ and ρ; NaN where all accuracies or all estimates are equal.
  """
  # The sign of the difference of each pair, [R, M, M].
  x, y = (np.sign(v[:, :, None] - v[:, None, :]) for v in (accuracy, estimate))
  ranks = np.sum(x < 0, axis=2)
  weights = 1 / (1 + ranks)
  weights = weights[:, :, None] + weights[:, None, :]
  # Up to a factor and a constant, the sum over others is the mean rank.
  x_ranks, y_ranks = x.sum(axis=2), y.sum(axis=2)
  with np.errstate(invalid='ignore', divide='ignore'):
    tau = (weights * x * y).sum(axis=(1, 2)) / np.sqrt(
      (weights * x**2).sum(axis=(1, 2)) * (weights * y**2).sum(axis=(1, 2))
    )
    rho = (x_ranks * y_ranks).sum(axis=1) / np.sqrt(
      (x_ranks**2).sum(axis=1) * (y_ranks**2).sum(axis=1)
    )
  return np.stack([tau, rho])
