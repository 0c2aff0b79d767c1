"""Checkpoints that are damaged or swapped: said, and not used."""

import json
import pathlib
import shutil
from collections.abc import Callable

import pytest

from tests.faults import programs

pytestmark = pytest.mark.slow

Spoil = Callable[[pathlib.Path, pathlib.Path], None]

_STEPS = '--config.fine_tuned.steps=12'


def _pair(workdir: pathlib.Path) -> list[pathlib.Path]:
  """Returns two complete checkpoints of one training, or nothing."""
  directories: dict[pathlib.Path, list[pathlib.Path]] = {}
  for sums in workdir.glob('searches/*/checkpoints/*/*/sums.json'):
    directories.setdefault(sums.parents[1], []).append(sums.parent)
  for pair in directories.values():
    if len(pair) == 2:
      return sorted(pair, key=lambda path: int(path.name))
  return []


@pytest.fixture(scope='module')
def killed(begin):
  """A workdir of a training that was killed; the same, never killed."""
  runner = begin('killed')
  root = runner.root
  outcome = runner.study(_STEPS, setting='fine_tuned', workdir='whole')
  assert outcome.code == 0, outcome.output
  for number in range(18, 40):
    shutil.rmtree(root / 'runs', ignore_errors=True)
    outcome = runner.study(_STEPS, setting='fine_tuned', kill_at=number)
    if _pair(root / 'runs'):
      return root
  pytest.fail(f'no two checkpoints at any kill: {outcome.output}')


def _swap(older: pathlib.Path, newer: pathlib.Path) -> None:
  aside = older.with_name('aside')
  older.rename(aside)
  newer.rename(older)
  aside.rename(newer)


def _largest(directory: pathlib.Path) -> pathlib.Path:
  """Returns the largest file of a checkpoint, which holds arrays."""
  files = [path for path in directory.rglob('*') if path.is_file()]
  return max(files, key=lambda path: path.stat().st_size)


def _flip_bit(_: pathlib.Path, newer: pathlib.Path) -> None:
  path = _largest(newer)
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)


def _cut(_: pathlib.Path, newer: pathlib.Path) -> None:
  path = _largest(newer)
  path.write_bytes(path.read_bytes()[:-5])


def _sums(text: str) -> Spoil:
  return lambda _, newer: (newer / 'sums.json').write_text(text)


def _remove_arrays(_: pathlib.Path, newer: pathlib.Path) -> None:
  shutil.rmtree(newer / 'state')


def _copy_of_the_older(older: pathlib.Path, newer: pathlib.Path) -> None:
  shutil.rmtree(newer)
  shutil.copytree(older, newer)


_FAULTS: dict[str, Spoil] = {
  'swapped': _swap,
  'copy_of_the_older': _copy_of_the_older,
  'bit_flipped': _flip_bit,
  'cut_short': _cut,
  'sums_empty': _sums(''),
  'sums_list': _sums('[]'),
  'sums_nested': _sums('{"sums":' + '[' * 100_000),
  'sums_of_nothing': _sums('{"sums": {}, "score": null}'),
  'sums_wrong_type': _sums('{"sums": 3, "score": "high"}'),
  'arrays_missing': _remove_arrays,
}


@pytest.mark.parametrize('fault', _FAULTS)
def test_said_and_not_used(forks, killed, tmp_path, fault):
  shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
  _FAULTS[fault](*_pair(tmp_path / 'runs'))
  runner = programs.Programs(forks, tmp_path)
  outcome = runner.study(_STEPS, setting='fine_tuned')
  programs.judge_said(outcome, 'checkpoint.* step')
  _assert_same(runner)


def _assert_same(runner: programs.Programs) -> None:
  """Asserts that the record is that of a training that was never killed."""
  [record], [whole] = runner.records(), runner.records('whole')
  for name in ('test', 'validation', 'chosen', 'losses', 'trials'):
    assert record[name] == whole[name], name


@pytest.mark.parametrize('number', [9, 13, 17, 21])
def test_foreign_files(forks, killed, tmp_path, number):
  shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
  directory = _pair(tmp_path / 'runs')[0].parent
  for name in ('notes.txt', '.DS_Store', f'{number}', 'x'):
    (directory / name).mkdir() if name.isdecimal() else (
      directory / name
    ).write_text('')
  runner = programs.Programs(forks, tmp_path)
  outcome = runner.study(_STEPS, setting='fine_tuned')
  programs.judge_said(outcome, 'test')
  _assert_same(runner)


def test_search_directory_of_json_that_is_none(forks, killed, tmp_path):
  shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
  for path in (tmp_path / 'runs' / 'searches').rglob('*.json'):
    if path.name != 'sums.json':
      path.write_text(json.dumps([1, {'a': []}]))
  runner = programs.Programs(forks, tmp_path)
  outcome = runner.study(_STEPS, setting='fine_tuned')
  programs.judge_said(outcome, 'test')
  _assert_same(runner)
