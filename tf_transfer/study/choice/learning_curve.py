"""Computes accuracy as a function of the number of training images.

Each classifier is fitted on a part of the images outside of one fold, and
evaluated on that fold. The parts are nested: of each class the examples with
the lowest numbers of a draw. A curve is fitted to the errors, a + b n^-c with
a, b >= 0, and its interval is from resampled images.

In a simulation of power laws (a of 0 to 0.3, c of 0.25 to 0.8; 60 runs each)
the 95 % interval at twice and at four times the images held the truth in 90 to
100 % of the runs with 400 images and in 87 to 100 % with 2,000. With 100 images
it was 85 to 97 %: there steep curves are not seen to flatten.
"""

import dataclasses
from collections.abc import Callable, Sequence

import ml_collections
import numpy as np

from tf_transfer.datasets import splits
from tf_transfer.study.choice.types import LearningCurve, LearningPoint
from tf_transfer.transfer import metrics
from tf_transfer.transfer.fixed_features import classifiers

# The shares of the images that can be fitted on, and the draws of each in each
# fold.
_SHARES = ((1 / 8, 2), (1 / 4, 2), (1 / 2, 1), (1.0, 1))
# The exponent is in this range. Learning curves of classifiers mostly have one
# near a half (Hestness et al. 2017, arXiv 1712.00409, section 1: 0.07 to 0.35
# for large networks, 0.5 and above in theory): that is what the fit expects
# where four points cannot tell.
_EXPONENTS = np.linspace(0.1, 1.5, 29)
_EXPECTED_EXPONENT, _EXPONENT_SPREAD = 0.5, 0.3
_MAX_FACTOR = 4  # The curve is continued to so many times the images.
_NUM_RESAMPLES = 500
_NUM_EXAMPLES = 25  # where the fitted curve is evaluated
_MIN_POINTS = 3  # of a fit
_NO_GAIN = 0.005  # a gain below this is called none


@dataclasses.dataclass(frozen=True, eq=False)
class _Fits:
  """Where the classifiers of one share were right.

  Attributes:
    examples: that each was fitted on, on average.
    positions: int [M], the images that were predicted.
    scores: float [M], the score of each; the mean is the metric.
    draws: int [M], the draw that each belongs to.
    accuracies: of each draw.
  """

  examples: int
  positions: np.ndarray
  scores: np.ndarray
  draws: np.ndarray
  accuracies: tuple[float, ...]


def compute(
  network: str,
  values: np.ndarray,
  labels: np.ndarray,
  digests: np.ndarray,
  groups: np.ndarray | None,
  folds: np.ndarray,
  num_classes: int,
  metric: str,
  setting: str,
  hyperparameter: float,
  config: ml_collections.ConfigDict,
  *,
  held_out: Sequence[int] | None = None,
  seed: int = 0,
  progress: Callable[[int], None] = lambda num_done: None,
) -> LearningCurve:
  """Computes the learning curve of a classifier on a network's features.

  The hyperparameter is that of all images, and the same for every part: a
  penalty against the sum of the losses weighs less the more images there are.

  Args:
    network: the name of the network.
    values: float32 [N, D], its features.
    labels: int [N].
    digests: uint8 [N, 32], which the draws depend on.
    groups: int [N], of near-duplicates; or None.
    folds: int [N], two folds or more.
    num_classes: C.
    metric: 'top1' or 'mean_per_class'.
    setting: a name in `classifiers.CLASSIFIERS`.
    hyperparameter: of the classifier.
    config: the classifier's fields.
    held_out: the folds to evaluate on; None: all.
    seed: of the draws.
    progress: is called with the number of fits that are done.
  """
  fold_numbers = np.unique(folds) if held_out is None else np.array(held_out)
  fit_one = _Fit(values, labels, num_classes, setting, hyperparameter, config)
  fits, num_done = [], 0
  for share, num_draws in _SHARES:
    parts = []
    for draw in range(num_draws):
      numbers = splits.uniform_numbers(digests, seed + draw)
      for fold in fold_numbers.tolist():
        part = _select_part(numbers, labels, folds, fold, fold_numbers, share)
        own = np.flatnonzero(folds == fold)
        parts.append((part, own, fit_one.predict(part, own)))
        num_done += 1
        progress(num_done)
    if all(len(np.unique(labels[part])) >= 2 for part, _, _ in parts):
      summary = _summarize(parts, labels, metric, len(fold_numbers))
      # Of few images several shares can be the same.
      if not fits or summary.examples > fits[-1].examples:
        fits.append(summary)
  return _build(network, fits, labels, groups, len(labels))


