"""Says in words what figures 8 and 9 show, and what they do not."""

from collections.abc import Sequence

import numpy as np

from tf_transfer.runtime.units import counted
from tf_transfer.study import names
from tf_transfer.study.analysis.learning_curves import (
  ExamplesCurve,
  Parity,
  Speed,
  StepsCurve,
  parities,
)
from tf_transfer.study.analysis.learning_curves import speed as compare_speed


def of_steps(
  curves: Sequence[StepsCurve], papers: Sequence[StepsCurve] = ()
) -> list[str]:
  """Says what curves against steps show.

  Args:
    curves: ours.
    papers: the paper's; those count that are on our datasets.
  """
  own_speed = compare_speed(curves)
  if own_speed is None:
    return []
  texts = [speed_text(own_speed)]
  papers_speed = compare_speed(
    [c for c in papers if c.dataset in own_speed.datasets]
  )
  if papers_speed:
    texts.append(f'The paper, Inception v4: {speed_text(papers_speed)}')
  return texts


def of_examples(curves: Sequence[ExamplesCurve]) -> list[str]:
  """Says what curves against examples show."""
  return [
    draws_text(curves),
    *(
      in_place(one.curve.network, one.curve.dataset, parity_text(one), curves)
      for one in parities(curves)
    ),
  ]


def speed_text(speed: Speed) -> str:
  """Says how many times as many steps random initialization takes."""
  where = f'over {counted(len(speed.datasets), "dataset")}'
  if len(speed.datasets) == 1:
    where = f'on {names.display_name(speed.datasets[0])}'
  text = (
    f'To 90 % of the greatest odds, {where}: fine-tuned '
    f'{speed.tuned:,.0f} steps, random initialization {speed.random:,.0f}'
  )
  reasons = _bounds(speed)
  ends = ' '.join(f'{one[0].upper()}{one[1:]}.' for one in reasons.values())
  if speed.is_at_least and speed.is_at_most:
    return f'{text}. No ratio can be given. {ends}'
  bound = (
    'at least ' if speed.is_at_least else 'at most ' if speed.is_at_most else ''
  )
  ratio = f'{speed.ratio:.3g}'
  times = 'as many' if ratio == '1' else f'{ratio} times as many'
  return f'{text}, {bound}{times}. {ends}'.rstrip()


def _bounds(speed: Speed) -> dict[str, str]:
  """Returns why numbers of steps are bounds, by what they are bounds of."""
  random, tuned = 'random initialization', 'fine-tuning'
  texts = {}
  for kind, which, few, many in (
    (
      'lower',
      [(random, speed.random_rises), (tuned, speed.tuned_rises)],
      'does best with the most steps and may still improve',
      'do best with the most steps and may still improve',
    ),
    (
      'upper',
      [(random, speed.random_starts), (tuned, speed.tuned_starts)],
      'is there with the fewest steps tried, so fewer may do',
      'are there with the fewest steps tried, so fewer may do',
    ),
  ):
    subjects = [
      name
      if count == speed.num_curves
      else f'{name} in {count} of {speed.num_curves} curves'
      for name, count in which
      if count
    ]
    if subjects:
      verb = many if len(subjects) > 1 else few
      texts[kind] = f'{" and ".join(subjects)} {verb}'
  return texts


def parity_text(parity: Parity) -> str:
  """Says from how many examples on a setting is as good as another one."""
  setting = names.setting_text(parity.curve.setting)
  other = names.setting_text(parity.reference.setting).lower()
  first, last = (
    f'{counted(count, "image")} a class'
    for count in (parity.first, parity.last)
  )
  if np.isnan(parity.examples):
    return f'{setting} does not reach {other} up to {last}.'
  if parity.examples == parity.first:
    text = f'{setting} is no worse than {other} at {first}, the fewest here'
  else:
    count = _rounded(parity.examples)
    text = f'{setting} reaches {other} at about {count} images a class'
  if not parity.stays:
    text += ', and falls behind it again'
  return f'{text}.'


def _rounded(count: float) -> str:
  """Returns a number of examples that was read between two of them."""
  return f'{count:.1f}' if count < 10 else f'{count:,.0f}'


def draws_text(curves: Sequence[ExamplesCurve]) -> str:
  """Says over how many draws the means are."""
  counts = sorted({int(n) for curve in curves for n in curve.draws})
  if counts == [1]:
    return 'One draw of the examples: there is no standard error.'
  low, high = f'{counts[0]}', f'{counts[-1]}'
  number = low if low == high else f'{low} to {high}'
  return f'Means over {number} draws of the examples, ± their standard error.'


def in_place(
  network: str, dataset: str, text: str, curves: Sequence[ExamplesCurve]
) -> str:
  """Says where a sentence holds, if curves are of more than one place."""
  networks = {curve.network for curve in curves}
  datasets = {curve.dataset for curve in curves}
  place = [
    names.display_name(name)
    for name, all_names in ((network, networks), (dataset, datasets))
    if len(all_names) > 1
  ]
  return f'{", ".join(place)}: {text}' if place else text
