"""Simulates verdicts of the job choose among networks of known accuracy.

  python -m benchmarks.verdict

Whether a network is right on an image depends on how hard the image is, which
all networks share, and on chance: a normal variable with correlation RHO
between networks, cut where the network has its accuracy. At 90 % two networks
then differ on 7 % of the images. The images are independent of those that the
classifiers were fitted on, as in a choice on val. Prints the table of
docs/choose.md.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.special

from tf_transfer.study.choice import verdict

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
    optimism: by how much the recommended network's accuracy on the images is
      above its true one, on average.
  """

  missed: float
  called_worse: float
  tied: float
  loss: float
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
  images = verdict.Images('top1', np.zeros(count, int), np.zeros(count, int))
  rows = []
  for _ in range(draws):
    correct = draw_correct(accuracies, count, rng)
    tied = verdict.decide(correct, images).tied
    rows.append(
      (
        not best & set(tied),
        bool(best - set(tied)),
        len(tied),
        truth.max() - truth[tied[0]],
        correct[tied[0]].mean() - truth[tied[0]],
      )
    )
  return Outcome(*np.mean(rows, axis=0).tolist())


def main() -> None:
  """Prints the table."""
  rng = np.random.default_rng(0)
  print(
    '| networks | images | best missed | a best called worse | tied | '
    'recommended is below the best by | optimism |\n'
    '|---|---|---|---|---|---|---|'
  )
  for name, accuracies in FAMILIES.items():
    for count in SIZES:
      outcome = simulate(accuracies, count, DRAWS, rng)
      print(
        f'| {name} | {count:,} | {outcome.missed:.1%} | '
        f'{outcome.called_worse:.1%} | {outcome.tied:.1f} | '
        f'{100 * outcome.loss:.1f} points | '
        f'{100 * outcome.optimism:+.1f} points |',
        flush=True,
      )


if __name__ == '__main__':
  main()
