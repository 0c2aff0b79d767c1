"""Says in words which network to take.

`decision` decides; here are the order of the networks by cost, and sentences
for console and page.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from tf_transfer.runtime.units import counted
from tf_transfer.study.choice import decision as decision_lib
from tf_transfer.study.choice import types
from tf_transfer.study.choice.decision import Decision, Images
from tf_transfer.transfer import metrics

# A network that reaches this share of another's speed is called as fast.
_SAME_SPEED = 0.9
# Two costs of this ratio or less are called about equal.
_SAME_COST = 1.05


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
      (candidate for candidate in rest if speed(candidate) >= least),
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
  decision = decision_lib.decide(_correct(ordered, images), images)
  names = [candidate.network for candidate in ordered]
  recommended = ordered[decision.recommended]
  return types.Verdict(
    best=names[decision.best],
    p_values={
      name: float(p)
      for i, (name, p) in enumerate(zip(names, decision.p_values, strict=True))
      if i != decision.best
    },
    tied=tuple(names[i] for i in decision.tied),
    recommended=recommended.network,
    lines=(
      f'Take {recommended.title}.',
      _accuracy(recommended, images),
      *_comparison(ordered, decision, len(images.labels)),
    ),
  )


def _correct(ordered: Sequence[types.Candidate], images: Images) -> np.ndarray:
  """Returns where networks are right, bool [M, N]."""
  return np.array([c.predictions == images.labels for c in ordered])


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
  ordered: Sequence[types.Candidate], decision: Decision, num_images: int
) -> list[str]:
  """Says how the recommended network compares with the others.

  Args:
    ordered: the networks, from the cheapest to the most expensive.
    decision: what is decided among them.
    num_images: that it is decided on.
  """
  if len(ordered) == 1:
    return ['It is the only network that was tried: nothing is compared.']
  best, recommended = decision.best, decision.recommended
  if len(decision.tied) == 1:
    return [_clear_winner(ordered, decision)]
  cheaper = [i for i in decision.tied if i < recommended]
  if recommended == best:
    lines = [_best(ordered, decision, num_images)]
  else:
    lines = [_near_the_best(ordered, decision, num_images)]
    dearer = [i for i in decision.tied if i > recommended and i != best]
    if dearer:
      lines.append(
        f'The test does not tell {_names(ordered, dearer)} from the best '
        f'either; {"it is" if len(dearer) == 1 else "they are"} no cheaper.'
      )
  if cheaper:
    lines.append(_too_far_below(ordered, decision, cheaper))
  others = len(ordered) - len(decision.tied)
  if others:
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
  return p_text(max(p for p in decision.p_values if p <= decision_lib.LEVEL))


def p_text(p: float) -> str:
  """Formats a p-value as 'p = 0.4' or 'p < 0.001'."""
  return 'p < 0.001' if p < 0.001 else f'p = {p:.2g}'


def _best(
  ordered: Sequence[types.Candidate], decision: Decision, num_images: int
) -> str:
  """Says that the recommended network is the best, and others are tied."""
  others = [i for i in decision.tied if i != decision.best]
  names = _names(ordered, others)
  p = min(decision.p_values[i] for i in others)
  p_value = f'{"p" if len(others) == 1 else "the smallest p"} = {p:.2g}'
  unseen = _unseen(decision, others, num_images)
  if others[0] < decision.best:  # A cheaper one is tied.
    return (
      f'It is the most accurate; the test does not tell it from {names} '
      f'({p_value}): {unseen}'
    )
  return (
    'It is the most accurate, and the cheapest of those that the test does '
    f'not tell from it: {names} ({p_value}): {unseen}'
  )


def _near_the_best(
  ordered: Sequence[types.Candidate], decision: Decision, num_images: int
) -> str:
  """Says that the recommended network is not far below the best."""
  recommended = decision.recommended
  best, title = ordered[decision.best], ordered[recommended].title
  below, error = _below(decision, recommended)
  return (
    f'{best.title} is best with {percent(best.accuracy.value)}. {title} is the '
    f'cheapest within one standard error of it: it was {below} points lower, '
    f'and the standard error of the difference is {error} points. The test '
    'does not tell them apart '
    f'({p_text(decision.p_values[recommended])}): '
    f'{_unseen(decision, [recommended], num_images)}'
  )


def _unseen(decision: Decision, others: Sequence[int], num_images: int) -> str:
  """Says which differences between the best and others cannot be seen."""
  errors = [decision.standard_errors[i] for i in others]
  if not any(errors):
    return 'they are right on the same images.'
  limits = [
    100 * decision_lib.visible_difference(error, decision.level)
    for error in errors
    if error > 0
  ]
  low, high = f'{min(limits):.1f}', f'{max(limits):.1f}'
  on = f'with {counted(num_images, "image")}'
  if len(others) == 1:
    return f'a difference below {low} points between them cannot be seen {on}.'
  if low == high:
    return f'a difference below {low} points from it cannot be seen {on}.'
  return (
    f'differences below {low} to {high} points from it, depending on the '
    f'network, cannot be seen {on}.'
  )


def _too_far_below(
  ordered: Sequence[types.Candidate], decision: Decision, cheaper: Sequence[int]
) -> str:
  """Says why cheaper networks that are tied are not recommended."""
  first, recommended = ordered[cheaper[0]], ordered[decision.recommended]
  below, error = _below(decision, cheaper[0])
  ratio = speed(first) / speed(recommended)
  as_fast = f'{ratio:.1f} times as fast as {recommended.title}'
  if ratio <= _SAME_COST:
    as_fast = f'about as fast as {recommended.title}'
  if len(cheaper) == 1:
    return (
      f'{first.title} is {as_fast}, and the test does not tell it from the '
      f'best either, but it was {below} points lower than the best, more than '
      f'one standard error of the difference ({error} points).'
    )
  return (
    f'{_names(ordered, cheaper)} are cheaper than {recommended.title}, and the '
    'test does not tell them from the best either, but each was lower than the '
    'best by more than one standard error of the difference: '
    f'{first.title}, which is {as_fast}, by {below} points (standard error '
    f'{error}).'
  )


def _below(decision: Decision, position: int) -> tuple[str, str]:
  """Formats how far a network is below the best, and the standard error.

  Both are in points, with as many decimals as show which is larger.
  """
  below = 100 * float(decision.differences[position])
  error = 100 * float(decision.standard_errors[position])
  for decimals in (1, 2, 3):
    texts = f'{below:.{decimals}f}', f'{error:.{decimals}f}'
    if texts[0] != texts[1]:
      break
  return texts


def _names(ordered: Sequence[types.Candidate], positions: Sequence[int]) -> str:
  """Lists networks as 'A, B and C'."""
  titles = [ordered[i].title for i in positions]
  if len(titles) == 1:
    return titles[0]
  return f'{", ".join(titles[:-1])} and {titles[-1]}'


def _gain(recommended: types.Candidate, best: types.Candidate) -> str:
  """Says what the recommended network saves beside the best."""
  ratio = speed(recommended) / speed(best)
  as_fast = f'{ratio:.1f} times as fast'
  if ratio <= _SAME_COST:
    as_fast = 'about as fast'
  return (
    f'{recommended.title} is {as_fast} as {best.title}'
    f'{_compare_sizes(recommended, best)}. '
    f'Where accuracy counts more than cost, take {best.title}.'
  )


def _compare_sizes(recommended: types.Candidate, best: types.Candidate) -> str:
  """Says how many parameters the recommended network has beside the best.

  Returns:
    ', and has 2.0 times fewer parameters'; '' where a number is not known.
  """
  if not recommended.cost.parameters or not best.cost.parameters:
    return ''
  smaller = best.cost.parameters / recommended.cost.parameters
  if smaller > _SAME_COST:
    return f', and has {smaller:.1f} times fewer parameters'
  if smaller < 1 / _SAME_COST:
    return f', and has {1 / smaller:.1f} times as many parameters'
  return ', and has about as many parameters'


def measure_choice(
  candidates: Sequence[types.Candidate],
  images: Images,
  groups: np.ndarray | None,
) -> metrics.Measurement | None:
  """Measures the choice itself: `decision.measure_choice`.

  Args:
    candidates: that the choice is among.
    images: the N images that they predict.
    groups: int [N], the same for near-duplicates; None if there are no groups.
  """
  correct = _correct(by_cost(candidates), images)
  return decision_lib.measure_choice(correct, images, groups)


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
  verdict: types.Verdict, measured: metrics.Measurement | None, reported: float
) -> types.Verdict:
  """Returns the verdict with the accuracy that choosing is expected to give.

  Args:
    verdict: of the choice.
    measured: by `measure_choice`.
    reported: the accuracy of the recommended network.
  """
  if not verdict.p_values:  # A network alone was not chosen.
    return verdict
  begin = (
    'No images were kept aside, and the network was chosen on the same images '
    'that it is measured on, which flatters it'
  )
  if measured is None:
    return _with_line(
      verdict,
      f'{begin}; there are too few groups of images to say by how much.',
    )
  return _with_line(
    verdict,
    f'{begin}: a bootstrap of the choice expects {interval(measured)} in place '
    f'of {percent(reported)}.',
  )


def add_export(verdict: types.Verdict) -> types.Verdict:
  """Returns the verdict of a choice by folds with what to do to use it."""
  return _with_line(
    verdict,
    'There is no single classifier to export: each fold has its own. To use '
    'the network, run the same command with --config.data.folds=0: it fits '
    'one, and where that can be exported it ends with the command.',
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
