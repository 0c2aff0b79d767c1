"""Sixty kills over five jobs: the same records, and nothing left behind.

A program kills itself at a random place where it has just written, or is about
to rename, a file. The same command is given again until it ends by itself.
"""

import json
import pathlib
import random
import shutil
from collections.abc import Callable

import pytest

from tests.faults import inputs, server

pytestmark = pytest.mark.slow

_KILLS = 12  # of each job
# What differs between two runs of one cell.
_CIRCUMSTANCES = ('seconds', 'finished')
# What stays, empty, between jobs.
_LOCKS = ('.results.lock', '.parts.lock', 'lock', 'in_use')

Start = Callable[..., server.Outcome]


def _listing(directory: pathlib.Path) -> list[str]:
  """Lists files without locks and event files, whose names have a time."""
  return sorted(
    str(path.relative_to(directory))
    for path in directory.rglob('*')
    if path.is_file()
    and path.name not in _LOCKS
    and 'tfevents' not in path.name
  )


def _records(directory: pathlib.Path) -> list[dict]:
  """Reads the records without their circumstances."""
  records = []
  for path in sorted(directory.rglob('results.jsonl')):
    records += [json.loads(line) for line in path.read_text().splitlines()]
  for record in records:
    for name in _CIRCUMSTANCES:
      record.pop(name, None)
  return records


def _kill_often(
  start: Start, root: pathlib.Path, outputs: tuple[str, ...], places: int
) -> None:
  """Kills a job many times; compares what it writes with one never killed.

  Args:
    start: starts the job in `root`; takes `kill_at`.
    root: where the job writes.
    outputs: files or directories that it writes.
    places: the first so many places to be killed at are drawn from.
  """
  outcome = start(kill_at=0)
  assert outcome.code == 0, outcome.output
  whole = root / 'whole'
  for name in outputs:
    _move(root / name, whole / name)
  rng, kills = random.Random(0), 0
  while kills < _KILLS:
    outcome = start(kill_at=rng.randint(1, places))
    assert 'Traceback' not in outcome.output, outcome.output
    if outcome.code == -9:
      kills += 1
      continue
    assert outcome.code == 0, outcome.output
    _compare(root, whole, outputs)
    for name in outputs:
      _remove(root / name)
  outcome = start(kill_at=0)
  assert outcome.code == 0, outcome.output
  _compare(root, whole, outputs)


def _move(source: pathlib.Path, target: pathlib.Path) -> None:
  target.parent.mkdir(parents=True, exist_ok=True)
  shutil.move(source, target)


def _remove(path: pathlib.Path) -> None:
  if path.is_dir():
    shutil.rmtree(path)
  else:
    path.unlink()


def _compare(
  root: pathlib.Path, whole: pathlib.Path, outputs: tuple[str, ...]
) -> None:
  """Compares what was written, but for the times in it."""
  for name in outputs:
    if (whole / name).is_dir():
      assert _listing(root / name) == _listing(whole / name)
      assert _records(root / name) == _records(whole / name)
    else:
      assert (root / name).read_bytes() == (whole / name).read_bytes()
  leftovers = [
    path for path in root.glob('**/*.partial') if whole not in path.parents
  ]
  assert not leftovers


def test_study(program, copy):
  root = copy('photos', 'weights')
  settings = "--config.settings=('logistic_regression','ridge')"

  def start(**options: int) -> server.Outcome:
    return program.study(settings, **options)

  _kill_often(start, root, ('runs',), 30)


def test_training(program, copy):
  root = copy('photos', 'weights')

  def start(**options: int) -> server.Outcome:
    return program.study(setting='fine_tuned', **options)

  _kill_often(start, root, ('runs',), 20)


def test_report(program, copy):
  root = copy('photos', 'weights', 'runs')

  def start(**options: int) -> server.Outcome:
    return program.run(
      '--config=report', '--config.ledger=runs', '--workdir=pages', **options
    )

  _kill_often(start, root, ('pages',), 4)


def test_merge(program, copy):
  root = copy('runs')
  for number in range(3):
    shutil.copytree(root / 'runs', root / f'runs_{number}')

  def start(**options: int) -> server.Outcome:
    return program.run(
      '--config=merge:runs_0,runs_1,runs_2', '--workdir=merged', **options
    )

  _kill_often(start, root, ('merged',), 8)


def test_conversion(program, tmp_path):
  inputs.write_checkpoint(tmp_path / 'mobilenet.pth')

  def start(**options: int) -> server.Outcome:
    return program.convert(
      *inputs.CONVERSION,
      '--input=mobilenet.pth',
      '--output=converted/mobilenet.safetensors',
      **options,
    )

  (tmp_path / 'converted').mkdir()
  _kill_often(start, tmp_path, ('converted/mobilenet.safetensors',), 3)
