"""Runs the programs on good and bad inputs, and judges what they did."""

import json
import pathlib
import re
from typing import Any

from tests.faults import server

# How a message of the program begins.
_ERROR = re.compile(r'^error: ', re.MULTILINE)
_MAX_ERROR_LINES = 14

# The smallest study: one cell, two penalties, no pages.
_STUDY = (
  '--config=base:{network},{dataset}',
  '--config.logistic_regression.num_penalties=2',
  '--config.logistic_regression.penalty_min=0.1',
  '--config.logistic_regression.penalty_max=10',
  '--config.tensorboard=False',
  '--config.report=False',
  '--config.data.val_fraction=0.25',
  '--config.data.test_fraction=0.25',
)
# The smallest training: two trials of six steps, and the last fit.
_TRAINING = (
  '--config.fine_tuned.num_learning_rates=2',
  '--config.fine_tuned.learning_rate_min=0.01',
  '--config.fine_tuned.num_weight_decays=1',
  '--config.fine_tuned.weight_decay_max=1e-6',
  '--config.fine_tuned.include_zero_weight_decay=False',
  '--config.fine_tuned.steps=6',
  '--config.fine_tuned.batch_size=4',
  '--config.fine_tuned.checkpoint_every=2',
  '--config.fine_tuned.concurrent_trials=1',
)


class Programs:
  """Runs programs in a directory that has the inputs."""

  def __init__(self, forks: server.Server, root: pathlib.Path):
    self._forks = forks
    self.root = root

  def run(self, *arguments: str, **options: Any) -> server.Outcome:
    """Runs a program, as `Server.run` does, in the directory."""
    return self._forks.run(list(arguments), cwd=self.root, **options)

  def study(
    self,
    *more: str,
    network: str = 'weights/tiny.safetensors',
    dataset: str = 'folder:photos',
    setting: str = 'logistic_regression',
    workdir: str = 'runs',
    **options: Any,
  ) -> server.Outcome:
    """Runs the smallest study."""
    arguments = [
      argument.format(network=network, dataset=dataset) for argument in _STUDY
    ]
    if setting != 'logistic_regression':
      arguments.append(f"--config.settings=('{setting}',)")
    if setting == 'fine_tuned':
      arguments += _TRAINING
    return self.run(f'--workdir={workdir}', *arguments, *more, **options)

  def convert(self, *arguments: str, **options: Any) -> server.Outcome:
    """Runs the converter."""
    return self.run(*arguments, program='convert', **options)

  def records(self, workdir: str = 'runs') -> list[dict[str, Any]]:
    """Reads the ledger of a workdir."""
    path = self.root / workdir / 'results.jsonl'
    if not path.exists():
      return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def judge_refused(outcome: server.Outcome, message: str) -> None:
  """Asserts that a program ended with one clear message.

  Args:
    outcome: of the program.
    message: a pattern that the message must match.
  """
  _judge_end(outcome, 1)
  parts = _ERROR.split(outcome.output)
  assert len(parts) == 2, f'no message, or several:\n{outcome.output[-3000:]}'
  error = parts[1]
  assert len(error.splitlines()) <= _MAX_ERROR_LINES, error
  assert re.search(message, error, re.DOTALL), error


def judge_said(outcome: server.Outcome, message: str) -> None:
  """Asserts that a program went on, and said what was wrong.

  Args:
    outcome: of the program.
    message: a pattern that its output must match.
  """
  _judge_end(outcome, 0)
  assert re.search(message, outcome.output, re.DOTALL), outcome.output[-3000:]


def _judge_end(outcome: server.Outcome, code: int) -> None:
  """Asserts that a program ended by itself, without a traceback."""
  output = outcome.output[-3000:]
  assert outcome.code is not None, f'it hangs:\n{output}'
  assert 'Traceback (most recent call last)' not in outcome.output, output
  assert outcome.code == code, f'exit code {outcome.code}:\n{output}'
