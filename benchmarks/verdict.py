"""Simulates verdicts of the job choose among networks of known accuracy.

  python -m benchmarks.verdict

Whether a network is right on an image depends on how hard the image is, which
all networks share, and on chance: a normal variable with correlation RHO
between networks, cut where the network has its accuracy. At 90 % two networks
then differ on 7 % of the images. The images are independent of those that the
classifiers were fitted on, as in a choice on val.

A second simulation fits classifiers: ridge regression on Gaussian classes, each
network a noisy view of them, cross-validated over five folds. On further
draws the bootstrap that corrects a choice for its luck is compared with the
truth. Prints the three tables of docs/choose.md, which takes ten minutes on
two busy cores.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.special

from benchmarks import cross_validation_coverage
from tf_transfer.study.choice import decision

RHO = 0.85
SIZES = (100, 300, 1000, 5000)
DRAWS = 400
# Accuracies by family, from the cheapest network to the most expensive.
FAMILIES = {
  'eight equal': (0.9,) * 8,
  'one 2 points ahead': (*(0.9,) * 7, 0.92),
  'half a point apart': tuple(0.9 + 0.005 * i for i in range(8)),
  'two points apart': tuple(0.8 + 0.02 * i for i in range(8)),
}
# Of the cross-validated simulation.
FOLDED_SIZES = (100, 300, 1000)
NUM_FOLDS = 5
CORRECTED_SIZES, CORRECTED_DRAWS = (100, 300), 100
_NUM_CLASSES, _WIDTH, _SEPARATION = 5, 32, 3.6
_SHARED = 0.7  # correlation of the noise of two networks
_NUM_NEW = 500  # images of a draw that measure the true accuracies
# Standard deviations of the networks' noise, the cheapest network first.
FOLDED_FAMILIES = {
  'nine equal': (1.0,) * 9,
  'eight equal, one better': (*(1.0,) * 8, 0.9),
  'eight equal, one much better': (*(1.0,) * 8, 0.75),
}


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What verdicts of a family did.

  Attributes:
    missed: how often no truly best network was among the tied.
    called_worse: how often at least one truly best network was called worse
      than the best of the draw.
    tied: the mean number of tied networks.
    loss: how much less accurate than the best the recommended network truly
      is, on average.
    loss_of_cheapest: the same of the cheapest of the tied.
    optimism: by how much the recommended network's accuracy on the images is
      above its true one, on average.
  """

  missed: float
  called_worse: float
  tied: float
  loss: float
  loss_of_cheapest: float
  optimism: float


def draw_correct(
  accuracies: Sequence[float], count: int, rng: np.random.Generator
) -> np.ndarray:
  """Draws where networks are right on images, bool [M, N]."""
  shared = rng.standard_normal(count)
  own = rng.standard_normal((len(accuracies), count))
  latent = np.sqrt(RHO) * shared + np.sqrt(1 - RHO) * own
  return latent < scipy.special.ndtri(np.asarray(accuracies))[:, None]


def simulate(
  accuracies: Sequence[float],
  count: int,
  draws: int,
  rng: np.random.Generator,
) -> Outcome:
  """Simulates verdicts on many draws of images.

  Args:
    accuracies: of the networks, from the cheapest to the most expensive.
    count: images of a draw.
    draws: their number.
    rng: of the draws.
  """
  truth = np.asarray(accuracies)
  best = set(np.flatnonzero(truth == truth.max()).tolist())
  images = decision.Images('top1', np.zeros(count, int), np.zeros(count, int))
  rows = []
  for _ in range(draws):
    correct = draw_correct(accuracies, count, rng)
    decided = decision.decide(correct, images)
    tied, recommended = decided.tied, decided.recommended
    rows.append(
      (
        not best & set(tied),
        bool(best - set(tied)),
        len(tied),
        truth.max() - truth[recommended],
        truth.max() - truth[tied[0]],
        correct[recommended].mean() - truth[recommended],
      )
    )
  return Outcome(*np.mean(rows, axis=0).tolist())


