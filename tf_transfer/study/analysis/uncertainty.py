"""Combines the variance of the draw of test images with that of training runs.

A ledger's interval is of test images alone: how far the accuracy of the one
network that was trained may be from its accuracy on all images like these. How
far another training run would be is not in it. Where a cell has several runs,
both are.
"""

import dataclasses

import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats

from tf_transfer.study.analysis import statistics
from tf_transfer.study.schema import Record

# SciPy's quantiles of Student's t fail at some smaller tails.
_SMALLEST_TAIL = 1e-30
# What an interval covers.
IMAGES, IMAGES_AND_RUNS = 'test images', 'test images and runs'
IMAGES_AND_TRAINING_SETS = 'test images and training sets'


@dataclasses.dataclass(frozen=True)
class Interval:
  """The 95 % interval of a cell's accuracy.

  Attributes:
    low: lower end, in 0 to 1.
    high: upper end.
    covers: IMAGES, IMAGES_AND_RUNS or IMAGES_AND_TRAINING_SETS.
  """

  low: float
  high: float
  covers: str


def combined_quantile(
  sampling: float, runs: float, degrees: int, tail: float
) -> float:
  """Returns the quantile of a difference over its combined standard error.

  It is Cochran and Cox's (1950) mean of the normal quantile and Student's,
  weighted with the two variances. Satterthwaite's degrees of freedom would be
  simpler, but few runs estimate them too badly: in simulations of two runs and
  one, his test of 5 % rejects in up to 13 %, this one in up to 6.5 %.

  Args:
    sampling: variance due to the draw of test images, taken as known.
    runs: variance due to training runs, as estimated.
    degrees: of freedom of that estimate.
    tail: the probability above the quantile.
  """
  total = sampling + runs
  z, t = scipy.stats.norm.isf(tail), scipy.stats.t.isf(tail, degrees)
  return float((sampling * z + runs * t) / total)


def combined_p(
  difference: float, sampling: float, runs: float, degrees: int
) -> float:
  """Returns the two-sided p of a difference, as `combined_quantile` has it.

  It is 0 where it is less than 10⁻²⁹.
  """
  total = sampling + runs
  if total == 0 or difference == 0:
    return 1.0 if difference == 0 else 0.0
  ratio = abs(difference) / np.sqrt(total)

  def excess(log_tail: float) -> float:
    tail = np.exp(log_tail)
    return combined_quantile(sampling, runs, degrees, tail) - ratio

  lowest = np.log(_SMALLEST_TAIL)
  if excess(lowest) <= 0:
    return 0.0
  return 2 * float(np.exp(scipy.optimize.brentq(excess, lowest, np.log(0.5))))


def interval(record: Record) -> Interval:
  """Returns the 95 % interval of a cell's accuracy on test.

  It is the recorded one where there is one run: of test images, and of folds
  that of images and training sets (`cross_validation`). Where there are
  several, the two variances are added in log-odds: that of the images, of
  which the recorded interval on either side is 1.96 standard errors, and that
  of the mean over runs. The images' is that of one run, which is a little more
  than that of the mean over several.
  """
  test, runs = record['test'], record.get('runs', ())
  if len(runs) < 2:
    covers = IMAGES_AND_TRAINING_SETS if 'folds' in record else IMAGES
    return Interval(test['low'], test['high'], covers)
  examples = test['examples']
  value, low, high = (
    statistics.log_odds(test[key], examples) for key in ('value', 'low', 'high')
  )
  of_runs = run_spread(record) ** 2 / len(runs)
  z = scipy.stats.norm.isf(0.025)
  halves = []
  for side in (value - low, high - value):
    of_images = float(side / z) ** 2
    total = of_images + of_runs
    if total:
      quantile = combined_quantile(of_images, of_runs, len(runs) - 1, 0.025)
      halves.append(quantile * np.sqrt(total))
    else:
      halves.append(0.0)
  ends = scipy.special.expit([value - halves[0], value + halves[1]])
  # The continuity correction may not put an end inside the recorded interval.
  return Interval(
    float(min(ends[0], test['low'])),
    float(max(ends[1], test['high'])),
    IMAGES_AND_RUNS,
  )


def run_spread(record: Record) -> float:
  """Returns the standard deviation of the runs, in log-odds; two or more."""
  values = [run['test']['value'] for run in record['runs']]
  log_odds = statistics.log_odds(values, record['test']['examples'])
  return float(log_odds.std(ddof=1))


def next_run(record: Record) -> tuple[float, float] | None:
  """Returns where one more run on the same images would be, in 95 % of cases.

  That is the prediction interval of Student's t in log-odds, as accuracies from
  low to high. It has no part of the draw of images. None where there is one
  run.
  """
  runs = record.get('runs', ())
  if len(runs) < 2:
    return None
  values = statistics.log_odds(
    [run['test']['value'] for run in runs], record['test']['examples']
  )
  half = scipy.stats.t.isf(0.025, len(runs) - 1) * run_spread(record)
  half *= np.sqrt(1 + 1 / len(runs))
  low, high = scipy.special.expit([values.mean() - half, values.mean() + half])
  return float(low), float(high)
