"""Simulates cross-validation: coverage of its interval, size of its test.

  python -m benchmarks.cross_validation_coverage

Prints two tables, which docs/intervals.md shows. Classes are Gaussians, and a
network is a noisy view of them. The truth is the mean accuracy of classifiers
that are fitted to new training sets, each as large as those of the folds.
"""

import argparse
import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import scipy.special
import scipy.stats

from tf_transfer.study.analysis import paired_tests
from tf_transfer.transfer import cross_validation, metrics

NUM_FOLDS = 5
_NUM_NEW = 2000  # examples that measure the accuracy of a training set
_SHARED = 0.7  # correlation of the noise of two networks

Fit = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]


def fit_nearest_mean(
  x: np.ndarray, y: np.ndarray, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
  """Fits the nearest class mean; returns weights [D, C] and biases [C]."""
  members = np.eye(num_classes)[y]
  counts = members.sum(axis=0)
  means = members.T @ x / np.maximum(counts, 1)[:, None]
  biases = -0.5 * (means**2).sum(axis=1)
  return means.T, np.where(counts > 0, biases, -np.inf)


def fit_ridge(
  x: np.ndarray, y: np.ndarray, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
  """Fits ridge regression, penalty 1; returns weights [D, C], biases [C]."""
  center, targets = x.mean(axis=0), np.eye(num_classes)[y]
  mean = targets.mean(axis=0)
  x = x - center
  if len(x) < x.shape[1]:
    weights = x.T @ np.linalg.solve(x @ x.T + np.eye(len(x)), targets - mean)
  else:
    gram = x.T @ x + np.eye(x.shape[1])
    weights = np.linalg.solve(gram, x.T @ (targets - mean))
  return weights, mean - center @ weights


@dataclasses.dataclass(frozen=True)
class Population:
  """Images of classes, as two networks see them.

  Attributes:
    name: of the classifier, for the table.
    fit: the classifier.
    num_examples: N.
    num_classes: C.
    num_features: D.
    separation: of the class means, in standard deviations of the first network.
    noise: standard deviation of the second network's features; 1: the two are
      equally good.
  """

  name: str
  fit: Fit
  num_examples: int
  num_classes: int
  num_features: int
  separation: float
  noise: float = 1.0

  def means(self) -> np.ndarray:
    """Returns the means of the classes: [C, D], the same every time."""
    generator = np.random.default_rng(0)
    means = generator.normal(size=(self.num_classes, self.num_features))
    return means * self.separation / np.sqrt(2 * self.num_features)

  def draw(
    self, count: int, generator: np.random.Generator
  ) -> tuple[np.ndarray, np.ndarray]:
    """Draws features of both networks [2, count, D], and labels [count].

    The largest class has three times as many examples as the smallest. Classes
    have the same shares in every draw.
    """
    shares = np.cumsum(np.linspace(1, 3, self.num_classes))
    ranks = (np.arange(count) + 0.5) / count
    labels = np.searchsorted(shares / shares[-1], ranks)
    shape = count, self.num_features
    shared = np.sqrt(_SHARED) * generator.normal(size=shape)
    own = np.sqrt(1 - _SHARED) * generator.normal(size=(2, *shape))
    scale = np.array([1.0, self.noise])[:, None, None]
    return self.means()[labels] + scale * (shared + own), labels


@dataclasses.dataclass(frozen=True)
class Draw:
  """Holds a cross-validation of two networks.

  Attributes:
    folds: int [N].
    correct: bool [2, N].
    accuracy: of the first network's first fold's classifier on new images.
  """

  folds: np.ndarray
  correct: np.ndarray
  accuracy: float


def cross_validate(
  population: Population, generator: np.random.Generator
) -> Draw:
  """Draws examples, and predicts each by the classifier without its fold."""
  n = population.num_examples
  x, y = population.draw(n, generator)
  folds = np.empty(n, int)
  folds[np.lexsort((generator.random(n), y))] = np.arange(n) % NUM_FOLDS
  new_x, new_y = population.draw(_NUM_NEW, generator)
  correct, accuracy = np.empty((2, n), bool), 0.0
  for network in range(2):
    for fold in range(NUM_FOLDS):
      out = folds == fold
      weights, biases = population.fit(
        x[network, ~out], y[~out], population.num_classes
      )
      best = np.argmax(x[network, out] @ weights + biases, axis=1)
      correct[network, out] = best == y[out]
      if network == fold == 0:
        best = np.argmax(new_x[0] @ weights + biases, axis=1)
        accuracy = float(np.mean(best == new_y))
  return Draw(folds, correct, accuracy)


# The candidates. Each interval takes bool [N] and folds, each test two of them.
def _of_folds(values: np.ndarray, folds: np.ndarray) -> tuple[float, float]:
  """Returns the mean over folds and its corrected standard error."""
  means = [values[folds == fold].mean() for fold in range(NUM_FOLDS)]
  factor = 1 / NUM_FOLDS + 1 / (NUM_FOLDS - 1)
  return float(np.mean(means)), float(np.std(means, ddof=1) * np.sqrt(factor))


def spread_of_folds(
  correct: np.ndarray, folds: np.ndarray
) -> tuple[float, float]:
  """Computes Nadeau & Bengio's interval, from the spread over folds."""
  mean, error = _of_folds(correct, folds)
  half = scipy.special.stdtrit(NUM_FOLDS - 1, 0.975) * error
  return mean - half, mean + half


def corrected(correct: np.ndarray, folds: np.ndarray) -> tuple[float, float]:
  """Computes the program's interval."""
  labels = np.ones(len(correct), int)
  return cross_validation.interval('top1', labels, correct.astype(int), folds)


def independent(correct: np.ndarray, folds: np.ndarray) -> tuple[float, float]:
  """Computes Wilson's interval, as if examples were tested independently."""
  del folds
  labels = np.ones(len(correct), int)
  measured = metrics.measure('top1', labels, correct.astype(int))
  return measured.low, measured.high


def spread_p(first: np.ndarray, second: np.ndarray, folds: np.ndarray) -> float:
  """Computes Nadeau & Bengio's p, from the spread over folds."""
  mean, error = _of_folds(first.astype(float) - second, folds)
  if error == 0:
    return float(mean == 0)
  return float(2 * scipy.stats.t.sf(abs(mean) / error, NUM_FOLDS - 1))


def corrected_p(
  first: np.ndarray, second: np.ndarray, folds: np.ndarray
) -> float:
  """Computes the program's p."""
  labels = np.zeros(len(first), int)
  return cross_validation.paired_p('top1', labels, first, second, folds)


def independent_p(
  first: np.ndarray, second: np.ndarray, folds: np.ndarray
) -> float:
  """Computes McNemar's p, as if examples were tested independently."""
  del folds
  return paired_tests.mcnemar(first, second)


INTERVALS = {
  'corrected': corrected,
  'spread over folds': spread_of_folds,
  'as independent': independent,
}
TESTS = {
  'corrected': corrected_p,
  'spread over folds': spread_p,
  'as independent': independent_p,
}
_NEAREST, _RIDGE = ('nearest mean', fit_nearest_mean), ('ridge', fit_ridge)
# N, C, D, separation, and the noise of a second network that is worse.
_SIZES = (
  (60, 2, 5, 2.0, 1.5),
  (60, 2, 50, 6.0, 1.5),
  (60, 4, 50, 5.0, 1.5),
  (60, 20, 64, 9.0, 1.5),
  (200, 2, 20, 1.5, 1.3),
  (200, 5, 100, 6.5, 1.3),
  (200, 20, 200, 7.0, 1.3),
  (600, 2, 200, 3.5, 1.2),
  (600, 20, 200, 7.0, 1.2),
  (2000, 20, 200, 6.0, 1.1),
)


def populations(worse: bool = False) -> list[Population]:
  """Returns what is simulated; `worse`: the second network is less good."""
  return [
    Population(*classifier, *sizes[:4], sizes[4] if worse else 1.0)
    for classifier in (_NEAREST, _RIDGE)
    for sizes in _SIZES
  ]


@dataclasses.dataclass(frozen=True)
class Outcome:
  """Holds what a simulation gave.

  Attributes:
    truth: the mean accuracy of new training sets.
    coverage: of each interval, by name.
    width: the mean of each interval, by name.
    rejected: how often each test says p <= 0.05, by name.
  """

  truth: float
  coverage: Mapping[str, float]
  width: Mapping[str, float]
  rejected: Mapping[str, float]


def simulate(population: Population, repetitions: int) -> Outcome:
  """Simulates; equal arguments give equal numbers."""
  draws = [
    cross_validate(population, np.random.default_rng([1, i]))
    for i in range(repetitions)
  ]
  truth = float(np.mean([draw.accuracy for draw in draws]))
  coverage, width = {}, {}
  for name, function in INTERVALS.items():
    ends = [function(draw.correct[0], draw.folds) for draw in draws]
    low, high = np.array(ends).T
    coverage[name] = float(np.mean((low <= truth) & (truth <= high)))
    width[name] = float(np.mean(high - low))
  rejected = {
    name: float(np.mean([test(*d.correct, d.folds) <= 0.05 for d in draws]))
    for name, test in TESTS.items()
  }
  return Outcome(truth, coverage, width, rejected)


def main() -> None:
  """Prints both tables."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--repetitions', type=int, default=1000)
  repetitions = parser.parse_args().repetitions
  equal = [(one, simulate(one, repetitions)) for one in populations()]
  print(f'| data | accuracy | {" | ".join(INTERVALS)} |')
  print('|---|---|' + '---|' * len(INTERVALS))
  for one, outcome in equal:
    cells = ' | '.join(
      f'{outcome.coverage[name]:.1%}, {outcome.width[name]:.3f}'
      for name in INTERVALS
    )
    print(f'| {_describe(one)} | {outcome.truth:.1%} | {cells} |')
  print(f'\n| data | {" | ".join(TESTS)} |')
  print('|---|' + '---|' * len(TESTS))
  for (one, outcome), worse in zip(equal, populations(worse=True), strict=True):
    power = simulate(worse, repetitions)
    cells = ' | '.join(
      f'{outcome.rejected[name]:.1%}, {power.rejected[name]:.1%}'
      for name in TESTS
    )
    print(f'| {_describe(one)}; {worse.noise} | {cells} |', flush=True)


def _describe(population: Population) -> str:
  """Describes what is simulated, for the table."""
  return (
    f'{population.name}, {population.num_examples:,} examples, '
    f'{population.num_classes} classes, {population.num_features} features'
  )


if __name__ == '__main__':
  main()
