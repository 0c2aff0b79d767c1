"""Checks trials that train together: kills, divergence, devices."""

import dataclasses
import json
import math
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from tests.transfer.training import killable
from tf_transfer import errors
from tf_transfer.runtime import devices
from tf_transfer.transfer.training import train_step, trials

ROOT = pathlib.Path(__file__).parents[3]


def run(*arguments):
  """Runs `killable` in a process of its own."""
  return subprocess.run(
    [
      *(sys.executable, '-m', 'tests.transfer.training.killable'),
      *map(str, arguments),
    ],
    capture_output=True,
    text=True,
    cwd=ROOT,
    check=False,
  )


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
  """The digest of the result of an undisturbed run."""
  directory = tmp_path_factory.mktemp('undisturbed')
  return killable.digest(killable.train(killable.job(), directory).variables)


@pytest.fixture
def signal_at(monkeypatch):
  """`killable.signal_at` within a test."""
  advance = trials._advance

  def signal_from_the_start(directory, *ending):
    monkeypatch.setattr(trials, '_advance', advance)
    killable.signal_at(directory, *ending)

  yield signal_from_the_start
  monkeypatch.setattr(trials, '_advance', advance)


def test_killed_and_told_to_end(tmp_path, undisturbed, signal_at, capsys):
  """SIGKILL off a checkpoint and while one is written; SIGTERM."""
  outputs = []
  for ending in (
    (10, int(signal.SIGKILL), 7),
    (22, int(signal.SIGKILL)),
  ):
    result = run(tmp_path, *ending)
    assert result.returncode == -signal.SIGKILL, result.stderr
    outputs += result.stdout.splitlines()
  signal_at(tmp_path, 29, int(signal.SIGTERM))
  with pytest.raises(errors.Preempted, match=r'^tiny: 29 of 40 steps$'):
    killable.train(killable.job(), tmp_path)
  assert (tmp_path / '29').is_dir()
  signal_at(tmp_path)
  trained = killable.train(killable.job(), tmp_path)
  assert killable.digest(trained.variables) == undisturbed
  outputs += capsys.readouterr().out.splitlines()
  starts = [int(line.removeprefix('from step ')) for line in outputs]
  # The checkpoint of 21 may have been complete when the process was killed.
  assert starts in ([0, 7, 14, 29], [0, 7, 21, 29])


@pytest.mark.slow
def test_killed_at_twenty_moments(tmp_path):
  result = run('lives', tmp_path, 20, 0)
  assert result.returncode == 0, result.stderr
  undisturbed, killed, steps, _ = json.loads(result.stdout.splitlines()[-1])
  assert killed == undisturbed
  # They were hit in the middle of it, in different places.
  assert len(set(steps)) > 3
  assert steps == sorted(steps)


def test_trials_do_not_see_each_other(tmp_path, undisturbed):
  job = killable.job()
  alone = []
  for number, trial in enumerate(killable.TRIALS):
    directory = tmp_path / str(number)
    with killable.checkpoints.Checkpoints(directory, 'alone') as kept:
      trained = trials.train(job, job.compile(), [trial], kept, 'alone')
    alone += trained.variables
  assert killable.digest(alone) == undisturbed


def test_a_diverged_trial_is_trained_no_further(tmp_path):
  """One whose loss is NaN, and one with twice that of its start.

  A fifth more is what slow learning looks like.
  """
  job = killable.job()
  rates = (0.1, 0.2, 0.3, 0.4)
  calls = []

  def step(state, trial, batch):
    calls.append(trial['learning_rate'])
    loss = {
      0.1: 1.0,
      0.2: math.nan,
      0.3: 2.0 if state.step else 1.0,
      0.4: 1.2 if state.step else 1.0,
    }[trial['learning_rate']]
    return dataclasses.replace(state, step=state.step + 1), {'loss': loss}

  with killable.checkpoints.Checkpoints(tmp_path, 'diverging') as kept:
    trained = trials.train(
      job,
      step,
      [train_step.Trial(rate, 0.0) for rate in rates],
      kept,
      'diverging',
    )
  assert [h.diverged for h in trained.histories] == [None, 5, 30, None]
  assert [v is None for v in trained.variables] == [False, True, True, False]
  assert [calls.count(rate) for rate in rates] == [40, 5, 30, 40]


def test_training_ends_when_all_have_diverged(tmp_path):
  job = killable.job()

  def step(state, trial, batch):
    return state, {'loss': math.inf}

  with killable.checkpoints.Checkpoints(tmp_path, 'diverging') as kept:
    trained = trials.train(job, step, killable.TRIALS, kept, 'diverging')
  assert [h.diverged for h in trained.histories] == [5, 5]


def test_resumes_on_another_number_of_devices(tmp_path, signal_at, capsys):
  on_eight = killable.job(mesh=devices.data_mesh())
  expected = killable.train(on_eight, tmp_path / 'eight').variables
  signal_at(tmp_path / 'moved', 20, int(signal.SIGTERM))
  with pytest.raises(errors.Preempted):
    killable.train(killable.job(), tmp_path / 'moved')
  signal_at(tmp_path / 'moved')
  actual = killable.train(on_eight, tmp_path / 'moved').variables
  assert 'from step 20\n' in capsys.readouterr().out
  killable.jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
    actual,
    expected,
  )


def test_save_and_restore(tmp_path):
  """What is saved is restored; saving it again writes nothing."""
  job = killable.job()
  with killable.checkpoints.Checkpoints(tmp_path, 'rung') as kept:
    assert trials.restore(job, kept) is None
    assert trials.restore_best(job, kept) is None
    state = train_step.new_state(job.variables, job.train_config, job.mesh)
    history = trials.history_lib.TrialHistory(start=1.0, losses=[0.5])
    trained = trials.TrainedTrials([state], [history], [3])
    trials.save(kept, trained)
    trials.save(kept, trained)
    restored = trials.restore(job, kept)
  assert killable.digest(restored.states) == killable.digest([state])
  assert restored.histories == [history]
  assert restored.skipped == [3]


NOTES = {
  'courses': [
    {
      'start': 2.0,
      'losses': [1.0, float('nan')],
      'measured': [[5, 0.5]],
      'diverged': 5,
      'evaluations': [{'step': 5, 'views': {'whole_image': {'value': 0.5}}}],
    }
  ],
  'losses': [[float('inf')]],
  'skipped': [3],
}


def test_notes_of_a_checkpoint_come_back():
  notes = json.loads(json.dumps(NOTES))
  state = trials.LoopState.from_checkpoint(5, [None], notes)
  assert json.dumps(state.notes()) == json.dumps(NOTES)


@pytest.mark.parametrize(
  'change',
  [
    {'courses': None},
    {'courses': [{**NOTES['courses'][0], 'diverged': 'late'}]},
    {'courses': [{**NOTES['courses'][0], 'losses': 'none'}]},
    {'losses': {'0': []}},
    {'skipped': [-1]},
    {'skipped': ['a.jpg']},
  ],
)
def test_notes_of_the_wrong_type(change):
  with pytest.raises(errors.InputError, match=f'notes: {next(iter(change))}'):
    trials.LoopState.from_checkpoint(5, [None], {**NOTES, **change})
