"""Keeps the results of a search's trials on disk, and chooses the best.

Also compares an exhaustive search with what halving would have chosen.
"""

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec
from absl import logging

from tf_transfer import errors
from tf_transfer.runtime import devices, files, json_lines, schemas
from tf_transfer.transfer.training import halving
from tf_transfer.transfer.training.search_spec import Search

_Count = Annotated[int, msgspec.Meta(ge=0)]


class TrialResults:
  """Keeps the results of trials, by number, on disk.

  Attributes:
    by_trial: for each trial that was trained learning_rate, weight_decay, the
      steps done, diverged, losses, evaluations, and group, the numbers of the
      trials that it trained with.
  """

  def __init__(self, search: Search):
    """Reads what an interrupted search has written."""
    self._path = search.directory / 'trials.json'
    self._identity = search.identity
    self._steps = search.steps
    self.by_trial: dict[int, dict[str, Any]] = {
      int(number): result
      for number, result in read_results(self._path, self._identity).items()
    }

  def write(self) -> None:
    """Writes all results."""
    if devices.is_leader():
      content = {'identity': self._identity, 'trials': self.by_trial}
      with files.atomic_write(self._path) as file:
        file.write(json.dumps(content).encode())

  def has_reached(self, number: int, step: int) -> bool:
    """Returns whether a trial has been trained to a step, or diverged."""
    if number not in self.by_trial:
      return False
    result = self.by_trial[number]
    return result['diverged'] is not None or result['steps'] >= step

  def is_complete(self, number: int) -> bool:
    """Returns whether a trial was trained for all steps without diverging."""
    result = self.by_trial[number]
    return result['diverged'] is None and result['steps'] >= self._steps

  def scores(self, number: int) -> halving.Scores:
    """Returns a trial's scores on val by step."""
    return halving.scores(self.by_trial[number]['evaluations'])

  def record(self, number: int) -> dict[str, Any]:
    """Returns what the cell's record says of a trial.

    Its `validation` is the last evaluation; empty if the trial was not trained
    to the end.
    """
    result = {k: v for k, v in self.by_trial[number].items() if k != 'group'}
    validation = {}
    if self.is_complete(number):
      validation = result['evaluations'][-1]['views']
    return {**result, 'validation': validation}


def read_results(path: pathlib.Path, identity: str) -> dict[str, Any]:
  """Reads the results of an interrupted search.

  Args:
    path: of the file.
    identity: of the cell.

  Returns:
    Results by trial number; empty if there are none of this cell.
  """
  try:
    data = json_lines.read_regular(path)
    if data is None:
      return {}
    content = schemas.decode(data, _ResultsFile, str(path))
  except errors.InputError as error:
    logging.warning('%s: searched again', error)
    return {}
  if content.identity != identity:
    return {}
  return json.loads(data)['trials']


class _View(msgspec.Struct):
  """A measurement on val, of which `value` is used to choose."""

  value: Annotated[float, msgspec.Meta(ge=0, le=1)]


class _Evaluation(msgspec.Struct):
  step: _Count
  views: dict[str, _View]


class _TrialResult(msgspec.Struct):
  learning_rate: float
  weight_decay: float
  steps: _Count
  diverged: _Count | None
  losses: list[float | None]
  evaluations: list[_Evaluation]
  group: list[_Count]


class _ResultsFile(msgspec.Struct):
  """The content of trials.json: results by trial number, and of which cell."""

  identity: str
  trials: dict[_Count, _TrialResult]


@dataclasses.dataclass(frozen=True)
class Choice:
  """Holds what did best on val.

  Attributes:
    number: of the trial.
    step: steps after which it was evaluated.
    view: of the images.
    measurement: a `metrics.Measurement` as a dict.
  """

  number: int
  step: int
  view: str
  measurement: Mapping[str, Any]

  @property
  def rank_key(self) -> tuple[float, int, int]:
    """The greatest is chosen; of equals, the first view."""
    return self.measurement['value'], -self.step, -self.number


def choose(search: Search, results: TrialResults) -> Choice | None:
  """Chooses the best on val; None if every trial diverged.

  Of equals it takes the fewest steps, the first trial and the first view.
  """
  return max(
    _candidates(search, results), key=lambda c: c.rank_key, default=None
  )


def may_be_chosen(search: Search, step: int) -> bool:
  """Returns whether a trial may be chosen as it was after a step."""
  return step == search.steps or search.config.early_stopping


def _candidates(search: Search, results: TrialResults) -> Iterator[Choice]:
  """Yields the last evaluations of trials that were trained to the end.

  With `early_stopping` it yields all of their evaluations.
  """
  for number, result in results.by_trial.items():
    if not results.is_complete(number):
      continue
    for evaluation in result['evaluations']:
      step = evaluation['step']
      if may_be_chosen(search, step):
        for view, measurement in evaluation['views'].items():
          yield Choice(number, step, view, measurement)


def halving_report(search: Search, results: TrialResults) -> str:
  """Says what halving would have saved and lost, after an exhaustive search."""
  scores = {number: results.scores(number) for number in results.by_trial}
  replay = halving.replay(scores, search.rungs, search.config.halving_keep)
  text = f'successive halving would have taken {replay.cost:.0%} of the steps '
  if replay.chosen is None:
    return text + 'and kept only trials that diverge'
  chosen = results.by_trial[replay.chosen]
  return text + (
    f'and chosen learning_rate {chosen["learning_rate"]:.3g}, weight_decay '
    f'{chosen["weight_decay"]:.3g}: {replay.score:.2%} on val where the whole '
    f'grid has {replay.best:.2%}, a loss of '
    f'{100 * (replay.best - replay.score):.2f} points'
  )