def num_fits(num_folds: int) -> int:
  """Returns how many classifiers `compute` fits."""
  return num_folds * sum(num_draws for _, num_draws in _SHARES)


def _select_part(
  numbers: np.ndarray,
  labels: np.ndarray,
  folds: np.ndarray,
  fold: int,
  fold_numbers: np.ndarray,
  share: float,
) -> np.ndarray:
  """Selects a share of each class outside of a fold; int positions.

  One example at least is selected of each class. A share below 1 has the same
  number of examples whichever fold is left out, so that one compiled program
  fits them all.
  """
  part = []
  for label in np.unique(labels[folds != fold]):
    members = np.flatnonzero((folds != fold) & (labels == label))
    if share < 1:
      own = folds[labels == label]
      fewest = min(np.sum(own != number) for number in fold_numbers)
      count = max(1, round(share * int(fewest)))
      members = members[np.argsort(numbers[members], kind='stable')[:count]]
    part.append(members)
  return np.sort(np.concatenate(part))


@dataclasses.dataclass(frozen=True, eq=False)
class _Fit:
  """Fits a classifier on some examples; attributes as in `compute`."""

  values: np.ndarray
  labels: np.ndarray
  num_classes: int
  setting: str
  hyperparameter: float
  config: ml_collections.ConfigDict

  def predict(self, part: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Returns the classes predicted for `own` of a fit on `part`: int [M]."""
    present, inverse = np.unique(self.labels[part], return_inverse=True)
    if len(present) < 2:
      return np.full(len(own), present[0])
    fitted = classifiers.CLASSIFIERS[self.setting].fit(
      self.values[part],
      inverse.astype(np.int32),
      np.array([self.hyperparameter]),
      self.config,
      len(present),
    )
    return present[next(fitted.scores(self.values[own])).argmax(axis=1)]


def _summarize(
  parts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
  labels: np.ndarray,
  metric: str,
  num_folds: int,
) -> _Fits:
  """Summarizes the fits of one share; a draw has one in each fold."""
  positions, scores, draws, accuracies = [], [], [], []
  for start in range(0, len(parts), num_folds):
    of_draw = parts[start : start + num_folds]
    own = np.concatenate([tested for _, tested, _ in of_draw])
    predicted = np.concatenate([classes for _, _, classes in of_draw])
    right = predicted == labels[own]
    weights = metrics.example_scores(metric, labels[own], np.ones(len(own)))
    positions.append(own)
    scores.append(right * weights * len(own))
    draws.append(np.full(len(own), start // num_folds))
    accuracies.append(float(np.sum(right * weights)))
  return _Fits(
    round(float(np.mean([len(part) for part, _, _ in parts]))),
    np.concatenate(positions),
    np.concatenate(scores),
    np.concatenate(draws),
    tuple(accuracies),
  )


def _build(
  network: str,
  fits: Sequence[_Fits],
  labels: np.ndarray,
  groups: np.ndarray | None,
  count: int,
) -> LearningCurve:
  """Fits the curve, and says what more images would bring.

  Args:
    network: its name.
    fits: of each share, ascending.
    labels: int [N].
    groups: int [N] or None.
    count: N, the images that the final classifier is fitted on.
  """
  points = tuple(LearningPoint(fit.examples, fit.accuracies) for fit in fits)
  sizes = np.array([fit.examples for fit in fits], float)
  if len(sizes) < _MIN_POINTS:
    empty = np.zeros(0)
    line = (
      'Too few images for a learning curve: it takes '
      f'{_MIN_POINTS} sizes, and {len(points)} could be tried.'
    )
    return LearningCurve(network, points, empty, empty, empty, empty, (line,))
  resampled = _resample(fits, labels, groups)
  errors = 1 - np.array([np.mean(fit.scores) for fit in fits])
  weights = 1 / np.maximum(resampled.var(axis=0), 1e-6)
  grid = np.geomspace(sizes[0], _MAX_FACTOR * count, _NUM_EXAMPLES)
  grid = np.unique([*grid.round(), *sizes, count, 2 * count, 4 * count])
  # The first row is the fit, the others its resamples.
  # What is expected of the exponent is drawn anew with each resample: the
  # interval is then as wide as the points and that expectation leave open.
  rng = np.random.default_rng(0)
  expected = rng.normal(_EXPECTED_EXPONENT, _EXPONENT_SPREAD, len(resampled))
  curves = 1 - _fit_curves(
    sizes,
    np.vstack([errors, resampled]),
    weights,
    np.array([_EXPECTED_EXPONENT, *expected]),
    grid,
  )
  low, high = np.percentile(curves[1:], [2.5, 97.5], axis=0)
  # The resampled curves are around the fitted one, up to their bias.
  low, high = np.minimum(low, curves[0]), np.maximum(high, curves[0])
  lines = _say(grid, curves, low, high, count)
  return LearningCurve(network, points, grid, curves[0], low, high, lines)


def _resample(
  fits: Sequence[_Fits], labels: np.ndarray, groups: np.ndarray | None
) -> np.ndarray:
  """Resamples images, near-duplicates together, and draws: errors [B, S]."""
  rng = np.random.default_rng(0)
  units = np.arange(len(labels)) if groups is None else groups
  _, unit_of = np.unique(units, return_inverse=True)
  num_units = int(unit_of.max()) + 1
  errors = np.empty((_NUM_RESAMPLES, len(fits)))
  for row in errors:
    times = rng.multinomial(num_units, np.full(num_units, 1 / num_units))
    times = times[unit_of]
    for i, fit in enumerate(fits):
      num_draws = int(fit.draws.max()) + 1
      of_draw = rng.multinomial(num_draws, np.full(num_draws, 1 / num_draws))
      weights = times[fit.positions] * of_draw[fit.draws]
      row[i] = 1 - np.sum(weights * fit.scores) / max(np.sum(weights), 1)
  return errors


def _fit_curves(
  sizes: np.ndarray,
  errors: np.ndarray,
  weights: np.ndarray,
  expected: np.ndarray,
  grid: np.ndarray,
) -> np.ndarray:
  """Fits a + b n^-c to each row of errors, by weighted least squares.

  Args:
    sizes: [S], n.
    errors: [B, S].
    weights: [S], one over the variance of each error.
    expected: [B], the exponent that is expected of each.
    grid: [K], where the curves are evaluated.

  Returns:
    [B, K], errors in 0 to 1.
  """
  best = np.full(len(errors), np.inf)
  curves = np.zeros((len(errors), len(grid)))
  for exponent in _EXPONENTS:
    x = sizes**-exponent
    intercept, slope = _nonnegative_line(x, errors, weights)
    fitted = intercept[:, None] + slope[:, None] * x
    loss = np.sum(weights * (fitted - errors) ** 2, axis=1)
    loss += ((exponent - expected) / _EXPONENT_SPREAD) ** 2
    better = loss < best
    best[better] = loss[better]
    curve = intercept[:, None] + slope[:, None] * grid**-exponent
    curves[better] = curve[better]
  return np.clip(curves, 0, 1)


def _nonnegative_line(
  x: np.ndarray, y: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Fits y [B, S] by a + b x, a and b not negative: a [B], b [B]."""
  total = weights.sum()
  mean_x, mean_y = weights @ x / total, y @ weights / total
  spread = weights @ (x - mean_x) ** 2
  slope = ((y - mean_y[:, None]) * (x - mean_x)) @ weights / spread
  intercept = mean_y - slope * mean_x
  # On the border one of the two is 0. A negative slope is the flat line.
  through_zero = (y * x) @ weights / (weights @ x**2)
  slope = np.where(intercept < 0, through_zero, slope)
  intercept = np.maximum(intercept, 0)
  flat = slope < 0
  return np.where(flat, mean_y, intercept), np.where(flat, 0, slope)


def _say(
  grid: np.ndarray,
  curves: np.ndarray,
  low: np.ndarray,
  high: np.ndarray,
  count: int,
) -> tuple[str, ...]:
  """Says what twice and four times as many images would bring."""
  now = int(np.searchsorted(grid, count))
  lines = []
  for factor, words in ((2, 'twice'), (4, 'four times')):
    later = int(np.searchsorted(grid, factor * count))
    gain = np.percentile(curves[1:, later] - curves[1:, now], 2.5)
    lines.append(
      f'With {words} as many images ({factor * count:,}) the fitted curve '
      f'gives {100 * curves[0, later]:.1f} % ({100 * low[later]:.1f} to '
      f'{100 * high[later]:.1f} %); with the {count:,} of now '
      f'{100 * curves[0, now]:.1f} %.'
      + (
        ''
        if gain > _NO_GAIN
        else ' The images do not tell this from no gain at all.'
      )
    )
  return tuple(lines)
