"""Draws studies whose correlation with ImageNet accuracy is known.

Rows of `benchmarks.coverage`. A study has 16 networks in the paper's families
(5, 3, 3, 3 and 2) on 12 datasets. Networks of a family share an effect on both
sides; its share of the variance is the intraclass correlation, and with it
networks are not independent.
"""

import functools
import itertools
import math
from collections.abc import Callable

import numpy as np
import scipy.special

from tf_transfer.study.analysis import (
  accuracy_table,
  correlations,
  evidence,
)

SIZES = (5, 3, 3, 3, 2)
FAMILY = np.repeat(np.arange(len(SIZES)), SIZES)
NAMES = tuple(f'family {i}' for i in FAMILY)
NUM_DATASETS = 12
_RESAMPLES = 500
_EXAMPLES = 1e12  # No accuracy is half an example from 0 or 1.

# An interval's lower end, what it should contain, and its upper end.
Ends = tuple[float, float, float]


def draw_networks(
  rho: float, intraclass: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """Draws x and y, [16] each, normal with the correlation `rho`.

  Args:
    rho: of the families' effects and of what networks add to them.
    intraclass: share of the variance that is the families'.
    generator: of random numbers.
  """
  sides = []
  for count in (len(SIZES), len(FAMILY)):
    x, noise = generator.normal(size=(2, count))
    sides.append((x, rho * x + math.sqrt(1 - rho**2) * noise))
  families, networks = np.array(sides[0]), np.array(sides[1])
  shared = math.sqrt(intraclass) * families[:, FAMILY]
  x, y = shared + math.sqrt(1 - intraclass) * networks
  return x, y


def draw_over_networks(
  rho: float, intraclass: float, generator: np.random.Generator
) -> Ends:
  """Draws the interval that takes networks as independent."""
  x, y = draw_networks(rho, intraclass, generator)
  result = correlations.correlation(x, y, resamples=_RESAMPLES)
  return result.low, rho, result.high


def draw_over_families(
  rho: float, intraclass: float, generator: np.random.Generator
) -> Ends:
  """Draws the interval over families."""
  x, y = draw_networks(rho, intraclass, generator)
  result = correlations.by_family(x, y, NAMES, resamples=20).over_families
  return result.low, rho, result.high


@functools.cache
def resamples_of_families() -> tuple[np.ndarray, np.ndarray]:
  """Returns all ways to draw as many families with replacement.

  Returns:
    How often each network is drawn [126, 16], and the probabilities [126].
  """
  count = len(SIZES)
  drawn = [
    [way.count(i) for i in range(count)]
    for way in itertools.combinations_with_replacement(range(count), count)
  ]
  weights = [
    math.factorial(count) / math.prod(map(math.factorial, times)) / count**count
    for times in drawn
  ]
  return np.array(drawn)[:, FAMILY], np.array(weights)


def bootstrap_of_families(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
  """Returns the percentile interval of all resamples of families.

  The program does not use it, since it contains the truth too rarely.
  """
  times, weights = resamples_of_families()
  values = []
  for value in (x, y):
    mean = (times * value).sum(1, keepdims=True) / times.sum(1, keepdims=True)
    values.append(value - mean)
  dx, dy = values
  r = (times * dx * dy).sum(1)
  r = r / np.sqrt((times * dx * dx).sum(1) * (times * dy * dy).sum(1))
  order = np.argsort(r)
  # To round to 12 digits keeps sums of probabilities from being just below.
  cumulative = weights[order].cumsum().round(12)
  low, high = (r[order][np.argmax(cumulative >= q)] for q in (0.025, 0.975))
  return float(low), float(high)


def draw_bootstrap_of_families(
  rho: float, intraclass: float, generator: np.random.Generator
) -> Ends:
  """Draws the interval of the bootstrap over families."""
  x, y = draw_networks(rho, intraclass, generator)
  low, high = bootstrap_of_families(x, y)
  return low, rho, high


def draw_datasets(
  x: np.ndarray,
  y: np.ndarray,
  slope: float,
  noise: float,
  generator: np.random.Generator,
) -> np.ndarray:
  """Draws log-odds [16, 12] of datasets that differ in three ways.

  Args:
    x: [16] networks on ImageNet.
    y: [16] networks on the mean of all datasets.
    slope: standard deviation of how far a dataset follows ImageNet more, or
      less, than the mean of all.
    noise: standard deviations of what each family, and each network, adds on
      one dataset.
    generator: of random numbers.
  """
  slopes = slope * generator.normal(size=NUM_DATASETS)
  families = generator.normal(size=(len(SIZES), NUM_DATASETS))[FAMILY]
  networks = generator.normal(size=(len(FAMILY), NUM_DATASETS))
  difficulty = generator.normal(size=NUM_DATASETS)
  return (
    y[:, None] + x[:, None] * slopes + noise * (families + networks)
  ) + difficulty


@functools.cache
def truth_over_datasets(rho: float, slope: float, noise: float) -> float:
  """Returns the r of averages over 12 datasets, the mean over such sets.

  The mean is of Fisher's z, over 100,000 sets.
  """
  slopes = np.random.default_rng(0).normal(size=100_000)
  slopes *= slope / math.sqrt(NUM_DATASETS)
  variance = 1 + 2 * rho * slopes + slopes**2 + 2 * noise**2 / NUM_DATASETS
  return float(np.tanh(np.arctanh((rho + slopes) / np.sqrt(variance)).mean()))


def make_table(
  x: np.ndarray,
  values: np.ndarray,
  top1_error: np.ndarray | None = None,
  run_error: np.ndarray | None = None,
) -> accuracy_table.AccuracyTable:
  """Makes a table of log-odds.

  Args:
    x: [16] of ImageNet top-1.
    values: [16, D].
    top1_error: [16] standard errors of `x`; None: not known.
    run_error: [16, D] standard errors of `values`; None: not known.
  """
  top1 = scipy.special.expit(x)
  error = np.zeros(len(x)) if top1_error is None else top1_error
  return accuracy_table.AccuracyTable(
    tuple(f'network {i}' for i in range(len(x))),
    tuple(f'dataset {i}' for i in range(values.shape[1])),
    top1,
    scipy.special.expit(values),
    np.full(values.shape, _EXAMPLES),
    NAMES,
    error * top1 * (1 - top1),
    np.full(values.shape, np.nan) if run_error is None else run_error,
    ('',) * len(x),
  )


def draw_over_datasets(
  over: str,
  rho: float,
  intraclass: float,
  spread: tuple[float, float],
  generator: np.random.Generator,
) -> Ends:
  """Draws the interval over networks or families, and datasets.

  Args:
    over: what the interval is over, as in `evidence`.
    rho: of networks with the mean of all datasets.
    intraclass: as in `draw_networks`.
    spread: slope and noise of `draw_datasets`.
    generator: of random numbers.
  """
  x, y = draw_networks(rho, intraclass, generator)
  values = draw_datasets(x, y, *spread, generator)
  facts = evidence.from_table(make_table(x, values), resamples=20)
  one = facts.interval(over)
  return one.low, truth_over_datasets(rho, *spread), one.high


def draw_with_runs(
  rho: float,
  run_spread: float,
  generator: np.random.Generator,
  *,
  allow: bool = True,
) -> Ends:
  """Draws the interval over families of cells that are means of three runs.

  Args:
    rho: of values without the runs' errors, with a third of the variance the
      families'.
    run_spread: standard deviation of a run in log-odds, times the root of the
      number of datasets: of one run's average, in units of the standard
      deviation over networks.
    generator: of random numbers.
    allow: whether the interval allows for the errors.
  """
  x, y = draw_networks(rho, 0.3, generator)
  runs = generator.normal(size=(len(x), NUM_DATASETS, 3))
  runs *= run_spread * math.sqrt(NUM_DATASETS)
  error = runs.std(axis=2, ddof=1) / math.sqrt(3)
  values = y[:, None] + runs.mean(axis=2)
  table = make_table(x, values, run_error=error if allow else None)
  one = evidence.from_table(table, resamples=20).interval(evidence.FAMILIES)
  return one.low, rho, one.high


def draw_with_top1_error(
  rho: float,
  error: float,
  generator: np.random.Generator,
  *,
  allow: bool = True,
) -> Ends:
  """Draws the interval over families with errors of ImageNet top-1.

  Args:
    rho: of values without errors, with a third of the variance the families'.
    error: standard error, in units of the standard deviation over networks.
    generator: of random numbers.
    allow: whether the interval allows for the errors.
  """
  x, y = draw_networks(rho, 0.3, generator)
  errors = error * np.sqrt(generator.uniform(0.5, 1.5, len(x)))
  measured = x + errors * generator.normal(size=len(x))
  table = make_table(measured, y[:, None], top1_error=errors if allow else None)
  one = evidence.from_table(table, resamples=20).interval(evidence.FAMILIES)
  return one.low, rho, one.high


# Name of the interval, what is drawn, and how.
CASES: tuple[tuple[str, str, Callable[[np.random.Generator], Ends]], ...] = (
  *(
    (
      name,
      f'ρ = {rho}, intraclass correlation {intraclass}',
      functools.partial(draw, rho, intraclass),
    )
    for name, draw, all_rho in (
      ('r_over_networks', draw_over_networks, (0.5,)),
      ('r_bootstrap_of_families', draw_bootstrap_of_families, (0.5,)),
      ('r_over_families', draw_over_families, (0.0, 0.5, 0.9)),
    )
    for rho in all_rho
    for intraclass in (0.0, 0.3, 0.6)
  ),
  *(
    (
      f'r_over_{over.replace(" ", "_")}',
      f'ρ = 0.5, intraclass correlation {intraclass}, datasets {text}',
      functools.partial(draw_over_datasets, over, 0.5, intraclass, spread),
    )
    for over, all_intraclass in (
      (evidence.NETWORKS_AND_DATASETS, (0.0,)),
      (evidence.FAMILIES_AND_DATASETS, (0.0, 0.3, 0.6)),
    )
    for intraclass in all_intraclass
    for text, spread in (
      ('much alike', (0.0, 0.3)),
      ('of different slopes', (0.5, 0.5)),
      ('of very different slopes', (1.5, 0.5)),
    )
  ),
  *(
    (
      name,
      f'ρ = {rho}, intraclass correlation 0.3, {text} {size}',
      functools.partial(draw, rho, size, allow=allow),
    )
    for name, allow, all_rho in (
      ('r_ignoring_errors', False, (0.9,)),
      ('r_with_errors', True, (0.5, 0.9)),
    )
    for text, draw, sizes in (
      ('three runs, spread of one', draw_with_runs, (0.3, 1.2)),
      ('errors of ImageNet top-1', draw_with_top1_error, (0.1, 0.7)),
    )
    for rho in all_rho
    for size in sizes
  ),
)
