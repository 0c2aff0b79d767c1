"""Decides which network to take: the cheapest of those tied with the best.

A pure function of the candidates' predictions. The best has the highest
accuracy. Each other network is tested against it on the same images. Which one
is best is known from these images too: among equal networks the luckiest is
taken, and is ahead of the unluckiest by more than two chosen beforehand would
be. So the p-values are adjusted (Holm) for all pairs of networks, not for those
with the best alone; benchmarks/verdict.py shows the difference. Networks that
the test does not tell from the best are tied with it.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.special

from tf_transfer.runtime.units import counted
from tf_transfer.study.analysis import paired_tests
from tf_transfer.study.choice import types
from tf_transfer.transfer import cross_validation, metrics

# A network that reaches this share of another's speed is called as fast.
_SAME_SPEED = 0.9
_LEVEL = 0.05  # of the tests, all of them together
_RESAMPLES = 500  # of the bootstrap


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
  """The images that a choice is made on.

  Attributes:
    metric: of the dataset.
    labels: int [N].
    folds: int [N]; all 0 without cross-validation.
  """

  metric: str
  labels: np.ndarray
  folds: np.ndarray

  @property
  def variance_factor(self) -> float:
    """By how much cross-validation raises the variance of an accuracy."""
    if len(np.unique(self.folds)) < 2:
      return 1.0
    return cross_validation.variance_factor(self.folds)

  def value(self, correct: np.ndarray) -> float:
    """Returns the accuracy where bool [N] says which images are right."""
    return float(
      metrics.example_scores(self.metric, self.labels, correct).sum()
    )

  def p_value(self, first: np.ndarray, second: np.ndarray) -> float:
    """Returns the p that two networks do equally well.

    Args:
      first: bool [N], where the first network is right.
      second: bool [N].
    """
    if len(np.unique(self.folds)) < 2:
      return paired_tests.compare(self.metric, self.labels, first, second)
    return cross_validation.paired_p(
      self.metric, self.labels, first, second, self.folds
    )

  def select(self, positions: np.ndarray) -> 'Images':
    """Returns the images at int [K] positions, which may repeat."""
    return Images(self.metric, self.labels[positions], self.folds[positions])


@dataclasses.dataclass(frozen=True)
class Decision:
  """What tests decide of M networks, by their positions.

  Attributes:
    best: the most accurate.
    p_values: float [M], adjusted; 1 for the best.
    tied: from the cheapest to the most expensive.
    level: the unadjusted p at which one more pair of networks would be told
      apart.
  """

  best: int
  p_values: np.ndarray
  tied: tuple[int, ...]
  level: float


def decide(correct: np.ndarray, images: Images) -> Decision:
  """Decides among networks by their right and wrong predictions.

  Args:
    correct: bool [M, N], the networks from the cheapest to the most expensive.
      Of equal networks the cheapest counts as the best.
    images: the N images.
  """
  values = np.array([images.value(row) for row in correct])
  # Equal accuracies can differ in rounding.
  best = int(np.argmax(np.round(values, 12)))
  pairs = list(itertools.combinations(range(len(correct)), 2))
  adjusted = paired_tests.holm(
    [images.p_value(correct[i], correct[j]) for i, j in pairs]
  )
  p_values = np.ones(len(correct))
  for (i, j), p in zip(pairs, adjusted, strict=True):
    if best in (i, j):
      p_values[i + j - best] = p
  tied = tuple(np.flatnonzero(p_values > _LEVEL).tolist())
  told_apart = int(np.sum(adjusted <= _LEVEL))
  level = _LEVEL / max(1, len(pairs) - told_apart)
  return Decision(best, p_values, tied, level)


def visible_difference(
  first: np.ndarray,
  second: np.ndarray,
  images: Images,
  level: float = _LEVEL,
) -> float:
  """Returns the smallest difference of two accuracies that a test can see.

  It is the difference at which one test of these two networks, which differ on
  as many images as they do, gives p = level.

  Args:
    first: bool [N], where the first network is right.
    second: bool [N].
    images: the N images.
    level: `Decision.level` where they are two of several networks.
  """
  weights = metrics.example_scores(
    images.metric, images.labels, first
  ) - metrics.example_scores(images.metric, images.labels, second)
  quantile = -float(scipy.special.ndtri(level / 2))
  variance = images.variance_factor * float(np.sum(weights**2))
  return quantile * math.sqrt(variance)


def by_cost(candidates: Sequence[types.Candidate]) -> list[types.Candidate]:
  """Sorts networks from the cheapest to the most expensive.

  The cheapest is the fastest in the larger batch. Of those within a tenth of
  its speed, which another measurement may order otherwise, it is the one with
  the fewest operations, then the fewest parameters.
  """
  rest, ordered = list(candidates), []
  while rest:
    least = _SAME_SPEED * max(map(speed, rest))
    cheapest = min(
      (one for one in rest if speed(one) >= least),
      key=_cost_key,
    )
    rest.remove(cheapest)
    ordered.append(cheapest)
  return ordered


def _cost_key(candidate: types.Candidate) -> tuple[float, float, str]:
  """Returns what orders networks that are as fast; the unknown comes last."""
  flops, parameters = candidate.cost.flops, candidate.cost.parameters
  return (
    math.inf if math.isnan(flops) else flops,
    parameters or math.inf,
    candidate.network,
  )


def speed(candidate: types.Candidate) -> float:
  """Returns the images per second in the larger batch."""
  speeds = candidate.cost.images_per_second
  return speeds[max(speeds)]


def reach(
  candidates: Sequence[types.Candidate], images: Images
) -> types.Verdict:
  """Reaches the verdict.

  Args:
    candidates: one or more, in any order.
    images: the images that they predict.
  """
  ordered = by_cost(candidates)
  correct = np.array([one.predictions == images.labels for one in ordered])
  decision = decide(correct, images)
  names = [one.network for one in ordered]
  recommended = decision.tied[0]
  return types.Verdict(
    best=names[decision.best],
    p_values={
      name: float(p)
      for i, (name, p) in enumerate(zip(names, decision.p_values, strict=True))
      if i != decision.best
    },
    tied=tuple(names[i] for i in decision.tied),
    recommended=names[recommended],
    lines=(
      f'Take {ordered[recommended].title}.',
      _accuracy(ordered[recommended], images),
      *_comparison(ordered, correct, decision, images),
    ),
  )


def percent(value: float) -> str:
  """Formats a share as '89.3 %'."""
  return f'{100 * value:.1f} %'


def interval(measured: metrics.Measurement) -> str:
  """Formats a measurement as '89.3 % (86.1 to 91.8 %)'."""
  low, high = 100 * measured.low, 100 * measured.high
  return f'{percent(measured.value)} ({low:.1f} to {high:.1f} %)'


def _accuracy(candidate: types.Candidate, images: Images) -> str:
  """Says how accurate the recommended network is, and on what."""
  on = (
    f'On {counted(len(images.labels), "image")} that its classifier was not '
    'fitted on'
  )
  value = interval(candidate.accuracy)
  if images.metric == 'top1':
    return f'{on} it is right for {value}.'
  return f'{on} it is right for {value}, as the mean over classes.'


def _comparison(
  ordered: Sequence[types.Candidate],
  correct: np.ndarray,
  decision: Decision,
  images: Images,
) -> list[str]:
  """Says how the recommended network stands beside the others."""
  if len(ordered) == 1:
    return ['It is the only network that was tried: nothing is compared.']
  best, recommended = decision.best, decision.tied[0]
  lines = []
  if len(decision.tied) == 1:
    lines.append(_clear_winner(ordered, decision))
  else:
    lines.append(_tie(ordered, correct, decision, images))
  others = len(ordered) - len(decision.tied)
  if len(decision.tied) > 1 and others:
    are = 'is' if others == 1 else 'are'
    lines.append(
      f'{counted(others, "other network")} {are} less accurate than the best '
      f'({_largest_p(decision)}).'
    )
  if recommended != best:
    lines.append(_gain(ordered[recommended], ordered[best]))
  return lines


def _clear_winner(
  ordered: Sequence[types.Candidate], decision: Decision
) -> str:
  """Says that one network is better than all others."""
  others = len(ordered) - 1
  each = 'the other network' if others == 1 else f'each of the {others} others'
  return (
    f'It is the most accurate, and the test tells it from {each} '
    f'({_largest_p(decision)}).'
  )


def _largest_p(decision: Decision) -> str:
  """Names the largest p-value of the networks that are not tied."""
  return p_text(max(p for p in decision.p_values if p <= _LEVEL))


def p_text(p: float) -> str:
  """Formats a p-value as 'p = 0.4' or 'p < 0.001'."""
  return 'p < 0.001' if p < 0.001 else f'p = {p:.2g}'


def _tie(
  ordered: Sequence[types.Candidate],
  correct: np.ndarray,
  decision: Decision,
  images: Images,
) -> str:
  """Says which networks the test does not tell apart, and what it can see."""
  best, recommended = decision.best, decision.tied[0]
  if recommended == best:
    other = max(
      (i for i in decision.tied if i != best),
      key=lambda i: images.value(correct[i]),
    )
    tied = len(decision.tied) - 1
    begin = (
      'It is the most accurate, and the cheapest of those that the test does '
      f'not tell from it: {_names(ordered, decision.tied[1:])} '
      f'({"p" if tied == 1 else "the smallest p"} = '
      f'{min(decision.p_values[i] for i in decision.tied if i != best):.2g})'
    )
  else:
    other = recommended
    begin = (
      f'{ordered[best].title} is best with '
      f'{percent(ordered[best].accuracy.value)}, and the test does not tell '
      f'them apart ({p_text(decision.p_values[recommended])})'
    )
    if len(decision.tied) > 2:
      begin += f'; tied are {_names(ordered, decision.tied)}'
  seen = 100 * visible_difference(
    correct[best], correct[other], images, decision.level
  )
  if seen == 0:
    return f'{begin}: they are right on the same images.'
  return (
    f'{begin}: a difference below {seen:.1f} points between them cannot be '
    f'seen with {counted(len(images.labels), "image")}.'
  )


def _names(ordered: Sequence[types.Candidate], positions: Sequence[int]) -> str:
  """Lists networks as 'A, B and C'."""
  titles = [ordered[i].title for i in positions]
  if len(titles) == 1:
    return titles[0]
  return f'{", ".join(titles[:-1])} and {titles[-1]}'


def _gain(recommended: types.Candidate, best: types.Candidate) -> str:
  """Says what the recommended network saves beside the best."""
  ratio = speed(recommended) / speed(best)
  end = f'Where accuracy counts more than cost, take {best.title}.'
  numbers = best.cost.parameters, recommended.cost.parameters
  if not all(numbers):
    if ratio < 1.05:
      return f'{recommended.title} is about as fast. {end}'
    return f'{recommended.title} is {ratio:.1f} times as fast. {end}'
  smaller = numbers[0] / numbers[1]
  size = f'has {smaller:.1f} times fewer parameters'
  if smaller < 1.05:
    size = 'has about as many parameters'
  if ratio < 1.05:
    return f'{recommended.title} is about as fast, and {size}. {end}'
  return f'{recommended.title} is {ratio:.1f} times as fast, and {size}. {end}'


def corrected(
  candidates: Sequence[types.Candidate], images: Images
) -> metrics.Measurement:
  """Measures the choice itself, without the winner's luck.

  The images are resampled with replacement; a network is recommended on each
  resample, and measured on the images that the resample has left out (BBC-CV,
  Tsamardinos et al., Machine Learning 107, 2018). The value is the mean over
  resamples, the interval their percentiles.

  Args:
    candidates: that the choice is among.
    images: that they predict.
  """
  ordered = by_cost(candidates)
  correct = np.array([one.predictions == images.labels for one in ordered])
  rng = np.random.default_rng(0)
  count = len(images.labels)
  values = []
  for _ in range(_RESAMPLES):
    drawn = rng.integers(0, count, count)
    left = np.setdiff1d(np.arange(count), drawn)
    sample = images.select(drawn)
    if not len(left) or (
      len(np.unique(images.folds)) > 1 and len(np.unique(sample.folds)) < 2
    ):
      continue
    chosen = decide(correct[:, drawn], sample).tied[0]
    values.append(images.select(left).value(correct[chosen, left]))
  low, high = np.percentile(values, [2.5, 97.5])
  return metrics.Measurement(
    float(np.mean(values)), float(low), float(high), count
  )


def add_test(
  verdict: types.Verdict, test: metrics.Measurement, name: str
) -> types.Verdict:
  """Returns the verdict with the accuracy on images kept aside."""
  return _with_line(
    verdict,
    f'On {counted(test.examples, "image")} kept aside ({name}), which no '
    f'choice has looked at, it is right for {interval(test)}.',
  )


def add_correction(
  verdict: types.Verdict, measured: metrics.Measurement, reported: float
) -> types.Verdict:
  """Returns the verdict with the accuracy that choosing is expected to give.

  Args:
    verdict: of the choice.
    measured: by `corrected`.
    reported: the accuracy of the recommended network.
  """
  if not verdict.p_values:  # A network alone was not chosen.
    return verdict
  return _with_line(
    verdict,
    'No images were kept aside, and the network was chosen on the same images '
    f'that it is measured on, which flatters it: a bootstrap of the choice '
    f'expects {interval(measured)} in place of {percent(reported)}.',
  )


def _with_line(verdict: types.Verdict, line: str) -> types.Verdict:
  """Returns the verdict with one more sentence."""
  return dataclasses.replace(verdict, lines=(*verdict.lines, line))


def by_estimate(
  estimates: Mapping[str, types.Estimate],
  titles: Mapping[str, str],
  estimator: str,
) -> types.Verdict | None:
  """Ranks networks by an estimate; None where there is none.

  Args:
    estimates: by network.
    titles: by network.
    estimator: its title.
  """
  known = {n: e.value for n, e in estimates.items() if np.isfinite(e.value)}
  if not known:
    return None
  best = max(known, key=known.__getitem__)
  lines = [
    f'Take {titles[best]}, by an estimate.',
    f'{estimator} ranks it first of {counted(len(known), "network")}. No '
    'classifier was fitted for that, and no test says whether it is better '
    'than the others: --config.by=accuracy measures it.',
  ]
  return types.Verdict(best, {}, (best,), best, tuple(lines))
