"""Files of predictions that are damaged, swapped, or bombs."""

import json
import pathlib
import shutil
from collections.abc import Callable

import numpy as np
import pytest

from tests.faults import programs

pytestmark = pytest.mark.slow

Spoil = Callable[[pathlib.Path], None]


def _arrays(**changes: Callable[[np.ndarray], np.ndarray] | None) -> Spoil:
  """Changes arrays of a file; None removes one."""

  def spoil(path: pathlib.Path) -> None:
    with np.load(path) as file:
      arrays = dict(file)
    for name, change in changes.items():
      if change is None:
        del arrays[name]
      else:
        arrays[name] = change(arrays[name])
    with open(path, 'wb') as file:
      np.savez(file, **arrays)

  return spoil


def _bomb(path: pathlib.Path) -> None:
  with np.load(path) as file:
    arrays = dict(file)
  arrays['more'] = np.zeros(600_000_000, np.uint8)
  with open(path, 'wb') as file:
    np.savez_compressed(file, **arrays)


def _cut(path: pathlib.Path) -> None:
  path.write_bytes(path.read_bytes()[:-100])


def _directory(path: pathlib.Path) -> None:
  path.unlink()
  path.mkdir()


_FAULTS: dict[str, Spoil] = {
  'correct_of_text': _arrays(correct=lambda a: a.astype(str)),
  'correct_too_short': _arrays(correct=lambda a: a[:-1]),
  'correct_missing': _arrays(correct=None),
  'correct_of_another_cell': _arrays(correct=np.logical_not),
  'predictions_of_another_cell': _arrays(
    correct=lambda a: np.zeros_like(a), prediction=lambda a: a * 0 + 9
  ),
  'empty': lambda path: path.write_bytes(b''),
  'text': lambda path: path.write_bytes(b'predictions'),
  'cut_short': _cut,
  'a_directory': _directory,
  'bomb': _bomb,
}


@pytest.fixture(scope='module')
def finished(begin):
  """A workdir of three networks, whose predictions a report compares."""
  runner = begin('three')
  networks = ','.join(
    f"'weights/{name}.safetensors'" for name in ('tiny', 'tinier', 'other')
  )
  outcome = runner.study(f'--config.networks=({networks})')
  assert outcome.code == 0, outcome.output
  return runner.root


@pytest.mark.parametrize('fault', _FAULTS)
def test_said_by_the_report(forks, finished, tmp_path, fault):
  shutil.copytree(finished / 'runs', tmp_path / 'runs')
  lines = (tmp_path / 'runs' / 'results.jsonl').read_text().splitlines()
  record = json.loads(lines[0])
  try:
    _FAULTS[fault](tmp_path / 'runs' / record['predictions'])
  except KeyError as error:
    pytest.fail(f'no such array: {error}')
  outcome = programs.Programs(forks, tmp_path).run(
    '--config=report', '--config.ledger=runs', '--workdir=pages'
  )
  programs.judge_said(outcome, record['identity'])
  assert outcome.peak_bytes < 1.0 * 2**30


def test_merge_checks_before_it_copies(forks, finished, tmp_path):
  shutil.copytree(finished / 'runs', tmp_path / 'runs')
  line = (tmp_path / 'runs' / 'results.jsonl').read_text().splitlines()[0]
  record = json.loads(line)
  _FAULTS['correct_of_another_cell'](tmp_path / 'runs' / record['predictions'])
  outcome = programs.Programs(forks, tmp_path).run(
    '--config=merge:runs', '--workdir=merged'
  )
  programs.judge_refused(outcome, record['identity'])
