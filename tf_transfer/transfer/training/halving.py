"""Successive halving (Jamieson and Talwalkar, 2016): which trials go on.

All trials go to the first rung; at each rung the best on val go on to the
next, the last of which is the end. Pure functions of what trials scored.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# After so many steps: the best value on val in any view.
Scores = Mapping[int, float]


def rungs(steps: int, first: float, keep: float) -> tuple[int, ...]:
  """The steps of the rungs, the last of which is all of them.

  Args:
    steps: of a trial that goes on to the end.
    first: share of the steps up to the first rung, above 0 and below 1.
    keep: share of the trials that go on from one; the steps grow by its
      inverse.
  """
  found, share = [], first
  while (step := math.ceil(share * steps)) < steps:
    if not found or step > found[-1]:
      found.append(step)
    share /= keep
  return (*found, steps)


def steps_taken(
  trials: int, stops: Iterable[int], keep: float, before: int = 0
) -> int:
  """Steps of all trials together.

  Args:
    trials: how many set out to the first stop after `before`.
    stops: the steps at which trials stop, as `rungs` gives them.
    keep: share of the trials that go on from one.
    before: steps that each of them has taken.
  """
  total = 0
  for stop in stops:
    if stop > before:
      total += trials * (stop - before)
      trials = math.ceil(trials * keep)
      before = stop
  return total


def scores(evaluations: Iterable[Mapping[str, Any]]) -> dict[int, float]:
  """The scores of a trial's evaluations, of which each has step and views."""
  return {
    evaluation['step']: max(v['value'] for v in evaluation['views'].values())
    for evaluation in evaluations
  }


def ranked(trials: Mapping[int, Scores], step: int) -> list[int]:
  """The trials that have come to a step, best first; of equals the first."""
  there = [number for number, found in trials.items() if step in found]
  return sorted(there, key=lambda number: (-trials[number][step], number))


def survivors(
  trials: Mapping[int, Scores], step: int, keep: float
) -> list[int]:
  """The trials that go on from a rung: a share of those that set out to it.

  One that diverged on the way has no score there, and its place goes to
  another.
  """
  return sorted(ranked(trials, step)[: math.ceil(keep * len(trials))])


@dataclasses.dataclass(frozen=True)
class Replay:
  """What halving would have come to.

  Attributes:
    chosen: the trial; None where all that it kept diverged.
    score: of this trial at the end.
    best: the greatest score of any trial at the end.
    cost: steps, as a share of those that all trials have gone through.
  """

  chosen: int | None
  score: float
  best: float
  cost: float


def replay(
  trials: Mapping[int, Scores], given: Sequence[int], keep: float
) -> Replay:
  """What halving would have come to, from trials that all went to the end.

  Args:
    trials: the scores of every one at every rung that it came to; one without
      a score at the end diverged. It counts as if it cost all steps up to the
      rung that it did not reach.
    given: the steps of the rungs.
    keep: as for `survivors`.
  """
  going, spent, before = list(trials), 0, 0
  for step in given:
    spent += len(going) * (step - before)
    before = step
    if step != given[-1]:
      going = survivors({n: trials[n] for n in going}, step, keep)
  cost = spent / (len(trials) * given[-1])
  left = ranked({n: trials[n] for n in going}, given[-1])
  everyone = ranked(trials, given[-1])
  best = trials[everyone[0]][given[-1]] if everyone else math.nan
  score = trials[left[0]][given[-1]] if left else math.nan
  return Replay(left[0] if left else None, score, best, cost)
