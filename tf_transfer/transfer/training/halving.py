"""Chooses by successive halving (Jamieson and Talwalkar, 2016) who goes on.

All trials are trained to the first rung. At each rung the best on val go on to
the next; the last rung is the end. These are pure functions of trials' scores.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# The best value on val in any view, by the number of steps before it.
Scores = Mapping[int, float]


def rungs(steps: int, first: float, keep: float) -> tuple[int, ...]:
  """Returns the steps of the rungs; the last is all of them.

  Args:
    steps: of a trial that goes on to the end.
    first: share of the steps up to the first rung, above 0 and below 1.
    keep: share of the trials that go on from a rung; the steps grow by its
      inverse.
  """
  result, share = [], first
  while (step := math.ceil(share * steps)) < steps:
    if not result or step > result[-1]:
      result.append(step)
    share /= keep
  return (*result, steps)


def steps_taken(
  num_trials: int, stops: Iterable[int], keep: float, start: int = 0
) -> int:
  """Returns the number of steps of all trials together.

  Args:
    num_trials: how many are trained to the first stop after `start`.
    stops: the steps at which trials stop, as `rungs` returns them.
    keep: share of the trials that go on from a stop.
    start: steps that each of them has taken.
  """
  total = 0
  for stop in stops:
    if stop > start:
      total += num_trials * (stop - start)
      num_trials = math.ceil(num_trials * keep)
      start = stop
  return total


def scores(evaluations: Iterable[Mapping[str, Any]]) -> dict[int, float]:
  """Returns a trial's scores by step.

  Args:
    evaluations: each with `step`, and `views`, the metric by view.
  """
  return {
    evaluation['step']: max(v['value'] for v in evaluation['views'].values())
    for evaluation in evaluations
  }


def rank(scores_by_trial: Mapping[int, Scores], step: int) -> list[int]:
  """Ranks the trials that have reached a step, best first.

  Of equals, the one with the smaller number comes first.
  """
  reached = [n for n, scores in scores_by_trial.items() if step in scores]
  return sorted(reached, key=lambda n: (-scores_by_trial[n][step], n))


def survivors(
  scores_by_trial: Mapping[int, Scores], step: int, keep: float
) -> list[int]:
  """Returns the trials that go on from a rung.

  They are a share of those that were trained towards it. A trial that diverged
  on the way has no score there, and another takes its place.
  """
  num_places = math.ceil(keep * len(scores_by_trial))
  return sorted(rank(scores_by_trial, step)[:num_places])


@dataclasses.dataclass(frozen=True)
class Replay:
  """Holds what halving would have chosen.

  Attributes:
    chosen: the trial; None where all that it kept diverged.
    score: of this trial at the end.
    best: the greatest score of any trial at the end.
    cost: steps, as a share of those that all trials took.
  """

  chosen: int | None
  score: float
  best: float
  cost: float


def replay(
  scores_by_trial: Mapping[int, Scores], rungs: Sequence[int], keep: float
) -> Replay:
  """Finds what halving would have chosen, from trials trained to the end.

  Args:
    scores_by_trial: of every trial at every rung that it reached; one without
      a score at the end diverged. Its cost is counted as all steps up to the
      rung that it did not reach.
    rungs: their steps.
    keep: as for `survivors`.
  """
  end = rungs[-1]
  remaining, total_steps, start = list(scores_by_trial), 0, 0
  for step in rungs:
    total_steps += len(remaining) * (step - start)
    start = step
    if step != end:
      remaining = survivors(
        {n: scores_by_trial[n] for n in remaining}, step, keep
      )
  cost = total_steps / (len(scores_by_trial) * end)
  kept = rank({n: scores_by_trial[n] for n in remaining}, end)
  complete = rank(scores_by_trial, end)
  best = scores_by_trial[complete[0]][end] if complete else math.nan
  score = scores_by_trial[kept[0]][end] if kept else math.nan
  return Replay(kept[0] if kept else None, score, best, cost)
