"""Programs to run, and good inputs to spoil."""

import pathlib
import shutil
from collections.abc import Callable

import pytest

from tests.faults import inputs, programs, server


@pytest.fixture(scope='session')
def forks(tmp_path_factory):
  """The server that runs the programs."""
  with server.Server(tmp_path_factory.mktemp('output')) as running:
    yield running


@pytest.fixture
def program(forks, tmp_path) -> programs.Programs:
  """Runs programs in the test's directory."""
  return programs.Programs(forks, tmp_path)


@pytest.fixture(scope='session')
def good(tmp_path_factory, forks) -> pathlib.Path:
  """A directory of good inputs, with a workdir in which a study is finished."""
  root = tmp_path_factory.mktemp('good')
  inputs.write_all(root)
  runner = programs.Programs(forks, root)
  outcome = runner.study()
  assert outcome.code == 0, outcome.output
  return root


@pytest.fixture(scope='session')
def begin(good, forks, tmp_path_factory) -> Callable[[str], programs.Programs]:
  """Returns programs in a new directory with the good images and weights."""

  def begin_in(name: str) -> programs.Programs:
    root = tmp_path_factory.mktemp(name)
    for inputs_name in ('photos', 'weights'):
      shutil.copytree(good / inputs_name, root / inputs_name)
    return programs.Programs(forks, root)

  return begin_in


@pytest.fixture
def copy(good, tmp_path) -> Callable[..., pathlib.Path]:
  """Copies good inputs, by name, into the test's directory."""

  def copy_inputs(*names: str) -> pathlib.Path:
    for name in names:
      source = good / name
      if source.is_dir():
        shutil.copytree(source, tmp_path / name, symlinks=True)
      else:
        shutil.copy2(source, tmp_path / name)
    return tmp_path

  return copy_inputs