def cross_validate(
  noises: Sequence[float], count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Draws images, and predicts each by classifiers without its fold.

  Args:
    noises: of the M networks.
    count: N images.
    rng: of the draw.

  Returns:
    Where networks are right, bool [M, N]; the folds, int [N]; the accuracy of
    each network's classifiers on new images [M].
  """
  total = count + _NUM_NEW
  # The same classes in every draw.
  means = np.random.default_rng(0).normal(size=(_NUM_CLASSES, _WIDTH))
  means *= _SEPARATION / np.sqrt(2 * _WIDTH)
  labels = np.arange(total) % _NUM_CLASSES
  folds = np.empty(count, int)
  by_class = np.lexsort((rng.random(count), labels[:count]))
  folds[by_class] = np.arange(count) % NUM_FOLDS
  shared = np.sqrt(_SHARED) * rng.standard_normal((total, _WIDTH))
  right = np.empty((len(noises), count), bool)
  accuracies = np.zeros(len(noises))
  for network, noise in enumerate(noises):
    own = np.sqrt(1 - _SHARED) * rng.standard_normal((total, _WIDTH))
    x = means[labels] + noise * (shared + own)
    for fold in range(NUM_FOLDS):
      fitted_on = np.flatnonzero(folds != fold)
      weights, biases = cross_validation_coverage.fit_ridge(
        x[fitted_on], labels[fitted_on], _NUM_CLASSES
      )
      correct = (x @ weights + biases).argmax(axis=1) == labels
      right[network, folds == fold] = correct[:count][folds == fold]
      accuracies[network] += correct[count:].mean() / NUM_FOLDS
  return right, folds, accuracies


def simulate_folds(
  noises: Sequence[float],
  count: int,
  draws: int,
  rng: np.random.Generator,
) -> tuple[Outcome, np.ndarray]:
  """Simulates verdicts of cross-validated classifiers on many draws.

  Args:
    noises: of the networks, from the cheapest to the most expensive; equal
      ones make equally good networks.
    count: images of a draw.
    draws: their number.
    rng: of the draws.

  Returns:
    The outcome, and the true accuracies [M]: means over draws, and over
    networks of one noise.
  """
  best = set(np.flatnonzero(np.asarray(noises) == min(noises)).tolist())
  labels = np.zeros(count, int)
  rows, chosen, accuracies = [], [], []
  for _ in range(draws):
    correct, folds, accuracy = cross_validate(noises, count, rng)
    images = decision.Images('top1', labels, folds)
    decided = decision.decide(correct, images)
    tied, recommended = decided.tied, decided.recommended
    rows.append((not best & set(tied), bool(best - set(tied)), len(tied)))
    chosen.append((recommended, tied[0], correct[recommended].mean()))
    accuracies.append(accuracy)
  truth = _average(accuracies, noises)
  recommended, cheapest, measured = zip(*chosen, strict=True)
  mean_truth = truth[list(recommended)].mean()
  return (
    Outcome(
      *np.mean(rows, axis=0).tolist(),
      float(truth.max() - mean_truth),
      float(truth.max() - truth[list(cheapest)].mean()),
      float(np.mean(measured) - mean_truth),
    ),
    truth,
  )


def _average(
  accuracies: Sequence[np.ndarray], noises: Sequence[float]
) -> np.ndarray:
  """Averages accuracies [M] over draws, and over networks of one noise."""
  truth = np.mean(accuracies, axis=0)
  for noise in set(noises):
    is_equal = np.asarray(noises) == noise
    truth[is_equal] = truth[is_equal].mean()
  return truth


@dataclasses.dataclass(frozen=True)
class Correction:
  """What is said of the recommended network's accuracy, on average.

  Attributes:
    optimism: by how much its accuracy on the images is above its true one.
    corrected: by how much the bootstrap of the choice is above the true one.
    coverage: how often the interval of the bootstrap holds the true one.
  """

  optimism: float
  corrected: float
  coverage: float


def simulate_correction(
  noises: Sequence[float], count: int, draws: int, rng: np.random.Generator
) -> Correction:
  """Simulates what the bootstrap of the choice says; as `simulate_folds`."""
  chosen, accuracies = [], []
  for _ in range(draws):
    correct, folds, accuracy = cross_validate(noises, count, rng)
    images = decision.Images('top1', np.zeros(count, int), folds)
    recommended = decision.decide(correct, images).recommended
    measured = decision.measure_choice(correct, images, None)
    chosen.append((recommended, correct[recommended].mean(), measured))
    accuracies.append(accuracy)
  truth = _average(accuracies, noises)
  rows = [
    (
      value - truth[recommended],
      measured.value - truth[recommended],
      measured.low <= truth[recommended] <= measured.high,
    )
    for recommended, value, measured in chosen
  ]
  return Correction(*np.mean(rows, axis=0).tolist())


def print_corrections() -> None:
  """Prints the table of the bootstrap of the choice."""
  rng = np.random.default_rng(1)
  print(
    '| networks | images | accuracy is too high by | bootstrap is too high by '
    '| its interval holds the truth |\n|---|---|---|---|---|'
  )
  for name, noises in FOLDED_FAMILIES.items():
    for count in CORRECTED_SIZES:
      outcome = simulate_correction(noises, count, CORRECTED_DRAWS, rng)
      print(
        f'| {name} | {count:,} | {_points(outcome.optimism, "+")} | '
        f'{_points(outcome.corrected, "+")} | {outcome.coverage:.0%} |',
        flush=True,
      )


def print_folds() -> None:
  """Prints the table of cross-validated classifiers."""
  rng = np.random.default_rng(0)
  print(
    '| networks | images | true accuracies | best missed | '
    'a best called worse | tied | recommended is below the best by | '
    'cheapest of the tied is below by | optimism |\n'
    '|---|---|---|---|---|---|---|---|---|'
  )
  for name, noises in FOLDED_FAMILIES.items():
    for count in FOLDED_SIZES:
      outcome, truth = simulate_folds(noises, count, DRAWS, rng)
      values = ', '.join(f'{value:.1%}' for value in np.unique(truth))
      print(
        f'| {name} | {count:,} | {values} | {outcome.missed:.1%} | '
        f'{outcome.called_worse:.1%} | {outcome.tied:.1f} | '
        f'{_points(outcome.loss)} | {_points(outcome.loss_of_cheapest)} | '
        f'{_points(outcome.optimism, "+")} |',
        flush=True,
      )


def _points(share: float, sign: str = '') -> str:
  """Formats a difference of two shares as '1.2 points'."""
  points = round(100 * share, 1)
  return f'{points:{sign if points else ""}.1f} points'.replace('-0.0', '0.0')


def main() -> None:
  """Prints the tables."""
  rng = np.random.default_rng(0)
  print(
    '| networks | images | best missed | a best called worse | tied | '
    'recommended is below the best by | cheapest of the tied is below by | '
    'optimism |\n|---|---|---|---|---|---|---|---|'
  )
  for name, accuracies in FAMILIES.items():
    for count in SIZES:
      outcome = simulate(accuracies, count, DRAWS, rng)
      print(
        f'| {name} | {count:,} | {outcome.missed:.1%} | '
        f'{outcome.called_worse:.1%} | {outcome.tied:.1f} | '
        f'{_points(outcome.loss)} | {_points(outcome.loss_of_cheapest)} | '
        f'{_points(outcome.optimism, "+")} |',
        flush=True,
      )
  print()
  print_folds()
  print()
  print_corrections()


if __name__ == '__main__':
  main()
