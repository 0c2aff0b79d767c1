"""Simulates cells of several training runs: coverage of their intervals, size.

  python -m benchmarks.coverage_of_runs

Prints two tables, which docs/intervals.md shows: how often the interval of a
cell holds the truth, and how often the test of two networks that are equally
good says that they are not.
"""

import functools

import numpy as np
import scipy.special
import scipy.stats

from benchmarks import coverage
from tf_transfer.study.analysis import paired_tests, run_tests, uncertainty

_NUM_EXAMPLES = 500
_DIFFICULTY = 1.5, 1.5  # Mean and SD of images' log-odds.


@functools.cache
def true_accuracy(spread: float) -> float:
  """Returns the mean accuracy over all images and runs.

  Args:
    spread: standard deviation over runs, in log-odds.
  """
  nodes, weights = np.polynomial.hermite_e.hermegauss(60)
  center, width = _DIFFICULTY
  log_odds = center + np.hypot(width, spread) * nodes
  return float(weights @ scipy.special.expit(log_odds) / weights.sum())


def draw_correct(
  num_runs: int,
  spread: float,
  difficulty: np.ndarray,
  generator: np.random.Generator,
) -> np.ndarray:
  """Draws where each run is right: bool [R, N].

  Args:
    num_runs: R.
    spread: standard deviation over runs, in log-odds.
    difficulty: [N] log-odds of being right.
    generator: of random numbers.
  """
  shift = generator.normal(0, spread, (num_runs, 1))
  chance = scipy.special.expit(difficulty + shift)
  return generator.random(chance.shape) < chance


def draw_interval(
  num_runs: int, spread: float, generator: np.random.Generator
) -> coverage.Draw:
  """Draws a cell of several runs, and its interval."""
  difficulty = generator.normal(*_DIFFICULTY, _NUM_EXAMPLES)
  correct = draw_correct(num_runs, spread, difficulty, generator)
  value = float(correct.mean())
  wilson = scipy.stats.binomtest(
    round(value * _NUM_EXAMPLES), _NUM_EXAMPLES
  ).proportion_ci(method='wilson')
  test = {
    'value': value,
    'low': wilson.low,
    'high': wilson.high,
    'examples': _NUM_EXAMPLES,
  }
  values = [{'test': {'value': float(one)}} for one in correct.mean(axis=1)]
  one = uncertainty.interval({'test': test, 'runs': values})
  return coverage.Draw(one.low, true_accuracy(spread), one.high)


SIMULATIONS: tuple[coverage.Simulation, ...] = tuple(
  coverage.Simulation(
    'runs',
    f'{num_runs} runs, spread {spread} in log-odds, {_NUM_EXAMPLES} images',
    functools.partial(draw_interval, num_runs, spread),
  )
  for num_runs in (2, 3, 5)
  for spread in (0.0, 0.1, 0.3)
)


def rejection_rate(
  runs: tuple[int, int],
  spread: float,
  *,
  repetitions: int,
  images_alone: bool = False,
) -> float:
  """Returns how often two networks that are equally good differ at p <= 0.05.

  Each network finds some images harder than the other does.

  Args:
    runs: of each of the two networks.
    spread: standard deviation over runs, in log-odds.
    repetitions: how often data are drawn.
    images_alone: McNemar's test of the first runs instead, which knows nothing
      of training runs.
  """
  generator = np.random.default_rng(0)
  labels = np.zeros(_NUM_EXAMPLES, int)
  num_rejected = 0
  for _ in range(repetitions):
    shared = generator.normal(*_DIFFICULTY, _NUM_EXAMPLES)
    pair = [
      draw_correct(num_runs, spread, generator.normal(shared, 1), generator)
      for num_runs in runs
    ]
    if images_alone:
      p = paired_tests.mcnemar(pair[0][0], pair[1][0])
    else:
      p = run_tests.compare('top1', labels, *pair).p
    num_rejected += p <= 0.05
  return num_rejected / repetitions


def main() -> None:
  """Prints both tables."""
  print(f'{coverage.table(SIMULATIONS)}\n')
  print('| runs | spread over runs | images and runs | images alone |')
  print('|---|---|---|---|')
  for spread in (0.0, 0.1, 0.3, 0.6):
    alone = rejection_rate((1, 1), spread, repetitions=2000, images_alone=True)
    for runs in ((2, 1), (3, 1), (2, 2), (3, 3), (5, 5)):
      rate = rejection_rate(runs, spread, repetitions=2000)
      print(
        f'| {runs[0]} and {runs[1]} | {spread} | {rate:.1%} | {alone:.1%} |'
      )


if __name__ == '__main__':
  main()
