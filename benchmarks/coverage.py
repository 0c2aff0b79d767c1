"""Measures by simulation how often each 95 % interval contains the truth.

  python -m benchmarks.coverage
  python -m benchmarks.coverage --only mean_per_class --repetitions 10000

Prints a Markdown table, which docs/intervals.md shows. A simulation draws data
whose truth is known, computes the interval from them as the program does, and
counts how often the truth is inside. To add one: a function that draws once and
returns a `Draw`, and its rows in SIMULATIONS.
"""

import argparse
import dataclasses
import functools
import zlib
from collections.abc import Callable, Iterable

import numpy as np

from benchmarks import coverage_correlations
from tf_transfer.transfer import metrics


@dataclasses.dataclass(frozen=True)
class Draw:
  """Holds the interval from one draw of data, and what it should contain."""

  low: float
  truth: float
  high: float


@dataclasses.dataclass(frozen=True)
class Simulation:
  """Describes a simulation of an interval.

  Attributes:
    name: of the interval, for --only.
    what: what is drawn, for the table.
    draw: draws data and computes their interval.
    nominal: the coverage that the interval promises.
    repetitions: how often to draw, unless the command line says it.
  """

  name: str
  what: str
  draw: Callable[[np.random.Generator], Draw]
  nominal: float = 0.95
  repetitions: int = 4000


@dataclasses.dataclass(frozen=True)
class Coverage:
  """Holds what a simulation gave, as shares of its repetitions.

  Attributes:
    inside: how often the truth was inside the interval.
    below: how often the truth was below the interval.
    above: how often it was above.
    width: the intervals' mean width.
    repetitions: how often data were drawn.
  """

  inside: float
  below: float
  above: float
  width: float
  repetitions: int


def simulate(simulation: Simulation, repetitions: int = 0) -> Coverage:
  """Runs a simulation; equal arguments give equal numbers.

  Args:
    simulation: a row of SIMULATIONS.
    repetitions: how often to draw; 0: as often as the row says.
  """
  repetitions = repetitions or simulation.repetitions
  seed = zlib.crc32(f'{simulation.name} {simulation.what}'.encode())
  draws = [
    simulation.draw(np.random.default_rng([seed, i]))
    for i in range(repetitions)
  ]
  low, truth, high = np.array([dataclasses.astuple(d) for d in draws]).T
  return Coverage(
    inside=float(np.mean((low <= truth) & (truth <= high))),
    below=float(np.mean(truth < low)),
    above=float(np.mean(truth > high)),
    width=float(np.mean(high - low)),
    repetitions=repetitions,
  )


# Mean per-class accuracy. How many images of each class the test splits have:
# Caltech-101's are the sizes of its folders less 30.
CALTECH = (
  *(770, 768, 437, 405, 405, 209, 170, 98, 93, 84, 77, 70, 69, 68, 61, 58, 57),
  *(56, 56, 56, 55, 55, 55, 54, 52, 51, 50, 48, 46, 45, 45, 43, 40, 39, 38, 37),
  *(37, 37, 36, 35, 34, 34, 34, 34, 34, 33, 32, 31, 30, 29, 29, 29, 29, 27, 27),
  *(27, 26, 25, 25, 24, 24, 23, 23, 22, 21, 21, 20, 20, 19, 19, 17, 17, 17, 17),
  *(16, 15, 15, 15, 13, 13, 13, 12, 12, 12, 11, 10, 10, 9, 9, 9, 8, 7, 5, 5, 5),
  *(4, 4, 4, 4, 3, 2, 1),
)


# 34 or 33, as 3,333 in 100 classes are.
AIRCRAFT = (34,) * 33 + (33,) * 67
# 3,669 in 37 classes, nearly equal.
PETS = (100,) * 30 + (99,) * 3 + (98, 97, 89, 88)
# 20 to 238, 6,149 in all, between these by a power of the rank.
FLOWERS = tuple(round(20 + 218 * (i / 101) ** 4.494) for i in range(102))
SMALL_FOLDER = (5, 5, 5)


def class_accuracies(
  counts: tuple[int, ...], slope: float, mean: float
) -> np.ndarray:
  """Returns true accuracies of classes, whose log-odds are linear in log n.

  Args:
    counts: examples of each class.
    slope: by how much the log-odds grow from a class of n examples to one of
      e n; above 0: small classes are harder.
    mean: of the accuracies.
  """
  ratios = slope * np.log(counts)
  low, high = -50.0, 50.0
  for _ in range(60):
    middle = (low + high) / 2
    accuracies = 1 / (1 + np.exp(-(ratios - ratios.mean() + middle)))
    low, high = (middle, high) if accuracies.mean() < mean else (low, middle)
  return accuracies


