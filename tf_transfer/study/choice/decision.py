"""Decides which networks are tied with the best, and which one to recommend.

A pure function of where networks are right. The best has the highest accuracy.
Each other network is tested against it on the same images. Which one is best is
known from these images too: among equal networks the luckiest is taken, and is
ahead of the unluckiest by more than two chosen beforehand would be. So the
p-values are adjusted (Holm) for all pairs of networks, not for those with the
best alone; benchmarks/verdict.py shows the difference. Networks that the test
does not tell from the best are tied with it.

With few images, networks that are far worse are tied too. So the cheapest of
the tied is recommended only if its accuracy is within one standard error of the
best: the one-standard-error rule (Breiman, Friedman, Olshen and Stone 1984,
section 3.4.3), with the standard error of the paired difference.
"""

import dataclasses

import numpy as np
import scipy.special

from tf_transfer.study.analysis import paired_tests
from tf_transfer.transfer import cross_validation, metrics

LEVEL = 0.05  # of the tests, all of them together
_ROUNDING = 1e-12  # Accuracies that differ by less are equal.
_RESAMPLES = 500  # of the bootstrap


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
  """The images that a choice is made on.

  Attributes:
    metric: of the dataset: 'top1' or 'mean_per_class'.
    labels: int [N].
    folds: int [N]; all 0 without cross-validation.
  """

  metric: str
  labels: np.ndarray
  folds: np.ndarray

  @property
  def have_folds(self) -> bool:
    """Whether the images are predicted by cross-validation."""
    return bool(np.any(self.folds != self.folds[0]))

  @property
  def variance_factor(self) -> float:
    """By how much cross-validation raises the variance of an accuracy."""
    if not self.have_folds:
      return 1.0
    return cross_validation.variance_factor(self.folds)

  @property
  def weights(self) -> np.ndarray:
    """How much each image counts in the metric: float [N], of sum 1."""
    return metrics.example_scores(
      self.metric, self.labels, np.ones(len(self.labels))
    )

  def select(self, positions: np.ndarray) -> 'Images':
    """Returns the images at int [K] positions, which may repeat."""
    return Images(self.metric, self.labels[positions], self.folds[positions])


@dataclasses.dataclass(frozen=True, eq=False)
class Decision:
  """What is decided among M networks, by their positions.

  Attributes:
    best: the most accurate.
    recommended: the cheapest of the tied whose accuracy is within one standard
      error of that of the best.
    tied: the networks that the test does not tell from the best, and the best,
      from the cheapest to the most expensive.
    p_values: float [M], adjusted; 1 for the best.
    differences: float [M], by how much each is less accurate than the best.
    standard_errors: float [M], of these differences.
    level: the unadjusted p at which one more pair of networks would be told
      apart.
  """

  best: int
  recommended: int
  tied: tuple[int, ...]
  p_values: np.ndarray
  differences: np.ndarray
  standard_errors: np.ndarray
  level: float


@dataclasses.dataclass(frozen=True, eq=False)
class Pairs:
  """Compares each two of M networks.

  Attributes:
    values: float [M], the accuracy of each network.
    standard_errors: float [M, M], of the difference of two accuracies: under
      the hypothesis of the test, that each image on which one network alone is
      right might as well be the other's. They are 0 for networks that are right
      on the same images.
    p_values: float [M, M], that two networks do equally well; not adjusted.
  """

  values: np.ndarray
  standard_errors: np.ndarray
  p_values: np.ndarray


def compare(correct: np.ndarray, images: Images) -> Pairs:
  """Compares each two networks: `paired_tests.compare`, for all at once.

  With folds it is `cross_validation.paired_p`.

  Args:
    correct: bool [M, N], where each network is right.
    images: the N images.
  """
  weights = images.weights
  right = correct.astype(float)
  both = right @ right.T
  only_first = np.diag(both)[:, None] - both
  # Numbers of images, without rounding errors.
  num_differing = only_first + only_first.T
  if images.metric == 'top1':
    values = np.diag(both) / len(weights)
    squares = num_differing / len(weights) ** 2
  else:
    values = right @ weights
    both = (right * weights**2) @ right.T
    squares = np.diag(both)[:, None] + np.diag(both) - 2 * both
    squares[num_differing == 0] = 0
  standard_errors = np.sqrt(images.variance_factor * np.maximum(squares, 0))
  if images.have_folds:
    differences = np.abs(values[:, None] - values)
    z = np.divide(
      differences,
      standard_errors,
      out=np.zeros_like(differences),
      where=standard_errors > 0,
    )
    p_values = 2 * scipy.special.ndtr(-z)
  elif images.metric == 'top1':
    p_values = _mcnemar(only_first, num_differing)
  else:
    p_values = _permutation_tests(correct, images)
  return Pairs(values, standard_errors, p_values)


def _mcnemar(only_first: np.ndarray, num_differing: np.ndarray) -> np.ndarray:
  """Returns McNemar's exact two-sided p of each pair.

  Args:
    only_first: on how many images the first network alone is right.
    num_differing: on how many images one of the two alone is right.
  """
  fewer = np.minimum(only_first, num_differing - only_first)
  num_differing = num_differing.astype(np.int64)
  return np.minimum(1, 2 * scipy.special.bdtr(fewer, num_differing, 0.5))


def _permutation_tests(correct: np.ndarray, images: Images) -> np.ndarray:
  """Returns the p of the permutation test of each pair, [M, M]."""
  p_values = np.ones((len(correct), len(correct)))
  for i, j in zip(*np.triu_indices(len(correct), 1), strict=True):
    p_values[i, j] = p_values[j, i] = paired_tests.compare(
      images.metric, images.labels, correct[i], correct[j]
    )
  return p_values


def decide(correct: np.ndarray, images: Images) -> Decision:
  """Decides among networks by their right and wrong predictions.

  Args:
    correct: bool [M, N], the networks from the cheapest to the most expensive.
      Of equal networks the cheapest counts as the best.
    images: the N images.
  """
  pairs = compare(correct, images)
  # The first of those that are equal up to rounding.
  best = int(np.argmax(pairs.values >= pairs.values.max() - _ROUNDING))
  upper = np.triu_indices(len(correct), 1)
  adjusted = paired_tests.holm(pairs.p_values[upper])
  p_values = np.ones((len(correct), len(correct)))
  p_values[upper] = p_values.T[upper] = adjusted
  differences = pairs.values[best] - pairs.values
  standard_errors = pairs.standard_errors[best]
  is_tied = p_values[best] > LEVEL
  is_near = differences <= standard_errors + _ROUNDING
  num_told_apart = int(np.sum(adjusted <= LEVEL))
  return Decision(
    best=best,
    recommended=int(np.argmax(is_tied & is_near)),
    tied=tuple(np.flatnonzero(is_tied).tolist()),
    p_values=p_values[best],
    differences=differences,
    standard_errors=standard_errors,
    level=LEVEL / max(1, len(adjusted) - num_told_apart),
  )


def visible_difference(standard_error: float, level: float = LEVEL) -> float:
  """Returns the smallest difference of two accuracies that a test can see.

  It is the difference at which one test of two networks, which differ on as
  many images as they do, gives p = level.

  Args:
    standard_error: of the difference.
    level: `Decision.level` where they are two of several networks.
  """
  return -float(scipy.special.ndtri(level / 2)) * standard_error


def measure_choice(
  correct: np.ndarray, images: Images, groups: np.ndarray | None
) -> metrics.Measurement | None:
  """Measures the choice itself, without the winner's luck.

  The images are resampled with replacement; a network is recommended on each
  resample, and measured on the images that the resample has left out (BBC-CV,
  Tsamardinos et al., Machine Learning 107, 2018). The images of a group are
  drawn together, so that no near-duplicate of a drawn image is left out. The
  value is the mean over resamples, the interval their percentiles.

  Args:
    correct: bool [M, N], the networks from the cheapest to the most expensive.
    images: the N images.
    groups: int [N], the same for images that are drawn together; None draws
      each alone.

  Returns:
    The measurement; None where the groups are too few, so that no resample of
    two folds leaves images out.
  """
  rng = np.random.default_rng(0)
  count = len(images.labels)
  _, group_of = np.unique(
    np.arange(count) if groups is None else groups, return_inverse=True
  )
  num_groups = int(group_of.max()) + 1
  values = []
  for _ in range(_RESAMPLES):
    drawn = rng.integers(0, num_groups, num_groups)
    times = np.bincount(drawn, minlength=num_groups)[group_of]
    sample = np.repeat(np.arange(count), times)
    left_out = np.flatnonzero(times == 0)
    resampled = images.select(sample)
    if not len(left_out) or (images.have_folds and not resampled.have_folds):
      continue
    chosen = decide(correct[:, sample], resampled).recommended
    weights = images.select(left_out).weights
    values.append(float(correct[chosen, left_out] @ weights))
  if not values:
    return None
  low, high = np.percentile(values, [2.5, 97.5])
  return metrics.Measurement(
    float(np.mean(values)), float(low), float(high), count
  )