def draw_mean_per_class(
  counts: tuple[int, ...],
  slope: float,
  mean: float,
  generator: np.random.Generator,
) -> Draw:
  """Draws predictions of a test split whose classes differ in accuracy."""
  accuracies = class_accuracies(counts, slope, mean)
  labels = np.repeat(np.arange(len(counts)), counts)
  correct = generator.random(len(labels)) < accuracies[labels]
  measured = metrics.measure(
    'mean_per_class', labels, np.where(correct, labels, -1)
  )
  return Draw(measured.low, float(accuracies.mean()), measured.high)


def draw_multi_label(
  generator: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
  """Draws labels and scores [300, 5], a fifth of the labels present."""
  labels = (generator.random((300, 5)) < 0.2).astype(np.int32)
  return labels, 2 * labels + generator.normal(0, 1, labels.shape)


@functools.cache
def _true_map11() -> float:
  """Returns the mean of mAP over such draws, to 0.0003."""
  draws = (draw_multi_label(np.random.default_rng([1, i])) for i in range(5000))
  return float(np.mean([metrics.map11(*draw) for draw in draws]))


def draw_map11(generator: np.random.Generator) -> Draw:
  """Draws images of five classes that a score ranks."""
  measured = metrics.measure('map11', *draw_multi_label(generator))
  return Draw(measured.low, _true_map11(), measured.high)


_HARDER, _EASIER = 'small classes harder', 'small classes easier'
# Of mean_per_class: the test split, its counts, accuracy, which classes are
# harder, and the slope of their log-odds over log n.
_SPLITS = (
  *(
    ('Caltech-101', CALTECH, mean, difficulty, slope)
    for mean in (0.5, 0.8, 0.9, 0.97)
    for difficulty, slope in (('equal', 0), (_HARDER, 1), (_EASIER, -1))
  ),
  ('Flowers', FLOWERS, 0.9, 'equal', 0),
  ('Flowers', FLOWERS, 0.9, _HARDER, 1),
  ('Flowers', FLOWERS, 0.9, _EASIER, -1),
  ('Aircraft', AIRCRAFT, 0.7, 'equal', 0),
  ('Pets', PETS, 0.92, 'equal', 0),
  ('3 classes of 5', SMALL_FOLDER, 0.5, 'equal', 0),
  ('3 classes of 5', SMALL_FOLDER, 0.8, 'equal', 0),
  ('3 classes of 5', SMALL_FOLDER, 0.9, 'equal', 0),
)


def _draw_ends(
  draw: Callable[[np.random.Generator], coverage_correlations.Ends],
  generator: np.random.Generator,
) -> Draw:
  """Returns what a function draws that returns ends and truth."""
  return Draw(*draw(generator))


SIMULATIONS: tuple[Simulation, ...] = (
  *(
    Simulation(
      'mean_per_class',
      f'{split}: {difficulty}, {mean:.0%}',
      functools.partial(draw_mean_per_class, counts, slope, mean),
    )
    for split, counts, mean, difficulty, slope in _SPLITS
  ),
  Simulation(
    'map11', '300 images, 5 classes of a fifth', draw_map11, repetitions=400
  ),
  *(
    Simulation(name, what, functools.partial(_draw_ends, draw))
    for name, what, draw in coverage_correlations.CASES
  ),
)


def table(simulations: Iterable[Simulation], repetitions: int = 0) -> str:
  """Runs simulations and returns their Markdown table."""
  lines = [
    '| interval | of data drawn as | nominal | coverage | truth below, above '
    '| mean width | draws |',
    '|---|---|---|---|---|---|---|',
  ]
  for simulation in simulations:
    coverage = simulate(simulation, repetitions)
    lines.append(
      f'| `{simulation.name}` | {simulation.what} | {simulation.nominal:.0%} '
      f'| {coverage.inside:.1%} | {coverage.below:.1%}, {coverage.above:.1%} '
      f'| {coverage.width:.3f} | {coverage.repetitions:,} |'
    )
  return '\n'.join(lines)


def main() -> None:
  """Prints the table of all simulations, or of those of one name."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  names = sorted({simulation.name for simulation in SIMULATIONS})
  parser.add_argument('--only', choices=names, help='one interval alone')
  parser.add_argument(
    '--repetitions', type=int, default=0, help='draws of each, not its own'
  )
  arguments = parser.parse_args()
  chosen = [s for s in SIMULATIONS if arguments.only in (None, s.name)]
  print(table(chosen, arguments.repetitions))


if __name__ == '__main__':
  main()
